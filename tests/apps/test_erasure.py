"""A person leaves by the command of the operator: unreadable at once, but for what law keeps for its term."""

from pathlib import Path

import pytest

from apps.mall import CANARIES, PAID, START, UNPAID, Mall, live
from pasar.apps.deployment import Deployment, opened, prepare, read_settings
from pasar.apps.wiring import modules
from pasar.kernel.bus import Context
from pasar.kernel.messages import decode
from pasar.kernel.private import envelopes_in
from pasar.kernel.upkeep import Upkeep
from postgres import TestDatabase

pytestmark = pytest.mark.slow


@pytest.fixture
def mall(tmp_path: Path, database: TestDatabase) -> Mall:
    (tmp_path / "mall").mkdir()
    return Mall(tmp_path / "mall", database)


async def _readable(deployment: Deployment) -> set[str]:
    """All texts that today's keys open, in every event and every state."""
    rows = await deployment.database.kernel.fetch(
        """select data::text as kept from kernel.event
            union all select state::text from kernel.stream where state is not null"""
    )
    sealed = [envelope for row in rows for envelope in envelopes_in(decode(row["kept"], dict))]
    return {one.plain_text for one in await deployment.keys.open_all(sealed) if not one.erased}


def _bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.requirement("S1-063", "S2-125")
@pytest.mark.promise("E2")
async def test_who_is_erased_is_read_in_the_vault_alone_and_there_until_the_term_is_over(mall: Mall) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mall.environment.items():
            patch.setenv(name, value)
        settings = read_settings()
    await prepare(mall.addresses, modules(settings))
    async with opened(settings, mall.addresses) as deployment:
        kim = await live(deployment.core.bus(Context(principal="test")))
        assert set(CANARIES) <= await _readable(deployment)
        backup = mall.pasar("backup", str(mall.folder.parent / "backup"))
        assert backup.returncode == 0, backup.stderr

        erased = mall.pasar("erase", str(kim))
        assert erased.returncode == 0, erased.stderr
    async with opened(settings, mall.addresses) as deployment:
        assert await _readable(deployment) == set()
        again = mall.pasar("erase", str(kim))
        assert again.returncode == 0, again.stderr

        kept = mall.pasar("vault", str(kim), "--by", "auditor", "--why", "tax office, 7/2026")
        for part in (
            *CANARIES,
            "98 KRW",
            "out of tune",
            PAID,
            "order, until 2031-03-01",
            "complaint, until 2029-03-01",
        ):
            assert part in kept.stdout, kept.stdout + kept.stderr
        assert UNPAID not in kept.stdout
        assert mall.pasar("vault", str(kim)).returncode != 0
        assert mall.pasar("vault", str(kim), "--by", "", "--why", "").returncode != 0
        read_by = {(by, why) for _, by, why, _ in await deployment.keys.readings(1, kim)}
        assert read_by == {("auditor", "tax office, 7/2026")}

        for folder in (mall.folder, mall.folder.parent / "backup", mall.folder.parent / "backup-keys"):
            assert not [canary for canary in CANARIES if canary.encode() in _bytes_in(folder)]

        upkeep = Upkeep(deployment.core.clock, (deployment.keys.expire_vault, deployment.keys.expire_copies))
        left = {START: {"order", "payment", "complaint"}, START.replace(year=2029, day=2): {"order", "payment"}}
        for at, classes in (left | {START.replace(year=2031, day=2): set()}).items():
            if at > mall.clock.now():
                mall.clock.set(at)
            await upkeep.look()
            found = await deployment.keys.read_vault(1, kim, by="auditor", why="again")
            assert {one.class_ for one in found} == classes
        assert list((mall.folder.parent / "backup-keys").glob("keys-*")) == []


@pytest.mark.promise("E2")
async def test_a_copy_of_the_keys_that_is_older_than_an_erasure_opens_nothing(mall: Mall) -> None:
    """As when a kept backup is restored: the list of erasures beside the store outlives it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mall.environment.items():
            patch.setenv(name, value)
        settings = read_settings()
    await prepare(mall.addresses, modules(settings))
    async with opened(settings, mall.addresses) as deployment:
        kim = await live(deployment.core.bus(Context(principal="test")))
        copy = await deployment.keys.copy_to(mall.folder.parent / "copies")
    assert mall.pasar("erase", str(kim)).returncode == 0
    (mall.folder / "keys" / "keys.sqlite").write_bytes(copy.read_bytes())
    for rest in (mall.folder / "keys").glob("keys.sqlite-*"):
        rest.unlink()
    async with opened(settings, mall.addresses) as deployment:
        assert await _readable(deployment) == set()
