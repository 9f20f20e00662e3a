"""How much of the traffic a provider gets, as staff have said: for all processes, as of now."""

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value

from .contract_staff import SetTraffic, TrafficSet


class Wished(Value):
    """What was said last. `share` None: what the settings say."""

    share: int | None = None
    reason: str = ""


def decide(command: SetTraffic, wished: Wished) -> list[TrafficSet]:
    if command.share == wished.share:
        return []
    return [TrafficSet(gateway=command.gateway, share=command.share, reason=command.reason)]


def evolve(wished: Wished, event: TrafficSet) -> Wished:
    return Wished(share=event.share, reason=event.reason)


traffic = Decider("payment.traffic", "gateway", Wished(), decide, evolve)
