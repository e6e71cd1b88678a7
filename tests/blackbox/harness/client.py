"""A driver's app over REST: asks, insists with the same request id, and writes down what it is told."""

from . import http
from .history import CANCELLED, CONFIRMED, REFUSED, UNKNOWN
from .waiting import until

# Refusals that say: try again in a moment.
PASSING = {
    "ponto-retido", "viagem-em-alteracao", "reserva-desatualizada", "empresa-inacessivel", "decisao-tardia",
}
# Answers that promise nothing in either direction.
_OPEN = {"em-andamento", "indisponivel", "erro-interno"}


class Told:
    """What one attempt came to."""

    def __init__(self, outcome, answer=None):
        self.outcome = outcome
        self.answer = answer

    @property
    def trip(self):
        """The trip, if there is one."""
        return self.answer.json["viagem_id"] if self.outcome in (CONFIRMED, CANCELLED) else None

    def __repr__(self):
        return f"{self.outcome} ({self.answer})"


class Client:
    """A client of a federation; `through` the breakable network or straight to the processes."""

    def __init__(self, federation, history):
        self.federation = federation
        self.history = history

    def book(self, request, company="empresa-a", through=False, timeout=12.0):
        """One attempt to book."""
        return self._ask("POST", "/viagens", request, company, through, timeout)

    def change(self, trip, request, company="empresa-a", through=False, timeout=12.0):
        """One attempt to change a trip."""
        return self._ask("PUT", f"/viagens/{trip}", request, company, through, timeout)

    def cancel(self, trip, request, company="empresa-a", through=False, timeout=12.0):
        """One attempt to cancel the trip that `request` booked."""
        try:
            answer = http.call("DELETE", f"{self._url(company, through)}/viagens/{trip}", timeout=timeout)
        except http.Unanswered:
            # A cancellation that was not answered may yet have happened.
            self.history.asked(request)
            return Told(UNKNOWN)
        if answer.status == 200:
            self.history.told(request, CANCELLED, trip)
            return Told(CANCELLED, answer)
        return Told(UNKNOWN if answer.kind in _OPEN else REFUSED, answer)

    def insist(self, attempt, seconds=15.0, passing=()):
        """Repeats `attempt` until it comes to something definite; a refusal of a `passing` kind is not."""
        last = []

        def definite():
            told = attempt()
            last.append(told)
            is_passing = told.outcome == REFUSED and told.answer.kind in passing
            return None if told.outcome == UNKNOWN or is_passing else told

        return until(definite, lambda: f"a definite answer; the last was {last[-1]}", seconds, pause=0.1)

    def _url(self, company, through):
        federation = self.federation
        return federation.link_url("client", company) if through else federation[company].url

    def _ask(self, method, path, request, company, through, timeout):
        self.history.asked(request)
        try:
            answer = http.call(method, self._url(company, through) + path, request, timeout=timeout)
        except http.Unanswered as error:
            return Told(UNKNOWN, error)
        if answer.status in (200, 201):
            state = answer.json["estado"]
            outcome = {"cancelada": CANCELLED}.get(state, CONFIRMED)
            told = Told(outcome, answer)
        elif answer.kind in _OPEN:
            return Told(UNKNOWN, answer)
        else:
            told = Told(REFUSED, answer)
        self.history.told(request, told.outcome, told.trip)
        return told
