"""How much a process takes on: fixed places, and fewer of them where writes become slow."""

import pytest

from pasar.kernel.web_lanes import DEFAULTS, Lanes, Pace
from pasar.kernel.web_refusals import Unavailable


def fed(lanes: Lanes, took_s: float, spans: int, start: float = 0.0, *, gauge: bool = True) -> float:
    """So many spans of time in each of which ten writes (or else reads) took so long; when they ended."""
    now = start
    for _ in range(spans):
        for _ in range(10):
            now += Pace.EVERY_S / 10
            lanes.took(now, took_s, gauge=gauge)
    return now


@pytest.mark.promise("C1")
def test_lanes_close_earlier_where_writes_are_slow_and_open_again_when_they_are_quick() -> None:
    lanes = Lanes()
    closes = {name: gate.closes_at for name, gate in lanes.gates.items()}
    ended = fed(lanes, Pace.TARGET_S * 2, 20)
    least = {name: gate.closes_at for name, gate in lanes.gates.items()}
    assert least == {name: max(1, round(until * Pace.LEAST)) for name, (_, until) in DEFAULTS.items()}
    assert least["jobs"] < least["reports"] < least["browse"] < least["cart"] < least["checkout"]
    fed(lanes, Pace.TARGET_S / 2, 40, ended)
    assert {name: gate.closes_at for name, gate in lanes.gates.items()} == closes


def test_lanes_open_again_while_people_only_browse() -> None:
    lanes = Lanes()
    ended = fed(lanes, Pace.TARGET_S * 2, 20)
    fed(lanes, Pace.TARGET_S * 2, 40, ended, gauge=False)
    assert {gate.closes_at - gate.until for gate in lanes.gates.values()} == {0}


def test_a_few_slow_ones_close_nothing() -> None:
    lanes, now = Lanes(), 0.0
    for number in range(200):
        now += Pace.EVERY_S / 10
        lanes.took(now, 9.0 if number % 5 == 0 else 0.01, gauge=True)
    now += 1.0
    for _ in range(Pace.FEWEST - 1):
        lanes.took(now, 9.0, gauge=True)
    assert lanes.gates["browse"].closes_at == lanes.gates["browse"].until


@pytest.mark.promise("C1")
def test_under_load_browsing_is_refused_while_there_is_room_for_a_checkout() -> None:
    lanes = Lanes()
    fed(lanes, Pace.TARGET_S * 2, 20)
    browse, cart, checkout = (lanes.gates[name] for name in ("browse", "cart", "checkout"))
    for _ in range(browse.closes_at):
        lanes.enter(checkout)
    with pytest.raises(Unavailable):
        lanes.enter(browse)
    while not lanes.closed(cart):
        lanes.enter(cart)
    lanes.enter(checkout)
    assert (browse.refused, cart.refused, checkout.refused) == (1, 0, 0)


def test_those_who_wait_in_a_queue_are_none_of_it() -> None:
    lanes = Lanes()
    fed(lanes, Pace.TARGET_S * 2, 20)
    for _ in range(5_000):
        lanes.enter(lanes.gates["queue"])
    lanes.enter(lanes.gates["browse"])
    assert lanes.running == 1
