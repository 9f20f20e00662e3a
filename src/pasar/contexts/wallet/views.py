"""Statements: every line of a member's points, their orders' included."""

from pasar.contexts.ordering.contract import OrderCanceled, OrderPaid
from pasar.kernel.views import View

from .contract import PointsEarned, PointsGivenBack, PointsGranted, PointsLapsed, PointsTakenBack


def _line(kind: str, points: str, reference: str, account: str = "account") -> str:
    return f"""
        insert into wallet.statement (entry, account, at, kind, points, reference)
        select %(event_id)s, %({account})s, %(at)s, '{kind}', {points}, {reference} where {points} <> 0"""


statement = View(
    table="wallet.statement",
    key="entry",
    columns="""
        entry uuid, account uuid not null, at timestamptz not null, kind text not null, points bigint not null,
        reference text not null""",
    on={
        PointsEarned: _line("earned", "%(points)s::bigint", "%(order_no)s"),
        PointsGranted: _line("granted", "%(points)s::bigint", "%(reason)s"),
        PointsGivenBack: _line("given_back", "%(points)s::bigint", "%(order_no)s"),
        PointsTakenBack: _line("taken_back", "-%(points)s::bigint", "%(order_no)s"),
        PointsLapsed: _line("lapsed", "-%(points)s::bigint", "%(source)s"),
        OrderPaid: _line("spent", "-%(points)s::bigint", "%(order_no)s", "buyer"),
        OrderCanceled: _line(
            "given_back",
            "(case when %(was_paid)s::boolean then %(points)s::bigint else 0 end)",
            "%(order_no)s",
            "buyer",
        ),
    },
    indexes=("(account, at desc, entry desc)",),
)
