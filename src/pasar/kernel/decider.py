"""A decider: one aggregate's life as pure functions.

`decide(command, state) -> events` says what happens, or raises `Refused`; `evolve(state, event) -> state` says what
that means; `book`, `timers` and `claims` say what an event counts, what deadlines it sets and what must stay unique;
`answer(state)` is what the caller gets. None of them does I/O, knows the time or draws chance: all of that arrives
in the command, except the instant of the decision, which deciders that ask for a third argument get as `Now`.
"""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from .ledger import Transfer
from .messages import Answer, Command, Event, Refused, Value

S = TypeVar("S", bound=Value)


class Set(NamedTuple):
    """A deadline of the stream: send `send` at `at`. Setting a name again moves it."""

    name: str
    at: datetime
    send: Command


class Clear(NamedTuple):
    """The deadline of that name is off."""

    name: str


class Take(NamedTuple):
    """This stream owns `key` among all of `kind`, or the change is refused with `kind`'s refusal."""

    kind: str
    key: str


class Give(NamedTuple):
    """This stream owns it no more."""

    kind: str
    key: str


class Unique:
    """What only one stream may have: `logins = Unique("login", LoginTaken)`; `claims` returns `[logins.take(key)]`."""

    all: ClassVar[dict[str, "Unique"]] = {}

    def __init__(self, kind: str, refusal: type[Refused]) -> None:
        if kind in Unique.all or ":" in kind:
            raise TypeError(f"{kind} is claimed already, or has a colon")
        self.kind, self.refusal = kind, refusal
        Unique.all[kind] = self

    def take(self, key: str) -> Take:
        return Take(self.kind, key)

    def give(self, key: str) -> Give:
        return Give(self.kind, key)


def _members(hint: Any) -> tuple[type, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for part in get_args(hint) for member in _members(part))
    return (hint,)


@dataclass(frozen=True)
class Decider(Generic[S]):
    """`kind` names the streams (`<context>.<aggregate>`), `key` the field of every command that picks one."""

    kind: str
    key: str
    initial: S
    decide: Callable[[Any, S], Sequence[Event]]
    evolve: Callable[[S, Any], S]
    book: Callable[[Any], Sequence[Transfer]] | None = None
    timers: Callable[[Any], Sequence[Set | Clear]] | None = None
    claims: Callable[[Any], Sequence[Take | Give]] | None = None
    answer: Callable[[S], Answer | None] | None = None
    owner: Callable[[S], str | None] | None = None
    """Whose stream it is (a member, a seller): own carts and orders are listed by it. Fixed by the first events."""
    state_schema: int = 1
    """Raised when `evolve` or the state's shape changes: stored states of an older number are folded again."""
    commands: tuple[type[Command], ...] = field(init=False)
    events: tuple[type[Event], ...] = field(init=False)

    def __post_init__(self) -> None:
        wishes, *_ = get_type_hints(self.decide).values()
        _, facts, *_ = get_type_hints(self.evolve).values()
        object.__setattr__(self, "commands", _members(wishes))
        object.__setattr__(self, "events", _members(facts))
        for command in self.commands:
            if self.key not in command.__struct_fields__:
                raise TypeError(f"{command.__name__} has no field {self.key}, which names its {self.kind} stream")

    def stream(self, command: Command) -> str:
        """The key of the stream that a command is for."""
        return str(getattr(command, self.key))

    def fold(self, state: S, events: Sequence[Event]) -> S:
        for event in events:
            state = self.evolve(state, event)
        return state
