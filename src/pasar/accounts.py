"""The chart of accounts: all that is counted, on one page. A floor (0) is a promise that the database keeps.

Goods are counted on two planes that never mix. *Promises* (unit `promise`): what may still be sold, what is held for
carts and orders, what is sold. *Pieces* (unit `piece`): what lies in a warehouse, by batch, and where it went. For
every SKU: Σ stock = pool + pools of its sales + held + sold − shortfall; and for every batch of it the same with the
batch's accounts. Blocked pieces promise nothing.
"""

from pasar.kernel.ledger import Family
from pasar.refusals import (
    CouponExhausted,
    CouponLimitReached,
    InsufficientPoints,
    InsufficientStock,
    NotAllocatable,
    NotThatMuchThere,
    PayableTooSmall,
    RefundAboveCaptured,
    ReturnAboveBought,
    SaleLimitReached,
    ShortfallIsSmaller,
    TooManyHolds,
)

# Promises.
promises = Family("promises", unit="promise", meaning="(sku) where promises come from and, once allocated, go back to")
pool = Family("pool", unit="promise", floor=0, refusal=InsufficientStock, meaning="(sku) units that may still be sold")
batch_pool = Family(
    "batch_pool",
    unit="promise",
    floor=0,
    refusal=InsufficientStock,
    meaning="(sku, batch) of these, units of one batch, for buyers who name it; counted beside the pool, not in it",
)
batch_promises = Family("batch_promises", unit="promise", meaning="(sku, batch) the other side of batch pools")
sold = Family(
    "sold", unit="promise", meaning="(sku) units that orders hold or have paid for and that are not allocated"
)
batch_sold = Family("batch_sold", unit="promise", meaning="(sku, batch) the same, of a batch that the buyer named")
in_carts = Family("in_carts", unit="promise", meaning="(sku) units that carts hold")
shortfall = Family(
    "shortfall",
    unit="promise",
    floor=0,
    refusal=ShortfallIsSmaller,
    meaning="(sku) units promised that a loss took away, until goods come that fill it",
)
batch_shortfall = Family(
    "batch_shortfall",
    unit="promise",
    floor=0,
    refusal=ShortfallIsSmaller,
    meaning="(sku, batch) the same, of those who named the batch",
)
sale_pool = Family(
    "sale_pool",
    unit="promise",
    floor=0,
    refusal=InsufficientStock,
    meaning="(sku, sale) units locked away for a sale, which only its orders take",
)
sale_quota = Family(
    "sale_quota",
    unit="sale unit",
    limited=True,
    refusal=SaleLimitReached,
    meaning="(sale, sku, who) minus the units that one member, device or address took; the limit is the sale's",
)
sale_units = Family("sale_units", unit="sale unit", meaning="(sale) the other side of sale quotas")
hold_quota = Family(
    "hold_quota",
    unit="hold",
    limited=True,
    refusal=TooManyHolds,
    meaning="(owner) minus the open cart holds of one person; the limit of the first one stays theirs",
)
open_holds = Family("open_holds", unit="hold", meaning="the other side of hold quotas")

# Pieces.
supplier = Family("supplier", unit="piece", meaning="(sku) where goods come from")
stock = Family(
    "stock",
    unit="piece",
    floor=0,
    refusal=NotAllocatable,
    meaning="(sku, warehouse, batch) what lies there, - for no batch",
)
blocked = Family(
    "blocked",
    unit="piece",
    floor=0,
    refusal=NotThatMuchThere,
    meaning="(sku, warehouse, batch) pieces that lie there and must not be sold: their batch has expired",
)
allocated = Family("allocated", unit="piece", meaning="(order) pieces taken from stock for it")
lost = Family("lost", unit="piece", meaning="(sku) pieces that stocktaking missed, or found (negative)")

# Returns.
returnable = Family(
    "returnable",
    unit="return",
    limited=True,
    refusal=ReturnAboveBought,
    meaning="(order, line) minus the units that cases ask back or gave money for; the limit is what was bought",
)
returned = Family("returned", unit="return", meaning="(order) units of which the money was given back")

# Coupons.
coupon_issue = Family("coupon_issue", unit="ticket", meaning="(coupon) where tickets come from")
coupon_tickets = Family(
    "coupon_tickets", unit="ticket", floor=0, refusal=CouponExhausted, meaning="(coupon) uses left of a limited coupon"
)
coupon_used = Family("coupon_used", unit="ticket", meaning="(coupon) uses")
coupon_quota = Family(
    "coupon_quota",
    unit="use",
    limited=True,
    refusal=CouponLimitReached,
    meaning="(coupon, member) minus the uses of one person; its limit is the coupon's and never changes",
)
coupon_uses = Family("coupon_uses", unit="use", meaning="(coupon) the other side of quotas")

# Points.
points_issue = Family("points_issue", unit="point", meaning="(programme) where points come from, and expire to")
points = Family(
    "points", unit="point", floor=0, refusal=InsufficientPoints, meaning="(programme, member) what a person has"
)
points_spent = Family("points_spent", unit="point", meaning="(programme) points paid with")
points_debt = Family(
    "points_debt", unit="point", meaning="(programme, member) points taken back that were spent already"
)

# Money; the unit is the currency, amounts are its minor units.
clearing = Family("clearing", meaning="(gateway) what a payment provider owes us")
liability = Family(
    "liability",
    floor=0,
    refusal=RefundAboveCaptured,
    meaning="(order) what was paid for it and is neither given back nor shared out: never more goes out than came in",
)
late_money = Family(
    "late_money",
    floor=0,
    refusal=RefundAboveCaptured,
    meaning="(payment) money that came too late, until it is returned",
)
unclear_money = Family("unclear_money", meaning="(gateway) genuine payments that fit no order, until a person decides")
platform_discounts = Family("platform_discounts", meaning="what the platform paid for buyers: points, its own coupons")
payable = Family(
    "payable",
    floor=0,
    refusal=PayableTooSmall,
    meaning="(store, order) what a seller is due for an order, until it is paid out, netted or taken back",
)
seller_debt = Family("seller_debt", meaning="(store) what a seller owes after refunds of what was paid out (negative)")
debt_open = Family(
    "debt_open",
    floor=0,
    refusal=PayableTooSmall,
    meaning="(store) the same debt, counted up, so that no run nets more of it than is owed",
)
debts = Family("debts", meaning="the other side of open debts")
commission = Family("commission", meaning="(store) our share of the sales")
bank = Family("bank", meaning="money paid out to sellers")
