"""After a journey of people who occur nowhere else, no byte on disk, in logs, metrics or error answers tells of
them."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from journeys.town import Town
from pasar.apps.deployment import Addresses
from pasar.apps.lab.canaries import Canary, Leaked, Searcher, card_numbers, judge, packed, spellings
from pasar.apps.lab.evidence import Evidence
from pasar.apps.lab.target import Caller, Target, order, reaching, until
from pasar.kernel.embedded import EmbeddedServer
from pasar.kernel.embedded_host import find_programs
from pasar.kernel.roles import APP

CARD = "4242424242424242"


@pytest.fixture
def bare_town() -> Iterator[tuple[Town, Path]]:
    """A town on a server of its own, whose every byte may be looked at; and the server's folder."""
    folder = Path(tempfile.mkdtemp(prefix="pasar-canary-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "postgres", settings={"shared_buffers": "64MB", "log_min_duration_statement": "0"})
    address = server.start()
    town = Town(folder / "town", Addresses(address.dsn(), address.dsn(role=APP)), {"PASAR_LOG_LEVEL": "info"})
    try:
        town.start()
        yield town, address.home
    finally:
        town.stop()
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def somebody() -> tuple[dict[str, str], list[Canary]]:
    mark = uuid.uuid4().hex[:10]
    phone = f"+8210{uuid.uuid4().int % 10**8:08}"
    person = {
        "name": f"Canary Zed {mark}", "mail": f"canary.{mark}@example.com", "phone": phone,
        "line1": f"7319 Canary Probe Ave {mark}", "password": f"Canary-{mark}-secret!",
    }  # fmt: skip
    return person, [Canary(what, value) for what, value in person.items()] + [Canary("local number", phone[3:])]


async def live(target: Target, person: dict[str, str], wrong: list[bytes]) -> Caller:
    """Join, save an address, buy, be refused in several ways, sign in and out."""
    address = {
        "recipient": person["name"], "phone": person["phone"], "line1": person["line1"], "city": "Seoul",
        "postal_code": "04524", "country": "KR",
    }  # fmt: skip
    body = {
        "mail": person["mail"], "name": person["name"], "password": person["password"],
        "consents": ["terms:2026-01", "privacy:2026-01"],
    }  # fmt: skip
    made = (await target.ask("POST", "/members", body)).ok()
    who, sku = Caller(made["account"], made["access_token"]), await target.sell(5)
    (await target.ask("POST", "/me/addresses", {"address": address}, who)).ok()
    placed = (await target.ask("POST", "/orders/create", order(who, sku, address=address), who)).ok()
    payment = await target.begin_payment(who, placed["order_no"])
    back = await target.agree(payment)
    told = {"payment_key": back["paymentKey"], "order_id": back["orderId"], "amount": int(back["amount"])}
    (await target.ask("POST", f"/payments/{payment['payment']}/confirm", told, who)).ok()
    for method, path, sent in (
        ("POST", "/members", body),
        ("POST", "/sessions", {"login": person["mail"], "password": person["password"] + "x"}),
        ("POST", "/me/addresses", {"address": {**address, "country": person["name"], "recipient": person["line1"]}}),
        ("POST", "/orders/create", {**order(who, sku, address=address), "surprise": person["phone"]}),
        ("PATCH", "/me", {"name": person["name"], "mobile": person["name"]}),
    ):
        reply = await target.ask(method, path, sent, who)
        assert reply.status >= 400, (path, reply.status)
        wrong.append(reply.body)
    (await target.ask("POST", "/sessions", {"login": person["mail"], "password": person["password"]})).ok()
    return who


async def dump(town: Town, into: Path) -> None:
    programs = find_programs(None, None)
    done = await asyncio.to_thread(
        subprocess.run,
        [str(programs / "pg_dump"), "-f", str(into), town.addresses.owner],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.requirement("S0-112", "S0-113", "S2-096")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.promise("D13", "E1")
async def test_canaries_are_nowhere(bare_town: tuple[Town, Path], proof: Evidence, tmp_path: Path) -> None:
    town, home = bare_town
    async with reaching(town.api, simulators=town.simulators) as target:
        wrong: list[bytes] = []
        canaries: list[Canary] = []
        for _ in range(proof.number(100, 2)):
            person, own = somebody()
            who = await live(target, person, wrong)
            canaries += [*own, Canary("access token", who.token.rpartition(".")[2])]
            proof.attempt()
        await until(town.is_at_rest, "followers at the end of the log")
        metrics = (await target.ask("GET", "/metrics")).body
    connection = await asyncpg.connect(town.addresses.owner)
    await connection.execute("checkpoint")
    await connection.close()
    await dump(town, tmp_path / "dump.sql")
    searcher = Searcher(canaries)
    found = searcher.search_files(
        home, town.folder, tmp_path, but=[town.folder / "simulators", town.folder / "mailbox", town.folder / "mails"]
    )
    # An answer to a refused request may repeat what its own sender has just sent only where it is no secret.
    found += [one for body in wrong for one in searcher.search(body, "an error answer")]
    found += searcher.search(metrics, "/metrics")
    proof.figure("MiB searched", searcher.bytes >> 20)
    assert searcher.bytes > 20 << 20
    judge(found)


@pytest.mark.requirement("S0-113", "S2-097")
@pytest.mark.slow
@pytest.mark.promise("E6")
async def test_card_numbers_are_nowhere(town: Town, target: Target, proof: Evidence) -> None:
    """Wherever a client may try to hand one in, it is refused, and no log keeps it."""
    who, sku = await target.member(), await target.sell(3)
    placed = await target.placed(who, sku)
    tries = (
        ("POST", f"/orders/{placed['order_no']}/payments", {"gateway": "toss", "card_number": CARD}),
        ("POST", f"/orders/{placed['order_no']}/payments", {"gateway": CARD}),
        ("POST", "/orders/create", {**order(who, sku), "card": {"number": CARD, "cvc": "731"}}),
        ("POST", "/orders/create", {**order(who, sku), "metadata": {"note": f"take it from {CARD}"}}),
        ("POST", "/orders/create", {**order(who, sku), "metadata": {"card": int(CARD)}}),
        ("POST", "/orders/create", {**order(who, sku), "metadata": {"note": " ".join(re.findall("....", CARD))}}),
        ("PATCH", "/me", {"name": CARD}),
        (
            "POST",
            f"/orders/{placed['order_no']}/returns",
            {"reason_code": "late", "reason": CARD, "lines": [{"line_id": "1", "quantity": 1}]},
        ),
        ("POST", "/sessions", {"login": CARD, "password": CARD}),
        ("POST", f"/payments/{CARD}/confirm", {"payment_key": CARD, "order_id": CARD, "amount": 1}),
        ("GET", f"/orders/{CARD}", None),
        ("GET", f"/products?cursor={CARD}", None),
    )
    for method, path, body in tries:
        proof.attempt()
        reply = await target.ask(method, path, body, who)
        assert 400 <= reply.status < 500 or reply.code == 2001, (path, reply.status, reply.body)
    logs = b"".join(file.read_bytes() for file in (town.folder / "logs").glob("*.log"))
    assert not has_card(logs)
    assert not has_card((await target.ask("GET", "/metrics")).body)
    connection = await asyncpg.connect(town.addresses.owner)
    rows = await connection.fetch("select data::text, meta::text from kernel.event where at > now() - interval '1 day'")
    await connection.close()
    assert not has_card("\n".join(row["data"] + row["meta"] for row in rows).encode())


def has_card(data: bytes) -> bool:
    """Whether the card is there. Any sixteen digits with a check digit would not do: ids are random."""
    return f"…{CARD[-4:]}" in card_numbers(data)


@pytest.mark.parametrize("encoding", list(spellings("Canary Zed 7q")))
def test_a_canary_is_found_in_every_spelling(encoding: str, tmp_path: Path) -> None:
    canary = Canary("name", "Canary Zed 7q")
    (tmp_path / "log").write_bytes(b"before " + spellings(canary.value)[encoding] + b" after")
    with pytest.raises(Leaked, match="name"):
        judge(Searcher([canary]).search_files(tmp_path))


def test_a_canary_is_found_in_packed_data_and_an_honest_file_passes(tmp_path: Path) -> None:
    searcher = Searcher([Canary("phone", "+82-10-7319-4602")])
    assert list(searcher.search(b"x" * 9 + packed("digits 821073194602"), "file"))
    (tmp_path / "log").write_bytes(os.urandom(100_000) + b"821073194603")
    assert searcher.search_files(tmp_path) == []


def test_a_card_number_is_told_by_its_check_digit() -> None:
    assert card_numbers(b"paid with 4242 4242 4242 4242.") == ["…4242"]
    assert card_numbers(b"378282246310005,5555555555554444") == ["…0005", "…4444"]
    assert card_numbers(b"order 4242424242424241, key 01a22444dd237c668424242424242424242") == []
