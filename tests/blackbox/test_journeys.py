"""Journeys whose stops the companies find, by real processes: refused stops are replaced, and no crash splits a trip."""

import datetime
import subprocess

import pytest

from harness.federation import instant, now
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
BROKER = "mosquitto"


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


CAR = """
id = "meu-carro"
name = "Meu carro"
usable_kwh = 44.9
dc_kw = 60
ac_kw = 6.6
plugs = ["IEC_62196_T2_COMBO"]
range_km = 340
cycle = "WLTP"
mass_kg = 1405
drag_area_m2 = 0.69
curve = [[0, 50], [60, 57], [100, 6]]
"""


def test_a_plan_from_a_terminal(stage, tmp_path):
    federation = stage.federation
    until_offers_are_known(federation.a)

    def plan(*arguments):
        command = [federation.program, "plan", "--node", federation.a.url, "--from", "Salvador", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def file(text):
        path = tmp_path / "my-car.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    to = ["--to", "Feira de Santana", "--battery", "25%", "--reserve", "12"]
    own = plan(*to, "--car", file(CAR))
    assert own.returncode == 0, own.stderr
    assert "Salvador, BA to Feira de Santana, BA with Meu carro" in own.stdout
    assert "23 → 51 %" in own.stdout and "12 %" in own.stdout, own.stdout
    assert "https://www.google.com/maps/dir/?api=1" in own.stdout and "-12.98000%2C-38.46000" in own.stdout
    known = plan("--to", f"{B}/B-01", "--battery", "90%", "--car", "byd-dolphin")
    assert known.returncode == 0 and "Posto" in known.stdout, known.stderr
    # It leaves without a stop, and yet on time where it is.
    leaves = (now() + datetime.timedelta(days=1)).replace(hour=15, minute=0, second=0, microsecond=0)
    direct = plan("--to", f"{B}/B-01", "--battery", "90%", "--car", "byd-dolphin", "--departure", instant(leaves))
    assert "12:00" in direct.stdout and "times are local: America/Bahia" in direct.stdout, direct.stdout
    assert "does not answer" not in direct.stdout, direct.stdout
    # A company that is gone is planned with, and that is said.
    federation.c.kill()
    until(lambda: b"inacessivel" in federation.a.call("GET", "/rede").body, "the silence to be noticed", 30)
    doubtful = plan(*to, "--car", "byd-dolphin")
    assert f"{C} does not answer: planned with what it offered at" in doubtful.stdout, doubtful.stdout
    federation.c.start()

    for text, told in [("x = ", "my-car.toml"), (CAR.replace("mass_kg", "mass"), "mass")]:
        wrong = plan(*to, "--car", file(text))
        assert wrong.returncode == 2 and told in wrong.stderr, wrong.stderr
    nowhere = plan("--to", "Cascavel", "--battery", "25%", "--car", "byd-dolphin")
    assert nowhere.returncode == 1 and "Cascavel, CE; Cascavel, PR" in nowhere.stderr, nowhere.stderr
