"""Decides from what clients were told and from what every company remembers whether the promise was kept."""

from harness.audit import LIVE, disagreements, overlaps

from .journal import ASKED, BOOK, CANCEL, CANCELLED, CHANGE, CONFIRMED, REFUSED

CLASSES = ("split", "lost", "double_booked", "two_outcomes")


class Verdict:
    """Everything that must not be, by class."""

    def __init__(self, **found):
        self.found = {name: list(found.get(name, ())) for name in CLASSES}

    @property
    def counts(self):
        """How many of each class."""
        return {name: len(texts) for name, texts in self.found.items()}

    @property
    def holds(self):
        """Whether there is nothing."""
        return not any(self.found.values())

    def __str__(self):
        return "\n".join(f"{name}: {text}" for name, texts in self.found.items() for text in texts)


def judge(lines, snapshot):
    """The verdict over a journal and a snapshot of all companies, taken when nothing was under way.

    split          a trip stands at one company and not at another, or is not finished although all is healed
    lost           a client was told "confirmed", and a stop of the trip is not held
    double_booked  two trips hold the same window, or one request holds two trips
    two_outcomes   a client was told two outcomes of a request, or something is held that it was told is not
    """
    trips = _Trips(lines)
    refused, disowned = _told_refused(lines), trips.told_cancelled()
    held = _Held(snapshot)
    return Verdict(
        split=disagreements(snapshot),
        lost=trips.not_held(held),
        double_booked=overlaps(snapshot) + held.requests_with_two_trips(),
        two_outcomes=_contradictions(lines) + held.although_refused(refused) + held.although_cancelled(disowned),
    )


class _Held:
    """What is held at all companies, in the forms in which the checks look for it."""

    def __init__(self, snapshot):
        self.stops = {}  # (car, request) -> {(company, EVSE, start, end)}
        self.sessions = {}  # (car, request) -> {session}
        self.trips = {trip["viagem_id"]: trip for trip in snapshot.trips.values() if trip["estado"] != "alterada"}
        for company, known in snapshot.branches.items():
            for session, branch in known.items():
                if branch["estado"] not in LIVE:
                    continue
                key = (branch.get("veiculo_id"), branch.get("requisicao_id"))
                self.sessions.setdefault(key, set()).add(session)
                self.stops.setdefault(key, set()).update(
                    (company, stop["ponto_id"], stop["janela_inicio"], stop["janela_fim"])
                    for stop in branch["reservas"]
                )

    def requests_with_two_trips(self):
        return [
            f"{vehicle} {request}: one request, held by {sorted(sessions)}"
            for (vehicle, request), sessions in self.sessions.items()
            if len(sessions) > 1
        ]

    def although_refused(self, refused):
        return [
            f"{key[0]} {key[1]}: {company} told refused, but {session} is held"
            for key, company in refused
            for session in sorted(self.sessions.get(key, ()))
            if _coordinator(session) == company
        ]

    def although_cancelled(self, cancelled):
        found = []
        for trip, keys in cancelled.items():
            held = sorted(stop for key in keys for stop in self.stops.get(key, ()))
            if held:
                found.append(f"trip {trip}: told cancelled, but {held} is held")
            state = self.trips.get(trip, {}).get("estado")
            if state in ("confirmada", "mista"):
                found.append(f"trip {trip}: told cancelled, but its coordinator says {state}")
        return found


class _Trips:
    """Each trip that a client was told of, with what was asked of it since."""

    def __init__(self, lines):
        self._versions = {}  # trip -> [(key, stops)], what was told or may have become of it, oldest first
        self._told = {}  # trip -> how many of the versions are out of date for certain
        self._cancelling, self._cancelled = set(), set()
        for line in lines:
            self._read(line)

    def told_cancelled(self):
        """Trip -> all the requests under which it was booked and changed."""
        return {trip: [key for key, _ in self._versions.get(trip, ())] for trip in self._cancelled}

    def not_held(self, held):
        """What was told confirmed and is not there, where no cancellation is open."""
        found = []
        for trip, versions in self._versions.items():
            if trip in self._cancelling or trip in self._cancelled or trip not in self._told:
                continue
            # A change without a definite answer may have happened or not: one of the versions must stand, and whole.
            possible = versions[self._told[trip]:]
            if not any(set(stops) <= held.stops.get(key, set()) for key, stops in possible):
                wanted = [(key, stops, sorted(held.stops.get(key, ()))) for key, stops in possible]
                found.append(f"trip {trip}: told confirmed, but held is not (request, wanted, held): {wanted}")
        return found

    def _read(self, line):
        trip = line.trip
        if line.action == CANCEL:
            if line.outcome == ASKED:
                self._cancelling.add(trip)
            elif line.outcome == CANCELLED:
                self._cancelled.add(trip)
        elif line.action == CHANGE and line.outcome == ASKED:
            self._add(line)
        elif line.outcome == CONFIRMED:
            # Told again is not told anew: a repeat of an old request does not bring its stops back.
            known = [key for key, _ in self._versions.get(trip, ())]
            place = known.index(line.key) if line.key in known else self._add(line)
            self._told[trip] = max(place, self._told.get(trip, 0))
        elif line.outcome == CANCELLED:
            self._cancelled.add(trip)

    def _add(self, line):
        versions = self._versions.setdefault(line.trip, [])
        if line.key not in [key for key, _ in versions]:
            versions.append((line.key, line.stops))
        return len(versions) - 1


def _told_refused(lines):
    """(request, company) for everyone whose last word about it was no."""
    last = {}
    for line in lines:
        if line.action in (BOOK, CHANGE):
            last[line.key, line.company] = line.outcome
    return [place for place, outcome in last.items() if outcome == REFUSED]


def _contradictions(lines):
    """Two answers to one request that cannot both be true."""
    found, trips, answers = [], {}, {}
    for line in lines:
        if line.outcome == ASKED or line.action == CANCEL and not line.sticky:
            continue
        if line.trip is not None and line.action == BOOK:
            first = trips.setdefault(line.key, line)
            if first.trip != line.trip:
                found.append(f"two trips for one request: {first}; {line}")
        before = answers.get((line.key, line.company))
        answers[line.key, line.company] = line
        if before is None or before.outcome == line.outcome:
            continue
        # What was booked may be cancelled since. After a refusal a driver may ask again; a car's refusals, once given, stay.
        is_over = (before.outcome, line.outcome) == (CONFIRMED, CANCELLED)
        if not is_over and (line.sticky or before.outcome != REFUSED):
            found.append(f"two outcomes: {before}; {line}")
    return found


def _coordinator(session):
    return session.rsplit(".", 4)[0]
