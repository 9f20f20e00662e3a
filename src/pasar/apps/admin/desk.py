"""What every page of the console knows: who works here, what they may open, channels and stores."""

from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from pasar.apps.pages.sentences import mark
from pasar.apps.pages.visit import Visit
from pasar.contexts.platform import facade as platform
from pasar.contexts.platform.contract import Channel, Store
from pasar.kernel.access import Policy, Principal, staff
from pasar.kernel.messages import FieldError, convert
from pasar.kernel.store import Reader
from pasar.kernel.web_errors import UNREADABLE, collect, first_error
from pasar.kernel.web_refusals import InvalidRequest

T = TypeVar("T")

everyone = staff("seller", "manager", "admin", "finance", "warehouse")
sellers = staff("seller", "manager", "admin")
handlers = staff("seller", "manager", "admin", "warehouse")
keepers = staff("warehouse", "admin")
money = staff("finance", "admin")
settled = staff("seller", "manager", "finance", "admin")
admin = staff("admin")
FRESH_S = 2.0
MOST = 500


class Entry(NamedTuple):
    """A page in the navigation."""

    path: str
    label: str
    icon: str
    policy: Policy


class Group(NamedTuple):
    label: str
    entries: tuple[Entry, ...]


NAVIGATION = (
    Group(mark("Today"), (Entry("/console", mark("Dashboard"), "chart", everyone),)),
    Group(
        mark("Selling"),
        (
            Entry("/console/orders", mark("Orders"), "list", everyone),
            Entry("/console/shipping", mark("Shipping"), "truck", handlers),
            Entry("/console/returns", mark("Returns"), "return", everyone),
            Entry("/console/products", mark("Products"), "box", sellers),
            Entry("/console/inventory", mark("Inventory"), "home", handlers),
            Entry("/console/promotions", mark("Promotions"), "coupon", sellers),
        ),
    ),
    Group(
        mark("Money"),
        (
            Entry("/console/payments", mark("Payments"), "card", money),
            Entry("/console/settlement", mark("Settlement"), "coins", settled),
        ),
    ),
    Group(
        mark("Operator"),
        (
            Entry("/console/members", mark("Members"), "person", staff("admin", "finance")),
            Entry("/console/audit", mark("Audit trail"), "shield", admin),
            Entry("/console/system", mark("System"), "gear", admin),
        ),
    ),
)
ROLES = {
    "admin": mark("Administrator"),
    "finance": mark("Finance"),
    "warehouse": mark("Warehouse"),
    "manager": mark("Store manager"),
    "seller": mark("Seller"),
    "member": mark("Member"),
    "guest": mark("Guest"),
    "system": mark("System"),
}


@dataclass
class Mall:
    """Channels and stores as they were at most two seconds ago: every page needs them."""

    channels: dict[str, Channel]
    stores: dict[str, Store]
    until: float = 0.0

    async def refreshed(self, db: Reader) -> "Mall":
        if monotonic() >= self.until:
            self.channels = {one.channel: one for one in await platform.all_channels(db, MOST)}
            self.stores = {one.store: one for one in await platform.all_stores(db, MOST)}
            self.until = monotonic() + FRESH_S
        return self


async def prepare(visit: Visit) -> None:
    """Before every page: what is in the navigation, and the names of things."""
    who = visit.who
    mall = await visit.core.tool(Mall, lambda: Mall({}, {})).refreshed(visit.db)
    groups = [
        Group(group.label, entries)
        for group in NAVIGATION
        if (entries := tuple(one for one in group.entries if one.policy.check(who, {})))
    ]
    visit.view.update(
        mall=mall,
        groups=groups if everyone.check(who, {}) else [],
        here=visit.request.scope["pasar.path"],
        roles=[ROLES[role] for role in ROLES if role != "member" and (role == who.kind or role in who.roles)],
        own_stores=own_stores(visit),
        now=visit.core.clock.now(),
        words=lambda texts, otherwise: texts.get(visit.language.code) or otherwise,
        may=lambda *roles: who.has(*roles),
    )


def mall_of(visit: Visit) -> Mall:
    return visit.view["mall"]


def scope(who: Principal) -> frozenset[str] | None:
    """The stores whose goods somebody may see and change; None: all."""
    return None if who.has("admin") else who.stores


def own_stores(visit: Visit) -> list[Store]:
    """The stores that somebody works for, open ones; for administrators all."""
    stores, mine = visit.core.tool(Mall, lambda: Mall({}, {})).stores.values(), scope(visit.who)
    return [one for one in stores if one.is_open and (mine is None or one.store in mine)]


def channel_of(visit: Visit) -> Channel | None:
    """The channel whose prices lists show: the one asked for, else the usual one."""
    channels = mall_of(visit).channels
    asked = visit.request.query_params.get("channel", "")
    usual = visit.core.settings.section("ordering").default_channel
    return channels.get(asked) or channels.get(usual) or next(iter(channels.values()), None)


def masked(text: str) -> str:
    """Enough of something personal to recognise it: the first letter, and for a mail address its domain's."""
    if not text:
        return ""
    if "@" in text:
        name, _, domain = text.partition("@")
        return f"{name[:1]}•••@{domain[:1]}•••"
    digits = sum(letter.isdigit() for letter in text)
    return f"•••{text[-3:]}" if digits > 6 else f"{text[:1]}••"


def plain(private: Any) -> str:
    """What is in a private value that was opened; empty where there is none any more."""
    return "" if private is None or private.erased else private.plain_text


def checked(values: dict[str, Any], kind: type[T]) -> T:
    """Texts of a form as a command or body; refuses with every field that is wrong."""
    try:
        return convert(values, kind, strict=False)
    except UNREADABLE as error:
        found = collect(values, kind, strict=False) or (first_error(error),)
        named = tuple(FieldError(field=one.field.strip("/"), detail=one.detail) for one in found)
        raise InvalidRequest(errors=named) from None
