"""Judges histories of many clients: were all that they saw the effects of some one order in which everything happened?

Streams are lists: every write appends a value of its own, every read sees whole lists. So a list that was read tells in
which order its values were written, and thereby which operation came before which: who wrote the next value (ww), who
read what was written (wr), who did not yet see it (rw), and who began after another had ended (rt). A circle among
these is an anomaly: a lost update, write skew, or a fractured read. An operation without an answer may have happened.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

Outcome = Literal["ok", "fail", "unknown"]
Lists = Mapping[str, Sequence[int]]


class Operation(NamedTuple):
    """`began` and `ended` are of one clock. `wrote`: one value per list; `read`: the lists as they were seen."""

    id: int
    began: float
    ended: float
    outcome: Outcome
    wrote: Mapping[str, int] = {}
    read: Lists = {}


class Anomaly(AssertionError):
    """What no order of the operations explains."""


def judge(history: Iterable[Operation], final: Lists) -> int:
    """How many operations were checked. `final`: every list, read when all was quiet. Raises `Anomaly`."""
    operations = {operation.id: operation for operation in history}
    writers = _writers(operations.values())
    orders = _orders([*operations.values(), Operation(-1, 0, 0, "ok", read=final)], writers)
    for operation in operations.values():
        _check_effects(operation, orders)
    edges = _edges(operations, orders, writers)
    if circle := _circle(edges, operations):
        told = "; ".join(
            f"{id}: wrote {dict(operations[id].wrote)}, read {_short(operations[id].read)}" for id in circle
        )
        raise Anomaly(f"a circle of {len(circle)} operations: {told}")
    return len(operations)


def _short(lists: Lists) -> dict[str, list[int]]:
    return {name: list(values[-3:]) for name, values in lists.items()}


def _writers(operations: Iterable[Operation]) -> dict[tuple[str, int], Operation]:
    writers = {}
    for operation in operations:
        for name, value in operation.wrote.items():
            if (name, value) in writers:
                raise ValueError(f"{value} is written to {name} twice: values of a history are unique")
            writers[name, value] = operation
    return writers


def _orders(operations: Iterable[Operation], writers: Mapping[tuple[str, int], Operation]) -> dict[str, list[int]]:
    """The order of each list's values: the longest that was read; all others must be its beginnings."""
    reads = defaultdict[str, list[Sequence[int]]](list)
    for operation in operations:
        if operation.outcome == "ok":
            for name, values in operation.read.items():
                reads[name].append(values)
    orders = {}
    for name, seen in reads.items():
        longest = list(max(seen, key=len))
        if len(set(longest)) != len(longest):
            raise Anomaly(f"{name} has a value twice: {longest}")
        for value in longest:
            writer = writers.get((name, value))
            if writer is None:
                raise Anomaly(f"{name} has {value}, which nobody wrote")
            if writer.outcome == "fail":
                raise Anomaly(f"{name} has {value}, whose writer was told that it failed")
        for values in seen:
            if list(values) != longest[: len(values)]:
                raise Anomaly(f"{name} was read as {list(values)} and as {longest}")
        orders[name] = longest
    return orders


def _check_effects(operation: Operation, orders: Mapping[str, list[int]]) -> None:
    """What was accepted is there; what wrote to several lists wrote to all of them or to none."""
    there = {name: value in orders.get(name, ()) for name, value in operation.wrote.items()}
    if operation.outcome == "ok" and not all(there.values()):
        raise Anomaly(f"accepted and lost: {dict(operation.wrote)} of operation {operation.id}")
    if any(there.values()) and not all(there.values()):
        raise Anomaly(f"half done: {dict(operation.wrote)} of operation {operation.id}")


Edges = dict[int, set[int]]


def _edges(
    operations: Mapping[int, Operation],
    orders: Mapping[str, list[int]],
    writers: Mapping[tuple[str, int], Operation],
) -> Edges:
    edges: Edges = defaultdict(set)

    def before(first: int, second: int) -> None:
        if first != second:
            edges[first].add(second)

    for name, values in orders.items():
        for one, next in pairwise(values):
            before(writers[name, one].id, writers[name, next].id)
    for operation in operations.values():
        if operation.outcome != "ok":
            continue
        for name, values in operation.read.items():
            if values:
                before(writers[name, values[-1]].id, operation.id)
            if len(values) < len(orders[name]):
                before(operation.id, writers[name, orders[name][len(values)]].id)
    _real_time(operations, edges)
    return edges


def _real_time(operations: Mapping[int, Operation], edges: Edges) -> None:
    """Who ended before another began came before it. Instants are nodes of their own (negative), each before the next,
    so that n operations need 3n edges and not n²."""
    moments = sorted(
        [(operation.ended, 0, operation) for operation in operations.values() if operation.outcome == "ok"]
        + [(operation.began, 1, operation) for operation in operations.values()],
        key=lambda moment: (moment[0], -moment[1]),  # At the same instant: begun before ended, so not in this order.
    )
    instant = -2
    for _, begins, operation in moments:
        if begins:
            edges[instant].add(operation.id)
        else:
            edges[instant].add(instant - 1)
            instant -= 1
            edges[operation.id].add(instant)


def _circle(edges: Edges, operations: Mapping[int, Operation]) -> list[int]:
    """The operations of some circle, or none. Tarjan's strongly connected components, without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    for root in list(edges):
        if root in index:
            continue
        work = [(root, iter(edges.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = _pop_until(stack, on_stack, node)
                    if len(part) > 1:
                        return [id for id in part if id in operations]
    return []


def _pop_until(stack: list[int], on_stack: set[int], node: int) -> list[int]:
    part = []
    while True:
        popped = stack.pop()
        on_stack.discard(popped)
        part.append(popped)
        if popped == node:
            return part
