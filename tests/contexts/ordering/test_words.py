"""States in the words of the five documents; the table is the one of the requirements."""

import pytest

from pasar.contexts.ordering.contract import VOCABULARIES, Vocabulary
from pasar.contexts.ordering.life import PATH
from pasar.contexts.ordering.words import _TABLE, shown
from pasar.vocabulary import OrderState


@pytest.mark.parametrize(
    ("vocabulary", "status", "stage", "word"),
    [
        ("canonical", "PICKED", "PICKED", "PICKED"),
        ("S0", "CREATED", "CREATED", "application"),
        ("S0", "SHIPPED", "SHIPPED", "delivery stages"),
        ("S1", "PAYMENT_PROCESSING", "PAYMENT_PROCESSING", "PENDING_PAYMENT"),
        ("S1", "PREPARING", "PREPARING", "ALLOCATED"),
        ("S1", "REFUNDED", "DELIVERED", "CANCELED"),
        ("S2", "PACKED", "PACKED", "배송 준비"),
        ("S2", "CONFIRMED", "CONFIRMED", "구매 확정"),
        ("S3", "AFTER_SALE_OPEN", "DELIVERED", "delivered"),
        ("S3", "CANCELED", "CANCELED", "cancelled"),
        ("S4", "PARTIAL_SHIPPED", "PARTIAL_SHIPPED", "待发货"),
        ("S4", "AFTER_SALE_OPEN", "SHIPPED", "售后中"),
        ("S4", "REFUNDED", "DELIVERED", "closed"),
    ],
)
def test_a_state_has_a_word_in_each_vocabulary(
    vocabulary: Vocabulary, status: OrderState, stage: OrderState, word: str
) -> None:
    assert shown(status, stage, vocabulary) == word


@pytest.mark.requirement("S3-078", "S3-082", "S3-084")
def test_an_order_passes_the_states_of_s3_in_their_order() -> None:
    words = list(dict.fromkeys(shown(state, state, "S3") for state in PATH))
    assert words == [
        "pending", "payment_processing", "payment_confirmed", "inventory_allocated", "preparing", "shipped",
        "delivered",
    ]  # fmt: skip


@pytest.mark.requirement("S4-036")
def test_s4_knows_four_states_and_an_end() -> None:
    assert {shown(state, "DELIVERED", "S4") for state in _TABLE} == {"待支付", "待发货", "已发货", "售后中", "closed"}


def test_every_state_has_a_word_everywhere() -> None:
    assert set(_TABLE) >= {*PATH, "CANCELED", "REFUNDED", "PARTIAL_REFUNDED", "AFTER_SALE_OPEN"}
    assert all(shown(state, "PAID", vocabulary) for state in _TABLE for vocabulary in VOCABULARIES)  # type: ignore[arg-type]
