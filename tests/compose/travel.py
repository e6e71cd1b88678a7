#!/usr/bin/env python3
"""Cars of the test: they book trips over the broker, and check afterwards what the companies keep.

    travel.py book NAME --stops empresa-a,empresa-b,empresa-c --expect confirmada
    travel.py ask NAME --stops empresa-b,empresa-a         sends the request and leaves
    travel.py answer NAME --expect confirmada              comes back for the answer
    travel.py burst NAME --seconds 10                      many cars at once, whatever the outcome
    travel.py verify                                       every trip above is all or nothing
    travel.py simulated --cars 20                          what the cars of the compose file have done

Every trip uses windows of its own, weeks ahead, so that it can only be refused because a company
cannot be reached; `--like NAME` takes another trip's windows instead. What was asked and answered is
kept in the folder `--state`. Prints one line `ok - ...` per check and stops at the first that fails.
"""

import argparse
import collections
import datetime
import itertools
import json
import pathlib
import queue
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PLUG = "IEC_62196_T2_COMBO"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
REPEAT_AFTER_S = 5
FIRST_CAR = 101  # the simulated cars of the compose file have the lower numbers
FIRST_DAY = 30

options = argparse.Namespace()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--cars-password", required=True)
    parser.add_argument("--company", action="append", required=True, metavar="ID=URL")
    parser.add_argument("--state", type=pathlib.Path, required=True)
    parser.add_argument("--seconds-max", type=float, default=60)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in [("book", book), ("ask", ask), ("answer", answer)]:
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("name")
        if name != "answer":
            command.add_argument("--stops", required=True)
            command.add_argument("--coordinator")
            command.add_argument("--like")
        if name != "ask":
            command.add_argument("--expect", required=True, choices=["confirmada", "recusada"])
    command = commands.add_parser("burst")
    command.set_defaults(run=burst)
    command.add_argument("name")
    command.add_argument("--cars", type=int, default=20)
    command.add_argument("--seconds", type=float, default=10)
    command.add_argument("--pause-s", type=float, default=0.2)
    command.add_argument("--from-day", type=int, default=1)
    commands.add_parser("verify").set_defaults(run=verify)
    command = commands.add_parser("simulated")
    command.set_defaults(run=simulated)
    command.add_argument("--cars", type=int, required=True)
    parser.parse_args(namespace=options)
    options.urls = dict(pair.split("=", 1) for pair in options.company)
    options.state.mkdir(parents=True, exist_ok=True)
    options.run()


# --- the commands --------------------------------------------------------------------------------


def book():
    trip = new_trip(options.name)
    with Car(trip["car"]) as car:
        started = time.monotonic()
        trip["answer"] = car.travel(trip)
    save(trip)
    expect(trip, f"{time.monotonic() - started:.2f} s")


def ask():
    trip = new_trip(options.name)
    with Car(trip["car"]) as car:
        car.send(trip)
    save(trip)
    ok(f"{describe(trip)}: asked")


def answer():
    trip = load(options.name)
    with Car(trip["car"]) as car:
        trip["answer"] = car.wait_answer(trip, resend=False)
    save(trip)
    expect(trip, "answered later")


def burst():
    """Cars that travel at the same time; each trip has EVSEs and windows of its own."""
    pools = {company: points(company) for company in sorted(options.urls)}
    slots, done, failures = itertools.count(), [], []
    started = time.monotonic()

    def one_car(number):
        try:
            with Car(FIRST_CAR + 40 + number) as car:
                while time.monotonic() < started + options.seconds and not failures:
                    trip = burst_trip(next(slots), car.number, pools)
                    trip["answer"] = car.travel(trip)
                    save(trip)
                    done.append(trip)
                    time.sleep(options.pause_s)
        except BaseException as error:  # a thread's failure must not be lost
            failures.append(f"car {number}: {error}")

    threads = [threading.Thread(target=one_car, args=(number,)) for number in range(options.cars)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("not ok - " + "; ".join(failures[:5]))
    outcomes = collections.Counter(trip["answer"]["estado"] for trip in done)
    ok(f"{options.name}: all {len(done)} trips of {options.cars} cars were answered: {dict(outcomes)}, "
       f"{time.monotonic() - started:.1f} s")
    if not outcomes["confirmada"]:
        sys.exit("not ok - none of them was confirmed")


def burst_trip(slot, car_number, pools):
    stops = []
    for position, (company, pool) in enumerate(pools.items()):
        turn = slot // len(pool)
        hours = 3 * position + turn % 3
        start = day(options.from_day + turn // 3) + datetime.timedelta(hours=hours)
        stops.append(stop(company, pool[slot % len(pool)], start))
    coordinator = list(pools)[slot % len(pools)]
    return make_trip(f"burst-{options.name}-{slot}", car_number, stops, coordinator)


def verify():
    """What the cars were told is what every company keeps, stop by stop."""
    trips = [json.loads(file.read_text()) for file in sorted(options.state.glob("*.json"))]
    taken = {}
    for trip in trips:
        for one in trip["request"]["paradas"]:
            key = (one["empresa"], one["ponto_id"], one["janela_inicio"], one["janela_fim"])
            if trip["answer"]["estado"] == "confirmada":
                if key in taken:
                    sys.exit(f"not ok - {trip['name']} and {taken[key]} were both promised {key}")
                taken[key] = trip["name"]
    checked = 0
    for trip in trips:
        for one in trip["request"]["paradas"]:
            key = (one["empresa"], one["ponto_id"], one["janela_inicio"], one["janela_fim"])
            wait_until(lambda: is_free(one) == (key not in taken),
                       f"{trip['name']} was told '{trip['answer']['estado']}', but at {one['empresa']} the window "
                       f"{one['janela_inicio']} of {one['ponto_id']} is {'free' if key in taken else 'taken'}")
            checked += 1
        if trip["answer"]["estado"] == "confirmada":
            kept = get(trip["answer"]["servidor"], f"/viagens/{trip['answer']['viagem_id']}")
            if kept["estado"] != "confirmada" or len(kept["paradas"]) != len(trip["request"]["paradas"]):
                sys.exit(f"not ok - {trip['name']} was confirmed, but {trip['answer']['servidor']} keeps {kept}")
    confirmed = sum(trip["answer"]["estado"] == "confirmada" for trip in trips)
    if not confirmed or not checked:
        sys.exit("not ok - there is no confirmed trip to verify")
    ok(f"{len(trips)} trips, {confirmed} confirmed: each company keeps exactly what the cars were told ({checked} windows)")


def simulated():
    """The cars of the compose file send their status, and most of them get a trip."""
    cars = [f"carro-{number:04d}" for number in range(1, options.cars + 1)]
    for company in options.urls:
        wait_until(lambda: set(cars) <= {car["veiculo_id"] for car in get(company, "/veiculos")["veiculos"]},
                   f"{company} has not heard of all {options.cars} simulated cars")
    ok(f"every company has heard of all {options.cars} simulated cars")

    def travelling():
        return sum(
            any(trip["estado"] == "confirmada" for company in options.urls
                for trip in get(company, f"/viagens?veiculo_id={car}")["viagens"])
            for car in cars
        )

    wait_until(lambda: travelling() > options.cars / 2, "fewer than half of the simulated cars got a trip")
    ok(f"{travelling()} of {options.cars} simulated cars have a confirmed trip")


# --- trips ---------------------------------------------------------------------------------------


def new_trip(name):
    number = sum(not file.name.startswith("burst-") for file in options.state.glob("*.json"))
    if options.like:
        stops = load(options.like)["request"]["paradas"]
    else:
        stops = [
            stop(company, points(company)[0], day(-1 - number) + datetime.timedelta(hours=3 * position))
            for position, company in enumerate(options.stops.split(","))
        ]
    return make_trip(name, FIRST_CAR + number % 40, stops, options.coordinator)


def make_trip(name, car_number, stops, coordinator):
    car = f"carro-{car_number:04d}"
    request = {
        "requisicao_id": str(uuid.uuid4()),
        "veiculo": {"veiculo_id": car, "plugue": PLUG},
        "paradas": stops,
    }
    if coordinator:
        request["servidor"] = coordinator
    return {"name": name, "car": car_number, "request": request, "answer": None}


def points(company):
    """The company's EVSEs that fit, from its file: a company that is down can be asked for, too."""
    configuration = tomllib.loads((REPOSITORY / "networks" / "demo" / f"{company}.toml").read_text())
    return [
        evse["id"]
        for location in configuration["locations"]
        for evse in location["evses"]
        if any(connector["plug"] == PLUG for connector in evse["connectors"])
    ]


def stop(company, point, start):
    end = start + datetime.timedelta(minutes=40)
    return {"empresa": company, "ponto_id": point, "janela_inicio": rfc3339(start), "janela_fim": rfc3339(end)}


def day(offset):
    """Bursts count days forwards and single trips backwards from the same day, so they never meet."""
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=9, minute=0, second=0, microsecond=0)
    return today + datetime.timedelta(days=FIRST_DAY + offset)


def rfc3339(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(trip):
    stops = ", ".join(one["empresa"] for one in trip["request"]["paradas"])
    return f"{trip['name']} ({stops})"


def expect(trip, detail):
    given = trip["answer"]
    if given["estado"] != options.expect:
        sys.exit(f"not ok - {describe(trip)}: expected {options.expect}, was answered {json.dumps(given, ensure_ascii=False)}")
    if options.expect == "recusada" and not given.get("motivo"):
        sys.exit(f"not ok - {describe(trip)}: refused without a reason: {given}")
    reason = f", because {given['motivo']['detail']}" if given.get("motivo") else ""
    ok(f"{describe(trip)}: {given['estado']} by {given['servidor']}, {detail}{reason}")


def save(trip):
    (options.state / f"{trip['name']}.json").write_text(json.dumps(trip))


def load(name):
    return json.loads((options.state / f"{name}.json").read_text())


# --- what the companies keep ---------------------------------------------------------------------


def is_free(one):
    query = urllib.parse.urlencode({"ponto_id": one["ponto_id"], "de": one["janela_inicio"], "ate": one["janela_fim"]})
    found = get(one["empresa"], f"/disponibilidade?{query}")["pontos"]
    if len(found) != 1:
        sys.exit(f"not ok - {one['empresa']} knows {len(found)} EVSEs {one['ponto_id']}")
    return bool(found[0]["livres"])


def get(company, path):
    try:
        with urllib.request.urlopen(options.urls[company] + path, timeout=10) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"not ok - {company} answered {path} with {error.code}: {error.read().decode()}")


def wait_until(condition, failure):
    """A company that was just restarted needs some seconds to learn what was decided meanwhile."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not ok - {failure}")
        time.sleep(0.5)


# --- cars ----------------------------------------------------------------------------------------


class Car:
    """A car with a session at the broker that outlives the connection, as a real one has."""

    def __init__(self, number):
        self.number, self.id = number, f"carro-{number:04d}"
        self.answers, self.ready = queue.Queue(), threading.Event()
        self.published = threading.Event()
        # Odd cars speak MQTT 5, even ones 3.1.1.
        self.version = mqtt.MQTTv5 if number % 2 else mqtt.MQTTv311
        session = {} if self.version == mqtt.MQTTv5 else {"clean_session": False}
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.id, protocol=self.version, **session)
        self.paho.username_pw_set(self.id, options.cars_password)
        self.paho.reconnect_delay_set(1, 3)
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = lambda *_: self.ready.set()
        self.paho.on_publish = lambda *_: self.published.set()
        self.paho.on_message = lambda _c, _u, message: self.answers.put(json.loads(message.payload))

    def __enter__(self):
        arguments = {}
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
            arguments = {"clean_start": False, "properties": properties}
        self.paho.connect(options.host, options.port, keepalive=30, **arguments)
        self.paho.loop_start()
        if not self.ready.wait(30):
            raise SystemExit(f"not ok - {self.id} cannot log in at the broker")
        return self

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()

    def travel(self, trip):
        self.send(trip)
        return self.wait_answer(trip, resend=True)

    def send(self, trip):
        self.published.clear()
        self.paho.publish(f"veiculo/{self.id}/requisicao", json.dumps(trip["request"]), qos=1)
        self.published.wait(30)

    def wait_answer(self, trip, resend):
        """The answer to this request; without one for a while, the same request again."""
        deadline = time.monotonic() + options.seconds_max
        while time.monotonic() < deadline:
            try:
                given = self.answers.get(timeout=REPEAT_AFTER_S)
            except queue.Empty:
                if resend:
                    self.send(trip)
                continue
            if given.get("requisicao_id") == trip["request"]["requisicao_id"]:
                return given
        raise SystemExit(f"not ok - {describe(trip)}: no answer in {options.seconds_max:.0f} s")

    def _on_connect(self, client, _data, _flags, reason, _properties):
        if not reason.is_failure:
            client.subscribe(f"veiculo/{self.id}/resposta", qos=1)


def ok(what):
    print(f"ok - {what}", flush=True)


if __name__ == "__main__":
    main()
