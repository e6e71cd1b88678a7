"""Makes the instances of `instances.json` and their answers. Run by hand, by `tests/planning/milp/run.sh`.

Each instance is a problem file (docs/planning.md) in short: instants are minutes from the departure, a station is the
list of its connectors, `fits` is whether the car has the plug, and `curve` names one of the instance's curves, whose
corners are whole hundredths of the battery, so that planner and program have the very same curve. `optimum` is the
answer: the earliest arrival.
"""

import json
import math
import multiprocessing
import random
import sys
from pathlib import Path

from milp import earliest

COUNT = 400


def instance(seed):
    """A journey on which the car must stop, with chargers that are taken for hours."""
    rng = random.Random(seed)
    usable = rng.randrange(30, 80)
    consumption = rng.randrange(14, 24) / 100
    # From just out of reach to three batteries.
    km = usable / consumption * rng.uniform(0.6, 2.2)
    count = rng.randrange(3, 9)
    along = sorted(rng.random() for _ in range(count))
    places = [(0, 0), *((share * km, rng.gauss(0, km / 30)) for share in along), (km, 0)]
    return {
        "vehicle": {
            "usable_kwh": usable,
            "soc_kwh": round(usable * rng.uniform(0.4, 1), 2),
            "reserve_kwh": round(usable * rng.choice([0.05, 0.1, 0.15]), 2),
            "consumption_kwh_per_km": consumption,
            "speed_kmh": rng.randrange(60, 110),
        },
        "stops_max": rng.choice([1, 2, 3, 4, 4]),
        "setup_minutes": rng.choice([0, 5, 5]),
        "buffer_minutes": rng.choice([0, 0, 10]),
        "curves": [curve(rng, usable) for _ in range(rng.randrange(1, 4))],
        "legs_km": metric(places, rng),
        "stations": [],
    }


def metric(places, rng):
    """Roads of uneven length in both directions, none longer than the way over a third place."""
    legs = [[math.dist(a, b) * rng.uniform(1.05, 1.3) for b in places] for a in places]
    everywhere = range(len(places))
    for over in everywhere:
        for a in everywhere:
            for b in everywhere:
                legs[a][b] = min(legs[a][b], legs[a][over] + legs[over][b])
    # Rounded up to a tenth: ceilings keep the triangles but for a tenth, which is put right.
    legs = [[math.ceil(km * 10) for km in row] for row in legs]
    for over in everywhere:
        for a in everywhere:
            for b in everywhere:
                legs[a][b] = min(legs[a][b], legs[a][over] + legs[over][b])
    return [[0 if a == b else legs[a][b] / 10 for b in everywhere] for a in everywhere]


def curve(rng, usable):
    """Corners of (kWh, minutes from empty): fast, then slow, and for some cars slow while nearly empty."""
    peak = rng.choice([22, 50, 60, 100, 150])
    levels = [0, *sorted(rng.sample(range(5, 95), rng.randrange(1, 4))), 100]
    powers = sorted((peak * rng.uniform(0.2, 1) for _ in levels[1:]), reverse=True)
    if rng.random() < 0.3 and len(powers) > 1:
        powers[0], powers[1] = powers[1], powers[0]
    corners, minutes = [[0, 0]], 0.0
    for (a, b), power in zip(zip(levels, levels[1:]), powers, strict=True):
        minutes = round(minutes + (b - a) / 100 * usable / power * 60, 3)
        corners.append([round(b * usable / 100, 2), minutes])
    return corners


def windows(rng, horizon):
    """Free minutes, in order and apart."""
    if rng.random() < 0.2:
        return [[-60, horizon * 3]]
    free, at = [], rng.randrange(-120, 120)
    while at < horizon * 1.5:
        closes = at + rng.randrange(10, 180)
        free.append([at, closes])
        at = closes + rng.randrange(5, 150)
    return [window for window in free if window[1] > 0]


def with_stations(one, seed):
    """Adds the chargers."""
    rng = random.Random(seed ^ 0x5EED)
    horizon = int(one["legs_km"][0][-1] / one["vehicle"]["speed_kmh"] * 60) + 240
    for _ in range(len(one["legs_km"]) - 2):
        cables = range(rng.choice([1, 1, 2]))
        one["stations"].append([
            {
                "fits": rng.random() < 0.9,
                "curve": rng.randrange(len(one["curves"])),
                "free": windows(rng, horizon),
            }
            for _ in cables
        ])
    return one


def solved(seed):
    """The instance and its answer."""
    one = with_stations(instance(seed), seed)
    minutes = earliest(one)
    one["optimum"] = None if minutes is None else round(minutes, 4)
    return one


def main():
    """Writes one instance in a line."""
    lines = []
    with multiprocessing.Pool(int(sys.argv[1]) if len(sys.argv) > 1 else 1) as pool:
        for number, one in enumerate(pool.imap(solved, range(COUNT))):
            lines.append(json.dumps(one, separators=(",", ":")))
            print(number, one["optimum"], file=sys.stderr, flush=True)
    Path(__file__).with_name("instances.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
