"""A channel: where things are sold, in one currency, under one rule of tax and freight."""

from decimal import Decimal
from typing import assert_never

from msgspec.structs import replace

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.kernel.money import BadMoney, minor
from pasar.refusals import ChannelExists, ChannelNotFound, CurrencyUnknown

from .contract import ChangeChannel, Channel, ChannelChanged, ChannelOpened, OpenChannel

ChannelCommand = OpenChannel | ChangeChannel
ChannelEvent = ChannelOpened | ChannelChanged
CHANGEABLE = ("name", "tax_rate", "freight", "free_freight_from")


class Outlet(Value):
    """Nothing yet, or the channel."""

    channel: Channel | None = None


def decide(command: ChannelCommand, outlet: Outlet) -> list[ChannelEvent]:
    channel = outlet.channel
    match command:
        case OpenChannel():
            wanted = ChannelOpened(**{name: getattr(command, name) for name in command.__struct_fields__})
            if channel is None:
                _check_amounts(command.currency, command.freight, command.free_freight_from)
                return [wanted]
            if evolve(Outlet(), wanted).channel == channel:
                return []  # A repeat.
            raise ChannelExists(f"there is a channel {command.channel}, with other content")
        case ChangeChannel():
            if channel is None:
                raise ChannelNotFound(f"there is no channel {command.channel}")
            kept = {name: getattr(channel, name) for name in CHANGEABLE}
            new = kept | {name: value for name in CHANGEABLE if (value := getattr(command, name)) is not None}
            if new == kept:
                return []
            _check_amounts(channel.currency, new["freight"], new["free_freight_from"])
            return [ChannelChanged(channel=command.channel, **new)]
        case _:
            assert_never(command)


def _check_amounts(currency: str, *amounts: Decimal | None) -> None:
    """The currency exists, and the amounts have its digits."""
    try:
        for amount in amounts:
            minor(amount or Decimal(0), currency)
    except BadMoney as wrong:
        raise CurrencyUnknown(str(wrong)) from None


def evolve(outlet: Outlet, event: ChannelEvent) -> Outlet:
    match event:
        case ChannelOpened():
            return Outlet(channel=Channel(**{name: getattr(event, name) for name in event.__struct_fields__}))
        case ChannelChanged():
            assert outlet.channel is not None
            return Outlet(channel=replace(outlet.channel, **{name: getattr(event, name) for name in CHANGEABLE}))
        case _:
            assert_never(event)


def answer(outlet: Outlet) -> Channel | None:
    return outlet.channel


channel = Decider("platform.channel", "channel", Outlet(), decide, evolve, answer=answer)
