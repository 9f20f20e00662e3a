"""Cases as staff look for them; buyers read their own from the streams."""

from pasar.kernel.views import View

from .contract import (
    CaseRefunded,
    CaseRefundFailed,
    RefundDue,
    ReturnApproved,
    ReturnRejected,
    ReturnRequested,
    ReturnWithdrawn,
)


def _becomes(state: str) -> str:
    return f"""update aftersales.cases set state = '{state}' where "case" = %(case)s"""


cases = View(
    table="aftersales.cases",
    key='"case"',
    columns="""
        "case" uuid, order_no text collate "C" not null, buyer uuid not null, state text not null,
        stores text[] not null, requested_at timestamptz not null""",
    on={
        ReturnRequested: """
            insert into aftersales.cases ("case", order_no, buyer, state, stores, requested_at)
            values (%(case)s, %(order_no)s, %(buyer)s, 'REFUND_REQUESTED',
                    array(select distinct line ->> 'store' from jsonb_array_elements(%(lines)s::jsonb) line order by 1),
                    %(at)s)""",
        ReturnApproved: _becomes("REFUND_APPROVED"),
        ReturnRejected: _becomes("REJECTED"),
        ReturnWithdrawn: _becomes("WITHDRAWN"),
        RefundDue: _becomes("REFUND_PROCESSING"),
        CaseRefunded: _becomes("REFUNDED"),
        CaseRefundFailed: _becomes("REFUND_FAILED"),
    },
    indexes=('(requested_at desc, "case" desc)', '(state, requested_at desc, "case" desc)', "using gin (stores)"),
)
