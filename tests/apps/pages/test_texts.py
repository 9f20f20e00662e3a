"""Every text of the pages is in every catalogue, with the same values in it and all its plural forms."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from pasar.apps.faces import FACES
from pasar.apps.pages.languages import load
from pasar.apps.pages.sentences import RETURN_REASONS
from pasar.contexts.aftersales.contract import ReasonCode

METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**.html": {"extensions": "jinja2.ext.do", "newstyle_gettext": "true", "trim_blocks": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None, "say": None}
_VALUES = re.compile(r"%\(\w+\)s")
Text = str | tuple[str, ...]


def texts_of(folder: Path) -> set[Text]:
    found = extract_from_dir(str(folder), method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS)
    return {message if isinstance(message, str) or len(message) > 1 else message[0] for _, _, message, _, _ in found}


def catalogue(file: Path) -> Catalog:
    with file.open("rb") as source:
        return read_po(source)


def catalogues(code: str) -> list[Catalog]:
    return [catalogue(face.folder / "locales" / f"{code}.po") for face in FACES]


@pytest.mark.requirement("S2-122")
@pytest.mark.parametrize("code", ["ko", "zh", "ar"])
def test_every_text_is_translated_and_every_translation_used(code: str) -> None:
    """Faces share their texts, so one catalogue that has it is enough."""
    known, asked = catalogues(code), set().union(*(texts_of(face.folder) for face in FACES))
    assert len(asked) > 300
    missing = sorted(_key(text) for text in asked if not any(_translated(one, text) for one in known))
    assert missing == []
    keys = {_key(text) for text in asked}
    assert [entry.id for one in known for entry in one if entry.id and _key(entry.id) not in keys] == []


def _key(text: object) -> str:
    return str(text[0] if isinstance(text, tuple | list) else text)


def _translated(known: Catalog, text: Text) -> bool:
    entry = known.get(_key(text))
    if entry is None:
        return False
    forms = entry.string if isinstance(entry.string, tuple | list) else (entry.string,)
    return all(forms) and len(forms) == (known.num_plurals if isinstance(text, tuple) else 1)


@pytest.mark.parametrize("code", ["ko", "zh", "ar"])
def test_translations_have_the_values_of_their_texts(code: str) -> None:
    for one in catalogues(code):
        for entry in one:
            if entry.id and isinstance(entry.id, str):
                assert set(_VALUES.findall(entry.id)) == set(_VALUES.findall(str(entry.string))), entry.id


def test_every_reason_of_a_return_has_words() -> None:
    assert set(RETURN_REASONS) == set(get_args(ReasonCode))


def test_plurals_follow_the_rules_of_the_language() -> None:
    languages = load([face.folder / "locales" for face in FACES])
    said = {code: [languages[code].texts.ngettext("One product", "%(num)s products", n) for n in (1, 2, 5, 11)]
            for code in ("en", "ko", "ar")}  # fmt: skip
    assert said["en"] == ["One product", *["%(num)s products"] * 3]
    assert len(set(said["ko"])) == 1
    assert len(set(said["ar"])) == 4


@pytest.mark.requirement("S0-126")
def test_money_and_dates_are_written_as_each_language_does() -> None:
    languages = load([])
    assert languages["ko"].money(Decimal(32000), "KRW") == "₩32,000"
    assert languages["zh"].money(Decimal("168.42"), "CNY") == "¥168.42"
    assert languages["ko"].day(date(2026, 11, 28), "long") == "2026년 11월 28일"
    assert languages["en"].day(date(2026, 11, 28)) == "Nov 28, 2026"
