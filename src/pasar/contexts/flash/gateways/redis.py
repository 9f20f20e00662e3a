"""Queues in Redis, so that several processes admit from one: the rules of `memory.py` in one Lua script, which runs as
one step. A queue's keys share a hash tag, so a cluster keeps them in one slot."""

from collections import deque
from contextlib import suppress
from decimal import Decimal
from typing import Any

from pasar.kernel.redis_link import RedisAway, RedisLink, Script

from ..gateway import AGAIN, UNKNOWN, Line, Mark, Queue, Rules, Standing

STEP = Script("""
local waiting, wants, seen, tickets, ids, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local op, member, now, units, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local rate, ticket_ms, place_ms, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local function number(name) return tonumber(redis.call('HGET', meta, name) or '0') or 0 end
local function write(name, value) redis.call('HSET', meta, name, string.format('%.0f', value)) end
local function drop(who)
    local kept = redis.call('HGET', ids, who)
    redis.call('ZREM', tickets, who)
    redis.call('HDEL', ids, who)
    if not kept then return 0 end
    local taken = tonumber(string.match(kept, '|(%d+)$')) or 0
    write('out', math.max(0, number('out') - taken))
    return taken
end
if op == 'mark' then return {string.format('%.0f', number('sold'))} end
if op == 'count' then
    write('left', math.max(0, units - math.max(0, number('sold') - now)))
    write('said', units)
    redis.call('EXPIRE', meta, 86400)
    return {'counted'}
end
if redis.call('HEXISTS', meta, 'left') == 0 then return {'uncounted'} end
if redis.call('HEXISTS', meta, 'epoch') == 0 then redis.call('HSET', meta, 'epoch', epoch) end
if op == 'keep' or op == 'done' or op == 'sold' then
    local kept = redis.call('HGET', ids, member)
    if not kept or string.match(kept, '^(.*)|') ~= epoch then return {'other'} end
    if op == 'keep' then redis.call('ZADD', tickets, 'GT', string.format('%.0f', now), member) return {'kept'} end
    local taken = drop(member)
    if op == 'sold' then
        write('left', math.max(0, number('left') - taken))
        write('sold', number('sold') + taken)
    end
    return {'done'}
end
local function advance()
    for _, who in ipairs(redis.call('ZRANGEBYSCORE', tickets, '-inf', string.format('%.0f', now), 'LIMIT', 0, 500)) do
        drop(who)
    end
    local left, out, at = number('left'), number('out'), number('at')
    local elapsed = math.max(0, math.min(now - at, 60000))
    local tokens = math.min(math.max(1000, rate * 100), number('tokens') + elapsed * rate)
    for _ = 1, 1000 do
        local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
        local who = first[1]
        if not who then break end
        local wanted = tonumber(redis.call('HGET', wants, who) or '1')
        local stale = tonumber(redis.call('HGET', seen, who) or '0') + place_ms < now
        if not stale and (tokens < 1000 or left - out < wanted) then break end
        redis.call('ZREM', waiting, who)
        redis.call('HDEL', wants, who)
        redis.call('HDEL', seen, who)
        if not stale then
            tokens, out = tokens - 1000, out + wanted
            redis.call('ZADD', tickets, string.format('%.0f', now + ticket_ms), who)
            local id = redis.call('HGET', meta, 'epoch') .. '-' .. string.format('%.0f', first[2])
            redis.call('HSET', ids, who, id .. '|' .. wanted)
        end
    end
    write('out', out) write('tokens', tokens) write('at', math.max(now, at))
end
if redis.call('ZSCORE', waiting, member) then redis.call('HSET', seen, member, string.format('%.0f', now)) end
advance()
local known = redis.call('HEXISTS', ids, member) == 1 or redis.call('ZSCORE', waiting, member)
if op == 'join' and not known then
    if number('left') - number('out') < units and redis.call('ZCARD', waiting) >= most then
        return {number('said') < units and 'sold_out' or 'full'}
    end
    redis.call('ZADD', waiting, redis.call('HINCRBY', meta, 'arrived', 1), member)
    redis.call('HSET', wants, member, units)
    redis.call('HSET', seen, member, string.format('%.0f', now))
    advance()
    for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, 86400) end
end
local kept = redis.call('HGET', ids, member)
if kept then
    local id, wanted = string.match(kept, '^(.*)|(%d+)$')
    return {'admitted', id, redis.call('ZSCORE', tickets, member), wanted}
end
local rank = redis.call('ZRANK', waiting, member)
if not rank then return {'none'} end
local wanted = tonumber(redis.call('HGET', wants, member) or '1')
return {number('said') < wanted and 'sold_out' or 'waiting', rank + 1, number('left') - number('out')}
""")


NO_ANSWER = (RedisAway, ValueError, ArithmeticError, IndexError)
"""It is away, or says what it cannot mean."""


GRACE_S = 3
"""A Redis that is away for less may be slow only: two queues at once would give two tickets for one unit."""
OWED_MOST = 10_000


class RedisQueue(Queue):
    """While Redis is away for longer than a moment, or answers what it cannot mean, `spare` keeps the queues of this
    process."""

    def __init__(self, link: RedisLink, spare: Queue, epoch: Any) -> None:
        self._link, self._spare, self._epoch = link, spare, epoch
        self._owed: deque[tuple[str, Line, str, str]] = deque(maxlen=OWED_MOST)
        """Ends of tickets that Redis has not heard: it would keep their units from others until they lapse."""

    async def _step(
        self, op: str, line: Line, member: str, at_ms: int, units: int = 0, epoch: str = "", rules: Rules | None = None
    ) -> list[Any]:
        keys = [f"pasar:flash:{{{line}}}:{part}" for part in ("waiting", "wants", "seen", "tickets", "ids", "meta")]
        answer = await self._link.run(STEP, keys, op, member, at_ms, units, epoch, *(rules or (1, 1, 1, 1)))
        return [part.decode() if isinstance(part, bytes) else part for part in answer]

    async def join(self, line: Line, member: str, units: int, now_ms: int, rules: Rules) -> Standing:
        try:
            epoch = self._epoch().hex[-12:]
            return _standing(await self._step("join", line, member, now_ms, units, epoch, rules), rules) or AGAIN
        except NO_ANSWER:
            if 0 < self._link.away_s < GRACE_S:
                return AGAIN
            return await self._spare.join(line, member, units, now_ms, rules)

    async def look(self, line: Line, member: str, now_ms: int, rules: Rules) -> Standing | None:
        try:
            epoch = self._epoch().hex[-12:]
            return _standing(await self._step("look", line, member, now_ms, 0, epoch, rules), rules)
        except NO_ANSWER:
            if 0 < self._link.away_s < GRACE_S:
                return AGAIN
            return await self._spare.look(line, member, now_ms, rules)

    async def keep(self, line: Line, member: str, ticket: str, until_ms: int) -> None:
        await self._spare.keep(line, member, ticket, until_ms)
        with suppress(RedisAway):
            await self._step("keep", line, member, until_ms, epoch=ticket)

    async def done(self, line: Line, member: str, ticket: str, *, sold: bool) -> None:
        await self._spare.done(line, member, ticket, sold=sold)
        with suppress(RedisAway):
            await self._end("sold" if sold else "done", line, member, ticket)

    async def _end(self, op: str, line: Line, member: str, ticket: str) -> None:
        try:
            await self._step(op, line, member, 0, epoch=ticket)
        except RedisAway:
            self._owed.append((op, line, member, ticket))
            raise

    async def mark(self, line: Line) -> Mark:
        spare = await self._spare.mark(line)
        try:
            return int((await self._step("mark", line, "", 0))[0]), *spare
        except NO_ANSWER:
            return UNKNOWN, *spare

    async def count(self, line: Line, left: int, mark: Mark) -> None:
        await self._spare.count(line, left, mark[1:])  # So that it knows when it has to stand in.
        if mark[0] == UNKNOWN:
            return
        try:
            await self._step("count", line, "", mark[0], left)
            while self._owed:
                await self._end(*self._owed.popleft())
        except RedisAway:
            return


def _standing(answer: list[Any], rules: Rules) -> Standing | None:
    match answer:
        case ["admitted", ticket, until, units]:
            return Standing("admitted", ticket=str(ticket), until_ms=int(Decimal(str(until))), units=int(units))
        case [("waiting" | "sold_out") as state, position, open_units]:
            wait_s = -(-int(position) // rules.admit_per_s)
            if int(position) > int(open_units):
                wait_s += -(-rules.ticket_ms // 1000)
            return Standing(state, int(position), wait_s)
        case ["full"]:
            return Standing("full", wait_s=-(-rules.ticket_ms // 1000))
        case ["sold_out"]:
            return Standing("sold_out")
        case ["uncounted"]:
            return Standing("uncounted")
        case ["none"]:
            return None
        case _:
            raise ValueError(f"not an answer of the script: {answer}")
