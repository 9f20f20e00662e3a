"""Random changes, often right, often nonsense; and the judgement that they must get, written for the eye."""

import json
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from pasar.kernel.commit import Append, Change, Deadline, Key, Posting, Verdict
from pasar.kernel.ledger import Account, Phase, Transfer

NOW = datetime(2030, 1, 1, tzinfo=UTC)
POOLS = [Account(f"pool:{i}", "piece", 0) for i in range(5)] + [Account("pool:5", "piece", -20)]
SUPPLIER = Account("supplier", "piece")
KINDS = ("toy.order", "toy.cart")


def kind_of(stream: str) -> str:
    return KINDS[int(stream[2:]) % 2]


def hold_uuid(actor: int, number: int) -> UUID:
    return UUID(int=(actor << 32) + number)


class Actor:
    """Guesses of versions and holds are often right; twins, repeats and shortages are common."""

    def __init__(self, no: int, seed: int) -> None:
        self.no, self.random, self.holds = no, random.Random(seed), 0
        self.versions: dict[str, int] = {}
        self.past: deque[Change] = deque(maxlen=60)

    def _side(self) -> Account:
        return self.random.choice([*POOLS, SUPPLIER])

    def _hold(self) -> UUID:
        return hold_uuid(self.random.choice((1, 2)), self.random.randint(max(0, self.holds - 60), self.holds))

    def _append(self, stream: str, by: UUID) -> Append:
        r = self.random
        version = self.versions.get(stream, 0) if r.random() < 0.9 else r.randint(0, 3)
        count = r.randint(1, 3)
        events = [("toy.Happened", json.dumps({"n": n, "by": str(by)})) for n in range(count)]
        state = json.dumps({"v": version + count, "by": str(by)})
        claims = []
        if r.random() < 0.3:
            claims.append(("name", f"n{r.randrange(12)}", r.random() < 0.7))
        return Append(kind_of(stream), stream, version, events, state, 1, None, claims)

    def _transfer(self, appends: list[Append]) -> Posting:
        r = self.random
        debit, credit = self._side(), self._side()
        while credit == debit:
            credit = self._side()
        phase = r.choice((Phase.HOLD, Phase.HOLD, Phase.SETTLE, Phase.RELEASE, Phase.MOVE, Phase.MOVE))
        if r.random() < 0.25:
            debit, credit, phase = SUPPLIER, r.choice(POOLS), Phase.MOVE  # Goods arrive.
        event = r.randint(1, sum(len(append.events) for append in appends))
        id = UUID(int=r.getrandbits(128))
        if phase is Phase.HOLD:
            self.holds += 1
            id = hold_uuid(self.no, self.holds)
        if phase in (Phase.HOLD, Phase.MOVE):
            return Posting(event, id, Transfer(phase, "", debit, credit, r.randint(1, 9)), None)
        return Posting(event, id, Transfer(phase, "", amount=r.choice((0, 0, 1, 3))), self._hold())

    def change(self) -> Change:
        r = self.random
        id = UUID(int=r.getrandbits(128))
        if r.random() < 0.08 and self.past:  # A twin: the same key, another attempt.
            twin = r.choice(list(self.past))
            return Change(1, id, NOW, "{}", twin.appends, twin.postings, twin.deadlines, twin.key)
        streams = r.sample(range(30), r.choice((0, 1, 1, 1, 2)))
        appends = [self._append(f"s-{stream}", id) for stream in streams]
        key = None
        if r.random() < 0.5 or not appends:
            digest = bytes([r.randrange(3) // 2]) * 4
            key = Key("p", "r", f"k{r.randrange(4000)}", digest, 200, str(id).encode())
        postings = [self._transfer(appends) for _ in range(r.choice((0, 1, 1, 2, 3, 4)))] if appends else []
        deadlines = [
            Deadline(
                a.kind, a.id, f"t{r.randrange(2)}", NOW if r.random() < 0.7 else None, "toy.Do", f'{{"by":"{id}"}}'
            )
            for a in appends
            if r.random() < 0.3
        ]
        change = Change(1, id, NOW, "{}", appends, postings, deadlines, key)
        if key:
            self.past.append(change)
        return change

    def learn(self, change: Change, verdict: Verdict) -> None:
        if verdict in (Verdict.OK, Verdict.ALREADY):
            self.versions |= {append.id: append.expected + len(append.events) for append in change.appends}


@dataclass
class Model:
    """The same judgement one after the other, on copies: a few lines of dictionaries."""

    versions: Counter[str] = field(default_factory=Counter)
    balances: Counter[str] = field(default_factory=Counter)
    holds: dict[UUID, tuple[str, str, int]] = field(default_factory=dict)
    keys: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    claims: dict[tuple[str, str], str] = field(default_factory=dict)
    floors: dict[str, int | None] = field(default_factory=lambda: {pool.id: pool.floor for pool in POOLS})

    def judge(self, change: Change) -> tuple[Verdict, str | None, bytes | None]:
        if change.key and change.key.key in self.keys:
            digest, body = self.keys[change.key.key]
            return (Verdict.REPLAY, None, body) if digest == change.key.hash else (Verdict.KEY_REUSED, None, None)
        versions, balances = self.versions.copy(), self.balances.copy()
        holds, claims = dict(self.holds), dict(self.claims)
        for append in change.appends:
            if versions[append.id] != append.expected:
                return Verdict.VERSION_CONFLICT, f"{append.kind}-{append.id}", None
            versions[append.id] += len(append.events)
        for append in change.appends:
            for kind, key, take in append.claims:
                owner = f"{append.kind}-{append.id}"
                if not take and claims.get((kind, key)) == owner:
                    del claims[kind, key]
                elif take and claims.setdefault((kind, key), owner) != owner:
                    return Verdict.CLAIMED, f"{kind}:{key}", None
        for posting in change.postings:
            phase, _, debit, credit, amount = posting.transfer
            if debit and credit:
                floor = self.floors.get(debit.id)
                if floor is not None and balances[debit.id] - amount < floor:
                    return Verdict.INSUFFICIENT, debit.id, None
                balances[debit.id] -= amount
                if phase is Phase.MOVE:
                    balances[credit.id] += amount
                else:
                    holds[posting.id] = debit.id, credit.id, amount
            else:
                assert posting.hold
                source, target, left = holds.get(posting.hold, ("", "", 0))
                amount = amount or left
                if not 0 < amount <= left:
                    return Verdict.HOLD_IS_OVER, str(posting.hold), None
                holds[posting.hold] = source, target, left - amount
                balances[target if phase is Phase.SETTLE else source] += amount
        self.versions, self.balances, self.holds, self.claims = versions, balances, holds, claims
        if change.key:
            self.keys[change.key.key] = change.key.hash, change.key.body
        return Verdict.OK, None, None


INVARIANTS = {
    "a live balance is the sum of its journal and not below its floor": """
        with moved as (
            select tenant, debit as id, unit, -amount as balance, case when phase = 1 then amount else 0 end as held
              from kernel.transfer where phase in (1, 4)
            union all
            select tenant, case phase when 3 then debit else credit end, unit, amount, 0
              from kernel.transfer where phase <> 1
            union all
            select tenant, debit, unit, 0, -amount from kernel.transfer where phase in (2, 3)),
        summed as (
            select tenant, id, unit, sum(balance) as balance, sum(held) as held from moved where id <> 'supplier'
             group by 1, 2, 3)
        select * from summed full join kernel.account a using (tenant, id, unit)
         where a.balance is distinct from summed.balance or a.held is distinct from summed.held
            or a.balance < a.floor""",
    "streams have no gap, and their row is the last append": """
        select * from (
            select tenant, kind, stream as id, count(*) as n, min(version) as first, max(version) as last,
                   (array_agg(data ->> 'by' order by version desc))[1] as by
              from kernel.event group by 1, 2, 3) e
          full join kernel.stream s using (tenant, kind, id)
         where s.version is distinct from e.n or first <> 1 or last <> n or (s.state ->> 'v')::int is distinct from last
            or s.state ->> 'by' is distinct from by""",
    "no hold gives more than it has": """
        select h.id from kernel.transfer h left join kernel.transfer t on t.hold = h.id where h.phase = 1
         group by h.tenant, h.id, h.amount, h.remaining having h.amount <> h.remaining + coalesce(sum(t.amount), 0)""",
    "a transfer belongs to an event of its change": """
        select t.id from kernel.transfer t left join kernel.event e on e.position = t.position
         where e.position is null""",
}
