"""The page and the plots of `make bench-flash`."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROWS = (
    ("sold", lambda row: f"{row['checked']['sold']:,}"),
    ("orders in the log, units held in the ledger", lambda row: f"{row['checked']['in_log']:,}, {row['checked']['held_in_ledger']:,}"),
    ("buyers, each answered", lambda row: f"{row['buyers']:,}"),
    ("sales a second, from the release to the last sale", lambda row: f"{row['sales_per_s']:,}"),
    ("last unit sold after, s", lambda row: row["sold_in_s"]),
    ("everybody knows after, s", lambda row: row["everybody_knows_s"]),
    ("first answer, P50 / P95 / P99 s", lambda row: _three(row["first_answer"])),
    ("winners have their order, P50 / P95 / P99 s", lambda row: _three(row["winners"])),
    ("losers know, P50 / P95 / P99 s", lambda row: _three(row["losers"])),
    ("answers \"come again\" (503 with Retry-After)", lambda row: f"{row['told_to_come_again']:,}"),
    ("had a ticket and heard that nothing is left (1001)", lambda row: f"{row.get('late', 0):,}"),
    ("CPU seconds since the release", lambda row: f"{sum(row['cpu_s'].values()):.1f}: " + ", ".join(f"{name} {used}" for name, used in row["cpu_s"].items())),
    ("CPU µs per buyer", lambda row: f"{sum(row['cpu_s'].values()) / row['buyers'] * 1e6:,.0f}: " + ", ".join(f"{name} {used / row['buyers'] * 1e6:,.0f}" for name, used in row["cpu_s"].items())),
    ("requests per buyer", lambda row: f"{row.get('requests', 0) / row['buyers']:.2f}"),
    ("load average of the machine at the release", lambda row: row.get("load_average", "")),
)  # fmt: skip


def _three(values: list[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def write(results: dict[str, Any], folder: Path) -> None:
    """flash.md beside the plots."""
    runs = [results[name] for name in ("embedded", "outside") if name in results]
    lines = [
        "# Flash sale",
        "",
        f"Made by `make bench-flash` on {results['machine']}. The generator of the load (`load`) runs on the same cores.",
        "",
        "Signed-in members with a connection each, who have looked at the page of the sale. All but the last byte of every",
        "request to join the queue is sent, then the rest of all at once; its answer may wait until it is final. Each buyer",
        "goes on until there is an order or nothing to be had. Times count from the release. The run fails unless the winners'",
        "numbers are exactly those in the log, and the ledger holds as many units. Seconds are those of a machine that does",
        "nothing else only where its load average says so; CPU time is what a buyer costs.",
        "",
    ]
    if runs:
        lines += ["| | " + " | ".join(run["name"] for run in runs) + " |", "| --- |" + " --- |" * len(runs)]
        lines += [f"| {name} | " + " | ".join(str(value(run)) for run in runs) + " |" for name, value in ROWS]
        _plot_sales(runs, folder)
        lines += ["", "![units sold over time](flash.svg)", ""]
    if "overload" in results:
        lines += _overload(results["overload"], folder)
    (folder / "flash.md").write_text("\n".join(lines).rstrip() + "\n")


def _plot_sales(runs: list[dict[str, Any]], folder: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 3.5))
    for run in runs:
        axes.plot(run["won_at"], range(1, len(run["won_at"]) + 1), label=f"{run['name']}: sold")
        lost, share = run["lost_at"], (run["buyers"] - len(run["won_at"])) / max(1, len(run["lost_at"]))
        axes.plot(
            lost, [n * share for n in range(1, len(lost) + 1)], "--", label=f"{run['name']}: told that it is sold out"
        )
    axes.set_xlabel("seconds since the release")
    axes.set_ylabel("buyers")
    axes.set_yscale("symlog", linthresh=100)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "flash.svg")
    plt.close(figure)


def _overload(found: dict[str, Any], folder: Path) -> list[str]:
    figure, both = plt.subplots(1, 2, figsize=(10, 3.5))
    for axes, which, what in zip(both, ("people", "requests"), ("visits", "requests"), strict=True):
        seconds = [row["at_s"] for row in found[which]["curve"]]
        for name, style in (("offered", ":"), ("good", "-"), ("refused", "--")):
            axes.plot(seconds, [row[name] for row in found[which]["curve"]], style, label=f"{name} a second")
        axes.axhline(found[which]["capacity"], color="grey", linewidth=0.7, label="capacity")
        axes.set_title(what, fontsize=9)
        axes.set_xlabel("seconds")
        axes.set_yscale("symlog", linthresh=100)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "overload.svg")
    plt.close(figure)
    people, requests = found["people"], found["requests"]
    return [
        "## Up to ten times overload",
        "",
        "**People who come to buy**: by the clock, whether others have been served or not. Each looks at the list, fills a "
        "cart, orders, pays; who is turned away leaves. Good is a visit that ends paid, none of its answers later than 2 s. "
        f"Capacity, found by people who come one after the other: {people['capacity']:,} paid visits a second. Of all, "
        f"{people['turned_away_late']:,} were turned away with a cart. *Behind*: how much longer than its ten seconds a "
        "span took until all was sent and answered; where that is more than a little, the cores were too few for the load "
        "and its server together, and requests were sent late.",
        "",
        *_phases(people["phases"], "slowest step P50, P99 of good ones, s"),
        "",
        "**Requests that have nothing to do with each other**, half checkouts, half product lists; capacity: "
        f"{requests['capacity']:,} good answers a second. At ten times that, refusing alone takes more than there is.",
        "",
        *_phases(requests["phases"], "P50, P99 of good ones, s"),
        "",
        "![goodput](overload.svg)",
        "",
    ]


def _phases(phases: list[dict[str, Any]], took: str) -> list[str]:
    rows = [
        f"| phase | offered a second | good a second | refused a second | no answer in 10 s | behind, s | {took} "
        "| refusals P50, P99, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| {row['name']} | {row['offered']:,.0f} | {row['good']:,.0f} | {row['refused']:,.0f} "
        f"| {sum(row['strange'].values()):,} | {row['behind_s']:.1f} | {row['p50_s']:.2f}, "
        f"{row['p99_s']:.2f} | {row['refusal_p50_s'] * 1000:.0f}, {row['refusal_p99_s'] * 1000:.0f} |"
        for row in phases
    ]
    return rows
