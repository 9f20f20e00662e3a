"""Figures for Prometheus, of this process; or of all processes of the machine, where PROMETHEUS_MULTIPROC_DIR is set.

A metric is asked for by name where it is used; asking twice gives the same one. Labels are few and of few values: a
route's pattern, a refusal's name, never an id or anything a visitor chooses.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# From half a millisecond, a lone commit, to ten seconds, the longest deadline of a request.
DURATION_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REGISTRY = CollectorRegistry()
if MULTIPROCESS_FOLDER not in os.environ:
    ProcessCollector(registry=REGISTRY)

_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)
_Across = Literal[
    "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"
]
_metrics: dict[str, tuple[Counter | Gauge | Histogram, tuple[str, ...]]] = {}
_lock = threading.Lock()


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """Counts what happened; its name ends in `_total`."""
    _require(name, "_total")
    return _once(Counter, name, lambda: Counter(name, description, labels, registry=REGISTRY), labels)


def gauge(name: str, description: str, labels: Sequence[str] = (), *, across_processes: _Across = "livesum") -> Gauge:
    """Goes up and down. `across_processes` says how those of several processes become one: livesum, livemax, …"""

    def make() -> Gauge:
        return Gauge(name, description, labels, registry=REGISTRY, multiprocess_mode=across_processes)

    return _once(Gauge, name, make, labels)


def duration(name: str, description: str, labels: Sequence[str] = ()) -> Histogram:
    """How long something takes; its name ends in `_seconds`. Use `with duration(…).time():`."""
    _require(name, "_seconds")
    return _once(
        Histogram,
        name,
        lambda: Histogram(name, description, labels, registry=REGISTRY, buckets=DURATION_BUCKETS_S),
        labels,
    )


def expose() -> bytes:
    """The page that Prometheus reads."""
    if MULTIPROCESS_FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody)
    return generate_latest(everybody)


def forget_process(process_id: int) -> None:
    """Drop the gauges of a process that has ended; called by whoever started it."""
    if MULTIPROCESS_FOLDER in os.environ:
        mark_process_dead(process_id)


def _require(name: str, ending: str) -> None:
    if not name.endswith(ending):
        raise ValueError(f"the metric {name} must end in {ending}")


def _once(kind: type[_Metric], name: str, make: Callable[[], _Metric], labels: Sequence[str]) -> _Metric:
    with _lock:
        known = _metrics.get(name)
        if known is None:
            made = make()
            _metrics[name] = (made, tuple(labels))
            return made
        found, its_labels = known
        if not isinstance(found, kind) or its_labels != tuple(labels):
            raise ValueError(f"the metric {name} exists as another kind or with other labels")
        return found
