"""What may be a little old: kept in the process (L1), in Redis for all processes (L2), by clients and a CDN (L3, by
`Cached`). Nothing that decides reads from here.

What does not exist is remembered, too, so that made-up ids do not reach the database each time; and of many who ask for
the same at once, the first one's question serves all. `CACHE_TTL_STRATEGY` says how long each class is kept, in
milliseconds: `product:1000,missing:5000`. 0 keeps nothing, and is the default for products: their pages are current
until a shop wants them cheap.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, NamedTuple, TypeVar

from msgspec import Meta, MsgspecError

from .bus import Bus, Core
from .messages import decode, encode
from .redis_link import RedisAway, RedisLink, Script
from .settings import Section, register

T = TypeVar("T")
MISSING = b"-"
DEFAULTS = {"product": 0, "sale": 200, "missing": 2000}
MOST_MS = 86_400_000


class CacheSettings(Section, frozen=True):
    """How long things are kept that may be old."""

    ttl_strategy: Annotated[
        str,
        Meta(
            description="Milliseconds by class: product (pages of products), sale (how sales stand), missing (what "
            "does not exist)."
        ),
    ] = "product:0,sale:200,missing:2000"
    entries: Annotated[int, Meta(ge=1, le=10_000_000, description="Entries that one process keeps.")] = 20_000
    warm_s: Annotated[
        int, Meta(ge=0, le=3600, description="Seconds between two fillings of the caches ahead of demand; 0: none.")
    ] = 30
    warm_pages: Annotated[
        int, Meta(ge=1, le=100_000, description="Pages of products that are made ahead of demand.")
    ] = 200

    def problems(self) -> Iterable[str]:
        try:
            unknown = self.ttls().keys() - DEFAULTS.keys()
        except ValueError:
            yield f"ttl_strategy is {self.ttl_strategy!r}; write it like product:1000,missing:2000"
            return
        if unknown:
            yield f"ttl_strategy knows {', '.join(sorted(DEFAULTS))}, not {', '.join(sorted(unknown))}"

    def ttls(self) -> dict[str, int]:
        """Milliseconds by class, those that are given."""
        given = (part.partition(":") for part in self.ttl_strategy.split(",") if part.strip())
        found = {name.strip(): int(text) for name, _, text in given}
        if any(not 0 <= ms <= MOST_MS for ms in found.values()):
            raise ValueError
        return found


register("cache", CacheSettings, aliases={"CACHE_TTL_STRATEGY": "ttl_strategy"})


class _Kept(NamedTuple):
    until: float
    value: "asyncio.Future[Any]"


_KEEP = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
""")


class Cache:
    """The caches of one process. A key may have variants (a page in each channel): they are kept apart and forgotten
    together."""

    ASKED = 10_000

    def __init__(
        self, chosen: CacheSettings, link: RedisLink | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_ms = {**DEFAULTS, **chosen.ttls()}
        self._most, self._link, self._monotonic = chosen.entries, link, monotonic
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._variants: dict[tuple[str, str], set[str]] = {}
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self.hits = self.misses = 0

    def keeps(self, class_: str) -> bool:
        return self._ttl_ms[class_] > 0

    def max_age_s(self, class_: str) -> int:
        """How long clients and a CDN may keep it."""
        return self._ttl_ms[class_] // 1000

    def most_asked(self, class_: str, most: int) -> list[tuple[str, str]]:
        """Key and variant of what was asked for most of late. What was asked for before counts half."""
        found = [(place[1:], n) for place, n in self._asked.most_common() if place[0] == class_][:most]
        self._asked = Counter({place: n // 2 for place, n in self._asked.items() if n > 1})
        return [place for place, _ in found]

    async def get(
        self, class_: str, key: str, kind: type[T], make: Callable[[], Awaitable[T | None]], variant: str = ""
    ) -> T | None:
        """What is kept, or what `make` finds now; None: there is none, which is kept, too."""
        ttl_ms = self._ttl_ms[class_]
        if not ttl_ms:
            return await make()
        place, now = (class_, key, variant), self._monotonic()
        if place in self._asked or len(self._asked) < self.ASKED:
            self._asked[place] += 1
        kept = self._kept.get(place)
        if kept is not None and (not kept.value.done() or (now < kept.until and kept.value.exception() is None)):
            self.hits += 1
            return await asyncio.shield(kept.value)
        self.misses += 1
        value: asyncio.Future[Any] = asyncio.ensure_future(self._find(place, kind, make))
        value.add_done_callback(_looked_at)
        self._keep(place, _Kept(now + ttl_ms / 1000, value))
        found = await asyncio.shield(value)
        if found is None and self._is_current(place, value):
            self._kept[place] = _Kept(now + self._ttl_ms["missing"] / 1000, value)
        return found

    def _keep(self, place: tuple[str, str, str], kept: _Kept) -> None:
        self._kept.pop(place, None)
        self._kept[place] = kept
        self._variants.setdefault(place[:2], set()).add(place[2])
        if len(self._kept) > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: tuple[str, str, str]) -> None:
        self._kept.pop(place, None)
        variants = self._variants.get(place[:2], set())
        variants.discard(place[2])
        if not variants:
            self._variants.pop(place[:2], None)

    def _is_current(self, place: tuple[str, str, str], value: object) -> bool:
        """Whether it was not forgotten while it was looked for: what was found then may be from before."""
        kept = self._kept.get(place)
        return kept is not None and kept.value is value

    async def _find(
        self, place: tuple[str, str, str], kind: type[T], make: Callable[[], Awaitable[T | None]]
    ) -> T | None:
        class_, key, variant = place
        name = f"pasar:cache:{class_}:{key}"
        if self._link is not None:
            try:
                stored = await self._link.do("HGET", name, variant)
                if stored is not None:
                    return None if stored == MISSING else decode(stored, kind)
            except (RedisAway, ValueError, ArithmeticError, MsgspecError):
                stored = None  # It forgets, or made something up: the database knows.
        found = await make()
        ttl_ms = self._ttl_ms["missing" if found is None else class_]
        if self._link is not None and ttl_ms and self._is_current(place, asyncio.current_task()):
            # Nobody waits for it to be kept.
            value = MISSING if found is None else encode(found)
            self._link.ask(_KEEP.call([name], variant, value, ttl_ms), _KEEP).add_done_callback(_looked_at)
        return found

    def forget(self, class_: str, *keys: str) -> None:
        """They have changed, all variants of them."""
        for key in keys:
            for variant in list(self._variants.get((class_, key), ())):
                self._drop((class_, key, variant))
        if self._link is not None and keys and self.keeps(class_):
            names = (f"pasar:cache:{class_}:{key}" for key in keys)
            self._link.ask(("DEL", *names)).add_done_callback(_looked_at)


def cache_of(tools: Bus | Core) -> Cache:
    """This process's caches; with Redis, in front of those that all share."""

    def make() -> Cache:
        url = tools.settings.section("redis").url
        return Cache(
            tools.settings.section(CacheSettings), tools.tool(RedisLink, lambda: RedisLink(url)) if url else None
        )

    return tools.tool(Cache, make)


def _looked_at(answer: "asyncio.Future[Any]") -> None:
    """A failure that nobody waited for is no news: the next one asks again."""
    if not answer.cancelled():
        answer.exception()
