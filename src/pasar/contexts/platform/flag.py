"""A feature flag: for whom a new function is on."""

from hashlib import blake2b

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value

from .contract import Flag, FlagSet, SetFlag


class Switch(Value):
    """Nothing yet, or the flag."""

    flag: Flag | None = None


def decide(command: SetFlag, switch: Switch) -> list[FlagSet]:
    wanted = FlagSet(**{name: getattr(command, name) for name in command.__struct_fields__})
    return [] if evolve(switch, wanted) == switch else [wanted]


def evolve(switch: Switch, event: FlagSet) -> Switch:
    return Switch(flag=Flag(**{name: getattr(event, name) for name in event.__struct_fields__}))


def answer(switch: Switch) -> Flag | None:
    return switch.flag


def is_on(flag: Flag, who: str, store: str | None = None) -> bool:
    """Whether the function is on for somebody, in a store. Each flag draws other people, so that not always the same
    ones try what is new."""
    if flag.default or (store is not None and store in flag.stores):
        return True
    drawn = int.from_bytes(blake2b(f"{flag.name}\x1f{who}".encode(), digest_size=8).digest(), "big")
    return drawn % 100 < flag.percentage


flag = Decider("platform.flag", "name", Switch(), decide, evolve, answer=answer)
