"""Money: a decimal in the digits of its currency, never a float; minor units only where the ledger counts."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated

import msgspec

from .messages import Value

# ISO 4217 (amendment 177): the active currencies, and the digits of those that do not have two.
_CODES = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED
    VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG""".split()
)
_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    "CLF": 4,
}
_QUANTUM = {digits: Decimal(1).scaleb(-digits) for digits in range(7)}
MAX_MINOR = 10**15
"""The largest amount of one posting, in minor units; far below what the ledger's 64 bits can sum."""

Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code", examples=["KRW", "CNY"])]


class BadMoney(ValueError):
    """An amount that its currency cannot have, or a currency that does not exist."""


def digits(currency: str) -> int:
    """How many decimals the currency has: KRW 0, CNY 2, KWD 3."""
    if currency not in _CODES:
        raise BadMoney(f"{currency!r} is not a currency of ISO 4217")
    return _DIGITS.get(currency, 2)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """`amount` in the currency's digits, halves away from zero; the caller answers for the remainder."""
    try:
        return amount.quantize(_QUANTUM[digits(currency)], ROUND_HALF_UP)
    except InvalidOperation:
        raise BadMoney(f"{amount} {currency} is out of range") from None


def minor(amount: Decimal, currency: str) -> int:
    """Minor units for the ledger. Refuses an amount that has more digits than its currency."""
    if not amount.is_finite():
        raise BadMoney(f"{amount} is not an amount")
    scaled = amount.scaleb(digits(currency))
    units = int(scaled)
    if units != scaled:
        raise BadMoney(f"{amount} has more than the {digits(currency)} decimals of {currency}")
    if abs(units) > MAX_MINOR:
        raise BadMoney(f"{amount} {currency} is out of range")
    return units


def major(units: int, currency: str) -> Decimal:
    """The amount of so many minor units, in the currency's digits."""
    return Decimal(units).scaleb(-digits(currency))


def split(amount: Decimal, weights: Sequence[Decimal | int], currency: str) -> list[Decimal]:
    """Parts in proportion to `weights` (≥ 0) that add up to `amount`: the units left over go to the largest remainders,
    the earlier part first where they tie. All weights 0: equal shares."""
    total = minor(amount, currency)
    parts = [Decimal(weight) for weight in weights]
    if not parts or min(parts) < 0:
        raise BadMoney("an amount is split by one or more weights of 0 or above")
    whole = sum(parts)
    if whole == 0:
        parts, whole = [Decimal(1)] * len(parts), Decimal(len(parts))
    sign, total = (-1, -total) if total < 0 else (1, total)
    exact = [total * part / whole for part in parts]
    shares = [int(share.to_integral_value(ROUND_DOWN)) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return [major(sign * share, currency) for share in shares]


class Money(Value):
    """An amount with its currency. Arithmetic refuses to mix currencies and never rounds on its own."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        minor(self.amount, self.currency)

    @property
    def minor(self) -> int:
        return minor(self.amount, self.currency)

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise BadMoney(f"{self.currency} and {other.currency} do not add up")

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(amount=self.amount - other.amount, currency=self.currency)

    def __str__(self) -> str:
        return f"{self.amount:,.{digits(self.currency)}f} {self.currency}"
