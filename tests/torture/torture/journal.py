"""What every client asked for and was told, one line each, in the order in which it happened."""

import json
import threading
import time

from harness.history import CANCELLED, CONFIRMED, REFUSED, UNKNOWN

BOOK, CHANGE, CANCEL = "book", "change", "cancel"
ASKED = "asked"

__all__ = ["ASKED", "BOOK", "CANCEL", "CANCELLED", "CHANGE", "CONFIRMED", "Journal", "Line", "REFUSED", "UNKNOWN"]


class Line:
    """One thing that a client did or was told."""

    def __init__(self, vehicle, request, company, action, outcome, trip=None, stops=None, sticky=False, at=None):
        self.vehicle = vehicle
        self.request = request  # the request that was sent; a cancellation over REST has none
        self.company = company  # who was asked
        self.action = action
        self.outcome = outcome
        self.trip = trip
        self.stops = [tuple(stop) for stop in stops or ()]  # (company, EVSE, start, end)
        self.sticky = sticky  # the company promised to give the same answer for ever
        self.at = time.time() if at is None else at

    @property
    def key(self):
        """What tells one request from all others."""
        return self.vehicle, self.request

    def __repr__(self):
        return f"{self.at:.3f} {self.vehicle} {self.request} {self.action} at {self.company}: {self.outcome} {self.trip}"


class Journal:
    """All lines, in memory and in a file, so that a failure can be looked at afterwards."""

    def __init__(self, path):
        self._lines = []
        self._lock = threading.Lock()
        self._file = open(path, "a", encoding="utf-8")  # closed with the journal

    def add(self, line):
        """Writes a line."""
        with self._lock:
            self._lines.append(line)
            self._file.write(json.dumps(vars(line)) + "\n")

    @property
    def lines(self):
        """All lines so far."""
        with self._lock:
            return list(self._lines)

    def flush(self):
        """The file holds all of it."""
        with self._lock:
            self._file.flush()

    def close(self):
        """Nothing more is written."""
        self._file.close()


class Pen:
    """Writes down one client's attempt at one company; has the methods that the harness's client calls."""

    def __init__(self, journal, company, action, trip=None):
        self._journal = journal
        self._company = company
        self._action = action
        self._trip = trip

    def asked(self, request):
        """The request goes out."""
        self._write(request, ASKED, self._trip)

    def told(self, request, outcome, trip=None):
        """The company's answer is here."""
        self._write(request, outcome, trip or self._trip)

    def _write(self, request, outcome, trip):
        vehicle = request["veiculo"]["veiculo_id"]
        name = request["requisicao_id"]
        line = Line(vehicle, name, self._company, self._action, outcome, trip, stops_of(request))
        self._journal.add(line)


def stops_of(request):
    """(company, EVSE, start, end) of every stop."""
    return [
        (stop["empresa"], stop["ponto_id"], stop["janela_inicio"], stop["janela_fim"])
        for stop in request["paradas"]
    ]
