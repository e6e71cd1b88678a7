"""Reads what every company remembers and proves that it is one story, and the one that clients were told."""

import datetime

from .federation import instant, now
from .history import CANCELLED, CONFIRMED, REFUSED
from .waiting import TooLate, until

LIVE = {"provisoria", "preparada", "confirmada"}


class Snapshot:
    """What all companies remember."""

    def __init__(self, branches, trips):
        self.branches = branches  # company -> session -> branch
        self.trips = trips  # session -> trip

    def states(self, session):
        """company -> state of the session there."""
        return {
            company: known[session]["estado"]
            for company, known in self.branches.items()
            if session in known
        }

    def sessions(self):
        """Every session that anyone knows."""
        return set(self.trips).union(*self.branches.values())

    def of_request(self, vehicle, request):
        """(company, branch) for everything that was ever held for a request."""
        return [
            (company, branch)
            for company, known in self.branches.items()
            for branch in known.values()
            if (branch.get("veiculo_id"), branch.get("requisicao_id")) == (vehicle, request)
        ]


def pages(company):
    """(branches by session, trips by session) of one company, read page by page."""
    branches, trips, cursor = {}, {}, None
    while True:
        answer = company.as_operator("GET", "/auditoria" + (f"?cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer
        page = answer.json
        branches.update((one["sessao"], one) for one in page["ramos"])
        trips.update((one["sessao"], one) for one in page["viagens"])
        cursor = page.get("proximo")
        if cursor is None:
            return branches, trips


def take(companies):
    """A snapshot of these companies."""
    branches, trips = {}, {}
    for company in companies:
        branches[company.name], own = pages(company)
        trips.update(own)
    return Snapshot(branches, trips)


def violations(snapshot, history=None):
    """Everything in a snapshot that must not be, for a federation that has come to rest."""
    found = disagreements(snapshot) + overlaps(snapshot)
    if history is not None:
        found += [f"LIE: {lie}" for lie in history.lies]
        found += _check_history(snapshot, history)
    return found


def disagreements(snapshot):
    """Where companies tell different stories of a trip, or have not finished one."""
    return [text for session in sorted(snapshot.sessions()) for text in _check_session(snapshot, session)]


def overlaps(snapshot):
    """Windows of an EVSE that two trips hold."""
    return [text for company, known in snapshot.branches.items() for text in _check_overlaps(company, known)]


def settle(federation, history=None, seconds=10.0):
    """Waits until everything is decided everywhere, then checks all of it. Returns the snapshot."""
    last = {}

    def at_rest():
        last["snapshot"] = take(federation)
        last["found"] = violations(last["snapshot"], history)
        return not last["found"]

    try:
        until(at_rest, lambda: "the companies to agree:\n  " + "\n  ".join(last["found"]), seconds, pause=0.1)
    except TooLate as late:
        raise AssertionError(str(late)) from None
    check_availability(federation, last["snapshot"])
    for company in federation:
        for figure in ("in_doubt", "soft_holds", "trips_waiting", "trips_owing"):
            assert company.metric(figure) == 0, f"{company.name}: {figure} is {company.metric(figure)} at rest"
    return last["snapshot"]


def check_availability(federation, snapshot, days=7):
    """What is offered as free is exactly what nobody holds: nothing leaks, nothing is sold twice."""
    start = (now() + datetime.timedelta(hours=12)).replace(minute=0, second=0, microsecond=0)
    period = (instant(start), instant(start + datetime.timedelta(days=days)))
    for company in federation:
        offered = free_windows(company, *period)
        taken = {}
        for branch in snapshot.branches[company.name].values():
            if branch["estado"] in LIVE:
                for stop in branch["reservas"]:
                    window = (stop["janela_inicio"], stop["janela_fim"])
                    taken.setdefault(stop["ponto_id"], []).append(window)
        for evse, free in offered.items():
            expected = _complement(period, sorted(taken.get(evse, [])))
            assert free == expected, f"{company.name} {evse}: offers {free}, but is free in {expected}"


def free_windows(company, start, end):
    """EVSE -> free windows in the period, over all pages."""
    offered, cursor = {}, None
    while True:
        query = f"/disponibilidade?de={start}&ate={end}" + (f"&cursor={cursor}" if cursor else "")
        page = company.call("GET", query).json
        for point in page["pontos"]:
            offered[point["ponto_id"]] = [(one["inicio"], one["fim"]) for one in point["livres"]]
        cursor = page.get("proximo")
        if cursor is None:
            return offered


def _complement(period, taken):
    free, at = [], period[0]
    for start, end in taken:
        start, end = max(start, period[0]), min(end, period[1])
        if start >= end:
            continue
        if at < start:
            free.append((at, start))
        at = max(at, end)
    if at < period[1]:
        free.append((at, period[1]))
    return free


def _check_session(snapshot, session):
    states = snapshot.states(session)
    causes = {name: known[session].get("causa") for name, known in snapshot.branches.items() if session in known}
    trip = snapshot.trips.get(session)
    coordinator = session.rsplit(".", 4)[0]
    found = []

    def wrong(text):
        found.append(f"{session}: {text}; {states}, trip {trip and trip['estado']}")

    undecided = sorted(name for name, state in states.items() if state in ("preparada", "provisoria"))
    if undecided:
        wrong(f"still undecided at {', '.join(undecided)}")
    confirmed = {name for name, state in states.items() if state == "confirmada"}
    aborted = {name for name, state in states.items() if state == "abortada"}
    heuristic = {name for name in aborted if causes[name] == "heuristica"}
    if confirmed and aborted - heuristic:
        wrong("confirmed at one company and aborted at another")
    if trip is None:
        if confirmed and coordinator in snapshot.branches:
            wrong("confirmed, but its coordinator knows no trip")
        return found
    if trip["pendentes"]:
        wrong(f"not yet acknowledged by {trip['pendentes']}")
    if aborted - heuristic:
        wrong("committed by its coordinator and aborted at a company")
    if set(trip["perdidas"]) != heuristic and trip["estado"] in ("confirmada", "mista"):
        wrong(f"lost at {sorted(heuristic)}, but the trip says {trip['perdidas']}")
    if trip["estado"] in ("confirmada", "mista"):
        for company in set(trip["participantes"]) - heuristic:
            found += _check_branch(snapshot, session, trip, company)
    else:
        # A change that moved every stop elsewhere is confirmed without a window, and nobody comes to release it.
        reserved = {name for name in confirmed if snapshot.branches[name][session]["reservas"]}
        for company in reserved:
            wrong(f"still reserved at {company} although the trip is over")
    return found


def _check_branch(snapshot, session, trip, company):
    if company not in snapshot.branches:
        return []
    branch = snapshot.branches[company].get(session)
    if branch is None or branch["estado"] != "confirmada":
        state = branch and branch["estado"]
        return [f"{session}: committed, but {company} says {state}"]

    def windows(stops):
        keys = ("parada", "ponto_id", "janela_inicio", "janela_fim")
        return sorted(tuple(stop[key] for key in keys) for stop in stops)

    wanted = windows(stop for stop in trip["paradas"] if stop["empresa"] == company)
    if windows(branch["reservas"]) != wanted:
        return [f"{session}: {company} reserved {branch['reservas']}, the trip says {wanted}"]
    return []


def _check_overlaps(company, known):
    taken = {}
    for session, branch in known.items():
        if branch["estado"] in LIVE:
            for stop in branch["reservas"]:
                window = (stop["janela_inicio"], stop["janela_fim"], session)
                taken.setdefault(stop["ponto_id"], []).append(window)
    found = []
    for evse, windows in taken.items():
        windows.sort()
        for earlier, later in zip(windows, windows[1:]):
            if later[0] < earlier[1] and known[later[2]].get("substitui") != earlier[2]:
                found.append(f"{company}: {evse} is held twice: {earlier} and {later}")
    return found


def _check_history(snapshot, history):
    by_id = {}
    for trip in snapshot.trips.values():
        if trip["estado"] != "alterada":
            by_id[trip["viagem_id"]] = trip
    found = []
    for (vehicle, request), (outcome, trip_id) in history.last().items():
        live = [
            (company, branch["estado"])
            for company, branch in snapshot.of_request(vehicle, request)
            if branch["estado"] in LIVE
        ]
        trip = by_id.get(trip_id)
        if outcome == CONFIRMED and (trip is None or trip["estado"] not in ("confirmada", "mista")):
            found.append(f"LIE: {vehicle} {request} was told confirmed, but the trip is {trip and trip['estado']}")
        if outcome == CANCELLED and (live or (trip is not None and trip["estado"] != "cancelada")):
            found.append(f"LIE: {vehicle} {request} was told cancelled, but {live} is held")
        if outcome == REFUSED and live:
            found.append(f"LIE: {vehicle} {request} was told refused, but {live} is held")
    return found
