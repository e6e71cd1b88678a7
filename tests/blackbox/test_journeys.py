"""Journeys whose stops the companies find, by real processes: refused stops are replaced, and no crash splits a trip."""

import datetime

import pytest

from harness.car import Car
from harness.federation import instant, now
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
BROKER = "mosquitto"


@pytest.fixture
def cars(stage):
    """Makes connected cars, and says goodbye for them at the end."""
    made = []

    def make(**options):
        car = Car(stage.broker, stage.history, 5, **options).start()
        made.append(car)
        return car

    yield make
    for car in made:
        car.stop()


def journey(federation, vehicle, prefer, hours=24):
    """From Salvador, where all stations are, with too little charge for Feira de Santana: one stop, at `prefer`."""
    return {
        "requisicao_id": federation.fresh_id(),
        "veiculo": {"veiculo_id": vehicle},
        "servidor": A,
        "origem": "Salvador",
        "destino": "feira de santana, ba",
        "bateria_pct": 25,
        "modelo": "byd-dolphin",
        "saida": instant(now() + datetime.timedelta(hours=hours)),
        "preferir_empresas": [prefer],
    }


def until_offers_are_known(company):
    """Each company asks the others by itself."""

    def known():
        offers = company.call("GET", "/rede").json["empresas"]
        return all(offer["estado"] == "atual" for offer in offers)

    until(known, f"{company.name} to know all offers", 15)


def reserved(snapshot, vehicle, request):
    """Whether anything is reserved for a car's request anywhere."""
    return [branch for _, branch in snapshot.of_request(vehicle, request["requisicao_id"])
            if branch["estado"] == "confirmada"]


@pytest.mark.parametrize("phase", ["request", "response"])
def test_the_node_dies_between_a_journey_and_its_answer(stage, cars, phase):
    """Its request is on disk; it comes back, finds stops anew, and the car hears one outcome, which is the truth."""
    federation = stage.federation
    until_offers_are_known(federation.a)
    car = cars()
    request = journey(federation, car.name, B)
    died = federation.network.on("hold", A, phase=phase, action=federation.a.kill)
    car.ask(request)
    until(died.done.is_set, "the node to die", 10)
    federation.a.start()
    answer = car.answer_to(request, seconds=20)
    snapshot = stage.settle()
    held = reserved(snapshot, car.name, request)
    assert (answer["estado"] == "confirmada") == bool(held), (answer, held)
    car.ask(request)
    assert car.answer_to(request, nth=2) == answer, "a repeat gets the same answer"


def test_a_company_dies_while_its_charger_is_wanted(stage, cars):
    """Others have chargers, too: the journey is booked there, and nothing is left behind where it was refused."""
    federation = stage.federation
    until_offers_are_known(federation.a)
    car = cars()
    request = journey(federation, car.name, B)
    died = federation.network.on("hold", A, phase="request", action=federation.b.kill)
    car.ask(request)
    until(died.done.is_set, "the company to die", 10)
    answer = car.answer_to(request, seconds=20)
    assert answer["estado"] == "confirmada", answer
    assert answer["paradas"][0]["empresa"] != B and answer["roteiro"]["paradas"][0]["empresa"] != B, answer
    federation.b.start()
    snapshot = stage.settle()
    assert len(reserved(snapshot, car.name, request)) == 1


def test_many_cars_want_the_same_way(stage, cars):
    """All leave at the same moment: each gets a charger of its own, or waits for one, and no window is given twice."""
    federation = stage.federation
    until_offers_are_known(federation.a)
    fleet = [cars() for _ in range(12)]
    requests = [journey(federation, car.name, C) for car in fleet]
    for car, request in zip(fleet, requests, strict=True):
        car.ask(request)
    answers = [car.answer_to(request, seconds=20) for car, request in zip(fleet, requests, strict=True)]
    assert all(answer["estado"] == "confirmada" for answer in answers), answers
    taken = [(stop["ponto_id"], stop["janela_inicio"]) for answer in answers for stop in answer["paradas"]]
    assert len(set(taken)) == len(taken), taken
    stage.settle()
