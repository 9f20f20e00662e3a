"""Locks that save work, and what may be a little old: they hold while all is well, and harm nothing when it is not."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from pasar.kernel.cache import Cache, CacheSettings
from pasar.kernel.locks import LockPort, PostgresLocks, RedisLocks
from pasar.kernel.messages import Value
from pasar.kernel.redis_link import RedisLink
from pasar.kernel.settings import SettingsError, load
from pasar.kernel.store import Database
from postgres import TestDatabase
from servers import OwnRedis, own_redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory):
    with own_redis(Path(tmp_path_factory.mktemp("redis"))) as server:
        yield server


async def one_at_a_time(locks: LockPort) -> None:
    async with locks.attempt("job") as first:
        assert first is not None
        async with locks.attempt("job") as second, locks.attempt("other") as other:
            assert second is None
            assert other is not None
    async with locks.attempt("job") as third:
        assert third is not None
        assert third > first


async def test_a_lock_is_held_by_one_and_its_fence_grows(database: TestDatabase, redis: OwnRedis) -> None:
    kept = Database(database.app_dsn)
    await one_at_a_time(PostgresLocks(kept.connect))
    link = RedisLink(redis.url)
    await one_at_a_time(RedisLocks(link, uuid4))
    await link.close()


async def test_a_lock_that_expired_is_anothers_and_its_old_holder_cannot_give_it_away(redis: OwnRedis) -> None:
    link = RedisLink(redis.url)
    locks = RedisLocks(link, uuid4)
    async with locks.attempt("paused") as old:
        await link.do("DEL", "pasar:lock:{paused}")  # Its time was over.
        async with locks.attempt("paused") as new:
            assert old is not None
            assert new is not None
            assert new > old
            async with locks.attempt("paused") as third:
                assert third is None
    await link.close()


async def test_without_redis_nobody_gets_a_lock() -> None:
    link = RedisLink("redis://127.0.0.1:9/0")
    async with RedisLocks(link, uuid4).attempt("job") as fence:
        assert fence is None


class Page(Value):
    text: str


class Source:
    """The database behind the cache."""

    def __init__(self) -> None:
        self.asked, self.page = 0, Page(text="one")
        self.missing = False

    async def make(self) -> Page | None:
        self.asked += 1
        await asyncio.sleep(0)
        return None if self.missing else self.page


def cache_of(moment: list[float], link: RedisLink | None = None, strategy: str = "product:1000,missing:5000") -> Cache:
    return Cache(CacheSettings(ttl_strategy=strategy), link, lambda: moment[0])


@pytest.mark.requirement("S1-012", "S1-037")
async def test_a_class_is_kept_as_long_as_the_strategy_says_and_what_is_missing_too() -> None:
    moment, source = [0.0], Source()
    cache = cache_of(moment)
    both = await asyncio.gather(*(cache.get("product", "a", Page, source.make) for _ in range(50)))
    assert both == [Page(text="one")] * 50
    assert source.asked == 1, "the first one's question serves all"
    moment[0] = 1.5
    await cache.get("product", "a", Page, source.make)
    assert source.asked == 2
    source.missing = True
    assert [await cache.get("product", "b", Page, source.make) for _ in range(3)] == [None] * 3
    assert source.asked == 3
    moment[0] = 6.0
    await cache.get("product", "b", Page, source.make)
    assert source.asked == 3
    moment[0] = 7.0
    await cache.get("product", "b", Page, source.make)
    assert source.asked == 4
    off = cache_of(moment, strategy="product:0")
    assert [await off.get("product", "a", Page, source.make) for _ in range(2)] == [None, None]
    assert source.asked == 6


async def test_a_failure_is_not_kept() -> None:
    cache, tries = cache_of([0.0]), 0

    async def failing() -> Page | None:
        nonlocal tries
        tries += 1
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await cache.get("product", "a", Page, failing)
    assert tries == 2


async def test_processes_share_what_redis_keeps_and_do_without_it(redis: OwnRedis) -> None:
    link, source = RedisLink(redis.url), Source()
    first, second = cache_of([0.0], link), cache_of([0.0], link)
    assert await first.get("product", "x", Page, source.make) == source.page
    assert await second.get("product", "x", Page, source.make) == source.page
    assert source.asked == 1
    source.page = Page(text="two")
    first.forget("product", "x")
    assert await first.get("product", "x", Page, source.make) == source.page
    await link.do("SET", "pasar:cache:product:y", b"nonsense")
    assert await second.get("product", "y", Page, source.make) == source.page
    redis.stop()
    try:
        assert await second.get("product", "z", Page, source.make) == source.page
    finally:
        redis.start()
        await link.close()


@pytest.mark.parametrize("wrong", ["product", "product:x", "colour:5", "product:-1"])
def test_a_strategy_that_cannot_be_read_stops_the_start(wrong: str) -> None:
    with pytest.raises(SettingsError, match="ttl_strategy"):
        load({"CACHE_TTL_STRATEGY": wrong}, None)
