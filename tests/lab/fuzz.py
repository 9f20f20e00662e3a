"""`python fuzz.py TARGET -runs=N`: fuzzes one parser by Atheris; ends with 0 when only declared refusals came."""

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import atheris
import msgspec

PARSERS = ("pasar.kernel", "pasar.contexts", "pasar.apps.import_rows", "pasar.vocabulary")

with atheris.instrument_imports(include=[] if sys.argv[1:2] == ["broken"] else list(PARSERS)):
    from pasar.apps.import_rows import CannotImport, read_rows
    from pasar.contexts.inventory.http import NewReceipt
    from pasar.contexts.ordering.bodies import NewOrder
    from pasar.contexts.payment.gateway import GatewayUnavailable, NoticeForged
    from pasar.contexts.payment.gateways.toss import read_object
    from pasar.contexts.pricing.contract import CreateCoupon
    from pasar.kernel.clock import SettableClock
    from pasar.kernel.ids import SeededIds
    from pasar.kernel.messages import Refused, decode_untrusted
    from pasar.kernel.money import BadMoney, minor, rounded, split
    from pasar.kernel.tokens import KeyRing, Tokens
    from pasar.kernel.web_answers import Cursor

DECLARED = (msgspec.MsgspecError, Refused, BadMoney, NoticeForged, GatewayUnavailable, CannotImport)


def money(data: bytes) -> None:
    try:
        amount = Decimal(data[4:].decode("latin-1"))
    except InvalidOperation:
        return
    currency = ("KRW", "CNY", "KWD")[data[0] % 3] if data else "KRW"
    rounded(amount, currency)
    minor(amount, currency)
    split(amount, list(data[:4]) or [1], currency)


def codes(data: bytes) -> None:
    decode_untrusted(data, CreateCoupon)
    decode_untrusted(data, NewReceipt)


def cursors(data: bytes) -> None:
    text = data.decode("latin-1")
    for kind in (str, tuple[datetime, str], int):
        try:
            Cursor.read(text, kind)  # type: ignore[arg-type]
        except Refused:
            continue


def orders(data: bytes) -> None:
    decode_untrusted(data, NewOrder)


def imports(data: bytes) -> None:
    for suffix in (".csv", ".jsonl"):
        file = FOLDER / f"rows{suffix}"
        file.write_bytes(data)
        for _ in read_rows(file, {"title": "title", "sku": "sku"}):
            continue


def notices(data: bytes) -> None:
    read_object(data)


def tokens(data: bytes) -> None:
    TOKENS.verify(data.decode("latin-1"))


def every(data: bytes) -> None:
    """All parsers in turn, for a short run: most of the time goes into the start."""
    for target in (money, codes, cursors, orders, imports, notices, tokens):
        try:
            target(data)
        except DECLARED:
            continue


@atheris.instrument_func
def broken(data: bytes) -> None:
    """A twin: it breaks on what begins with `{"a`."""
    if data[:1] == b"{" and data[1:2] == b'"' and data[2:3] == b"a":
        raise ZeroDivisionError


FOLDER = Path(tempfile.mkdtemp(prefix="pasar-fuzz-"))
_clock = SettableClock(datetime(2026, 3, 1, tzinfo=UTC))
TOKENS = Tokens(KeyRing(FOLDER / "tokens", _clock), _clock, SeededIds(1))
TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (money, codes, cursors, orders, imports, notices, tokens, every, broken)
}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]

    @atheris.instrument_func
    def one(data: bytes) -> None:
        try:
            target(data)
        except DECLARED:
            return

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
