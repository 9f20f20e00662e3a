"""Searches that somebody keeps: given … when … then …"""

from uuid import UUID

from pasar.contexts.platform.contract import ForgetSearch, KeepSearch, SearchForgotten, SearchKept
from pasar.contexts.platform.desk import MOST, desk
from pasar.kernel.testing import scenario
from pasar.refusals import TooManySearches

ANN = UUID(int=1)
PAID = {"account": ANN, "list": "orders", "name": "To pack", "query": "state=PAID"}
check = scenario(desk)


def test_a_search_is_kept_under_its_name():
    check(given=[], when=KeepSearch(**PAID), then=[SearchKept(**PAID)])
    check(given=[SearchKept(**PAID)], when=KeepSearch(**PAID), then=[])


def test_the_same_name_again_is_another_search():
    other = {**PAID, "query": "state=ALLOCATED"}
    check(given=[SearchKept(**PAID)], when=KeepSearch(**other), then=[SearchKept(**other)])


def test_a_desk_has_an_end_but_a_search_can_still_be_replaced():
    full = [SearchKept(**{**PAID, "name": f"n{number}"}) for number in range(MOST)]
    check(given=full, when=KeepSearch(**PAID), then=TooManySearches)
    again = {**PAID, "name": "n3", "query": "x=1"}
    check(given=full, when=KeepSearch(**again), then=[SearchKept(**again)])


def test_what_is_forgotten_can_be_forgotten_again():
    forget = {name: PAID[name] for name in ("account", "list", "name")}
    check(given=[SearchKept(**PAID)], when=ForgetSearch(**forget), then=[SearchForgotten(**forget)])
    check(given=[], when=ForgetSearch(**forget), then=[])
