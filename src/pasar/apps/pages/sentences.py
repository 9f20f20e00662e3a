"""What people read of refusals and states: texts of the catalogue, by number and name.

A text here is looked up when it is shown; `mark` only tells the extraction that it is one."""

from collections.abc import Callable

from pasar.contexts.aftersales.contract import ReasonCode
from pasar.kernel.messages import Refused


def mark(text: str) -> str:
    """A text for the catalogue, translated later."""
    return text


REFUSALS = {
    1001: mark("There are not enough units left."),
    1002: mark("A price has changed since you looked. Please check it and order again."),
    1003: mark("There is no such order."),
    3003: mark("Something in the form is not right. Please look at the marked fields."),
    3008: mark("There is nothing at this address."),
    4001: mark("Please sign in."),
    4003: mark("This page is not for you."),
    4029: mark("Too many attempts in a short time. Please wait a moment."),
    9000: mark("Something went wrong on our side. Nothing was lost."),
    9003: mark("There is very much to do just now. Please try again in a moment."),
}
NAMED = {
    "BAD_CREDENTIALS": mark("Login or password is wrong."),
    "TOO_MANY_GUESSES": mark("Too many attempts in a short time. Please wait a moment."),
    "LOGIN_TAKEN": mark("There is an account with this login already. Sign in instead."),
    "WEAK_PASSWORD": mark("This password is too easy to guess. Take a longer one, such as four unrelated words."),
    "CONSENT_MISSING": mark("Please accept the terms and the privacy notice."),
    "COUPON_NOT_FOUND": mark("There is no such coupon."),
    "COUPON_NOT_APPLICABLE": mark("This coupon does not fit this order."),
    "COUPON_EXHAUSTED": mark("This coupon has been used up."),
    "COUPON_LIMIT_REACHED": mark("You have used this coupon already."),
    "POINTS_REFUSED": mark("So many points cannot be used for this order."),
    "INSUFFICIENT_POINTS": mark("You do not have so many points."),
    "CART_IS_EMPTY": mark("Your cart is empty."),
    "CART_IS_FULL": mark("Your cart is full."),
    "NOT_FOR_SALE": mark("This is not for sale just now."),
    "LINE_NOT_IN_CART": mark("This is not in your cart any more."),
    "ADDRESS_UNUSABLE": mark("This address is incomplete."),
    "PRODUCT_NOT_FOUND": mark("There is no such product."),
    "ORDER_STATE_FORBIDS": mark("The order has gone too far for that."),
    "PAYMENT_IN_PROGRESS": mark("A payment is under way already."),
    "ALREADY_PAID": mark("This order is paid."),
    "PAYMENT_CHANNEL_UNAVAILABLE": mark("This way of paying is not available just now. Please choose another."),
    "RETURN_WINDOW_OVER": mark("The time in which this can be returned is over."),
    "RETURN_ABOVE_BOUGHT": mark("More than what was bought cannot be returned."),
    "ACCOUNT_IS_ERASED": mark("This account has been closed."),
    "KEY_REUSED": mark("This form was sent before with other content. Please open the page again."),
    "FORM_NOT_OURS": mark("The form has expired. Please try again."),
}
STATES = {
    "CREATED": mark("Waiting for payment"),
    "PENDING_PAYMENT": mark("Waiting for payment"),
    "PAYMENT_PROCESSING": mark("Payment under way"),
    "PAID": mark("Paid"),
    "ALLOCATED": mark("In the warehouse"),
    "PREPARING": mark("Being prepared"),
    "PICKED": mark("Being prepared"),
    "PACKED": mark("Packed"),
    "PARTIAL_SHIPPED": mark("Partly on its way"),
    "SHIPPED": mark("On its way"),
    "IN_TRANSIT": mark("On its way"),
    "DELIVERED": mark("Delivered"),
    "CONFIRMED": mark("Receipt confirmed"),
    "COMPLETED": mark("Completed"),
    "AFTER_SALE_OPEN": mark("Return under way"),
    "PARTIAL_REFUNDED": mark("Partly refunded"),
    "REFUNDED": mark("Refunded"),
    "CANCELED": mark("Cancelled"),
    "REFUND_REQUESTED": mark("Return requested"),
    "REFUND_APPROVED": mark("Return accepted"),
    "REFUND_PROCESSING": mark("Refund under way"),
    "REFUND_FAILED": mark("Refund delayed"),
    "REJECTED": mark("Return declined"),
    "WITHDRAWN": mark("Return withdrawn"),
}
MOMENTS = {
    "placed": mark("Order placed"),
    "payment begun": mark("Payment begun"),
    "payment attempt ended": mark("Payment not completed"),
    "paid": mark("Payment received"),
    "cancelled": mark("Order cancelled"),
    "allocated": mark("Goods set aside in the warehouse"),
    "preparing": mark("Being prepared"),
    "picked": mark("Picked from the shelf"),
    "packed": mark("Packed"),
    "partial shipped": mark("Part of the order has left"),
    "shipped": mark("Handed to the carrier"),
    "in transit": mark("On its way"),
    "delivered": mark("Delivered"),
    "confirmed": mark("Receipt confirmed"),
    "completed": mark("Completed"),
    "after-sale opened": mark("Return opened"),
    "after-sale closed": mark("Return closed"),
}
RETURN_REASONS: dict[ReasonCode, str] = {
    "no_longer_wanted": mark("I do not want it any more"),
    "ordered_by_mistake": mark("I ordered it by mistake"),
    "damaged": mark("It came damaged"),
    "defective": mark("It does not work"),
    "wrong_item": mark("It is something else"),
    "not_as_described": mark("It is not as described"),
    "not_received": mark("It has not come"),
    "late": mark("It came too late"),
    "other": mark("Another reason"),
}
"""Why goods come back, in the words of who bought them."""
GENERAL = mark("This could not be done.")


def status_words(state: str) -> str:
    """How a state is called, before translation; unknown ones as they are stored."""
    return STATES.get(state) or MOMENTS.get(state) or state


def sentence(refusal: Refused, translate: Callable[[str], str]) -> str:
    """What a visitor reads when something was refused."""
    return translate(NAMED.get(refusal.name) or REFUSALS.get(refusal.code) or GENERAL)
