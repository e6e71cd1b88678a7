"""What a person sees while it runs, and what is kept of it."""

import datetime
import json
import platform
import subprocess
import sys
import time

_TITLES = {
    "kill": "`kill -9` of one or two companies at a random moment",
    "kill-at-flush": "killed just before or after the Nth flush of its database",
    "kill-everyone": "`kill -9` of all companies at once",
    "partition": "companies cut off from the others, both ways",
    "one-way-partition": "one company no longer heard by another, one way",
    "freeze": "process frozen (SIGSTOP, SIGCONT)",
    "clock-jump": "wall clock jumps by 2 h and back",
    "disk-error": "EIO from a flush: stops, refuses to start, operator",
    "disk-full": "ENOSPC from a write: stops, refuses to start, operator",
    "slow-link": "link of a company down to 48 kbit/s",
    "broker-kill": "broker killed and started again",
    "broker-freeze": "broker frozen",
}
_PROGRESS_SECONDS = 10
# Whatever stands between them in a document is replaced.
_BEGIN, _END = "<!-- torture: begin -->", "<!-- torture: end -->"


class Report:
    """Prints progress with counts and an estimate, and writes the result."""

    def __init__(self, options, names):
        self._options = options
        self._names = names
        self._started = time.monotonic()
        self._date = datetime.datetime.now(datetime.UTC)
        self._life = None
        self._printed = 0.0
        self._log = open(options.logs / "faults.txt", "w", encoding="utf-8")
        self.say(f"torture: {options.faults} faults, {len(names)} companies, {options.ground}, seed {options.seed}")
        self.say(f"to repeat: {self._command()}")

    def begins(self, number, folder):
        """A federation is born."""
        self._life = number, folder

    def fault(self, fault):
        """A fault begins."""
        self._log.write(f"{time.monotonic() - self._started:8.2f} life {self._life[0]}: {fault}\n")
        self._log.flush()

    def checked(self, tally):
        """All stories agree."""
        passed = time.monotonic() - self._started
        self._log.write(f"{passed:8.2f} life {self._life[0]}: checked\n")
        if passed - self._printed < _PROGRESS_SECONDS and tally.struck < self._options.faults:
            return
        self._printed = passed
        left = max(0, self._options.faults - tally.struck) * passed / max(1, tally.struck)
        self.say(
            f"{passed:6.0f} s  {tally.struck}/{self._options.faults} faults, {tally.checks} checks, nothing wrong; "
            f"longest in doubt after healing {tally.doubt_seconds_max:.1f} s; about {left:.0f} s left"
        )

    def failed(self, tally, failure):
        """Says what is wrong, where to look, and what repeats it."""
        self.say(f"\nFAILED after {tally.struck} faults and {tally.checks} checks, in life {self._life[0]}:\n{failure}")
        self.say(f"logs, data and journal: {self._life[1]}; the faults: {self._options.logs / 'faults.txt'}")
        self.say(f"to repeat the same faults: {self._command()}")
        self.say("(the moments at which they meet the trips differ from run to run)")
        self._write(tally, "failed", str(failure))

    def finish(self, tally, outcome):
        """The run is over and nothing was wrong."""
        document = self._write(tally, outcome)
        self.say(f"\n{outcome}: {tally.struck} faults, {tally.checks} checks")
        self.say(table(document))
        if self._options.document and outcome == "held":
            put_into(self._options.document, table(document))
            self.say(f"the table is in {self._options.document}")

    def _write(self, tally, outcome, failure=None):
        document = {
            "outcome": outcome,
            "date": self._date.strftime("%Y-%m-%d"),
            "seconds": round(time.monotonic() - self._started),
            "seed": self._options.seed,
            "command": self._command(),
            "ground": self._options.ground,
            "companies": len(self._names),
            "program": _version(self._options.program),
            "machine": f"{platform.system()} {platform.release()}",
            "faults": tally.faults,
            "faults_total": tally.struck,
            "missed": tally.missed,
            "checks": tally.checks,
            "requests": tally.requests,
            "told_confirmed": tally.told_confirmed,
            "told_refused": tally.told_refused,
            "told_cancelled": tally.told_cancelled,
            "trips_held_at_the_end": tally.trips_held,
            **tally.found,
            "doubts_max": tally.doubts_max,
            "doubt_seconds_max": round(tally.doubt_seconds_max, 2),
            "rest_seconds_max": round(tally.rest_seconds_max, 2),
        }
        if failure is not None:
            document["failure"] = failure
        result = self._options.result or self._options.logs / "result"
        result.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        result.with_suffix(".md").write_text(table(document) + "\n", encoding="utf-8")
        return document

    def _command(self):
        options = self._options
        count = "--quick" if options.quick else f"--faults {options.faults}"
        companies = "" if len(self._names) == 5 else f" --companies {len(self._names)}"
        return f"tests/torture/run.sh {count} --seed {options.seed}{companies}"

    def say(self, text):
        """One more line, on the screen and in the file."""
        print(text, flush=True)
        self._log.write(text + "\n")
        self._log.flush()


def table(document):
    """The Markdown table for docs/reliability.md."""
    rows = [(title, document["faults"][kind]) for kind, title in _TITLES.items()]
    rows += [
        ("**faults**", f"**{document['faults_total']}**"),
        ("checks of everything after healing", document["checks"]),
        ("requests for trips and changes", document["requests"]),
        ("told confirmed", document["told_confirmed"]),
        ("told refused", document["told_refused"]),
        ("told cancelled", document["told_cancelled"]),
        ("**split**", f"**{document['split']}**"),
        ("**lost** (told confirmed, not held)", f"**{document['lost']}**"),
        ("**double-booked**", f"**{document['double_booked']}**"),
        ("**told two outcomes**", f"**{document['two_outcomes']}**"),
        ("most holds in doubt at once, while faults were under way", document["doubts_max"]),
        ("longest time in doubt after healing", f"{document['doubt_seconds_max']:.1f} s"),
        ("longest time until all clients were answered and nothing was owed", f"{document['rest_seconds_max']:.1f} s"),
    ]
    head = (
        f"{document['date']}, {document['program']}, {document['companies']} companies, {document['ground']}, "
        f"{document['seconds'] / 60:.0f} minutes: `{document['command']}`\n\n| | |\n|---|---:|\n"
    )
    return head + "\n".join(f"| {name} | {value} |" for name, value in rows)


def put_into(document, text):
    """Puts the text between the marks of a document."""
    before, rest = document.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    document.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", encoding="utf-8")


def _version(program):
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    print(table(json.load(sys.stdin)))
