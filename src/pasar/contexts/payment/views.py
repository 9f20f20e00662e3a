"""Payments as staff look for them, and money that a person must decide about."""

from datetime import datetime
from uuid import UUID

from pasar.kernel.store import Reader
from pasar.kernel.views import View
from pasar.kernel.web_answers import Cursor, Page

from .contract import (
    ConfirmRequested,
    PaymentCaptured,
    PaymentCapturedLate,
    PaymentExpired,
    PaymentFailed,
    PaymentOpened,
    PaymentParked,
    PaymentStarted,
    RefundCompleted,
    RefundFailed,
    RefundRetried,
    RefundStalled,
)
from .contract_staff import (
    FindParked,
    FindPayments,
    ParkedAttached,
    ParkedAttachProposed,
    ParkedEntry,
    ParkedOpened,
    ParkedReturned,
    ParkedReturnFailed,
    ParkedReturnRequested,
    ParkedReturnStalled,
    PaymentEntry,
)


def _becomes(state: str, more: str = "") -> str:
    return f"update payment.payments set state = '{state}'{more} where payment = %(payment)s"


_CAPTURED = ", provider_ref = %(provider_ref)s, failure = null"

payments = View(
    table="payment.payments",
    key="payment",
    columns="""
        payment uuid, order_no text collate "C" not null, buyer uuid not null, gateway text not null,
        state text not null, amount numeric not null, currency text not null, refunded numeric not null default 0,
        failed_refunds uuid[] not null default '{}', provider_ref text, failure text,
        started_at timestamptz not null""",
    on={
        PaymentStarted: """
            insert into payment.payments (payment, order_no, buyer, gateway, state, amount, currency, started_at)
            values (%(payment)s, %(order_no)s, %(buyer)s, %(gateway)s, 'started', %(amount)s, %(currency)s, %(at)s)""",
        PaymentOpened: """
            update payment.payments set provider_ref = coalesce(%(provider_ref)s, provider_ref)
             where payment = %(payment)s""",
        ConfirmRequested: _becomes("confirming", ", provider_ref = %(provider_ref)s"),
        PaymentCaptured: _becomes("captured", _CAPTURED),
        PaymentCapturedLate: _becomes("late", _CAPTURED),
        PaymentFailed: _becomes("failed", ", failure = %(reason)s"),
        PaymentExpired: _becomes("expired"),
        PaymentParked: """
            update payment.payments set state = 'parked'
             where payment = %(payment)s and state not in ('captured', 'late', 'refunded')""",
        RefundRetried: """
            update payment.payments set failed_refunds = array_remove(failed_refunds, %(refund)s::uuid)
             where payment = %(payment)s""",
        RefundFailed: """
            update payment.payments set failed_refunds = array_append(failed_refunds, %(refund)s::uuid)
             where payment = %(payment)s""",
        RefundStalled: """
            update payment.payments set failed_refunds = array_append(failed_refunds, %(refund)s::uuid)
             where payment = %(payment)s""",
        RefundCompleted: """
            update payment.payments set refunded = refunded + %(amount)s::numeric,
                   failed_refunds = array_remove(failed_refunds, %(refund)s::uuid),
                   state = case when %(whole)s::boolean then 'refunded' else state end
             where payment = %(payment)s""",
    },
    indexes=("(started_at desc, payment desc)", "(order_no)", "(state, started_at desc)"),
)


def _parked_is(state: str, more: str = "") -> str:
    return f"update payment.parked set state = '{state}'{more} where parked = %(parked)s"


parked = View(
    table="payment.parked",
    key="parked",
    columns="""
        parked uuid, payment uuid not null, provider_ref text not null, gateway text not null, amount numeric not null,
        currency text not null, reason text not null, state text not null, order_no text, proposed_by text,
        failure text, parked_at timestamptz not null""",
    on={
        ParkedOpened: """
            insert into payment.parked
                (parked, payment, provider_ref, gateway, amount, currency, reason, state, parked_at)
            values (%(parked)s, %(payment)s, %(provider_ref)s, %(gateway)s, %(amount)s, %(currency)s, %(reason)s,
                    'open', %(at)s)""",
        ParkedReturnRequested: _parked_is("returning", ", order_no = null, proposed_by = null, failure = null"),
        ParkedReturned: _parked_is("returned", ", failure = null"),
        ParkedReturnFailed: _parked_is("open", ", failure = %(reason)s"),
        ParkedReturnStalled: _parked_is("stalled", ", failure = %(reason)s"),
        ParkedAttachProposed: _parked_is("attach_proposed", ", order_no = %(order_no)s, proposed_by = %(by)s"),
        ParkedAttached: _parked_is("attached", ", failure = null"),
    },
    indexes=("(parked_at desc, parked desc)",),
)


async def find(db: Reader, query: FindPayments) -> Page[PaymentEntry]:
    """Payments, newest first."""
    after = Cursor.read(query.cursor, tuple[datetime, UUID]) or (None, None)
    found = await db.all(
        PaymentEntry,
        """select payment, order_no, buyer, gateway, state, amount, currency, refunded, failed_refunds, provider_ref,
                  failure, started_at
             from payment.payments
            where tenant = $1 and ($2::text is null or state = $2) and ($3::text is null or gateway = $3)
              and ($4::text is null or order_no = $4) and (not $5::boolean or failed_refunds <> '{}')
              and ($6::timestamptz is null or (started_at, payment) < ($6, $7))
            order by started_at desc, payment desc limit $8""",
        *(db.tenant, query.state, query.gateway, query.order_no, query.failed_refunds, *after, query.limit + 1),
    )
    page = found[: query.limit]
    return Page(
        items=page, next=Cursor.write((page[-1].started_at, page[-1].payment)) if len(found) > len(page) else None
    )


async def find_parked(db: Reader, query: FindParked) -> Page[ParkedEntry]:
    """Parked money, newest first."""
    after = Cursor.read(query.cursor, tuple[datetime, UUID]) or (None, None)
    found = await db.all(
        ParkedEntry,
        """select parked, payment, gateway, provider_ref, amount, currency, reason, state, order_no, proposed_by,
                  failure, parked_at
             from payment.parked
            where tenant = $1 and case when $2::text is null then state not in ('returned', 'attached')
                                       else state = $2 end
              and ($3::timestamptz is null or (parked_at, parked) < ($3, $4))
            order by parked_at desc, parked desc limit $5""",
        *(db.tenant, query.state, *after, query.limit + 1),
    )
    page = found[: query.limit]
    return Page(
        items=page, next=Cursor.write((page[-1].parked_at, page[-1].parked)) if len(found) > len(page) else None
    )
