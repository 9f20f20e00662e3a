"""Which store bears how much of a refund after its money was shared out."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal

from pasar.kernel.messages import Value
from pasar.kernel.money import major, minor, split
from pasar.refusals import RefundAboveCaptured

from .contract import Share
from .revenue import base_of

NOTHING = Decimal(0)


class Returned(Value):
    """What a case gives back of one store's goods: `gross` in all, `base` of it counts for commission."""

    gross: Decimal
    base: Decimal


def taken_back(
    left: Sequence[Share], goods: Mapping[str, Returned], total: Decimal, currency: str
) -> tuple[Share, ...]:
    """Shares that add up to `total`: each store's goods, as far as it has that much left; then the rest (freight, and
    what rounding moved between stores) in proportion, first from stores whose goods come back. Our commission goes back
    in proportion to its base, and wholly with the last of it. Refuses (2006) more than is left."""
    gross = {share.store: min(goods[share.store].gross, share.gross) for share in left if share.store in goods}
    rest = total - sum(gross.values(), NOTHING)
    for stores in ([share for share in left if share.store in goods], left):
        room = [share.gross - gross.get(share.store, NOTHING) for share in stores]
        part = min(rest, sum(room, NOTHING))
        if part > 0:
            for share, more in zip(stores, split(part, room, currency), strict=True):
                gross[share.store] = gross.get(share.store, NOTHING) + more
            rest -= part
    if rest:
        raise RefundAboveCaptured(f"{rest} {currency} more would be taken back than was shared out")
    return tuple(
        _share(share, gross[share.store], goods.get(share.store), currency) for share in left if gross.get(share.store)
    )


def _share(left: Share, gross: Decimal, goods: Returned | None, currency: str) -> Share:
    base_left = base_of(left)
    base = min(base_left, goods.base) if goods else NOTHING
    if gross == left.gross:
        commission, base = left.commission, base_left
    elif base == base_left:
        commission = left.commission
    else:
        exact = Decimal(minor(left.commission, currency)) * minor(base, currency) / minor(base_left, currency)
        commission = major(int(exact.to_integral_value(ROUND_DOWN)), currency)
    # Neither part goes below nothing: what the one has not, the other bears.
    commission = max(min(commission, gross), gross - left.seller)
    return Share(store=left.store, gross=gross, commission=commission, seller=gross - commission, base=base)
