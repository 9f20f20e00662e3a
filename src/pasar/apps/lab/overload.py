"""Once, ten times, once the load that a deployment can take: what is left of its goodput, and how soon it is itself."""

import itertools
import uuid
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from .burst import request
from .evidence import Evidence
from .load import Answer, Load, Phase, Wanted, capacity, percentile, phase
from .target import Caller, NotAsExpected, Target, order

ROUNDS = 5
FLOOR_S = 0.05
"""p99 below this is as good as any."""


async def shopping(target: Target, *, units: int = 1_000_000, guests: int = 1_000) -> list[Wanted]:
    """A mix of checkout and browsing, by so many guests: so many that no one of them asks for more than one may."""
    sku, people = await target.sell(units), await target.guests(guests)
    turns = itertools.cycle(people)
    heads = {who.id: order(who, sku) for who in people}
    pages = [browse(target.api, "/api/v1/products", who) for who in people]
    page = itertools.cycle(pages)

    def checkout() -> bytes:
        who = next(turns)
        return kept(request(target.api, "POST", "/api/v1/orders/create", heads[who.id], who, uuid.uuid4().hex))

    return [Wanted("checkout", 0.5, checkout), Wanted("browse", 0.5, lambda: next(page))]


def kept(data: bytes) -> bytes:
    return data.replace(b"Connection: close\r\n", b"", 1)


def browse(api: str, path: str, who: Caller) -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: {api.partition('//')[2]}\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in who.headers.items()) + "\r\n").encode()


class Collapse(AssertionError):
    """Under overload it did less than it can, or not what it must."""


async def overload(
    target: Target, evidence: Evidence, seed: int, *, times: float = 10.0, calm_s: float = 5.0, storm_s: float = 10.0
) -> tuple[list[Phase], float]:
    """Calm, storm, calm: the three phases, and the most that it can do, which is measured before and after: a machine
    that others use too is not the same for long. Raises `NotAsExpected` on answers that may never be."""
    wanted = await shopping(target)
    most = await capacity(target.api, wanted, evidence.seed(seed))
    load = Load(target.api, wanted, seed)
    await load.run(most * 0.8, calm_s)
    await load.run(most * times, storm_s, start_s=calm_s)
    await load.run(most * 0.8, 2 * calm_s, start_s=calm_s + storm_s)
    load.close()
    end = calm_s + storm_s
    found = [
        phase("before", load.answers, 0, calm_s),
        phase("storm", load.answers, calm_s, end),
        phase("after", load.answers, end + calm_s, end + 2 * calm_s),
    ]
    evidence.fault(f"seconds at {times:g}×", int(storm_s))
    peak = (most + await capacity(target.api, wanted, seed)) / 2
    record(evidence, load.answers, found, peak)
    return found, peak


def record(evidence: Evidence, answers: Sequence[Answer], found: Sequence[Phase], most: float) -> None:
    """The figures of calm, storm and calm. Raises `NotAsExpected` on answers that may never be."""
    evidence.attempt(len(answers))
    evidence.figure("capacity, good/s", f"{most:.0f}")
    for one in found:
        evidence.figure(f"{one.name}: offered/s", f"{one.offered:.0f}")
        evidence.figure(f"{one.name}: good/s", f"{one.good:.0f}")
        evidence.figure(f"{one.name}: p99 s", f"{one.p99_s:.3f}")
    evidence.figure("refusals, median ms", f"{found[1].refusal_p50_s * 1000:.0f}")
    evidence.figure("refusals, p99 ms", f"{found[1].refusal_p99_s * 1000:.0f}")
    judge_answers(answers)


def judge_answers(answers: Sequence[Answer]) -> None:
    """Whatever the load: a right answer, or a refusal that says when to come again."""
    strange = {one.status for one in answers if one.status >= 400 and not one.refused}
    if strange:
        raise NotAsExpected(f"answers that may not be: {sorted(strange)}")
    if any(one.refused and not one.retry_after for one in answers):
        raise NotAsExpected("a refusal without Retry-After")


def judge_goodput(found: list[Phase], peak: float) -> None:
    """At ten times the load at least 90 % of the peak, refusals in 50 ms, and itself again afterwards."""
    before, storm, after = found
    if storm.good < 0.9 * peak:
        raise Collapse(f"{storm.good:.0f} good answers a second of {peak:.0f}")
    if storm.refusal_p50_s > 0.05:
        raise Collapse(f"a refusal takes {storm.refusal_p50_s * 1000:.0f} ms")
    if after.good < 0.9 * before.good:
        raise Collapse(f"afterwards {after.good:.0f} good answers a second, before {before.good:.0f}")


class Round(NamedTuple):
    """What was answered to those who want one thing, alone and beside others who want another."""

    alone: list[Answer]
    beside: list[Answer]


async def fair_share(target: Target, evidence: Evidence, seed: int, *, seconds: float = 6.0) -> list[Round]:
    """Orders of one SKU, alone and while one client wants another as fast as it can."""
    hot, bot = await target.sell(10), await target.guest()
    return await _rounds(target, evidence, seed, "orders of a bot", lambda: _an_order(target, bot, hot), seconds)


async def crowd(target: Target, evidence: Evidence, seed: int, *, people: int, seconds: float = 6.0) -> list[Round]:
    """Orders of one SKU, alone and while a crowd wants another of which there is little."""
    hot, turns = await target.sell(max(10, people // 10)), itertools.cycle(await target.guests(people))
    named = "orders of a crowd for one SKU"
    return await _rounds(target, evidence, seed, named, lambda: _an_order(target, next(turns), hot), seconds)


def _an_order(target: Target, who: Caller, sku: str) -> bytes:
    return kept(request(target.api, "POST", "/api/v1/orders/create", order(who, sku), who, uuid.uuid4().hex))


async def _rounds(
    target: Target, evidence: Evidence, seed: int, named: str, greedy: Callable[[], bytes], seconds: float
) -> list[Round]:
    """Alone and beside them in turn, `seconds` each in all, so that both meet the machine as it is."""
    wanted = [one._replace(share=0.5) for one in await shopping(target) if one.kind == "checkout"]
    usual = 0.3 * await capacity(target.api, wanted, evidence.seed(seed))
    alone, both = Load(target.api, wanted, seed), Load(target.api, [*wanted, Wanted(named, 0.5, greedy)], seed)
    found: list[Round] = []
    for _ in range(ROUNDS):
        before, first = len(alone.answers), len(both.answers)
        await alone.run(usual, seconds / ROUNDS)
        await both.run(2 * usual, seconds / ROUNDS)
        others = [one for one in both.answers[first:] if one.kind != named]
        found.append(Round(alone.answers[before:], others))
    for load in (alone, both):
        load.close()
    evidence.attempt(len(alone.answers) + len(both.answers))
    evidence.fault(named, sum(one.kind == named for one in both.answers))
    return found


def judge_share(rounds: Sequence[Round], evidence: Evidence, floor_s: float = FLOOR_S) -> None:
    """Others get right answers, and wait twice as long at most; less than `floor_s` is not told apart. The median round
    counts: a machine that stood still for half a second says nothing of shares."""
    alone, beside = (
        median(percentile([one.took_s for one in answers], 99) for answers in side)
        for side in zip(*rounds, strict=True)
    )
    evidence.figure("others' p99 alone, ms", f"{alone * 1000:.0f}")
    evidence.figure("others' p99 beside them, ms", f"{beside * 1000:.0f}")
    others = [one for each in rounds for one in each.beside]
    bad = [one for one in others if one.status >= 400 or not one.status]
    if len(bad) > len(others) // 100:
        raise Collapse(f"{len(bad)} of {len(others)} others were turned away: {sorted({one.status for one in bad})}")
    if beside > 2 * max(alone, floor_s):
        raise Collapse(f"p99 of others {alone:.3f} s alone, {beside:.3f} s beside them")
