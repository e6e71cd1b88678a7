"""The checker finds every violation that is planted into a history without any, and nothing in one without."""

import pytest
from harness.audit import Snapshot
from torture.checker import CLASSES, judge
from torture.journal import ASKED, BOOK, CANCEL, CANCELLED, CHANGE, CONFIRMED, REFUSED, Line

A, B, C = "empresa-a", "empresa-b", "empresa-c"
STORE = "7ac1ebeb6421ba364af0650cc7186739"
WINDOW = ("2026-12-01T10:00:00Z", "2026-12-01T10:20:00Z")
LATER = ("2026-12-01T12:00:00Z", "2026-12-01T12:20:00Z")


def session(number, coordinator=A):
    """The nth transaction of a coordinator."""
    return f"{coordinator}.{STORE}.1.{number}.00ff"


def branch(name, car, request, company, window=WINDOW, state="confirmada", evse=1):
    """What a company remembers of its part."""
    stop = {"parada": 0, "ponto_id": f"{company[-1].upper()}-{evse}"}
    stop["janela_inicio"], stop["janela_fim"] = window
    return {"sessao": name, "veiculo_id": car, "requisicao_id": request, "estado": state, "reservas": [stop]}


def trip(name, trip_id, *branches, state="confirmada"):
    """What the coordinator remembers of a trip with a branch at each of these (company, branch)."""
    return {
        "sessao": name,
        "viagem_id": trip_id,
        "estado": state,
        "pendentes": [],
        "perdidas": [],
        "participantes": [company for company, _ in branches],
        "paradas": [{"empresa": company, **one["reservas"][0]} for company, one in branches],
    }


class History:
    """One car's trip T1 over two companies, told and held, and one that was refused; every test breaks it elsewhere."""

    def __init__(self):
        one = session(1)
        at_a, at_b = branch(one, "car", "r1", A), branch(one, "car", "r1", B, LATER)
        self.branches = {A: {one: at_a}, B: {one: at_b}, C: {}}
        self.trips = {one: trip(one, "T1", (A, at_a), (B, at_b))}
        self.stops = [(A, "A-1", *WINDOW), (B, "B-1", *LATER)]
        self.lines = [
            self.line("r1", ASKED),
            self.line("r1", CONFIRMED, trip="T1"),
            self.line("r2", ASKED, company=C),
            self.line("r2", REFUSED, company=C),
        ]

    def line(self, request, outcome, action=BOOK, company=A, trip=None, **options):
        """A line of the car's journal."""
        return Line("car", request, company, action, outcome, trip, options.pop("stops", self.stops), **options)

    def add(self, *arguments, **options):
        """Something more happens."""
        self.lines.append(self.line(*arguments, **options))

    def found(self):
        """The classes in which something was found."""
        verdict = judge(self.lines, Snapshot(self.branches, self.trips))
        return {name for name in CLASSES if verdict.counts[name]}


@pytest.fixture(name="history")
def _history():
    return History()


def release(history):
    """T1 is cancelled everywhere."""
    history.trips[session(1)]["estado"] = "cancelada"
    for known in history.branches.values():
        for one in known.values():
            one["estado"] = "liberada"


def test_nothing_is_found_where_nothing_is_wrong(history):
    """Told confirmed and held, told refused and not held."""
    assert history.found() == set()


def test_a_cancelled_trip_may_be_gone(history):
    """Told or only asked: it is not lost."""
    history.add("r1", ASKED, CANCEL, trip="T1")
    assert history.found() == set()
    release(history)
    assert history.found() == set()
    history.add("r1", CANCELLED, CANCEL, trip="T1")
    assert history.found() == set()


def test_a_driver_may_ask_again_after_a_refusal(history):
    """Over REST a refusal is not for ever."""
    history.lines.insert(0, history.line("r1", REFUSED))
    assert history.found() == set()


def test_another_company_may_refuse_what_one_has_booked(history):
    """The request is in other hands."""
    history.add("r1", ASKED, company=B)
    history.add("r1", REFUSED, company=B)
    assert history.found() == set()


@pytest.mark.parametrize("state", ["abortada", "preparada", "provisoria"])
def test_split_at_one_company(history, state):
    """Confirmed at A, and not at B."""
    history.branches[B][session(1)].update(estado=state, causa="coordenador")
    assert "split" in history.found()


def test_split_although_nobody_was_told(history):
    """The same without a client who knows of it."""
    history.lines.clear()
    history.branches[B].clear()
    assert history.found() == {"split"}


def test_split_without_a_commit(history):
    """A company holds what its coordinator has never committed."""
    history.lines.clear()
    history.trips.clear()
    assert history.found() == {"split"}


def test_a_change_leaves_an_empty_branch_where_it_moved_everything_away(history):
    """The change that comes after it asks that company nothing, so nobody releases what has no window."""
    history.lines.clear()
    one = history.trips[session(1)]
    one["estado"] = "alterada"
    one["paradas"] = [stop for stop in one["paradas"] if stop["empresa"] == A]
    history.branches[A][session(1)]["estado"] = "liberada"
    history.branches[B][session(1)]["reservas"] = []
    assert history.found() == set()
    history.branches[A][session(1)]["estado"] = "confirmada"
    assert history.found() == {"split"}


def test_lost_at_all_companies(history):
    """Told confirmed; every company has forgotten it and they agree."""
    history.trips.clear()
    for known in history.branches.values():
        known.clear()
    assert history.found() == {"lost"}


def test_lost_one_stop_of_which_the_coordinator_does_not_know(history):
    """The companies agree on a trip that is shorter than the one that was told."""
    history.branches[B].clear()
    history.trips[session(1)]["paradas"].pop()
    history.trips[session(1)]["participantes"].pop()
    assert history.found() == {"lost"}


def test_lost_to_another_window(history):
    """They agree on another window than the one that was told."""
    for stop in (history.branches[B][session(1)]["reservas"][0], history.trips[session(1)]["paradas"][1]):
        stop["janela_inicio"], stop["janela_fim"] = "2026-12-01T14:00:00Z", "2026-12-01T14:20:00Z"
    assert history.found() == {"lost"}


def test_lost_by_a_change(history):
    """A change was told confirmed, and the old stops are held instead."""
    new = [(C, "C-1", *WINDOW)]
    history.add("r3", ASKED, CHANGE, trip="T1", stops=new)
    assert history.found() == set(), "as long as it was not told, either may stand"
    history.add("r3", CONFIRMED, CHANGE, trip="T1", stops=new)
    assert history.found() == {"lost"}


def test_a_repeat_of_the_first_request_does_not_undo_a_change(history):
    """Told again what was booked at first, after the change: the change stands."""
    new, two = [(C, "C-1", *WINDOW)], session(2)
    history.add("r3", CONFIRMED, CHANGE, trip="T1", stops=new)
    history.add("r1", CONFIRMED, trip="T1")
    release(history)
    history.trips[session(1)]["estado"] = "alterada"
    history.branches[C][two] = branch(two, "car", "r3", C)
    history.trips[two] = trip(two, "T1", (C, history.branches[C][two]))
    assert history.found() == set()


def test_double_booked_by_two_cars(history):
    """Two trips in one window of one EVSE."""
    two = session(2, B)
    other = branch(two, "other", "r9", A, ("2026-12-01T10:10:00Z", "2026-12-01T10:30:00Z"))
    history.branches[A][two] = other
    history.trips[two] = trip(two, "T2", (A, other))
    assert history.found() == {"double_booked"}


def test_double_booked_for_one_request(history):
    """One request holds two trips, in different windows."""
    two = session(2, B)
    again = branch(two, "car", "r1", C)
    history.branches[C][two] = again
    history.trips[two] = trip(two, "T2", (C, again))
    assert history.found() == {"double_booked"}


@pytest.mark.parametrize("outcome, found", [(CANCELLED, set()), (CONFIRMED, {"two_outcomes"}), (REFUSED, {"two_outcomes"})])
def test_what_a_car_hears_of_a_cancelled_trip(history, outcome, found):
    """It hears that it is over, and nothing else."""
    release(history)
    history.lines = [
        history.line("r1", CONFIRMED, trip="T1", sticky=True),
        history.line("r1", CANCELLED, CANCEL, trip="T1", sticky=True),
        history.line("r1", outcome, sticky=True),
    ]
    assert found <= history.found() and bool(found) == ("two_outcomes" in history.found())


def test_two_outcomes_over_rest(history):
    """Confirmed, and then refused."""
    history.add("r1", REFUSED)
    assert history.found() == {"two_outcomes"}


def test_two_outcomes_after_a_cancellation(history):
    """Cancelled, and then confirmed again."""
    release(history)
    history.add("r1", CANCELLED, CANCEL, trip="T1")
    history.add("r1", CANCELLED, trip="T1")
    assert history.found() == set()
    history.add("r1", CONFIRMED, trip="T1")
    assert history.found() == {"two_outcomes"}


def test_two_trips_told_for_one_request(history):
    """By one company or by two."""
    history.add("r1", CONFIRMED, company=B, trip="T2")
    history.add("r1", CANCELLED, CANCEL, company=B, trip="T2")
    assert history.found() == {"two_outcomes"}


def test_told_refused_and_held(history):
    """The company that refused coordinates what is held."""
    two = session(2, C)
    history.branches[C][two] = branch(two, "car", "r2", C)
    history.trips[two] = trip(two, "T2", (C, history.branches[C][two]))
    assert history.found() == {"two_outcomes"}


def test_told_cancelled_and_held(history):
    """The windows are still taken."""
    history.add("r1", ASKED, CANCEL, trip="T1")
    history.add("r1", CANCELLED, CANCEL, trip="T1")
    assert history.found() == {"two_outcomes"}


