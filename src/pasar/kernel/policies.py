"""When that happened there, do this here: reactions of one step, without a memory."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .bus import Bus, Core
from .delivery import Delivery, Patience, Stuck, settled
from .followers import stored_types
from .messages import Command, Event, Refused, context_of
from .store import Reader, Recorded

Commands = Sequence[Command] | None


@dataclass(frozen=True)
class Policy:
    """Functions `(event, ask) -> commands` of the own context; `ask` reads the tenant's data.

    A refusal parks the event with its stream unless it is one of `ignore`: then the policy has nothing to do here.
    """

    name: str
    on: Mapping[type[Event], Callable[[Recorded, Reader], Commands | Awaitable[Commands]]]
    ignore: tuple[type[Refused], ...] = ()
    patience: Patience = Patience()

    @property
    def follower(self) -> str:
        return f"policy:{self.name}"


@dataclass(frozen=True)
class Reaction:
    """Functions `(event, bus) -> commands` that call the outside. The event's id is the key that they give to the other
    side, so that a repeat is the same call; `Retry` says that it could not be done now. Commands tell the answer."""

    name: str
    on: Mapping[type[Event], Callable[[Recorded, Bus], Commands | Awaitable[Commands]]]
    ignore: tuple[type[Refused], ...] = ()
    patience: Patience | Callable[[Any], Patience] = Patience(
        timedelta(seconds=2), timedelta(minutes=30), timedelta(hours=72), 10.0
    )
    """May be a function of the deployment's settings."""
    failed: Callable[[Recorded, str], Commands] | None = None
    """`(event, reason) -> commands`: what to do instead of parking the event when its budget of tries is used up."""

    @property
    def follower(self) -> str:
        return f"reaction:{self.name}"


class ReactionFollower(Delivery):
    """Runs a policy or a reaction."""

    def __init__(self, reaction: Policy | Reaction, core: Core) -> None:
        patience = reaction.patience
        super().__init__(reaction.follower, core, patience(core.settings) if callable(patience) else patience)
        self._reaction = reaction
        self._context = reaction.name.partition(".")[0]
        self.types = stored_types(tuple(reaction.on))

    async def deliver(self, event: Recorded, replays: int) -> None:
        function: Any = self._reaction.on.get(type(event.event))
        if function is None:
            return
        if isinstance(self._reaction, Policy):
            asked: Any = self.core.database.reader(event.tenant)
        else:
            asked = self.core.bus(self.context(event, None))
        await self._command(event, await settled(function(event, asked)) or (), "")

    async def give_up(self, event: Recorded, reason: str) -> None:
        failed = self._reaction.failed if isinstance(self._reaction, Reaction) else None
        if failed is None:
            raise Stuck(reason)
        await self._command(event, failed(event, reason) or (), "failed.")

    async def _command(self, event: Recorded, commands: Sequence[Command], path: str) -> None:
        for number, command in enumerate(commands):
            if context_of(type(command).__module__) != self._context:
                raise TypeError(f"{self.name} may not send {type(command).__name__} to another context")
            try:
                await self.send(event, command, f"{path}{number}")
            except self._reaction.ignore:
                continue
