"""Units promised to a cart: new, held, released or consumed by an order."""

from datetime import datetime
from typing import Literal, assert_never

from pasar.accounts import hold_quota, in_carts, open_holds, pool
from pasar.kernel import ledger
from pasar.kernel.decider import Clear, Decider, Set
from pasar.kernel.messages import Value
from pasar.refusals import HoldIsAnother, HoldIsOver, HoldNotExtendable
from pasar.vocabulary import AccountId

from .contract import (
    ConsumeHold,
    ExtendHold,
    Held,
    HoldConsumed,
    HoldExtended,
    HoldReleased,
    HoldStock,
    ReleaseHold,
    StockHeld,
)

HoldCommand = HoldStock | ExtendHold | ReleaseHold | ConsumeHold
HoldEvent = StockHeld | HoldExtended | HoldReleased | HoldConsumed


class Hold(Value):
    state: Literal["new", "held", "released", "consumed"] = "new"
    what: StockHeld | None = None
    until: datetime | None = None
    extensions: int = 0
    order_no: str = ""

    @property
    def owner(self) -> AccountId | None:
        return self.what.owner if self.what else None

    def is_not(self, command: HoldStock) -> bool:
        what = self.what
        wanted = (command.owner, command.sku, command.quantity)
        return what is not None and (what.owner, what.sku, what.quantity) != wanted


def decide(command: HoldCommand, hold: Hold) -> list[HoldEvent]:
    match command, hold.state:
        case HoldStock(), "new":
            return [_held(command)]
        case HoldStock(), _ if hold.is_not(command):
            raise HoldIsAnother(f"{command.hold} keeps something else")
        case ExtendHold(), "held":
            return _extended(command, hold)
        case ReleaseHold(due=datetime() as due), "held" if hold.until is not None and due < hold.until:
            # Extended while its deadline was on the way: firing takes the new deadline away, so set it again.
            return [HoldExtended(hold=command.hold, until=hold.until)]
        case ReleaseHold(), "held":
            return [HoldReleased(hold=command.hold)]
        case ConsumeHold(order_no=order_no), "held":
            return [HoldConsumed(hold=command.hold, order_no=order_no)]
        case (HoldStock(), "held") | (ReleaseHold(), "new" | "released" | "consumed"):
            return []  # A repeat.
        case ConsumeHold(order_no=order_no), "consumed" if order_no == hold.order_no:
            return []
        case _:
            raise HoldIsOver(f"{command.hold} is {hold.state}; take a new one")


def _held(command: HoldStock) -> StockHeld:
    return StockHeld(
        hold=command.hold,
        owner=command.owner,
        sku=command.sku,
        quantity=command.quantity,
        until=command.until,
        limit=command.limit,
    )


def _extended(command: ExtendHold, hold: Hold) -> list[HoldEvent]:
    if hold.until is not None and command.until <= hold.until:
        return []
    if hold.extensions >= command.limit:
        raise HoldNotExtendable(f"{command.hold} was extended {hold.extensions} times")
    return [HoldExtended(hold=command.hold, until=command.until)]


def evolve(hold: Hold, event: HoldEvent) -> Hold:
    match event:
        case StockHeld(until=until):
            return Hold(state="held", what=event, until=until)
        case HoldExtended(until=until):
            later = hold.until is not None and until > hold.until
            return Hold(state="held", what=hold.what, until=until, extensions=hold.extensions + later)
        case HoldReleased():
            return Hold(state="released", what=hold.what, until=hold.until, extensions=hold.extensions)
        case HoldConsumed(order_no=order_no):
            return Hold(state="consumed", what=hold.what, until=hold.until, order_no=order_no)
        case _:
            assert_never(event)


def book(event: HoldEvent) -> list[ledger.Transfer]:
    """The quota is judged before the pool. The floor of the pool refuses to oversell (1001); no rule above repeats it.
    What an order consumes goes back to the pool, from where that order takes it in the same change."""
    match event:
        case StockHeld(owner=owner, sku=sku, quantity=quantity, limit=limit):
            place = ledger.hold("place", hold_quota(owner, limit=limit), open_holds(), 1)
            return [place, ledger.hold("units", pool(sku), in_carts(sku), quantity)]
        case HoldExtended():
            return []
        case HoldReleased() | HoldConsumed():
            return [ledger.release("place"), ledger.release("units")]
        case _:
            assert_never(event)


def timers(event: HoldEvent) -> list[Set | Clear]:
    match event:
        case StockHeld(hold=id, until=until) | HoldExtended(hold=id, until=until):
            return [Set("until", at=until, send=ReleaseHold(hold=id, due=until))]
        case HoldReleased() | HoldConsumed():
            return [Clear("until")]
        case _:
            assert_never(event)


def answer(hold: Hold) -> Held | None:
    what = hold.what
    return what and Held(
        hold=what.hold,
        owner=what.owner,
        sku=what.sku,
        quantity=what.quantity,
        until=hold.until or what.until,
        extensions=hold.extensions,
        state=hold.state,
    )


def owner_of(hold: Hold) -> str | None:
    return hold.what and str(hold.what.owner)


hold = Decider(
    *("inventory.hold", "hold", Hold(), decide, evolve), book=book, timers=timers, answer=answer, owner=owner_of
)
