"""Card numbers in free texts are refused, however they are written; other long numbers are not taken for some."""

from typing import Any

import msgspec
import pytest

from pasar.kernel.free_text import CardNumberGiven, TextBody, has_card_number
from pasar.kernel.messages import decode_untrusted
from pasar.kernel.private import Private
from pasar.vocabulary import Address
from proof import Evidence

# Numbers that the schemes and providers publish for tests.
NUMBERS = (
    "4111111111111111", "4012888888881881", "4222222222222", "4000000000000000006", "5555555555554444",
    "5105105105105100", "2223003122003222", "2720992593319364", "378282246310005", "371449635398431",
    "30569309025904", "38520000023237", "3530111333300000", "6011111111111117", "6011000990139424",
    "6250941006528599", "6200000000000005", "6759649826438453", "9792030000000000",
)  # fmt: skip
OTHERS = (
    "010-1234-5678 010-8765-4321", "+82 10 1234 5678", "0082-10-1234-5678", "CJ 123456789012", "1Z999AA10123456784",
    "9400 1000 0000 0000 0000 00", "order 202603010001", "20260301000123456", "550e8400-e29b-41d4-a716-446655440000",
    "41111111-1111-4111-8111-111111111111", "4111111111111112", "0000000000000000", "4444444444444444",
    "8801234567893 twice", "2026-03-01 12:00:00 2026-03-02", "3333-01-1234567", "bring 4 11 1 boxes", "",
    "37.566512345678, 126.978012345678",
)  # fmt: skip


class Note(TextBody):
    free_texts = ("note", "more", "address")

    note: str = ""
    more: dict[str, Any] = {}
    address: Address | None = None
    reference: str = ""


def written(number: str) -> dict[str, str]:
    fours = [number[at : at + 4] for at in range(0, len(number), 4)]
    own = [number[:4], number[4:10], number[10:]] if len(number) in (14, 15) else fours
    return {
        "in one piece": number,
        "in a sentence": f"please take it from {number}, thanks",
        "spaced": " ".join(own),
        "dashed": "-".join(own),
        "after a number": f"2 times {' '.join(own)}",
        "with long dashes": "\N{EN DASH}".join(own),
        "with hard spaces": "\N{NO-BREAK SPACE}".join(own),
        "by digit": " ".join(number),
        "in wide digits": "".join(chr(0xFEE0 + ord(digit)) for digit in number),
        "in two lines": "\n".join(own),
    }


@pytest.mark.promise("E6")
@pytest.mark.parametrize("number", NUMBERS)
def test_a_card_number_is_seen_however_it_is_written(number: str, proof: Evidence) -> None:
    for how, text in written(number).items():
        proof.attempt()
        assert has_card_number(text), how


@pytest.mark.promise("E6")
@pytest.mark.parametrize("text", OTHERS)
def test_other_long_numbers_are_none(text: str) -> None:
    assert not has_card_number(text)


@pytest.mark.promise("E6")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"note": "4111 1111 1111 1111"}, "/note"),
        ({"more": {"a": [{"b": "4111111111111111"}]}}, "/more"),
        ({"more": {"a": 4111111111111111}}, "/more"),
        ({"more": {"4111111111111111": 1}}, "/more"),
        ({"address": {"recipient": "Kim", "phone": "1", "line1": "4111-1111-1111-1111", "country": "KR"}}, "/address"),
    ],
    ids=lambda case: str(case),
)
def test_a_body_is_refused_before_anything_is_done_with_it(body: dict[str, Any], field: str) -> None:
    with pytest.raises(CardNumberGiven) as refused:
        decode_untrusted(msgspec.json.encode(body), Note)
    assert [error.field for error in refused.value.errors] == [field]
    assert "4111" not in f"{refused.value} {refused.value.errors}"


def test_numbers_with_a_field_of_their_own_are_not_looked_at() -> None:
    home = Address(recipient=Private("Kim"), phone=Private("4111111111111111"), line1=Private("1"), country="KR")
    assert Note(reference="4111111111111111", address=home).reference
