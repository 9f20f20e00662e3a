"""A module: the list of a context's parts."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .decider import Decider
from .policies import Policy, Reaction
from .tail import Hearing
from .views import View

if TYPE_CHECKING:
    from .bus import Bus
    from .invariants import Invariant
    from .keystore import Retained
    from .process import Process


@dataclass(frozen=True)
class Module:
    """What a context owns. The wiring lists modules; the kernel takes from each what it needs.

    `routes` are what `route()` returns, `settings` is the class of the context's settings, `migrations` a folder of SQL
    for what is neither log, ledger nor view, `invariants` what `pasar doctor` asks about, `hearings`
    what each API process keeps in memory. Refusals need not be listed: the catalogue knows them all.
    """

    name: str
    deciders: tuple[Decider[Any], ...] = ()
    views: tuple[View, ...] = ()
    policies: tuple[Policy, ...] = ()
    processes: "tuple[Process, ...]" = ()
    reactions: tuple[Reaction, ...] = ()
    routes: tuple[Any, ...] = ()
    settings: type | None = None
    migrations: Path | None = None
    invariants: "tuple[Invariant, ...]" = ()
    hearings: tuple[Hearing, ...] = ()
    retains: "Callable[[Bus, UUID], Awaitable[Sequence[Retained]]] | None" = None
    """What law makes this context keep of a person who leaves."""
    exports: "Callable[[Bus, UUID], Awaitable[Any]] | None" = None
    """All that this context keeps of a person, for the export of their own data; what is sealed stays so."""

    def __post_init__(self) -> None:
        for view in self.views:
            if view.schema != self.name:
                raise TypeError(f"the view {view.table} belongs into the schema of {self.name}")
        for part in (*self.policies, *self.reactions):
            if part.name.partition(".")[0] != self.name:
                raise TypeError(f"{part.name} is not of {self.name}: it may command its own context only")


@dataclass(frozen=True)
class OfPersons:
    """What the contexts of a deployment keep of a person, by context: a tool of every process that exports or erases.
    Functions may give a record that is to be kept again: the vault has it once."""

    exports: "Mapping[str, Callable[[Bus, UUID], Awaitable[Any]]]"
    retains: "Mapping[str, Callable[[Bus, UUID], Awaitable[Sequence[Retained]]]]"

    @classmethod
    def kept_by(cls, modules: Iterable[Module]) -> "OfPersons":
        named = {module.name: module for module in modules}
        return cls(
            {name: module.exports for name, module in named.items() if module.exports is not None},
            {name: module.retains for name, module in named.items() if module.retains is not None},
        )


def check_modules(modules: Iterable[Module]) -> None:
    """Names by which things are stored must be one thing's only."""
    names = [
        name
        for module in modules
        for name in (
            *(decider.kind for decider in module.deciders),
            *(
                part.follower
                for parts in (module.views, module.policies, module.reactions, module.processes)
                for part in parts
            ),
        )
    ]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TypeError(f"wired twice: {', '.join(sorted(twice))}")
