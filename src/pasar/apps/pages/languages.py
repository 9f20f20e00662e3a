"""The languages of pages: which one a visitor gets, its texts, and how it writes money, numbers and dates."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import cached_property
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, format_percent

LANGUAGES = {"ko": "ko", "en": "en", "zh": "zh_Hans_CN", "ar": "ar_AE"}
"""The code in URLs and accounts, and the locale by which Babel writes. Arabic with the digits of the shop's prices."""
TAGS = {"ko": "ko", "en": "en", "zh": "zh-CN", "ar": "ar"}
NAMES = {"ko": "한국어", "en": "English", "zh": "简体中文", "ar": "العربية"}
DEFAULT = "en"


@dataclass(frozen=True)
class Language:
    """One language: its texts and its ways of writing. `code` is what URLs and accounts say."""

    code: str
    texts: NullTranslations

    @property
    def tag(self) -> str:
        """For the attribute `lang`."""
        return TAGS[self.code]

    @cached_property
    def locale(self) -> Locale:
        return Locale.parse(LANGUAGES[self.code])

    @property
    def direction(self) -> str:
        return "rtl" if self.code == "ar" else "ltr"

    def say(self, text: str, **values: object) -> str:
        """A text of the catalogue with its values, for use outside templates."""
        found = self.texts.gettext(text)
        return found % values if values else found

    def money(self, amount: Decimal, currency: str) -> str:
        return format_currency(amount, currency, locale=self.locale)

    def number(self, value: Decimal | int) -> str:
        return format_decimal(value, locale=self.locale)

    def percent(self, share: Decimal | float) -> str:
        """A share of one: 0.25 is 25 %. Small ones with a tenth."""
        rounded = round(Decimal(str(share)), 3 if abs(share) < Decimal("0.1") else 2)
        return format_percent(rounded.normalize(), locale=self.locale, decimal_quantization=False)

    def day(self, at: date, form: str = "medium") -> str:
        return format_date(at, form, locale=self.locale)

    def moment(self, at: datetime, zone: tzinfo, form: str = "medium") -> str:
        return format_datetime(at, form, tzinfo=zone, locale=self.locale)


def load(folders: Sequence[Path]) -> dict[str, Language]:
    """The languages with the texts of all these folders (`<code>.po`). Texts are written in English in the code."""
    return {code: Language(code, _texts([folder / f"{code}.po" for folder in folders])) for code in LANGUAGES}


def _texts(files: Sequence[Path]) -> NullTranslations:
    found = NullTranslations()
    for file in files:
        if file.exists():
            with file.open("rb") as source:
                catalogue = read_po(source)
            compiled = io.BytesIO()
            write_mo(compiled, catalogue)
            compiled.seek(0)
            texts = GNUTranslations(compiled)
            texts.add_fallback(found)
            found = texts
    return found


def preferred(accept_language: str) -> str | None:
    """The best of our languages by the header Accept-Language (RFC 9110 §12.5.4), or None."""
    wishes: list[tuple[float, int, str]] = []
    for number, part in enumerate(accept_language.split(",")[:20]):
        name, _, quality = part.partition(";")
        code = name.strip().split("-")[0].lower()
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if code in LANGUAGES and weight > 0:
            wishes.append((-weight, number, code))
    return min(wishes)[2] if wishes else None
