"""What every page of the shop knows: in which channel one shops, the tree of categories, what is in the cart."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic
from typing import Any, TypeVar

from pasar.apps.pages import visits
from pasar.apps.pages.recent import recent
from pasar.apps.pages.visit import Visit
from pasar.contexts.catalog import facade as catalog
from pasar.contexts.catalog.contract import Category, Facet, Shelf, ShelfQuestion
from pasar.contexts.checkout import facade as checkout
from pasar.contexts.notification import facade as notification
from pasar.contexts.platform import facade as platform
from pasar.contexts.platform.contract import Channel, Store
from pasar.kernel.access import Principal
from pasar.kernel.messages import encode
from pasar.kernel.store import Reader

CHANNEL = "channel"
FRESH_S = 2.0
T = TypeVar("T")
MOST = 200


class Plan:
    """Channels, stores and categories, as they were at most two seconds ago: every page needs them."""

    def __init__(self) -> None:
        self._until = 0.0
        self.channels: dict[str, Channel] = {}
        self.stores: dict[str, Store] = {}
        self.categories: Sequence[Category] = ()

    async def refreshed(self, db: Reader) -> "Plan":
        if monotonic() >= self._until:
            self.channels = {one.channel: one for one in await platform.all_channels(db, MOST)}
            self.stores = {one.store: one for one in await platform.all_stores(db, MOST)}
            self.categories = await catalog.categories(db, MOST)
            self._until = monotonic() + FRESH_S
        return self

    def below(self, parent: str | None) -> list[Category]:
        return [one for one in self.categories if one.parent == parent]

    def category(self, code: str | None) -> Category | None:
        return next((one for one in self.categories if one.category == code), None)

    def trail(self, code: str | None) -> list[Category]:
        """From the root to a category."""
        found: list[Category] = []
        while (one := self.category(code)) is not None and one not in found:
            found.insert(0, one)
            code = one.parent
        return found


async def shelf(visit: Visit, asked: ShelfQuestion, limit: int, cursor: str | None = None) -> Shelf:
    """A page of a list, as old as `catalog.listing_fresh_ms` at most."""
    key = visit.who.tenant, encode(asked), limit, cursor
    return await _recent(visit, key, lambda: catalog.shelf_page(visit.db, asked, limit, cursor))


async def facets(visit: Visit, asked: ShelfQuestion) -> tuple[Facet, ...]:
    """What can be chosen in a list, as old as that."""
    return await _recent(visit, (visit.who.tenant, encode(asked)), lambda: catalog.shelf_facets(visit.db, asked))


async def _recent(visit: Visit, key: Any, read: Callable[[], Awaitable[T]]) -> T:
    fresh_ms = visit.core.settings.section("catalog").listing_fresh_ms
    return await recent(visit, key, fresh_ms / 1000, read)


async def prepare(visit: Visit) -> None:
    """Before every page: the plan, the channel, how many units are in the cart."""
    plan = await visit.core.tool(Plan, Plan).refreshed(visit.db)
    chosen = visit.site.sessions.cookie(visit.request, CHANNEL)
    visit.view["plan"] = plan
    visit.view["channel"] = plan.channels.get(chosen or "") or _usual(visit, plan)
    visits.note(visit, channel_code(visit))
    visit.view["name_of"] = lambda category: category_name(visit, category)
    visit.view["has_mailbox"] = notification.has_mailbox(visit.core.settings)
    visit.view["in_cart"] = await units_in_cart(visit)


def _usual(visit: Visit, plan: Plan) -> Channel | None:
    """The channel of the visitor's language; else the one where orders are placed that do not say."""
    fitting = [one for one in plan.channels.values() if one.locale == visit.language.code]
    usual = plan.channels.get(visit.core.settings.section("ordering").default_channel)
    return usual if not fitting or usual in fitting else fitting[0]


async def units_in_cart(visit: Visit) -> int:
    if not visit.who.signed_in or not _has_account(visit.who):
        return 0
    return sum(line.quantity for line in (await checkout.cart(visit.db, visit.account)).lines)


def _has_account(who: Principal) -> bool:
    return who.kind != "system"


def plan_of(visit: Visit) -> Plan:
    return visit.view["plan"]


def channel_code(visit: Visit) -> str:
    """The channel in which this visitor shops."""
    channel: Channel | None = visit.view["channel"]
    return channel.channel if channel is not None else visit.core.settings.section("ordering").default_channel


def in_words(visit: Visit, texts: dict[Any, str], otherwise: str) -> str:
    """A text of the catalog in the visitor's language, else in English, else as it was first written."""
    return texts.get(visit.language.code) or (texts.get("en") if visit.language.code != "ko" else "") or otherwise


def title_of(visit: Visit, shown: Any) -> str:
    """The title of a product or of a line of a list."""
    return in_words(visit, shown.titles, shown.title)


def category_name(visit: Visit, category: Category) -> str:
    return in_words(visit, category.names, category.name)


def question(visit: Visit, **values: Any) -> ShelfQuestion:
    return ShelfQuestion(channel=channel_code(visit), **values)


def sorted_choices(choices: Iterable[str]) -> dict[str, list[str]]:
    """`name=value` by name."""
    found: dict[str, list[str]] = {}
    for one in choices:
        name, _, value = one.partition("=")
        found.setdefault(name, []).append(value)
    return found
