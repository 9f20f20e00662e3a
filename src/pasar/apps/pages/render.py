"""Templates: one environment a language, and what every template may use."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jinja2

from .assets import Assets
from .languages import LANGUAGES, NAMES, TAGS, Language
from .sentences import status_words

if TYPE_CHECKING:
    from .visit import Visit

FOLDER = Path(__file__).parent / "templates"


class Templates:
    """Renders pages. A template sees `visit`, what its handler gives, and the globals below."""

    def __init__(self, folders: Sequence[Path], languages: Mapping[str, Language], assets: Assets, zone: str) -> None:
        self._environments = {
            code: _environment(folders, language, assets, ZoneInfo(zone)) for code, language in languages.items()
        }

    def render(self, name: str, visit: "Visit", values: Mapping[str, Any]) -> str:
        template = self._environments[visit.language.code].get_template(name)
        return template.render(visit=visit, **values)


def _environment(folders: Sequence[Path], language: Language, assets: Assets, zone: ZoneInfo) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n", "jinja2.ext.do"], auto_reload=False,
    )  # fmt: skip
    made.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined]

    def moment(at: datetime, form: str = "medium") -> str:
        return language.moment(at, zone, form)

    def day(at: datetime, form: str = "medium") -> str:
        return language.day(at.astimezone(zone) if isinstance(at, datetime) else at, form)

    made.globals.update(
        language=language,
        languages=[(code, TAGS[code], NAMES[code]) for code in LANGUAGES],
        asset=assets.url,
        has_asset=assets.has,
        status_words=status_words,
    )
    made.filters.update(
        money=lambda amount, currency: language.money(Decimal(amount), currency),
        number=language.number,
        percent=language.percent,
        moment=moment,
        day=day,
        words=lambda text: language.texts.gettext(text),
    )
    return made
