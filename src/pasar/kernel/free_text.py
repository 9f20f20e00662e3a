"""Texts that people write as they like, and what must never be among them: the number of a payment card.

Whoever keeps a card number must guard it as PCI DSS says; so none is kept. A body names its free texts, and one with a
card number in them is refused before anything is stored or logged. Numbers that have a field of their own (telephone,
tracking, order, account numbers) are not looked at.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from .messages import Body, FieldError, Refused, Value
from .private import Private

_LINES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad", "-"))
_GROUPED = tuple(
    re.compile(rf"(?<![\w])(?=({groups})(?!\w))")
    for groups in (
        r"\d{13,19}",
        r"\d{4}([ -])\d{4}\2\d{4}\2\d{1,4}(?:\2\d{1,3})?",
        r"\d{4}([ -])\d{4}\2\d{4}\2\d{4}",  # Also where a number of its own follows.
        r"\d{4}([ -])\d{6}\2\d{4,5}",  # American Express and Diners Club write theirs so.
        r"\d(?:([ -])\d)(?:\2\d){11,17}",
    )
)
_ISSUERS = (
    (r"4", (13, 16, 19)),
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
    (r"3[47]", (15,)),
    (r"30[0-5]|309|3[689]", (14, 16, 19)),
    (r"35(?:2[89]|[3-8])|6011|64[4-9]|65|62|81|60|50|5[6-9]|63|67|220[0-4]|9792|9[0-4]", (16, 17, 18, 19)),
)
"""How the numbers of the schemes begin, and how long they are: Visa; Mastercard; American Express; Diners Club; JCB,
Discover, UnionPay, RuPay, Maestro, Mir, Troy, and the domestic cards of Korea (9)."""
_BRANDS = tuple((re.compile(beginning), lengths) for beginning, lengths in _ISSUERS)


class CardNumberGiven(Refused, code=3010, status=422):
    """A payment card's number must not be written here: leave it out. Cards are paid with at the provider's."""


class TextBody(Body):
    """A body with free texts: `free_texts` names the fields. Values within are looked at, however deep."""

    free_texts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        before = cls.__dict__.get("__post_init__")

        def check(self: "TextBody") -> None:
            if before is not None:
                before(self)
            refuse_card_numbers(self)

        cls.__post_init__ = check  # type: ignore[attr-defined]


def refuse_card_numbers(body: TextBody) -> None:
    """Refuses (3010) and names the fields, never what stands in them."""
    wrong = [name for name in body.free_texts if any(map(has_card_number, texts_in(getattr(body, name))))]
    if wrong:
        detail = "holds the number of a payment card; leave it out"
        raise CardNumberGiven(errors=tuple(FieldError(field=f"/{name}", detail=detail) for name in wrong))


def texts_in(value: Any) -> Iterator[str]:
    """All texts and whole numbers within; of a struct that names its own free texts, those only."""
    match value:
        case str():
            yield value
        case bool():
            return
        case int():
            yield str(value)
        case Private() if not value.is_sealed:
            yield value.plain_text
        case dict():
            for name, part in value.items():
                yield from (name, *texts_in(part))
        case list() | tuple():
            for part in value:
                yield from texts_in(part)
        case Value():
            for name in getattr(value, "free_texts", value.__struct_fields__):
                yield from texts_in(getattr(value, name))
        case msgspec.Struct() | _:
            return


def has_card_number(text: str) -> bool:
    """Whether a card's number stands in the text, in one piece or in the groups that people write: it begins as a
    scheme's numbers do, is as long as these are, and its last digit is the right check digit."""
    if sum(map(str.isdecimal, text)) < 13:
        return False
    plain = " ".join(unicodedata.normalize("NFKC", text).translate(_LINES).split())
    for pattern in _GROUPED:
        for found in pattern.finditer(plain):
            digits = re.sub(r"\D", "", found.group(1))
            if any(len(digits) in lengths and brand.match(digits) for brand, lengths in _BRANDS) and luhn(digits):
                return True
    return False


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1), which are not all the same."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 * (number > 9)
    return total % 10 == 0 and len(set(digits)) > 1
