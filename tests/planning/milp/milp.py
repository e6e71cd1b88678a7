"""The earliest arrival of a small planning instance as a mixed-integer linear program, solved exactly by HiGHS.

It shares nothing with the planner but the model in docs/planning.md. Stops are slots in order; which charger and which
free window a slot takes are binaries, the drives between slots a flow. Charging times are piecewise linear and need
not be convex: both charges of a slot are convex combinations of two neighbouring corners of one curve (lambdas, with a
binary for each segment, as HiGHS has no SOS2). Legs must be metric, so that a stop at which nothing is charged is of
no use to either side.
"""

import highspy

TIGHT = 1e-9


class Slots:
    """The program of one instance."""

    def __init__(self, instance):
        self.instance, self.solver, self.whole = instance, highspy.Highs(), []
        self.solver.silent()
        self.arrival = self.solver.addVariable(lb=0, obj=1)
        self._legs()
        before = None
        for _ in range(instance["stops_max"]):
            before = self._slot(before)
        self._drive_home()

    def _legs(self):
        one, car = self.instance, self.instance["vehicle"]
        self.last = len(one["legs_km"]) - 1
        self.minutes = [[km * 60 / car["speed_kmh"] for km in row] for row in one["legs_km"]]
        self.kwh = [[km * car["consumption_kwh_per_km"] for km in row] for row in one["legs_km"]]
        # A curve, a place and a window for each way to stop: what is closed before the departure is none.
        self.ways = [
            (place, cable["curve"], max(opens, 0), closes - one["buffer_minutes"])
            for place, station in enumerate(one["stations"], 1)
            for cable in station
            if cable["fits"]
            for opens, closes in cable["free"]
            if closes - one["buffer_minutes"] > one["setup_minutes"]
        ]
        self.never = 2 * max([closes for *_, closes in self.ways], default=0) + sum(map(max, self.minutes))
        self.slots = []

    def _binary(self):
        self.whole.append(self.solver.addBinary())
        return self.whole[-1]

    def _sum(self, terms):
        return self.solver.qsum(list(terms))

    def _slot(self, before):
        add, one, car = self.solver.addConstr, self.instance, self.instance["vehicle"]
        usable = car["usable_kwh"]
        takes = [self._binary() for _ in self.ways]
        at = {place: self._sum(x for x, way in zip(takes, self.ways) if way[0] == place) for place, *_ in self.ways}
        used = self._sum(takes)
        add(used <= 1)
        come, leave = (self.solver.addVariable(lb=0, ub=usable) for _ in range(2))
        start, end = (self.solver.addVariable(lb=0, ub=self.never) for _ in range(2))
        # From the origin, or from the slot before to another station.
        if before is None:
            drives = {(0, to): self.solver.addVariable(lb=0, ub=1) for to in at}
            add(come <= car["soc_kwh"] - self._sum(self.kwh[0][to] * x for (_, to), x in drives.items()))
            add(start >= self._sum(self.minutes[0][to] * x for (_, to), x in drives.items()))
        else:
            drives = {(a, b): self.solver.addVariable(lb=0, ub=1) for a in at for b in at if a != b}
            took = self._sum(self.kwh[a][b] * x for (a, b), x in drives.items())
            add(come <= before["leave"] - took + usable * (1 - used))
            took = self._sum(self.minutes[a][b] * x for (a, b), x in drives.items())
            add(start >= before["end"] + took - self.never * (1 - used))
        for place in at:
            add(self._sum(x for (_, to), x in drives.items() if to == place) == at[place])
        add(come >= car["reserve_kwh"] * used)
        # The window, and charging within.
        add(start >= self._sum(opens * x for x, (*_, opens, _) in zip(takes, self.ways)))
        add(end <= self._sum(closes * x for x, (*_, closes) in zip(takes, self.ways)))
        from_empty = [self._curve(takes, charge) for charge in (come, leave)]
        add(end >= start + one["setup_minutes"] * used + from_empty[1] - from_empty[0])
        add(from_empty[1] >= from_empty[0])
        self.slots.append({"at": at, "used": used, "drives": drives, "leave": leave, "end": end})
        return self.slots[-1]

    # Minutes from empty to this charge, on the curve of the way that is taken.
    def _curve(self, takes, charge):
        charges, minutes = [], []
        for number, curve in enumerate(self.instance["curves"]):
            taken = self._sum(x for x, way in zip(takes, self.ways) if way[1] == number)
            corners = [self.solver.addVariable(lb=0, ub=1) for _ in curve]
            segments = [self._binary() for _ in curve[1:]]
            self.solver.addConstr(self._sum(segments) == taken)
            self.solver.addConstr(self._sum(corners) == taken)
            for at, corner in enumerate(corners):
                self.solver.addConstr(corner <= self._sum(segments[max(at - 1, 0) : at + 1]))
            charges += [kwh * corner for (kwh, _), corner in zip(curve, corners)]
            minutes += [time * corner for (_, time), corner in zip(curve, corners)]
        self.solver.addConstr(charge == self._sum(charges))
        return self._sum(minutes)

    # Whoever does not drive on to the next slot drives to the destination: exactly one.
    def _drive_home(self):
        add, car, last = self.solver.addConstr, self.instance["vehicle"], self.last
        direct = self.solver.addVariable(lb=0, ub=1)
        first = self.slots[0]["drives"].values() if self.slots else []
        add(direct + self._sum(first) == 1)
        add(car["soc_kwh"] >= (self.kwh[0][last] + car["reserve_kwh"]) * direct)
        add(self.arrival >= self.minutes[0][last] * direct)
        for number, slot in enumerate(self.slots):
            onward = self.slots[number + 1]["drives"] if number + 1 < len(self.slots) else {}
            home = {place: self.solver.addVariable(lb=0, ub=1) for place in slot["at"]}
            for place, here in slot["at"].items():
                add(self._sum(x for (a, _), x in onward.items() if a == place) + home[place] == here)
            needs = self._sum((self.kwh[place][last] + car["reserve_kwh"]) * x for place, x in home.items())
            add(slot["leave"] >= needs)
            takes = self._sum(self.minutes[place][last] * x for place, x in home.items())
            add(self.arrival >= slot["end"] + takes - self.never * (1 - self._sum(home.values())))

    def earliest(self):
        """Minutes from the departure; none if there is no plan."""
        options = {"mip_rel_gap": 0, "mip_abs_gap": 1e-6, "threads": 1, "time_limit": 600}
        options |= {"mip_feasibility_tolerance": TIGHT, "primal_feasibility_tolerance": TIGHT}
        for name, value in options.items():
            self.solver.setOptionValue(name, value)
        self.solver.run()
        status = self.solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        assert status == highspy.HighsModelStatus.kOptimal, status
        found = self.solver.getInfo().objective_function_value
        # Once more with the choices fixed, so that no binary of 0.999999 times a large number shortens a drive.
        for choice, value in zip(self.whole, self.solver.vals(self.whole)):
            self.solver.changeColBounds(choice.index, round(value), round(value))
        self.solver.run()
        assert self.solver.getModelStatus() == highspy.HighsModelStatus.kOptimal, "only by tolerances"
        exact = self.solver.getInfo().objective_function_value
        assert abs(exact - found) < 1e-3, (exact, found)
        return exact


def earliest(instance):
    """The earliest arrival, in minutes from the departure; none if there is no plan."""
    return Slots(instance).earliest()
