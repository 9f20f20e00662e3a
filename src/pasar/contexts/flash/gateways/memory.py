"""Queues in this process: what a deployment without Redis has. A restart forgets them; people join again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from uuid import UUID

from ..gateway import AGAIN, Line, Mark, Queue, Rules, Standing

LINES = 10_000
"""Queues that are remembered; the one that was used longest ago is forgotten first."""


@dataclass(slots=True)
class _Waiting:
    number: int
    units: int
    seen_ms: int


@dataclass(slots=True)
class _Open:
    """An open ticket."""

    id: str
    units: int
    until_ms: int


@dataclass(slots=True)
class _Line:
    """`waiting` is in the order of arrival."""

    epoch: str
    left: int | None = None
    """What tickets may be given for; `said` is what the ledger said when it was last asked."""
    said: int = 0
    waiting: dict[str, _Waiting] = field(default_factory=dict)
    tickets: dict[str, _Open] = field(default_factory=dict)
    ends: list[tuple[int, str, str]] = field(default_factory=list)
    """A heap of when tickets end, with member and ticket; those that were used or kept longer are in it, too."""
    out: int = 0
    """Units of open tickets."""
    sold: int = 0
    arrived: int = 0
    called: int = 0
    """How many have left the head of the queue, admitted or not."""
    tokens_ms: int = 0
    """Credit for tickets, in thousandths."""
    at_ms: int = 0

    def advance(self, now_ms: int, rules: Rules) -> None:
        """End tickets whose time is over; admit who is next, as far as units and rate allow."""
        while self.ends and self.ends[0][0] <= now_ms:
            _, member, id = heappop(self.ends)
            ticket = self.tickets.get(member)
            if ticket is not None and ticket.id == id and ticket.until_ms <= now_ms:
                self.drop(member)
        burst = max(1000, rules.admit_per_s * 100)
        elapsed = max(0, min(now_ms - self.at_ms, 60_000))
        self.tokens_ms = min(burst, self.tokens_ms + elapsed * rules.admit_per_s)
        self.at_ms = max(now_ms, self.at_ms)
        while self.waiting:
            member, first = next(iter(self.waiting.items()))
            stale = first.seen_ms + rules.place_ms < now_ms
            if not stale and not self._may(first):
                return
            del self.waiting[member]
            self.called += 1
            if not stale:
                self.tokens_ms -= 1000
                self.out += first.units
                self.open(member, _Open(f"{self.epoch}-{first.number}", first.units, now_ms + rules.ticket_ms))

    def open(self, member: str, ticket: _Open) -> None:
        self.tickets[member] = ticket
        heappush(self.ends, (ticket.until_ms, member, ticket.id))

    def _may(self, first: _Waiting) -> bool:
        return self.tokens_ms >= 1000 and (self.left or 0) - self.out >= first.units

    def drop(self, member: str) -> _Open | None:
        ticket = self.tickets.pop(member, None)
        self.out -= 0 if ticket is None else ticket.units
        return ticket

    def standing(self, member: str, rules: Rules) -> Standing | None:
        if (ticket := self.tickets.get(member)) is not None:
            return Standing("admitted", ticket=ticket.id, until_ms=ticket.until_ms, units=ticket.units)
        if (place := self.waiting.get(member)) is None:
            return None
        position = place.number - self.called
        wait_s = -(-position // rules.admit_per_s)
        if position > (self.left or 0) - self.out:
            wait_s += -(-rules.ticket_ms // 1000)
        return Standing("sold_out" if self.said < place.units else "waiting", position, wait_s)


class MemoryQueue(Queue):
    """`epoch` draws what tells the tickets of one life of a queue from those of another."""

    def __init__(self, epoch: Callable[[], UUID]) -> None:
        self._epoch = epoch
        self._lines: dict[Line, _Line] = {}

    def _line(self, line: Line) -> _Line:
        found = self._lines.pop(line, None) or _Line(self._epoch().hex[-12:])
        self._lines[line] = found
        if len(self._lines) > LINES:
            del self._lines[next(iter(self._lines))]
        return found

    async def join(self, line: Line, member: str, units: int, now_ms: int, rules: Rules) -> Standing:
        here = self._line(line)
        if here.left is None:
            return Standing("uncounted")
        here.advance(now_ms, rules)
        if member not in here.tickets and member not in here.waiting:
            if here.left - here.out < units and len(here.waiting) >= rules.waiting_most:
                full = here.said >= units
                return Standing("full", wait_s=-(-rules.ticket_ms // 1000)) if full else Standing("sold_out")
            here.arrived += 1
            here.waiting[member] = _Waiting(here.arrived, units, now_ms)
            here.advance(now_ms, rules)
        return await self.look(line, member, now_ms, rules) or AGAIN

    async def look(self, line: Line, member: str, now_ms: int, rules: Rules) -> Standing | None:
        here = self._line(line)
        if here.left is None:
            return Standing("uncounted")
        if (place := here.waiting.get(member)) is not None:
            place.seen_ms = now_ms
        here.advance(now_ms, rules)
        return here.standing(member, rules)

    async def keep(self, line: Line, member: str, ticket: str, until_ms: int) -> None:
        here = self._line(line)
        open_ticket = here.tickets.get(member)
        if open_ticket is not None and open_ticket.id == ticket:
            open_ticket.until_ms = max(until_ms, open_ticket.until_ms)
            here.open(member, open_ticket)

    async def done(self, line: Line, member: str, ticket: str, *, sold: bool) -> None:
        here = self._line(line)
        open_ticket = here.tickets.get(member)
        if open_ticket is not None and open_ticket.id == ticket:
            here.drop(member)
            if sold and here.left is not None:
                here.sold += open_ticket.units
                here.left = max(0, here.left - open_ticket.units)

    async def mark(self, line: Line) -> Mark:
        return (self._line(line).sold,)

    async def count(self, line: Line, left: int, mark: Mark) -> None:
        here = self._line(line)
        here.left, here.said = max(0, left - max(0, here.sold - mark[0])), left
