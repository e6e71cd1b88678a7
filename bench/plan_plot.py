"""Draws how long planning takes, against stations and distance: JSON of the example `speed` on the standard input, a picture
as the only argument.

    cargo run --release -p recarga-planning --example speed -- --grid | target/venv/bench/bin/python bench/plan_plot.py docs/planning/time.svg
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

_COLOURS = ["#0a7d5a", "#336791", "#c77f00", "#a0335f"]


def main():
    rows = json.load(sys.stdin)
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "recarga", "axes.edgecolor": "#888", "text.color": "#888"}):
        figure, axes = plt.subplots(figsize=(7, 3.6), facecolor="none")
        axes.set_facecolor("none")
        for km, colour in zip(sorted({row["km"] for row in rows}), _COLOURS, strict=False):
            of_distance = [row for row in rows if row["km"] == km]
            stations = [row["stations"] for row in of_distance]
            for key, label, style in [("cold_ms", "", "-"), ("again_ms", ", again", "--")]:
                times = [row[key] for row in of_distance]
                axes.plot(stations, times, style, marker="o", color=colour, label=f"{km:,.0f} km{label}")
        axes.set(xscale="log", yscale="log", xlabel="stations along the way", ylabel="ms, median")
        axes.tick_params(colors="#888")
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color("#888")
        axes.grid(True, color="#888", alpha=0.25)
        axes.legend(frameon=False, labelcolor="#888", loc="center left", bbox_to_anchor=(1, 0.5))
        figure.savefig(sys.argv[1], format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})


main()
