"""What a SKU costs: one stream a SKU, which holds the prices of all channels."""

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import PriceMalformed

from .contract import Prices, PriceSet, PriceTag, SetPrice


class PriceList(Value):
    """Channel → price. A channel that is missing does not sell the SKU."""

    channels: dict[str, PriceTag] = {}


def decide(command: SetPrice, prices: PriceList) -> list[PriceSet]:
    if command.compare_at is not None and command.compare_at < command.price:
        raise PriceMalformed("a price is compared with a higher one, or with none")
    wanted = PriceSet(**{name: getattr(command, name) for name in command.__struct_fields__})
    return [] if evolve(prices, wanted) == prices else [wanted]


def evolve(prices: PriceList, event: PriceSet) -> PriceList:
    tag = PriceTag(**{name: getattr(event, name) for name in event.__struct_fields__})
    return PriceList(channels={**prices.channels, event.channel: tag})


def answer(prices: PriceList) -> Prices:
    return Prices(prices=tuple(prices.channels.values()))


price = Decider("pricing.price", "sku", PriceList(), decide, evolve, answer=answer)
