"""Compares `recarga plan` with frvcpy: 133 fixed routes over 50 nodes whose best charging stops are known.

    tests/planning/run.sh

The instance and its optima are read from the installed package. A route visits customers in a fixed order, which are
via points here; between any two the car may charge. Consumption and speed are constant and charging is piecewise
linear, which the problem file can say (`legs_km`, `charge_minutes`). Customers take time, which adds to all plans alike.
"""

import json
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import frvcpy

DEPARTURE = datetime(2026, 12, 1, 8, tzinfo=timezone.utc)
KWH_PER_KM = 0.125
PLUG = "IEC_62196_T2_COMBO"
ALWAYS = [["2026-11-30T00:00:00Z", "2027-06-01T00:00:00Z"]]


def problem(instance, route):
    """The problem file for one route."""
    stations = [station["node_id"] for station in instance["css"]]
    origin, *vias, destination = route
    places = [origin, *stations, destination, *vias]
    energy, time = instance["energy_matrix"], instance["time_matrix"]
    hours = [time[a][b] / energy[a][b] for a in places for b in places if energy[a][b]]
    assert max(hours) - min(hours) < 1e-9, "one speed for all roads"
    usable_kwh = instance["max_q"] / 1000
    curves = {curve["cs_type"]: curve for curve in instance["breakpoints_by_type"]}

    def station(one):
        curve = curves[one["cs_type"]]
        points = [[wh / 1000, hours * 60] for wh, hours in zip(curve["charge"], curve["time"], strict=True)]
        connector = {"id": "1", "plug": PLUG, "kw": 50, "free": ALWAYS, "charge_minutes": points}
        return {"id": str(one["node_id"]), "operator": "any", "lat": 0, "lon": 0, "connectors": [connector]}

    place = {"lat": 0, "lon": 0}
    return {
        "departure": DEPARTURE.isoformat(),
        "origin": place,
        "destination": place,
        "via": [place for _ in vias],
        "vehicle": {
            "usable_kwh": usable_kwh,
            "soc_kwh": usable_kwh,
            "reserve_kwh": 0,
            "consumption_kwh_per_km": KWH_PER_KM,
            "speed_kmh": 1 / (hours[0] * 1000 * KWH_PER_KM),
            "plugs": [PLUG],
            "charge_curve": [[0, 50]],
        },
        "stops_max": 12,
        "setup_minutes": 0,
        "stations": [station(one) for one in instance["css"]],
        "legs_km": [[energy[a][b] / 1000 / KWH_PER_KM for b in places] for a in places],
    }


def minutes(program, file):
    """From the departure to the arrival."""
    run = subprocess.run([program, "plan", "--json", "--problem", file], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["feasible"], answer
    return (datetime.fromisoformat(answer["arrival"].replace("Z", "+00:00")) - DEPARTURE) / timedelta(minutes=1)


def main():
    """Every route; exit status 1 if one is faster than the best, or they are slower than docs/planning.md says."""
    data = Path(frvcpy.__file__).parent / "test" / "data"
    instance = json.loads((data / "frvcpy-instance.json").read_text())
    optima = json.loads((data / "testdata.json").read_text())
    program, worst, total, best_total = sys.argv[1], 0.0, 0.0, 0.0
    for name, known in optima.items():
        serving = sum(instance["process_times"][node] for node in known["route"]) * 60
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(problem(instance, known["route"]), file)
            file.flush()
            found = minutes(program, file.name) + serving
        best = known["obj"] * 60
        slower = found / best - 1
        if slower > 0.002:
            print(f"{name}: {found:.3f} minutes, the best is {best:.3f}")
        assert slower > -1e-5, "faster than the best: the models differ"
        worst, total, best_total = max(worst, slower), total + found, best_total + best
    mean = total / best_total - 1
    print(f"{len(optima)} routes: {mean * 100:.3f} % slower than the best, the worst {worst * 100:.3f} %")
    sys.exit(mean > 0.000_1 or worst > 0.002)


if __name__ == "__main__":
    main()
