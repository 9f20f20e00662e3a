"""What mails say, in the language of who reads them: from facts to subject, text and HTML.

The sentences here are English and the keys of the catalogues in `texts/` (gettext). `{order_no}` and the like are
facts; an amount and an instant are written as the language writes them.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_currency
from jinja2 import DictLoader, Environment, select_autoescape

from .contract import Template

LANGUAGES = ("en", "ko", "zh", "ar")
GREETING = "Hello {name},"
CLOSING = "Your {shop}"


class Wording(NamedTuple):
    """Subject and paragraphs; a paragraph that names a fact which is absent is left out."""

    subject: str
    paragraphs: tuple[str, ...]


WORDINGS: dict[Template, Wording] = {
    "order_placed": Wording("Your order {order_no}", ("We have received your order {order_no}.",)),
    "order_paid": Wording(
        "Thank you for your order {order_no}",
        ("Your payment of {amount} for order {order_no} has arrived.", "We will write again when it is on its way."),
    ),
    "order_canceled": Wording(
        "Your order {order_no} is cancelled",
        ("Your order {order_no} was cancelled.", "The {refund} that you paid will be given back to you."),
    ),
    "order_shipped": Wording(
        "Your order {order_no} is on its way",
        ("A parcel of your order {order_no} is on its way.", "Carrier: {carrier}", "Tracking number: {tracking_no}"),
    ),
    "order_delivered": Wording(
        "Your order {order_no} was delivered",
        ("A parcel of your order {order_no} was delivered on {at}.", "Is anything wrong with it? Please tell us."),
    ),
    "refund_done": Wording(
        "Your refund for order {order_no}", ("We have given {amount} back to you for order {order_no}.",)
    ),
    "late_payment": Wording(
        "Your payment for order {order_no} came too late",
        ("Your payment of {amount} arrived after order {order_no} had been cancelled.", "We return all of it to you."),
    ),
    "settlement_paid": Wording(
        "Settlement {settlement}",
        (
            "The settlement {settlement} of your store {store} is booked: {amount} for {orders} orders.",
            "Of what you were due, {debt} was kept for earlier refunds.",
        ),
    ),
}


class Written(NamedTuple):
    subject: str
    text: str
    html: str


_HTML = """<!doctype html>
<html lang="{{ language }}" dir="{{ direction }}">
<head><meta charset="utf-8"><title>{{ subject }}</title></head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 40em; margin: 2em auto; padding: 0 1em">
{% for paragraph in paragraphs %}<p>{{ paragraph }}</p>
{% endfor %}</body>
</html>
"""
_environment = Environment(
    loader=DictLoader({"letter.html": _HTML}), autoescape=select_autoescape(default=True, default_for_string=True)
)
_page = _environment.get_template("letter.html")


def sentences() -> list[str]:
    """Every text that a catalogue must have."""
    found = [GREETING, CLOSING]
    for wording in WORDINGS.values():
        found += [wording.subject, *wording.paragraphs]
    return list(dict.fromkeys(found))


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """English → that language."""
    if language == "en":
        return {text: text for text in sentences()}
    with (files("pasar.contexts.notification") / "texts" / f"{language}.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file, locale=language) if entry.id}


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


def write(
    template: Template, facts: Mapping[str, str], *, name: str, language: str, shop: str, time_zone: str
) -> Written:
    """A mail of these facts. Names and facts are text wherever they stand: the page escapes them, and a subject with
    a line break is refused when the header is made."""
    texts = catalogue(language)
    shown = _shown(facts, language, time_zone) | {"name": name or shop, "shop": shop}
    wording = WORDINGS[template]
    subject = texts[wording.subject].format_map(shown)
    kept = (text for text in wording.paragraphs if _has_facts(text, shown))
    paragraphs = [texts[text].format_map(shown) for text in (GREETING, *kept, CLOSING)]
    direction = "rtl" if _locale(language).character_order == "right-to-left" else "ltr"
    html = _page.render(subject=subject, paragraphs=paragraphs, language=language, direction=direction)
    return Written(subject, "\n\n".join(paragraphs) + "\n", html)


def _has_facts(text: str, shown: Mapping[str, str]) -> bool:
    return all(name in shown for name in fields_of(text))


@cache
def fields_of(text: str) -> frozenset[str]:
    """The facts that a sentence names."""
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)


def _shown(facts: Mapping[str, str], language: str, time_zone: str) -> dict[str, str]:
    shown = dict(facts)
    currency = facts.get("currency")
    if currency is not None:
        for name in ("amount", "refund", "debt"):
            if name in shown:
                shown[name] = format_currency(Decimal(shown[name]), currency, locale=_locale(language))
    if "at" in shown:
        at = datetime.fromisoformat(shown["at"])
        shown["at"] = format_datetime(at, "medium", tzinfo=ZoneInfo(time_zone), locale=_locale(language))
    return shown
