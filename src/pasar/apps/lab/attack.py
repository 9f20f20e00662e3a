"""Attacks in bursts: the last units, the last coupons, and one payment that everybody reports at once."""

import uuid
from collections import Counter
from typing import Any

from .burst import burst, request, verdicts
from .evidence import Evidence
from .rush import judge
from .target import Caller, NotAsExpected, Reply, Target, order, until

CREATE = "/api/v1/orders/create"
PAID = ("PAID", "ALLOCATED")
SOLD_OUT = 1001


async def last_units(target: Target, evidence: Evidence, attempts: int, *, at_once: int = 64) -> None:
    """So many buyers for few units, `at_once` at a time. Raises `SoldWrongly` and `NotAsExpected`."""
    buyers = await target.guests(at_once)
    left = attempts
    while left > 0:
        units = 1 + left % 7
        sku = await target.sell(units)
        sold: list[tuple[str, str]] = []
        for _ in range(2):  # The second wave finds nothing.
            replies = await _place(target, buyers, sku)
            evidence.attempt(len(replies))
            left -= len(replies)
            sold += [(sku, reply.json["order_no"]) for reply in replies if reply.status == 200]
            _only(replies, {"200", f"409/{SOLD_OUT}"})
        judge({sku: units}, sold, {sku: await target.left(sku)})


async def _place(target: Target, buyers: list[Caller], sku: str, **more: Any) -> list[Reply]:
    sent = [request(target.api, "POST", CREATE, order(who, sku, **more), who) for who in buyers]
    return await burst(target.api, sent)


def _only(replies: list[Reply], allowed: set[str]) -> None:
    if strange := set(verdicts(replies)) - allowed:
        raise NotAsExpected(f"answers that may not be: {sorted(strange)}, of {dict(verdicts(replies))}")


class LimitExceeded(AssertionError):
    """More uses of a coupon than there were, or fewer."""


def judge_uses(limit: int, granted: int, attempts: int) -> None:
    """All uses are granted once, and no more. Raises `LimitExceeded`."""
    if granted != min(limit, attempts):
        raise LimitExceeded(f"{granted} uses of {limit} were granted to {attempts} who asked")


async def coupon_limit(target: Target, evidence: Evidence, attempts: int, *, at_once: int = 64) -> None:
    """Many orders with one coupon of few uses; then one is cancelled, and its use returns once."""
    buyers = await target.guests(at_once)
    admin, left = await target.staff(), attempts
    while left > 0:
        limit, code = 1 + left % 5, f"lab{uuid.uuid4().hex[:10]}"
        sku = await target.sell(4 * at_once)
        coupon = {"coupon": code, "kind": "percent", "value": 10, "currency": "KRW", "total_limit": limit}
        (await target.ask("POST", "/coupons", coupon, admin)).ok()
        replies = await _place(target, buyers, sku, coupon_ids=[code])
        granted = [
            (who, reply.json["order_no"]) for who, reply in zip(buyers, replies, strict=True) if reply.status == 200
        ]
        refused = Counter(reply.status for reply in replies if reply.status != 200)
        if set(refused) - {409, 422}:
            raise NotAsExpected(f"answers that may not be: {dict(verdicts(replies))}")
        judge_uses(limit, len(granted), len(replies))
        who, order_no = granted[0]
        (await target.ask("POST", f"/orders/{order_no}/cancel", who=who)).ok()
        again = await _place(target, buyers, sku, coupon_ids=[code])
        judge_uses(1, sum(reply.status == 200 for reply in again), len(again))
        evidence.attempt(len(replies) + len(again))
        evidence.fault("cancelled uses")
        left -= len(replies) + len(again)
        units = 4 * at_once - await target.left(sku)
        if units != limit:
            raise LimitExceeded(f"{limit} orders stand, but {units} units are promised")


async def one_capture(target: Target, evidence: Evidence, rounds: int, *, at_once: int = 12) -> None:
    """Confirmations in a burst, while the provider's notices come several times: one paid order, one capture."""
    who, sku = await target.guest(), await target.sell(rounds)
    finance = await target.staff("finance")
    for _ in range(rounds):
        placed = await target.placed(who, sku)
        payment = await target.begin_payment(who, placed["order_no"])
        await target.outside("PUT", "/toss/simulator/chaos", {"notices": {"copies": 3}})
        evidence.fault("doubled notices", 3)
        back = await target.agree(payment)
        wish = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
        path = f"/api/v1/payments/{payment['payment']}/confirm"
        replies = await burst(target.api, [request(target.api, "POST", path, wish, who) for _ in range(at_once)])
        evidence.attempt(len(replies))
        _statuses(replies, {200, 409})
        await until(lambda no=placed["order_no"]: _is_paid(target, who, no), f"order {placed['order_no']} to be paid")
        found = (await target.ask("GET", f"/payments/{payment['payment']}", who=finance)).ok()
        if (found["state"], found["refunded"], found["refunds"]) != ("captured", 0, []):
            raise NotAsExpected(f"captured more than once, or not: {found}")
    if await target.left(sku) != 0:
        raise NotAsExpected("not every paid order has its unit")
    await target.outside("PUT", "/toss/simulator/chaos", {})


async def _is_paid(target: Target, who: Caller, order_no: str) -> bool:
    return (await target.ask("GET", f"/orders/{order_no}", who=who)).ok()["status"] in PAID


def _statuses(replies: list[Reply], allowed: set[int]) -> None:
    if {reply.status for reply in replies} - allowed:
        raise NotAsExpected(f"answers that may not be: {dict(verdicts(replies))}")
