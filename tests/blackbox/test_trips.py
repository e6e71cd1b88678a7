"""A driver's app over REST, with curl: book, look, change, cancel."""

import json

from harness.http import curl


def test_a_trip_from_booking_to_cancelling(stage):
    """Booked at three companies, repeated, found, and cancelled; the offer follows each step."""
    federation = stage.federation
    a = federation.a
    request = federation.trip()
    booked = curl("POST", f"{a.url}/viagens", request)
    assert booked.status == 201, booked
    stage.history.told(request, "confirmed", booked.json["viagem_id"])
    trip = booked.json
    assert trip["estado"] == "confirmada"
    assert trip["servidor"] == "empresa-a"
    assert [stop["empresa"] for stop in trip["paradas"]] == ["empresa-a", "empresa-b", "empresa-c"]
    assert booked.headers["location"] == f"/viagens/{trip['viagem_id']}"
    snapshot = stage.settle()
    assert set(snapshot.states(trip["sessao"]).values()) == {"confirmada"}

    shown = curl("GET", a.url + booked.headers["location"])
    assert shown.status == 200 and {stop["estado"] for stop in shown.json["paradas"]} == {"confirmada"}
    repeated = curl("POST", f"{a.url}/viagens", request)
    assert repeated.status == 201 and repeated.json == shown.json
    listed = curl("GET", f"{a.url}/viagens?veiculo_id={request['veiculo']['veiculo_id']}")
    assert listed.status == 200 and listed.json["viagens"] == [shown.json]

    for stop in request["paradas"]:
        assert not _is_free(federation, stop)
    cancelled = curl("DELETE", f"{a.url}/viagens/{trip['viagem_id']}")
    assert cancelled.status == 200 and cancelled.json["estado"] == "cancelada", cancelled
    stage.history.told(request, "cancelled", trip["viagem_id"])
    again = curl("DELETE", f"{a.url}/viagens/{trip['viagem_id']}")
    assert again.status == 200 and again.json["estado"] == "cancelada", again
    stage.settle()
    for stop in request["paradas"]:
        assert _is_free(federation, stop)


def test_the_same_id_for_something_else_is_refused(stage):
    """A repeat is the same in every byte that counts, or it is no repeat."""
    federation = stage.federation
    request = federation.trip()
    assert stage.client.book(request).outcome == "confirmed"
    other = {**request, "paradas": federation.trip()["paradas"]}
    answer = curl("POST", f"{federation.a.url}/viagens", other)
    assert (answer.status, answer.kind) == (409, "requisicao-divergente"), answer
    assert answer.headers["content-type"] == "application/problem+json"
    stage.settle()


def test_the_request_id_may_stand_in_the_header(stage):
    """`Idempotency-Key` does what `requisicao_id` does."""
    federation = stage.federation
    request = federation.trip()
    body = {name: value for name, value in request.items() if name != "requisicao_id"}
    header = {"Idempotency-Key": f'"{request["requisicao_id"]}"'}
    first = curl("POST", f"{federation.b.url}/viagens", body, headers=header)
    assert first.status == 201 and first.json["requisicao_id"] == request["requisicao_id"], first
    second = curl("POST", f"{federation.b.url}/viagens", request)
    assert second.status == 201 and second.json["viagem_id"] == first.json["viagem_id"]
    stage.history.told(request, "confirmed", first.json["viagem_id"])
    stage.settle()


def test_a_taken_window_is_refused_and_an_alternative_is_named(stage):
    """All or nothing: the two free stops are not kept when the third is taken."""
    federation = stage.federation
    first = federation.trip()
    assert stage.client.book(first).outcome == "confirmed"
    stage.settle()
    second = federation.trip()
    second["paradas"][1] = first["paradas"][1]
    # In order of time, as a driver would ask.
    second["paradas"].sort(key=lambda stop: stop["janela_inicio"])
    number = second["paradas"].index(first["paradas"][1])
    answer = curl("POST", f"{federation.a.url}/viagens", second)
    assert (answer.status, answer.kind) == (409, "ponto-reservado"), answer
    assert answer.json["parada"] == number and answer.json["livres"], answer
    assert answer.json["campo"] == f"paradas[{number}].janela_inicio"
    stage.history.told(second, "refused")
    stage.settle()


def test_a_change_swaps_all_stops_or_none(stage):
    """PUT moves the trip; a refused change leaves the old stops as they were."""
    federation = stage.federation
    old = federation.trip()
    booked = stage.client.book(old)
    assert booked.outcome == "confirmed"
    stage.settle()
    # One stop stays, one moves, one is at another company.
    new = federation.request(
        [old["paradas"][0], federation.stop_at("empresa-b"), federation.stop_at("empresa-b")],
        vehicle=old["veiculo"]["veiculo_id"],
    )
    changed = curl("PUT", f"{federation.a.url}/viagens/{booked.trip}", new)
    assert changed.status == 200 and changed.json["viagem_id"] == booked.trip, changed
    stage.history.told(new, "confirmed", booked.trip)
    stage.settle()
    assert _is_free(federation, old["paradas"][1]) and _is_free(federation, old["paradas"][2])
    assert not any(_is_free(federation, stop) for stop in new["paradas"])

    obstacle = federation.trip("empresa-c")
    assert stage.client.book(obstacle, "empresa-c").outcome == "confirmed"
    refused = federation.request([federation.stop_at("empresa-a"), *obstacle["paradas"]])
    refused["paradas"].sort(key=lambda stop: stop["janela_inicio"])
    refused["veiculo"] = old["veiculo"]
    answer = curl("PUT", f"{federation.a.url}/viagens/{booked.trip}", refused)
    assert (answer.status, answer.kind) == (409, "ponto-reservado"), answer
    stage.history.told(refused, "refused")
    stage.settle()
    shown = curl("GET", f"{federation.a.url}/viagens/{booked.trip}").json
    assert shown["estado"] == "confirmada"
    assert [stop["janela_inicio"] for stop in shown["paradas"]] == [s["janela_inicio"] for s in new["paradas"]]

    unknown = curl("PUT", f"{federation.b.url}/viagens/{booked.trip}", federation.trip())
    assert unknown.status == 404, unknown


def test_one_company_is_enough(stage):
    """A trip within one company needs no other company at all."""
    federation = stage.federation
    federation.b.kill()
    federation.c.kill()
    request = federation.trip("empresa-a", "empresa-a")
    assert stage.client.book(request).outcome == "confirmed"
    stage.settle()


def test_a_company_may_coordinate_a_trip_without_a_stop_of_its_own(stage):
    """The coordinator need not be a participant."""
    federation = stage.federation
    request = federation.trip("empresa-b", "empresa-c")
    booked = stage.client.book(request, "empresa-a")
    assert booked.outcome == "confirmed", booked
    stage.settle()
    assert stage.client.cancel(booked.trip, request, "empresa-a").outcome == "cancelled"
    stage.settle()


def test_the_same_car_cannot_ask_two_companies_for_the_same_request(stage):
    """Failover to another coordinator must not make two trips."""
    federation = stage.federation
    request = federation.trip()
    assert stage.client.book(request, "empresa-a").outcome == "confirmed"
    answer = curl("POST", f"{federation.b.url}/viagens", request)
    assert (answer.status, answer.kind) == (409, "requisicao-em-outra-empresa"), answer
    assert answer.json["empresa"] == "empresa-a"
    stage.settle()


def test_an_unchanged_offer_is_not_sent_twice(stage):
    """ETag and If-None-Match; a change to what is held changes the tag."""
    federation = stage.federation
    start, end = federation.window()
    url = f"{federation.a.url}/disponibilidade?de={start}&ate={end}"
    first = curl("GET", url)
    assert first.status == 200 and first.headers["etag"]
    again = curl("GET", url, headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 304 and again.body == b"" and again.headers["etag"] == first.headers["etag"]
    stop = federation.stop_at("empresa-a", window=(start, end))
    request = federation.request([stop])
    assert stage.client.book(request).outcome == "confirmed"
    changed = curl("GET", url, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status == 200 and changed.headers["etag"] != first.headers["etag"]
    assert changed.json["revisao"] > first.json["revisao"]
    points = {point["ponto_id"]: point for point in changed.json["pontos"]}
    assert points[stop["ponto_id"]]["livres"] == []
    stage.settle()


def test_an_old_tag_is_not_taken_for_a_new_offer_after_a_restart(stage):
    """The revision must not go back to a number that stood for something else."""
    federation = stage.federation
    start, end = federation.window()
    path = f"/disponibilidade?de={start}&ate={end}"
    before = federation.a.call("GET", path)
    federation.a.restart()
    after = federation.a.call("GET", path)
    assert after.json["pontos"] == before.json["pontos"]
    assert after.json["revisao"] > before.json["revisao"]


def test_the_service_explains_itself(stage):
    """OpenAPI with every operation, a page to read, and a page for every problem."""
    federation = stage.federation
    document = curl("GET", f"{federation.a.url}/openapi.json")
    assert document.status == 200
    paths = document.json["paths"]
    assert document.json["openapi"].startswith("3.1")
    expected = {
        "/disponibilidade": {"get"}, "/pontos": {"get"}, "/reserva-temporaria": {"post"},
        "/confirmar-reserva": {"post"}, "/cancelar-reserva": {"delete"}, "/transacoes/{sessao}": {"get"},
        "/lote": {"post"}, "/viagens": {"get", "post"}, "/viagens/{id}": {"get", "put", "delete"},
        "/eventos": {"get"}, "/saude": {"get"}, "/metrics": {"get"}, "/auditoria": {"get"},
        "/copia": {"get"},
    }
    for path, methods in expected.items():
        assert methods <= set(paths[path]), path
    assert curl("GET", f"{federation.a.url}/docs/").status == 200
    page = curl("GET", f"{federation.a.url}/problemas/ponto-reservado")
    assert page.status == 200 and "ponto-reservado" in page.body.decode()
    nothing = curl("GET", f"{federation.a.url}/nada")
    assert (nothing.status, nothing.kind) == (404, "nao-encontrado")
    wrong = curl("PATCH", f"{federation.a.url}/viagens", {})
    assert (wrong.status, wrong.kind) == (405, "metodo-nao-permitido") and "POST" in wrong.headers["allow"]


def test_events_tell_of_a_trip(stage):
    """A watcher of GET /eventos sees the booking."""
    import http.client

    federation = stage.federation
    connection = http.client.HTTPConnection("127.0.0.1", federation.a.port, timeout=10)
    connection.request("GET", "/eventos")
    stream = connection.getresponse()
    assert stream.status == 200 and stream.getheader("content-type").startswith("text/event-stream")
    request = federation.trip()
    booked = stage.client.book(request)
    while True:
        line = stream.readline().decode()
        assert line, "the stream ended before the trip was told"
        event = json.loads(line[5:]) if line.startswith("data:") else {}
        if event.get("evento") == "viagem" and event["dados"]["viagem_id"] == booked.trip:
            assert event["dados"]["estado"] == "confirmada"
            break
    connection.close()
    stage.settle()


def _is_free(federation, stop):
    start, end = stop["janela_inicio"], stop["janela_fim"]
    path = f"/disponibilidade?de={start}&ate={end}&ponto_id={stop['ponto_id']}"
    points = federation[stop["empresa"]].call("GET", path).json["pontos"]
    return points[0]["livres"] == [{"inicio": start, "fim": end}]
