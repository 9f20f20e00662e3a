"""The console as those who run the mall see it: sellers their stores, staff what their role is about."""

from pathlib import Path

from pasar.apps.pages.page import Face

from . import (
    audit,
    dashboard,
    inventory,
    members,
    money_trail,
    order_acts,
    orders,
    payments,
    product_files,
    product_form,
    products,
    promotions,
    returns,
    search,
    security,
    settlement,
    shipping,
    sign_in,
    system,
)
from .desk import prepare

FACE = Face(
    (
        sign_in,
        dashboard,
        orders,
        order_acts,
        money_trail,
        shipping,
        returns,
        products,
        product_form,
        product_files,
        inventory,
        payments,
        promotions,
        members,
        settlement,
        audit,
        system,
        search,
        security,
    ),
    Path(__file__).parent,
    home="/console",
    frame="console/base.html",
    styles=("console.css",),
    scripts=("console.js",),
    login="/console/login",
    prepare=prepare,
)
