"""What is kept of a person is told to them: every field that is marked as personal, and each context's part."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from apps.mall import CANARIES, PAID, UNPAID, Mall, live
from pasar.apps.deployment import opened, prepare, read_settings
from pasar.apps.wiring import contexts, modules
from pasar.contexts.fulfillment.contract import Allocate, Pick
from pasar.contexts.identity import facade_export
from pasar.contexts.identity.contract import AddAddress, ChangePassword, ChangeProfile, Register, SubmitKyc
from pasar.contexts.identity.contract_factor import BeginSecondFactor, ConfirmSecondFactor
from pasar.contexts.ordering import facade as ordering
from pasar.kernel.bus import Bus, Context
from pasar.kernel.messages import Event, decode, encode_for_client, name_of
from pasar.kernel.private import Private, envelopes_in, plan_of
from pasar.vocabulary import Address
from postgres import TestDatabase
from proof import Evidence

LEE = UUID("018f0000-0000-7000-8000-000000000077")
OTHER_OWNERS = {
    "catalog": "a product is a store's",
    "inventory": "units that are kept lapse within the hour; cart and order name the same goods",
}
"""Contexts with streams that have owners, and nothing of a person that is not told elsewhere."""


@pytest.fixture
def mall(tmp_path: Path, database: TestDatabase) -> Mall:
    (tmp_path / "mall").mkdir()
    return Mall(tmp_path / "mall", database)


def marked() -> dict[str, set[str]]:
    """Event → its fields with personal values, of all events of all contexts."""
    contexts()
    found: dict[str, set[str]] = {}
    for kind in _below(Event):
        plan = plan_of(kind) if kind.__module__.startswith("pasar.contexts.") else None
        if plan is not None:
            found[name_of(kind)] = {name for name, _ in plan.fields}
    return found


def _below(kind: type[Event]) -> Iterator[type[Event]]:
    for part in kind.__subclasses__():
        yield part
        yield from _below(part)


@pytest.mark.promise("E3")
def test_every_context_that_is_told_of_people_exports_it(proof: Evidence) -> None:
    telling = {module.name for module in contexts() if module.exports is not None} | {"identity"}
    marks = marked()
    assert {name.partition(".")[0] for name in marks} >= {"identity", "ordering", "fulfillment"}
    for event in marks:
        proof.attempt()
        assert event.partition(".")[0] in telling, f"{event} has personal fields, and its context exports nothing"
    for module in contexts():
        if any(decider.owner is not None for decider in module.deciders):
            assert (module.name in telling) != (module.name in OTHER_OWNERS), module.name


async def _tell_more(bus: Bus, kim: UUID) -> None:
    """Kim uses every field there is, and changes what was said before."""
    placed = (await ordering.order(bus.db, PAID)).placed
    assert placed is not None
    first, second = (
        Address(
            recipient=Private(f"{which} recipient"), phone=Private(f"+8210{number}"), line1=Private(f"{which} street"),
            line2=Private(f"{which} floor"), city="Seoul", country="KR",
        )
        for which, number in (("First", 11112222), ("Second", 33334444))
    )  # fmt: skip
    company = SubmitKyc(
        account=kim, business_number=Private("123-45-67890"), legal_name=Private("Kim Songs"),
        bank_account=Private("KB 110-222-333333"),
    )  # fmt: skip
    pick = Pick(line_id="1", sku="song", quantity=1, warehouse="digital", digital=True)
    for command in (
        AddAddress(account=kim, address_id="home", address=first),
        AddAddress(account=kim, address_id="home", address=second),
        ChangeProfile(account=kim, name=Private("Kim Minji-Sun"), locale="en"),
        ChangePassword(account=kim, password_hash=Private("$argon2id$another")),
        company,
        BeginSecondFactor(account=kim, secret=Private("SECRETSECRETSECRET")),
        ConfirmSecondFactor(account=kim, step=1, recovery=Private("digest-of-codes")),
        Allocate(order_no=PAID, buyer=kim, address=placed.address, picks=(pick,)),
    ):
        await bus.send(command)


def _lee() -> Register:
    """Somebody with a mobile number, which Kim has not."""
    return Register(
        account=LEE, login_digest="a digest", mail=Private("lee@example.com"), name=Private("Lee Soo-jin"),
        mobile=Private("010-5555-7777"), mobile_digest="another", password_hash=Private("$argon2id$lee"), locale="ko",
    )  # fmt: skip


@pytest.mark.requirement("S1-062")
@pytest.mark.promise("E3")
async def test_every_personal_value_of_the_log_is_in_the_export(mall: Mall, proof: Evidence) -> None:
    """Also those that were changed since; but for what proves who somebody is."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mall.environment.items():
            patch.setenv(name, value)
        settings = read_settings()
    await prepare(mall.addresses, modules(settings))
    async with opened(settings, mall.addresses) as deployment:
        bus = deployment.core.bus(Context(principal="test"))
        kim = await live(bus)
        await _tell_more(bus, kim)
        await bus.send(_lee())
        found = await deployment.keys.open_all(await facade_export.export(bus, kim))
        of_lee = await deployment.keys.open_all(await facade_export.export(bus, LEE))
        exported = (encode_for_client(found) + encode_for_client(of_lee)).decode()
        seen: dict[str, set[str]] = {}
        for row in await deployment.database.kernel.fetch("select type, data::text as data from kernel.event"):
            data = decode(row["data"], dict)
            for name, part in data.items():
                for envelope in envelopes_in(part):
                    proof.attempt()
                    seen.setdefault(row["type"], set()).add(name)
                    text = await deployment.keys.open(envelope)
                    assert text
                    assert (text in exported) == (name not in facade_export.NOT_TOLD), (row["type"], name)
        assert seen == marked()
    assert {one.order_no for one in found.others["ordering"]} == {PAID, UNPAID}
    assert [one.order_no for one in found.others["payment"].payments] == [PAID]
    assert [one.order_no for one in found.others["aftersales"]] == [PAID]
    assert set(found.others) == {module.name for module in contexts() if module.exports is not None}
    assert CANARIES[0] in exported
    assert "Kim Minji-Sun" in exported
