"""Trips by REST and by MQTT from many drivers at once, over few EVSEs, so that they get in each other's way."""

import random
import threading

from .car import Car
from .federation import NAMES
from .waiting import TooLate, until


class Load:
    """Clients that book and cancel until told to stop."""

    def __init__(self, stage, seed, rest=4, cars=0, evses=2, slots=6):
        self.stage = stage
        self.asked = 0
        self.confirmed = 0
        self.problems = []
        self._seed = seed
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._windows = [stage.federation.window() for _ in range(slots)]
        self._evses = evses
        self.cars = [Car(stage.broker, stage.history, version=4 if number % 2 else 5) for number in range(cars)]
        self._threads = [threading.Thread(target=self._run, args=(self._drive_rest, n)) for n in range(rest)]
        self._threads += [
            threading.Thread(target=self._run, args=(self._drive_car, rest + n, car))
            for n, car in enumerate(self.cars)
        ]

    def start(self):
        """Everyone begins."""
        for car in self.cars:
            car.start()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        """Everyone finishes what they are doing; every question must get its answer now that all is healed."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for car in self.cars:
            car.stop()

    def until(self, asked, confirmed=0, seconds=20):
        """Waits until so much has been asked and confirmed."""

        def enough():
            self._check_problems()
            return self.asked >= asked and self.confirmed >= confirmed

        until(
            enough,
            lambda: f"{asked} asked and {confirmed} confirmed; so far {self.asked} and {self.confirmed}",
            seconds,
        )

    def check(self):
        """Nothing strange was seen, and enough went through to mean something."""
        self._check_problems()
        assert self.asked >= 20 and self.confirmed >= 5, f"{self.asked} asked, {self.confirmed} confirmed"

    def _check_problems(self):
        assert not self.problems, "\n".join(map(str, self.problems[:10]))

    def _run(self, drive, number, *arguments):
        chance = random.Random(f"{self._seed}-{number}")
        try:
            while not self._stopping.is_set():
                drive(chance, *arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(f"driver {number}: {error!r}")

    def _request(self, chance, vehicle=None):
        companies = chance.sample(NAMES, chance.choice([1, 2, 3]))
        windows = sorted(chance.sample(self._windows, len(companies)))
        federation = self.stage.federation
        stops = [
            federation.stop_at(company, chance.randint(1, self._evses), window)
            for company, window in zip(companies, windows)
        ]
        with self._lock:  # the federation's own source of chance is shared
            request = federation.request(stops, vehicle)
        return request

    def _drive_rest(self, chance):
        client = self.stage.client
        company = chance.choice(NAMES)
        request = self._request(chance)
        self._count(asked=1)
        told = client.insist(lambda: client.book(request, company), seconds=30)
        if told.outcome != "confirmed":
            return
        self._count(confirmed=1)
        # Most trips are given up again, or the few windows would soon be full.
        if chance.random() < 0.9:
            client.insist(lambda: client.cancel(told.trip, request, company), seconds=30)

    def _drive_car(self, chance, car):
        request = self._request(chance, car.name)
        self._count(asked=1)
        try:
            car.ask(request)
        except TooLate:
            pass  # the broker is away; the request is sent again below
        try:
            answer = car.answer_to(request, seconds=40, resend_after=1.5)
        except TooLate as late:
            self.problems.append(f"{car.name}: {late}")
            return
        if answer["estado"] != "confirmada":
            return
        self._count(confirmed=1)
        if chance.random() < 0.9:
            client = self.stage.client
            company = answer["servidor"]
            client.insist(lambda: client.cancel(answer["viagem_id"], request, company), seconds=30)

    def _count(self, asked=0, confirmed=0):
        with self._lock:
            self.asked += asked
            self.confirmed += confirmed

