"""What every client asked and was told, to be held against what the companies remember."""

import threading

CONFIRMED, REFUSED, CANCELLED, UNKNOWN = "confirmed", "refused", "cancelled", "unknown"


class History:
    """All answers of a federation's clients, by request."""

    def __init__(self):
        self._told = {}
        self._lock = threading.Lock()
        self.lies = []

    def asked(self, request):
        """A client sends the request; until it is answered, anything may be true."""
        with self._lock:
            self._told.setdefault(key_of(request), []).append((UNKNOWN, None))

    def told(self, request, outcome, trip=None, sticky=False):
        """A client is answered. With `sticky` the first answer must be the last (MQTT: answers are remembered)."""
        key = key_of(request)
        with self._lock:
            before = [one for one in self._told.get(key, []) if one[0] != UNKNOWN]
            if before:
                was, was_trip = before[-1]
                if was_trip and trip and was_trip != trip:
                    self.lies.append(f"{key}: told trip {was_trip}, then trip {trip}")
                if was in (CONFIRMED, CANCELLED) and outcome == REFUSED:
                    self.lies.append(f"{key}: told {was}, then refused")
                if sticky and was != outcome:
                    self.lies.append(f"{key}: told {was}, then {outcome}")
            self._told.setdefault(key, []).append((outcome, trip))

    def changed(self, request):
        """A later request has taken this one's place: its trip lives on under other stops."""
        with self._lock:
            self._told[key_of(request)].append(("changed", None))

    def last(self):
        """For each request the last thing that is known: (outcome, trip)."""
        with self._lock:
            return {key: answers[-1] for key, answers in self._told.items()}


def key_of(request):
    """(car, request id)."""
    return request["veiculo"]["veiculo_id"], request["requisicao_id"]
