"""Drivers' apps over REST and cars over MQTT that want the same few windows, all the time, until they are paused."""

import datetime
import json
import random
import threading
import time

from harness.car import Car
from harness.client import PASSING, Client
from harness.federation import instant, now

from .journal import ASKED, BOOK, CANCEL, CANCELLED, CHANGE, CONFIRMED, REFUSED, UNKNOWN, Line, Pen, stops_of

EVSES, SLOTS = 2, 16
# Trips that a client keeps before it gives the oldest up, or the windows would soon be full.
_KEPT_MAX = 2
_REST_SECONDS = 4.0
_RESEND_SECONDS = 1.5
_OUTCOMES = {"confirmada": CONFIRMED, "recusada": REFUSED, "cancelada": CANCELLED}


class Load:
    """All clients."""

    def __init__(self, stage, seed, apps=4, cars=5):
        self.stage = stage
        self.problems = []
        self.waiting_for = {}  # client -> what it is doing
        self._going, self._stopping = threading.Event(), threading.Event()
        self._windows = _windows()
        clients = [App(self, f"app-{n}", random.Random(f"{seed}-app-{n}")) for n in range(apps)]
        self._cars = [Wheels(self, random.Random(f"{seed}-car-{n}")) for n in range(cars)]
        self._clients = clients + self._cars
        self._threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in self._clients]
        self._resting = {one: threading.Event() for one in self._clients}

    def start(self):
        """Everyone begins."""
        for car in self._cars:
            car.connection.start()
        self._going.set()
        for thread in self._threads:
            thread.start()
        return self

    def pause(self):
        """Nobody begins anything new; what is under way is brought to its end."""
        self._going.clear()

    def is_resting(self):
        """Whether everyone has come to the end of what they were doing."""
        return all(event.is_set() for event in self._resting.values())

    def unfinished(self):
        """What is still under way, for a person to read."""
        return [f"{one.name}: {one.doing}" for one, event in self._resting.items() if not event.is_set()]

    def resume(self):
        """Everyone goes on."""
        for event in self._resting.values():
            event.clear()
        self._going.set()

    def stop(self, seconds=30):
        """Everyone goes home."""
        self._stopping.set()
        self._going.set()
        for thread in self._threads:
            thread.join(seconds)
        for car in self._cars:
            car.connection.stop()

    @property
    def is_stopping(self):
        """Whether to give up what cannot be finished."""
        return self._stopping.is_set()

    def request(self, chance, vehicle):
        """A trip of one to three stops over few EVSEs and few windows."""
        federation = self.stage.federation
        companies = chance.sample(federation.names, chance.choice([1, 2, 2, 3, 3]))
        windows = sorted(chance.sample(self._windows, len(companies)))
        stops = [
            federation.stop_at(company, chance.randint(1, EVSES), window)
            for company, window in zip(companies, windows)
        ]
        request = federation.request(stops, vehicle)
        request["requisicao_id"] = f"{chance.getrandbits(96):024x}"
        return request

    def _run(self, client):
        try:
            while not self._stopping.is_set():
                if not self._going.is_set():
                    client.doing = "resting"
                    self._resting[client].set()
                    self._going.wait()
                    continue
                client.act()
                time.sleep(client.chance.uniform(0.02, 0.2))
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(f"{client.name}, while doing {client.doing}: {error!r}")


class App:
    """A driver's app over REST."""

    def __init__(self, load, name, chance):
        self.load = load
        self.name = name
        self.chance = chance
        self.doing = "nothing yet"
        self._kept = []  # (trip, company, request)
        self._journal = load.stage.journal

    def act(self):
        """One trip, or something with an old one."""
        if len(self._kept) > _KEPT_MAX or self._kept and self.chance.random() < 0.15:
            self._cancel(*self._kept.pop(0))
        elif self._kept and self.chance.random() < 0.25:
            self._change(self.chance.randrange(len(self._kept)))
        else:
            self._book()

    def _book(self):
        federation = self.load.stage.federation
        request = self.load.request(self.chance, f"{self.name}-{self.chance.getrandbits(48):x}")
        company = self.chance.choice(federation.names)
        open_at = []
        told = None
        while not self.load.is_stopping:
            self.doing = f"book {request['requisicao_id']} at {company}"
            told = self._client(company, BOOK).book(request, company, timeout=_REST_SECONDS)
            if told.outcome == UNKNOWN:
                if company not in open_at:
                    open_at.append(company)
                # Turning to another company with the same request is what drivers do.
                company = self.chance.choice(federation.names) if self.chance.random() < 0.3 else company
                time.sleep(self.chance.uniform(0.05, 0.3))
                continue
            if company in open_at:
                open_at.remove(company)
            if told.outcome == CONFIRMED:
                self._keep(told.trip, company, request)
                if self.chance.random() < 0.3:
                    open_at.append(self.chance.choice(federation.names))
            elif told.outcome == REFUSED and told.answer.kind in PASSING and self.chance.random() < 0.5:
                open_at.append(company)
            if not open_at:
                return
            # Whoever did not answer may have booked it.
            company = open_at[0]

    def _keep(self, trip, company, request):
        if trip not in [one for one, _, _ in self._kept]:
            self._kept.append((trip, company, request))

    def _change(self, number):
        trip, company, old = self._kept[number]
        request = self.load.request(self.chance, old["veiculo"]["veiculo_id"])
        told = self._insist(
            f"change {trip} by {request['requisicao_id']}",
            lambda: self._client(company, CHANGE, trip).change(trip, request, company, timeout=_REST_SECONDS),
        )
        if told is not None and told.outcome == CONFIRMED:
            self._kept[number] = trip, company, request

    def _cancel(self, trip, company, request):
        pen = Pen(self._journal, company, CANCEL, trip)
        pen.asked(request)
        self._insist(
            f"cancel {trip} at {company}",
            lambda: self._client(company, CANCEL, trip).cancel(trip, request, company, timeout=_REST_SECONDS),
            passing={"viagem-em-alteracao"},
        )

    def _insist(self, doing, attempt, passing=()):
        while not self.load.is_stopping:
            told = attempt()
            self.doing = f"{doing}; last {told}"
            if told.outcome != UNKNOWN and not (told.outcome == REFUSED and told.answer.kind in passing):
                return told
            time.sleep(self.chance.uniform(0.05, 0.3))
        return None

    def _client(self, company, action, trip=None):
        return Client(self.load.stage.federation, Pen(self._journal, company, action, trip))


class Wheels:
    """A car over MQTT 3.1.1."""

    def __init__(self, load, chance):
        self.load = load
        self.chance = chance
        self.connection = _Connection(load.stage)
        self.name = self.connection.name
        self.doing = "nothing yet"
        self._kept = []

    def act(self):
        """One trip, or an end to an old one."""
        if len(self._kept) > _KEPT_MAX or self._kept and self.chance.random() < 0.15:
            trip, company = self._kept.pop(0)
            name = f"{self.chance.getrandbits(96):024x}"
            self._ask({"requisicao_id": name, "cancelar": trip, "servidor": company}, CANCEL, trip)
            return
        request = self.load.request(self.chance, self.name)
        request["servidor"] = self.chance.choice(self.load.stage.federation.names)
        answer = self._ask(request, BOOK)
        if answer is not None and answer["estado"] == "confirmada":
            self._kept.append((answer["viagem_id"], answer["servidor"]))
            if self.chance.random() < 0.2:
                self.connection.send(request)

    def _ask(self, request, action, trip=None):
        """Sends the request, again and again, until it is answered."""
        name = request["requisicao_id"]
        self.doing = f"{action} {name} at {request['servidor']}"
        answered = self.connection.expect(request, action, trip)
        pause = _RESEND_SECONDS
        while not self.load.is_stopping:
            self.connection.send(request)
            if answered.wait(pause):
                return self.connection.answers_to(name)[0]
            pause = min(pause * 1.5, 5)
        return None


class _Connection(Car):
    """Writes every answer down as it comes, repeats and late ones too."""

    def __init__(self, stage):
        super().__init__(stage.broker, history=None, version=4)
        self._journal = stage.journal
        self._expected = {}  # request -> (action, trip, stops, event)

    def expect(self, request, action, trip):
        """Writes down that the request goes out; returns what is set when it is answered."""
        stops = stops_of(request) if action == BOOK else []
        event = threading.Event()
        name = request["requisicao_id"]
        self._expected[name] = action, trip, stops, event
        self._journal.add(Line(self.name, name, request["servidor"], action, ASKED, trip, stops))
        return event

    def send(self, request):
        """Publishes without waiting: whether it arrived is known when it is answered."""
        self.client.publish(f"veiculo/{self.name}/requisicao", json.dumps(request), qos=1)

    def _on_message(self, client, userdata, message):
        super()._on_message(client, userdata, message)
        answer = json.loads(message.payload)
        name = answer["requisicao_id"]
        action, trip, stops, event = self._expected[name]
        outcome = _OUTCOMES[answer["estado"]]
        trip = trip or answer.get("viagem_id")
        line = Line(self.name, name, answer["servidor"], action, outcome, trip, stops, sticky=True)
        self._journal.add(line)
        event.set()


def _windows():
    # Two days ahead: no clock here comes near the moment at which a company may release what it is in doubt about.
    first = (now() + datetime.timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    starts = [first + datetime.timedelta(minutes=30 * number) for number in range(SLOTS)]
    return [(instant(start), instant(start + datetime.timedelta(minutes=20))) for start in starts]
