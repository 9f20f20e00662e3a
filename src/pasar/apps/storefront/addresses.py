"""Addresses as people of each country write them: which fields, in which order, and what each must look like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pasar.apps.pages.sentences import mark


@dataclass(frozen=True)
class Part:
    """A field of the form. `name` is that of the stored address."""

    name: str
    label: str
    autocomplete: str
    required: bool = True
    pattern: str = ""
    wrong: str = mark("Please fill this in.")
    hint: str = ""
    wide: bool = True


_RECIPIENT = Part("recipient", mark("Recipient"), "name", wide=False)
_PHONE = Part(
    "phone", mark("Telephone"), "tel", pattern=r"\+?[0-9 ()-]{7,20}", wide=False, wrong=mark("Digits, please.")
)


def _code(label: str, pattern: str, wrong: str) -> Part:
    return Part("postal_code", label, "postal-code", pattern=pattern, wrong=wrong, wide=False)


_LINE2 = Part("line2", mark("Flat, floor, building"), "address-line2", required=False)
FORMS: dict[str, tuple[Part, ...]] = {
    "KR": (
        _RECIPIENT, _PHONE,
        _code(mark("Postal code"), r"[0-9]{5}", mark("Five digits.")),
        Part("city", mark("City or province"), "address-level1", wide=False),
        Part("line1", mark("Road and number"), "address-line1"),
        _LINE2,
    ),
    "CN": (
        _RECIPIENT, _PHONE,
        Part("region", mark("Province"), "address-level1", wide=False),
        Part("city", mark("City"), "address-level2", wide=False),
        Part("line1", mark("District, street and number"), "address-line1"),
        _LINE2,
        _code(mark("Postal code"), r"[0-9]{6}", mark("Six digits.")),
    ),
    "JP": (
        _RECIPIENT, _PHONE,
        _code(mark("Postal code"), r"[0-9]{3}-?[0-9]{4}", mark("Seven digits.")),
        Part("region", mark("Prefecture"), "address-level1", wide=False),
        Part("city", mark("City"), "address-level2"),
        Part("line1", mark("Street and number"), "address-line1"),
        _LINE2,
    ),
    "US": (
        _RECIPIENT, _PHONE,
        Part("line1", mark("Street and number"), "address-line1"),
        _LINE2,
        Part("city", mark("City"), "address-level2", wide=False),
        Part("region", mark("State"), "address-level1", pattern="[A-Za-z]{2}", wrong=mark("Two letters."), wide=False),
        _code(mark("ZIP code"), r"[0-9]{5}(-[0-9]{4})?", mark("Five digits.")),
    ),
    "AE": (
        _RECIPIENT, _PHONE,
        Part("region", mark("Emirate"), "address-level1", wide=False),
        Part("city", mark("Area"), "address-level2", wide=False),
        Part("line1", mark("Street and building"), "address-line1"),
        _LINE2,
    ),
}  # fmt: skip
DEFAULT = "KR"


def country_of(wanted: str, otherwise: str = DEFAULT) -> str:
    return wanted if wanted in FORMS else otherwise


def read(country: str, text: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The address of a form, and what is wrong with it: field → sentence of the catalogue."""
    found: dict[str, Any] = {"country": country}
    wrong: dict[str, str] = {}
    for part in FORMS[country]:
        value = text.get(part.name, "").strip()
        if not value:
            if part.required:
                wrong[part.name] = Part.wrong
            continue
        if len(value) > 100 or (part.pattern and not re.fullmatch(part.pattern, value)):
            wrong[part.name] = part.wrong
        found[part.name] = value
    return found, wrong
