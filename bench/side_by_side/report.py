"""Tables and plots of what was measured."""

import datetime
import os
import platform
import statistics

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# Whatever stands between them in a document is replaced.
_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
_COLOURS = {"recarga": "#0a7d5a", "postgres": "#336791", "python": "#c77f00"}
_PLOTS = [
    ("throughput", "trips_per_second", "trips a second"),
    ("latency-p50", "p50_ms", "p50, ms"),
    ("latency-p99", "p99_ms", "p99, ms"),
    ("cpu", "nodes_cpu_us_per_trip", "processor time of the servers, µs a trip"),
]


def tables(results, options, systems):
    """Markdown: what each system reached, and the goals."""
    return "\n\n".join([_head(options), _figures(results, systems), _goals(results)])


def put_into(document, text, results, systems):
    """The tables between the marks of the document, and the plots in a folder of its name."""
    folder = document.with_suffix("")
    folder.mkdir(exist_ok=True)
    for name, key, label in _PLOTS:
        _plot(folder / f"{name}.svg", results, systems, key, label)
    before, rest = document.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    images = "\n".join(f"![{label}, by clients]({folder.name}/{name}.svg)" for name, _, label in _PLOTS)
    document.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{images}\n\n{_END}{after}", encoding="utf-8")


def _head(options):
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    kernel = platform.release().split("-")[0]
    arguments = "--quick" if options.quick else f"--rounds {options.rounds} --seconds {options.seconds}"
    return (
        f"{today}, {os.cpu_count()} processors shared by servers and clients, Linux {kernel}; medians of {options.rounds} rounds of "
        f'{options.seconds} s, interleaved (`make bench ARGS="{arguments}"`). In brackets: the least and the most.'
    )


def _figures(results, systems):
    lines = [
        "| clients | | trips/s | p50 ms | p99 ms | p50 in fdatasyncs | CPU µs/trip | flushes/trip | bytes/trip |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for clients, rounds in results.items():
        syncs = [row["disk"]["p50_ms"] for row in rounds]
        lines.append(f"| {clients} | *fdatasync alone* | {_median([row['disk']['per_second'] for row in rounds]):.0f} | {_median(syncs):.3f} | | 1 | | | |")
        for system in systems:
            levels = [row[system.key] for row in rounds]
            of = lambda key, levels=levels: [level[key] for level in levels if level.get(key) is not None]
            in_syncs = _median([row[system.key]["p50_ms"] / row["disk"]["p50_ms"] for row in rounds])
            rates, failed = of("trips_per_second"), sum(of("failed"))
            title = system.title + (f" ({failed} failed)" if failed else "")
            lines.append(
                f"| {clients} | {title} | {_median(rates):.0f} [{min(rates):.0f}, {max(rates):.0f}] "
                f"| {_median(of('p50_ms')):.2f} | {_median(of('p99_ms')):.2f} | {in_syncs:.1f} "
                f"| {_median(of('nodes_cpu_us_per_trip')):.0f} | {_median(of('flushes_per_trip')):.2f} "
                f"| {_median(of('loopback_bytes_per_trip')):.0f} |"
            )
    return "\n".join(lines)


def _goals(results):
    lines = ["| goal, as a ratio within each round | wanted | median | least | most | |", "|---|---:|---:|---:|---:|---|"]

    def goal(clients, name, wanted, at_least, ratio):
        if clients not in results:
            return
        ratios = [ratio(row) for row in results[clients]]
        median = _median(ratios)
        met = median >= wanted if at_least else median <= wanted
        sign = "≥" if at_least else "≤"
        lines.append(
            f"| {name} | {sign} {wanted:g} | {median:.1f} | {min(ratios):.1f} | {max(ratios):.1f} | {'met' if met else '**missed**'} |"
        )

    rate = "trips_per_second"
    goal(64, "64 clients: trips/s, Recarga to PostgreSQL", 8, True, lambda row: row["recarga"][rate] / row["postgres"][rate])
    goal(64, "64 clients: trips/s, Recarga to FastAPI", 50, True, lambda row: row["recarga"][rate] / row["python"][rate])
    goal(1, "1 client: p50, Recarga to fdatasync alone", 10, False, lambda row: row["recarga"]["p50_ms"] / row["disk"]["p50_ms"])
    goal(1, "1 client: p50, Recarga to PostgreSQL", 1, False, lambda row: row["recarga"]["p50_ms"] / row["postgres"]["p50_ms"])
    goal(64, "64 clients: Recarga's p99 to its p50", 5, False, lambda row: row["recarga"]["p99_ms"] / row["recarga"]["p50_ms"])
    return "\n".join(lines)


def _plot(path, results, systems, key, label):
    # Text as text: small, searchable, and in the reader's font.
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "recarga", "axes.edgecolor": "#888", "text.color": "#888"}):
        figure, axes = plt.subplots(figsize=(6, 3.2), facecolor="none")
        axes.set_facecolor("none")
        clients = list(results)
        for system in systems:
            levels = [[row[system.key][key] for row in rounds] for rounds in results.values()]
            colour = _COLOURS[system.key]
            axes.plot(clients, [_median(level) for level in levels], marker="o", color=colour, label=system.title)
            axes.fill_between(clients, [min(level) for level in levels], [max(level) for level in levels], color=colour, alpha=0.2)
        axes.set(xscale="log", yscale="log", xlabel="clients", ylabel=label)
        axes.set_xticks(clients, [str(count) for count in clients], minor=False)
        axes.tick_params(colors="#888")
        axes.xaxis.label.set_color("#888")
        axes.yaxis.label.set_color("#888")
        axes.grid(True, color="#888", alpha=0.25)
        axes.legend(frameon=False, labelcolor="#888")
        figure.savefig(path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)


def _median(values):
    return statistics.median(values) if values else float("nan")
