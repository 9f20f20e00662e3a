"""The shop as shoppers see it: what it sells, carts, orders, accounts."""

from pathlib import Path

from pasar.apps.pages.page import Face

from . import account, buying, cart, checkout, drawn, joining, listing, mailbox, orders, product
from .shop import prepare

FACE = Face(
    (listing, product, cart, checkout, buying, orders, joining, account, mailbox, drawn),
    Path(__file__).parent,
    frame="store/base.html",
    styles=("store.css",),
    prepare=prepare,
)
