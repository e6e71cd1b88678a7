"""Draws what one company's node costs as its reservations grow: the JSON of `recarga bench scale --json` on the standard
input, a picture as the only argument.

    recarga bench scale --json | target/venv/bench/bin/python bench/scale_plot.py docs/scale/cost.svg
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

_LINES = [
    ("start_seconds", "start, s", "#0a7d5a", "-"),
    ("memory_mb", "memory, MB", "#336791", "-"),
    ("hold_p50_ms", "a hold, p50, ms", "#c77f00", "--"),
    ("hold_p99_ms", "a hold, p99, ms", "#c77f00", "-"),
    ("page_p50_ms", "a page, p50, ms", "#a0335f", "--"),
    ("page_p99_ms", "a page, p99, ms", "#a0335f", "-"),
]


def main():
    sizes = json.load(sys.stdin)
    reservations = [size["reservations"] for size in sizes]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "recarga", "axes.edgecolor": "#888", "text.color": "#888"}):
        figure, axes = plt.subplots(figsize=(7, 3.6), facecolor="none")
        axes.set_facecolor("none")
        for key, label, colour, style in _LINES:
            axes.plot(reservations, [size[key] for size in sizes], style, marker="o", color=colour, label=label)
        axes.set(xscale="log", yscale="log", xlabel="reservations")
        axes.tick_params(colors="#888")
        axes.xaxis.label.set_color("#888")
        axes.grid(True, color="#888", alpha=0.25)
        axes.legend(frameon=False, labelcolor="#888", loc="center left", bbox_to_anchor=(1, 0.5))
        figure.savefig(sys.argv[1], format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})


main()
