"""Amounts: digits by currency, parts that add up to the whole."""

import random
from decimal import Decimal

import pytest

from pasar.apps.lab.evidence import Evidence
from pasar.kernel.money import BadMoney, digits, major, minor, rounded, split

CURRENCIES = ("KRW", "JPY", "CNY", "USD", "KWD")


@pytest.mark.promise("A9")
def test_parts_add_up_to_the_whole(proof: Evidence) -> None:
    chance = random.Random(proof.seed(9))
    for _ in range(proof.number(1_000_000)):
        currency = chance.choice(CURRENCIES)
        amount = major(chance.randint(-(10**9), 10**9), currency)
        weights = [chance.choice((0, 1, chance.randint(0, 10**6))) for _ in range(chance.randint(1, 12))]
        parts = split(amount, weights, currency)
        assert sum(parts) == amount, (amount, currency, weights)
        assert all(part == 0 or weight > 0 or not any(weights) for part, weight in zip(parts, weights, strict=True))
        proof.attempt()


@pytest.mark.parametrize(("currency", "decimals"), [("KRW", 0), ("JPY", 0), ("CNY", 2), ("USD", 2), ("KWD", 3)])
def test_an_amount_has_the_digits_of_its_currency(currency: str, decimals: int) -> None:
    assert digits(currency) == decimals
    least = Decimal(1).scaleb(-decimals)
    assert minor(least, currency) == 1
    assert major(1, currency) == least
    with pytest.raises(BadMoney):
        minor(least / 10, currency)
    assert rounded(least / 2, currency) == least
