"""A mall with staff: every context, somebody for each role, and a browser without a screen for each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from apps.pages.visitor import Visitor, site_of
from contexts.ordering.market import Market
from contexts.selling import open_shop
from pasar.apps import wiring
from pasar.apps.pages.site import Site
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import ChangeProfile, Role, SetRoles
from postgres import TestDatabase

PASSWORD = "seven quiet lamps in a row"
PEOPLE: dict[str, tuple[tuple[Role, ...], tuple[str, ...]]] = {
    "seller": (("member", "seller"), ("s1",)),
    "manager": (("member", "manager"), ("s2",)),
    "finance": (("member", "finance"), ()),
    "second": (("member", "finance"), ()),
    "warehouse": (("member", "warehouse"), ()),
    "admin": (("member", "admin"), ()),
    "member": (("member",), ()),
}


class Office:
    def __init__(self, market: Market, site: Site, accounts: dict[str, UUID]) -> None:
        self.market, self.site, self.accounts = market, site, accounts
        self._here: dict[str, Visitor] = {}

    async def as_(self, name: str) -> Visitor:
        """Somebody who has signed in to the console."""
        if name not in self._here:
            visitor = Visitor(self.site)
            await visitor.get("/console/login")
            page = await visitor.send("/console/login", login=f"{name}@example.com", password=PASSWORD)
            assert page.status == 200, page.words
            self._here[name] = visitor
        return self._here[name]


@asynccontextmanager
async def open_office(database: TestDatabase, folder: Path) -> AsyncIterator[Office]:
    async with open_shop(database, folder, wiring.contexts()) as shop:
        await shop.open()
        market = Market(shop)
        await market.open()
        accounts = {}
        for name, (roles, stores) in PEOPLE.items():
            mail = f"{name}@example.com"
            accounts[name] = await identity.ensure_account(shop.bus(), mail, PASSWORD, name.title(), ("member",))
            await shop.bus().send(SetRoles(account=accounts[name], roles=roles, stores=stores))
            await shop.bus().send(ChangeProfile(account=accounts[name], locale="en"))
        await market.stock("apple", 12, price=32_000, title="Fuji apples", titles={"en": "Fuji apples", "ko": "부사"})
        await market.stock("pear", 3, price=45_000, store="s2", title="Shingo pears")
        yield Office(market, site_of(market), accounts)
