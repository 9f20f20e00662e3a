"""What catalog shows: the product list, the prices in it, the tree of categories."""

from decimal import Decimal
from typing import Any, NamedTuple

from pasar.accounts import pool
from pasar.contexts.pricing.contract import PriceSet
from pasar.kernel.messages import decode
from pasar.kernel.store import Reader
from pasar.kernel.views import View
from pasar.kernel.web import Cursor

from .contract import (
    CategoryCreated,
    Facet,
    GridQuestion,
    GridRow,
    ProductChanged,
    ProductCreated,
    ProductStateSet,
    Shelf,
    ShelfItem,
    ShelfQuestion,
    SkuAdded,
    SkuRow,
    Texts,
)
from .search import PAIRS_SQL, pairs

listing = View(
    table="catalog.listing",
    key="product",
    columns="""product uuid, rank bigint not null, store text collate "C" not null, title text not null,
        category text collate "C", picture text, state text collate "C" not null, skus text[] not null""",
    on={
        ProductCreated: """
            insert into catalog.listing (product, rank, store, title, category, picture, state, skus)
            values (%(product)s, %(position)s, %(store)s, %(title)s, %(category)s, %(media)s::jsonb -> 0 ->> 'url',
                    %(state)s, array(select each ->> 'sku' from jsonb_array_elements(%(skus)s::jsonb)
                                     with ordinality x (each, no) order by no))""",
        ProductChanged: """
            update catalog.listing
               set title = %(title)s, category = %(category)s, picture = %(media)s::jsonb -> 0 ->> 'url'
             where product = %(product)s""",
        SkuAdded: """
            update catalog.listing set skus = skus || (%(sku)s::jsonb ->> 'sku') where product = %(product)s""",
        ProductStateSet: "update catalog.listing set state = %(state)s where product = %(product)s",
    },
    indexes=("(tenant, state, rank desc)", "(tenant, store, rank desc)", "(tenant, category, rank desc)"),
)
"""`rank` is where the product was created in the log: the newest first. Prices and stock are joined when it is read."""

listed_prices = View(
    table="catalog.listed_price",
    key="sku, channel",
    columns="""sku text collate "C", channel text collate "C", currency text not null, price numeric not null,
        compare_at numeric""",
    on={
        PriceSet: """
            insert into catalog.listed_price (sku, channel, currency, price, compare_at)
            values (%(sku)s, %(channel)s, %(currency)s, %(price)s, %(compare_at)s)
            on conflict (tenant, sku, channel) do update
               set currency = excluded.currency, price = excluded.price, compare_at = excluded.compare_at""",
    },
)
"""Apart from the list, as prices may be heard before their product. For browsing; checkout asks pricing."""

categories = View(
    table="catalog.category",
    key="category",
    columns="""category text collate "C", parent text collate "C", name text not null, names jsonb not null,
        position int not null""",
    on={
        CategoryCreated: """
            insert into catalog.category (category, parent, name, names, position)
            values (%(category)s, %(parent)s, %(name)s, %(names)s, %(position)s)""",
    },
    indexes=("(tenant, parent)",),
)


_ALL_TITLES = """concat_ws(' ', %(title)s::text, %(titles)s::jsonb ->> 'ko', %(titles)s::jsonb ->> 'zh',
                           %(titles)s::jsonb ->> 'en', %(titles)s::jsonb ->> 'ar')"""
_TAGS = """array(select t.key || '=' || t.value from jsonb_each_text(%(attributes)s::jsonb) t
                  order by t.key collate "C" limit 40)"""
shelf = View(
    table="catalog.shelf",
    key="product",
    columns="""product uuid, rank bigint not null, store text collate "C" not null, category text collate "C",
        state text collate "C" not null, title text not null, titles jsonb not null, picture text, skus text[] not null,
        choices text[] not null, tags text[] not null, pairs text[] not null""",
    on={
        ProductCreated: f"""
            insert into catalog.shelf (product, rank, store, category, state, title, titles, picture, skus, choices,
                                       tags, pairs)
            values (%(product)s, %(position)s, %(store)s, %(category)s, %(state)s, %(title)s, %(titles)s,
                    %(media)s::jsonb -> 0 ->> 'url',
                    array(select each ->> 'sku' from jsonb_array_elements(%(skus)s::jsonb)
                          with ordinality x (each, no) order by no),
                    array(select (o.one ->> 'name') || '=' || v.one
                            from jsonb_array_elements(%(options)s::jsonb) with ordinality o (one, no),
                                 jsonb_array_elements_text(o.one -> 'values') with ordinality v (one, no)
                           order by o.no, v.no),
                    {_TAGS}, {PAIRS_SQL.format(text=_ALL_TITLES)})""",
        ProductChanged: f"""
            update catalog.shelf
               set title = %(title)s, titles = %(titles)s, category = %(category)s, tags = {_TAGS},
                   picture = %(media)s::jsonb -> 0 ->> 'url', pairs = {PAIRS_SQL.format(text=_ALL_TITLES)}
             where product = %(product)s""",
        SkuAdded: """
            update catalog.shelf set skus = skus || (%(sku)s::jsonb ->> 'sku') where product = %(product)s""",
        ProductStateSet: "update catalog.shelf set state = %(state)s where product = %(product)s",
    },
    indexes=("(tenant, state, rank desc)", "using gin (pairs)", "(tenant, category, rank desc)"),
)
"""What shoppers look through: titles in all languages as pairs of letters, what can be chosen, what is said of goods.
`choices` and `tags` are `name=value`."""

_POOL = pool("").id
# By key, with `offset 0`: under row-level security a planner does not look up by a text that it must put together.
LEFT = f"""(select balance from kernel.account
              where (tenant, id, unit) = ($1, '{_POOL}' || s.sku, 'promise') offset 0)"""
BELOW = """
    and l.category = any (array(
        with recursive tree (category) as (
            select ${0}::text collate "C"
             union select c.category from catalog.category c join tree t on c.parent = t.category where c.tenant = $1)
        select category from tree))"""
_LEAST_SHARE = "0.5"
"""So much of the pairs of what was asked must be in a title, and three quarters of what the best one has."""
_FITS = f"""
    select l.*, s.share from catalog.shelf l
     cross join lateral (
            select case when cardinality($3::text[]) = 0 then 1
                        else (select count(*) from unnest($3::text[]) one where one = any (l.pairs))::numeric
                             / cardinality($3::text[]) end as share) s
     where l.tenant = $1 and l.state = 'on_sale' and (cardinality($3::text[]) = 0 or l.pairs && $3::text[])
       and s.share >= {_LEAST_SHARE} {{}}"""
_PRICED = f"""
    select f.*, p.price, p.compare_at, p.dearest, p.currency, coalesce(p.available, 0)::bigint as available,
           max(f.share) over () as best
      from fits f
     cross join lateral (
            select min(t.price) as price, max(t.compare_at) as compare_at, max(t.price) as dearest,
                   min(t.currency) as currency, max(a.balance) as available
              from unnest(f.skus) s (sku)
              left join catalog.listed_price t on t.tenant = $1 and t.sku = s.sku and t.channel = $2::text
              left join lateral {LEFT} a on true) p
     where p.price is not null"""
_ORDER = {"best": "-share", "new": "0", "cheap": "price", "dear": "-price"}


class _Place(NamedTuple):
    """Where a page of the shelf ended."""

    key: Decimal
    rank: int


class _Asked:
    """The parameters of a question and the SQL that they narrow."""

    def __init__(self, tenant: int, question: ShelfQuestion) -> None:
        words = pairs(question.words)
        if question.unfinished and words:
            words = words[:-1]  # The pair that says that the last word ends there.
        self.arguments: list[Any] = [tenant, question.channel, words]
        fits = ""
        if question.store is not None:
            fits += f" and l.store = {self._add(question.store)}"
        if question.category is not None:
            self.arguments.append(question.category)
            fits += BELOW.format(len(self.arguments))
        self.fits = f"with fits as ({_FITS.format(fits)}), priced as ({_PRICED})"

    def _add(self, value: Any) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def narrowed(self, question: ShelfQuestion) -> str:
        """What of all that fits is wanted."""
        wanted = "share >= 0.75 * best"
        for group in question.chosen:
            stores = [one.removeprefix("store=") for one in group if one.startswith("store=")]
            values = self._add(list(group))
            wanted += f" and (choices && {values}::text[] or tags && {values}::text[]"
            wanted += f" or store = any ({self._add(stores)}::text[]))"
        if question.price_from is not None:
            wanted += f" and price >= {self._add(question.price_from)}::numeric"
        if question.price_to is not None:
            wanted += f" and price <= {self._add(question.price_to)}::numeric"
        return wanted + (" and available > 0" if question.in_stock else "")

    def after(self, place: _Place | None) -> str:
        if place is None:
            return ""
        return f"where (key, -rank) > ({self._add(place.key)}::numeric, -{self._add(place.rank)}::bigint)"


async def shelf_page(db: Reader, question: ShelfQuestion, limit: int, cursor: str | None) -> Shelf:
    """A page of what a shopper looks for, and where the next begins."""
    asked, place = _Asked(db.tenant, question), Cursor.read(cursor, _Place)
    wanted = asked.narrowed(question)
    rows = await db.fetch(
        f"""{asked.fits}, wanted as (
            select *, ({_ORDER[question.sort]})::numeric as key, count(*) over () as total from priced where {wanted})
            select product, store, category, title, titles::text as titles, picture, price, compare_at, dearest,
                   currency, available, choices, key, rank, total
              from wanted {asked.after(place)} order by key, rank desc limit {int(limit) + 1}""",
        *asked.arguments,
    )
    items = tuple(_item(row) for row in rows[:limit])
    following = Cursor.write(_Place(rows[limit - 1]["key"], rows[limit - 1]["rank"])) if len(rows) > limit else None
    return Shelf(items=items, total=rows[0]["total"] if rows else 0, next=following)


def _item(row: Any) -> ShelfItem:
    return ShelfItem(
        product=row["product"],
        store=row["store"],
        category=row["category"],
        title=row["title"],
        titles=decode(row["titles"], Texts),
        picture=row["picture"],
        price=row["price"],
        compare_at=row["compare_at"],
        currency=row["currency"],
        dearest=row["dearest"],
        sold_out=row["available"] <= 0,
        units_left=max(0, row["available"]),
        choices=tuple(row["choices"]),
    )


MOST_FACETS = 120


async def shelf_facets(db: Reader, question: ShelfQuestion) -> tuple[Facet, ...]:
    """What can be chosen among all that fits words, category and store, the most frequent first."""
    asked = _Asked(db.tenant, question)
    rows = await db.fetch(
        f"""{asked.fits}
            select facet, count(*) as products
              from priced, lateral unnest(choices || tags || ('store=' || store)) facet
             where share >= 0.75 * best group by facet order by 2 desc, 1 limit {MOST_FACETS}""",
        *asked.arguments,
    )
    split = ((row["facet"].partition("="), row["products"]) for row in rows)
    return tuple(Facet(name=name, value=value, products=products) for (name, _, value), products in split)


_MATCHES = f"""(cardinality($3::text[]) = 0 and $4 = ''
    or exists (select from unnest(l.skus) s where starts_with(s, $4))
    or cardinality($3::text[]) > 0 and (select count(*) from unnest($3::text[]) one where one = any (l.pairs))::numeric
       / greatest(cardinality($3::text[]), 1) >= {_LEAST_SHARE})"""


def _words(question: GridQuestion) -> tuple[list[str], str]:
    found = pairs(question.words)
    return found[:-1] if len(found) > 1 else found, question.words.strip()


async def grid(
    db: Reader, question: GridQuestion, channel: str | None, limit: int, cursor: str | None
) -> tuple[list[GridRow], str | None]:
    """A page of products as those who sell them look for them, the newest first."""
    stores = None if question.stores is None else sorted(question.stores)
    arguments: list[Any] = [db.tenant, stores, *_words(question), channel, Cursor.read(cursor, int), limit + 1]
    narrow = ""
    if question.state is not None:
        arguments.append(question.state)
        narrow += f" and l.state = ${len(arguments)}"
    if question.category is not None:
        arguments.append(question.category)
        narrow += BELOW.format(len(arguments))
    rows = await db.fetch(
        f"""select l.rank, l.product, l.store, l.title, l.titles::text as titles, l.category, l.picture, l.state,
                   l.skus, p.price, p.dearest, p.currency, p.available
              from catalog.shelf l
             cross join lateral (
                    select min(t.price) as price, max(t.price) as dearest, min(t.currency) as currency,
                           coalesce(sum(a.balance), 0)::bigint as available
                      from unnest(l.skus) s (sku)
                      left join catalog.listed_price t on t.tenant = $1 and t.sku = s.sku and t.channel = $5::text
                      left join lateral {LEFT} a on true) p
             where l.tenant = $1 and ($2::text[] is null or l.store = any ($2)) and {_MATCHES}
               and ($6::bigint is null or l.rank < $6) {narrow}
             order by l.rank desc limit $7""",
        *arguments,
    )
    items = [
        GridRow(**{**{k: v for k, v in row.items() if k != "rank"}, "titles": decode(row["titles"], Texts),
                   "skus": tuple(row["skus"])})
        for row in rows[:limit]
    ]  # fmt: skip
    return items, Cursor.write(rows[limit - 1]["rank"]) if len(rows) > limit else None


async def stock_list(
    db: Reader, question: GridQuestion, *, at_most: int | None, limit: int, cursor: str | None
) -> tuple[list[SkuRow], str | None]:
    """SKUs by their codes, with what is left of each; with `at_most`, those of which so many or fewer are left."""
    stores = None if question.stores is None else sorted(question.stores)
    rows = await db.fetch(
        f"""select s.sku, l.product, l.store, l.title, l.state, coalesce(a.balance, 0)::bigint as available,
                   coalesce(a.held, 0)::bigint as held
              from catalog.shelf l
             cross join unnest(l.skus) s (sku)
              left join lateral (select balance, held from kernel.account
                                  where (tenant, id, unit) = ($1, '{_POOL}' || s.sku, 'promise') offset 0) a on true
             where l.tenant = $1 and ($2::text[] is null or l.store = any ($2)) and {_MATCHES}
               and ($5::text is null or l.state = $5) and ($6::text is null or s.sku > $6)
               and ($7::bigint is null or coalesce(a.balance, 0) <= $7)
             order by s.sku limit $8""",
        *(db.tenant, stores, *_words(question), question.state, Cursor.read(cursor, str), at_most, limit + 1),
    )
    items = [SkuRow(**dict(row)) for row in rows[:limit]]
    return items, Cursor.write(items[-1].sku) if len(rows) > limit else None
