"""Passwords."""

import asyncio
import time

import pytest
from argon2 import PasswordHasher

from pasar.kernel.passwords import Passwords
from pasar.kernel.web_refusals import Unavailable


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(threads=1, queue=2)


async def test_only_the_right_password_is_right(passwords: Passwords) -> None:
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(kept, "correct horse")
    assert not await passwords.verify(kept, "correct hors")
    assert not await passwords.verify("not a hash", "correct horse")
    assert not await passwords.verify(kept, "x" * 2000)
    with pytest.raises(ValueError, match="1024"):
        await passwords.hash("x" * 2000)


@pytest.mark.promise("D8")
async def test_an_account_that_does_not_exist_takes_as_long(passwords: Passwords) -> None:
    kept = await passwords.hash("right")
    await passwords.verify(None, "warm up")

    async def took(what: str | None) -> float:
        times = []
        for _ in range(5):
            started = time.process_time()
            assert not await passwords.verify(what, "wrong")
            times.append(time.process_time() - started)
        return min(times)

    real, nobody = await took(kept), await took(None)
    assert 0.5 < real / nobody < 2


async def test_weaker_hashes_are_to_be_made_anew(passwords: Passwords) -> None:
    assert passwords.needs_rehash(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x"))
    assert not passwords.needs_rehash(await passwords.hash("x"))


async def test_a_flood_of_sign_ins_is_refused_and_does_not_stop_the_loop(passwords: Passwords) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count())
    results = await asyncio.gather(*(passwords.hash(str(i)) for i in range(6)), return_exceptions=True)
    counting.cancel()
    assert [type(one) for one in results].count(Unavailable) == 3
    assert turns > 5
