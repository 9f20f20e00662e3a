"""What somebody keeps at hand in the console: searches by name."""

from typing import assert_never

from msgspec.structs import replace

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import TooManySearches

from .contract import ForgetSearch, KeepSearch, KeptSearch, SearchForgotten, SearchKept

MOST = 30


class Desk(Value):
    searches: tuple[KeptSearch, ...] = ()


def decide(command: KeepSearch | ForgetSearch, desk: Desk) -> list[SearchKept | SearchForgotten]:
    known = next((one for one in desk.searches if (one.list, one.name) == (command.list, command.name)), None)
    match command:
        case KeepSearch(account=account, list=list, name=name, query=query):
            if known is not None and known.query == query:
                return []
            if known is None and len(desk.searches) >= MOST:
                raise TooManySearches(f"{MOST} searches are kept at most; forget one first")
            return [SearchKept(account=account, list=list, name=name, query=query)]
        case ForgetSearch(account=account, list=list, name=name):
            return [] if known is None else [SearchForgotten(account=account, list=list, name=name)]
        case _:
            assert_never(command)


def evolve(desk: Desk, event: SearchKept | SearchForgotten) -> Desk:
    others = tuple(one for one in desk.searches if (one.list, one.name) != (event.list, event.name))
    if isinstance(event, SearchKept):
        others = (*others, KeptSearch(list=event.list, name=event.name, query=event.query))
    return replace(desk, searches=others)


desk = Decider("platform.desk", "account", Desk(), decide, evolve)
