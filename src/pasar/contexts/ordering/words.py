"""An order's state in the words of the five documents that describe the shops; the canonical word decides."""

from collections.abc import Mapping

from pasar.vocabulary import OrderState

from .contract import Vocabulary

_DELIVERY = "delivery stages"
_CANCELLATION = "cancellation record"
# The canonical state, and its word in S0, S1, S2, S3, S4. None: in S3, the state that the goods are in.
_TABLE: Mapping[OrderState, tuple[str, str, str, str | None, str]] = {
    "CREATED": ("application", "CREATED", "주문서 작성", "pending", "待支付"),
    "PENDING_PAYMENT": ("await payment", "PENDING_PAYMENT", "결제 진행", "pending", "待支付"),
    "PAYMENT_PROCESSING": ("await payment", "PENDING_PAYMENT", "결제 진행", "payment_processing", "待支付"),
    "PAID": ("confirmed", "PAID", "주문 확정", "payment_confirmed", "待发货"),
    "ALLOCATED": ("confirmed", "ALLOCATED", "주문 확정", "inventory_allocated", "待发货"),
    "PREPARING": ("start delivery", "ALLOCATED", "배송 준비", "preparing", "待发货"),
    "PICKED": ("start delivery", "PICKED", "배송 준비", "preparing", "待发货"),
    "PACKED": ("start delivery", "PACKED", "배송 준비", "preparing", "待发货"),
    "PARTIAL_SHIPPED": ("partial shipment", "PARTIAL_SHIPPED", "배송 중", "shipped", "待发货"),
    "SHIPPED": (_DELIVERY, "SHIPPED", "배송 중", "shipped", "已发货"),
    "IN_TRANSIT": (_DELIVERY, "IN_TRANSIT", "배송 중", "shipped", "已发货"),
    "DELIVERED": ("complete delivery", "DELIVERED", "배송 완료", "delivered", "已发货"),
    "CONFIRMED": ("complete delivery", "CONFIRMED", "구매 확정", "delivered", "已发货"),
    "COMPLETED": ("complete delivery", "COMPLETED", "구매 확정", "delivered", "已发货"),
    "AFTER_SALE_OPEN": (_CANCELLATION, "AFTER_SALE_OPEN", "반품", None, "售后中"),
    "PARTIAL_REFUNDED": (_CANCELLATION, "PARTIAL_REFUNDED", "반품", None, "售后中"),
    "REFUNDED": (_CANCELLATION, "CANCELED", "주문 취소", "refunded", "closed"),
    "CANCELED": (_CANCELLATION, "CANCELED", "주문 취소", "cancelled", "closed"),
}
_COLUMN = {"S0": 0, "S1": 1, "S2": 2, "S3": 3, "S4": 4}


def shown(status: OrderState, stage: OrderState, vocabulary: Vocabulary) -> str:
    """The word for an order of that status whose goods are at `stage`."""
    if vocabulary == "canonical":
        return status
    column = _COLUMN[vocabulary]
    word = _TABLE[status][column] or _TABLE[stage][column]
    assert word is not None, f"{stage} is where goods can be"
    return word
