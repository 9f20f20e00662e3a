"""What each store was and is due, by order; and the runs."""

from pasar.kernel.views import View

from .contract import (
    RevenueRecognized,
    RevenueTakenBack,
    RunApproved,
    RunLapsed,
    RunPaid,
    RunProposed,
    RunRejected,
    SellerSettled,
)

due = View(
    table="finance.due",
    key="order_no, store",
    columns="""
        order_no text collate "C", store text collate "C", currency text not null, amount numeric not null,
        commission numeric not null, taken_back numeric not null default 0, payable numeric not null,
        recognized_at timestamptz not null, settled_run text, paid numeric not null default 0""",
    on={
        RevenueRecognized: """
            insert into finance.due (order_no, store, currency, amount, commission, payable, recognized_at)
            select %(order_no)s::text, s ->> 'store', %(currency)s::text, (s ->> 'seller')::numeric,
                   (s ->> 'commission')::numeric, (s ->> 'seller')::numeric, %(confirmed_at)s::timestamptz
              from jsonb_array_elements(%(shares)s::jsonb) s""",
        RevenueTakenBack: """
            update finance.due d
               set taken_back = taken_back + (s ->> 'seller')::numeric, payable = payable - p::numeric,
                   commission = commission - (s ->> 'commission')::numeric
              from jsonb_array_elements(%(shares)s::jsonb) with ordinality x (s, n)
              join jsonb_array_elements_text(%(from_payable)s::jsonb) with ordinality y (p, m) on n = m
             where d.order_no = %(order_no)s and d.store = s ->> 'store'""",
        SellerSettled: """
            update finance.due d
               set settled_run = %(run)s, paid = (o ->> 'amount')::numeric,
                   payable = payable - (o ->> 'amount')::numeric
              from jsonb_array_elements(%(orders)s::jsonb) o
             where d.order_no = o ->> 'order_no' and d.store = %(store)s""",
    },
    indexes=(
        "(store, recognized_at desc, order_no desc)",
        "(currency, recognized_at) where settled_run is null and payable > 0",
    ),
    # A settlement is another stream than the revenue that it pays.
    ordered=True,
)

_SELLERS = """
    (select count(*) from jsonb_array_elements(%(settlements)s::jsonb) s where coalesce(s ->> 'held_back', '') = '')"""
_AMOUNT = """
    (select coalesce(sum((s ->> 'amount')::numeric), 0) from jsonb_array_elements(%(settlements)s::jsonb) s
      where coalesce(s ->> 'held_back', '') = '')"""


def _becomes(state: str) -> str:
    return f"update finance.runs set state = '{state}' where run = %(run)s"


runs = View(
    table="finance.runs",
    key="run",
    columns="""
        run text collate "C", state text not null, currency text not null, cut_off timestamptz not null,
        sellers int not null, amount numeric not null""",
    on={
        RunProposed: f"""
            insert into finance.runs (run, state, currency, cut_off, sellers, amount)
            values (%(run)s, 'proposed', %(currency)s, %(cut_off)s, {_SELLERS}, {_AMOUNT})""",
        RunLapsed: _becomes("empty"),
        RunApproved: _becomes("approved"),
        RunRejected: _becomes("rejected"),
        RunPaid: _becomes("paid"),
    },
    indexes=("(cut_off desc, run desc)", "(state) where state in ('proposed', 'approved')"),
)
