"""Tables and plots of the results."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def _cells(row: dict[str, Any]) -> str:
    return f"{row['per_second']:,.0f} | {row['p50_ms']} | {row['p95_ms']} | {row['p99_ms']}"


def write(results: dict[str, Any], folder: Path) -> None:
    """README.md and the plots."""
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {results['machine']}; {results['seconds_each']:.0f} s each. Latencies in milliseconds.",
        "Worker, views and sealer run beside; *lag* is how long they needed to be done when the load ended (a figure",
        "counts where it is at most 1 s). Everything shares the machine's cores: server, worker, PostgreSQL and the",
        "load generator. `results.json` has all figures; what was wanted, and where the time goes: [profile.md](profile.md).",
        "",
    ]
    if "kernel" in results:
        lines += _kernel(results["kernel"], folder)
    if "http" in results:
        lines += _http(results["http"], folder)
    if "starts" in results:
        lines += ["## Starts", "", "| | s |", "| --- | --- |"]
        lines += [f"| {what} | {seconds} |" for what, seconds in results["starts"].items()] + [""]
    (folder / "README.md").write_text("\n".join(lines))


def _kernel(kernel: dict[str, Any], folder: Path) -> list[str]:
    lines = [
        "## (a) Kernel commit of an order",
        "",
        "An order as it is: two lines, address sealed, stock held, a deadline, an idempotency record, durable. Beside it the",
        "smallest order transaction that could be called one (`benchmarks/limit.py`), by pgbench on the same server.",
        "",
        "| clients | SKUs | orders/s | P50 | P95 | P99 | lag s | limit/s | P50 | P95 | P99 | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in kernel["rows"]:
        limit = _cells(row["limit"]) if "limit" in row else "– | – | – | –"
        lines.append(
            f"| {row['clients']} | {row['skus']} | {_cells(row['order'])} | {row['lag_s']} | {limit}"
            f" | {row.get('ratio', '–')} |"
        )
    figure, axes = plt.subplots(figsize=(7, 3.5))
    for skus, style in (("spread", "o-"), ("one hot", "s--")):
        rows = [row for row in kernel["rows"] if row["skus"] == skus]
        clients = [str(row["clients"]) for row in rows]
        axes.plot(clients, [row["order"]["per_second"] for row in rows], style, label=f"order, {skus}")
        if all("limit" in row for row in rows):
            axes.plot(clients, [row["limit"]["per_second"] for row in rows], style, alpha=0.4, label=f"limit, {skus}")
    axes.set_xlabel("clients")
    axes.set_ylabel("per second")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "kernel.svg")
    return [*lines, "", "![orders a second](kernel.svg)", ""]


def _http(http: dict[str, Any], folder: Path) -> list[str]:
    lines = [
        "## (b) to (e) Over HTTP",
        "",
        "1,000 members with own tokens, 1,000 SKUs; orders of two lines, a coupon in every tenth, fresh keys. A checkout is",
        "add to cart, order, start of payment, confirmation at the provider: paid.",
        "",
        "| what | clients | per second | P50 | P95 | P99 | lag s | errors | µs of CPU per request: API, PostgreSQL, worker |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in http["rows"]:
        cpu = row["cpu_us"]
        lines.append(
            f"| {row['what']} | {row['clients']} | {_cells(row)} | {row['lag_s']} | {sum(row['errors'].values())}"
            f" | {cpu.get('api')}, {cpu.get('postgres')}, {cpu.get('worker')} |"
        )
    names = list(dict.fromkeys(row["what"] for row in http["rows"]))
    figure, axes = plt.subplots(figsize=(7, 3.5))
    for name in names:
        rows = [row for row in http["rows"] if row["what"] == name]
        axes.plot([str(row["clients"]) for row in rows], [row["per_second"] for row in rows], "o-", label=name)
    axes.set_xlabel("connections")
    axes.set_ylabel("per second")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "http.svg")
    lines += ["", "![per second](http.svg)", ""]
    if "statements" in http:
        lines += ["SQL statements of a whole checkout, counted by the driver: "]
        lines += ["; ".join(f"{what} {number}" for what, number in http["statements"].items()) + ".", ""]
    if "rebuild" in http:
        lines += ["| view rebuilt | events/s |", "| --- | --- |"]
        lines += [f"| {view} | {rate:,.0f} |" for view, rate in http["rebuild"].items()] + [""]
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in http["memory_mb"].items())
    return [*lines, f"Memory at the end: {memory}.", ""]
