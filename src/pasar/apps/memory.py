"""The collector of cycles, tuned for a process that keeps many values and makes few cycles."""

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 50
"""A collection of the youngest after so many new objects, of the middle ones after so many of those, and so on."""


def spare_the_collector() -> None:
    """Once everything is loaded. What is there stays; remembered states of streams, tens of thousands of values without
    cycles, are not searched through several times a second, while requests wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
