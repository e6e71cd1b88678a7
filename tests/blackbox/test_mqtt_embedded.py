"""The same cars through the broker that the program brings along. It keeps everything in memory: what is asked of a broker
that was killed is not asked of it, but that nothing is lost by it is."""

from test_mqtt import (  # noqa: F401
    monitor,
    test_a_car_books_and_cancels,
    test_a_car_hears_only_its_own_answers,
    test_a_car_that_was_away_finds_its_answer,
    test_a_company_that_nobody_runs_is_answered_by_the_first,
    test_a_refusal_says_why_and_stays_the_same,
    test_a_repeat_right_after_the_answer_is_answered,
    test_a_request_that_waited_while_the_node_was_down,
    test_malformed_requests_are_refused_with_a_reason,
    test_rest_and_mqtt_are_one_service,
    test_status_and_last_will,
    test_the_broker_dies_under_load,
    test_the_first_stops_company_coordinates_unless_another_is_named,
    test_the_node_dies_at_a_flush_of_a_cars_request,
    test_the_node_dies_between_request_and_answer,
    test_the_same_id_for_something_else_is_refused,
    test_the_same_request_in_other_bytes_is_a_repeat,
)

BROKER = "embedded"
