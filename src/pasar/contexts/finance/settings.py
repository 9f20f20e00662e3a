"""When sellers are paid, from how much on, and out of which account."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated

from msgspec import Meta

from pasar.kernel.money import BadMoney, minor
from pasar.kernel.settings import Section, is_time_zone, register


class FinanceSettings(Section, frozen=True):
    """Settlement of what sellers are due."""

    settle_after_days: Annotated[
        int, Meta(ge=0, le=365, description="Days between a buyer's confirmation and the cut-off of the run that pays.")
    ] = 7
    minimum_payout: Annotated[
        str, Meta(description="Less than this carries over, by currency: KRW=10000,USD=10. Others have no minimum.")
    ] = "KRW=10000"
    time_zone: Annotated[
        str, Meta(description="Where it is Monday when a run is cut off (IANA name); else `time_zone`.")
    ] = "UTC"
    debtor_name: Annotated[str, Meta(description="Who pays, in payout files.", min_length=1, max_length=70)] = "Pasar"
    debtor_account: Annotated[
        str, Meta(description="The account that is paid from, IBAN or other.", min_length=1, max_length=34)
    ] = "0000000000"
    debtor_bic: Annotated[str, Meta(description="The BIC of its bank, where it has one.", max_length=11)] = ""

    def minimum(self, currency: str) -> Decimal:
        return dict(self._minimums()).get(currency, Decimal(0))

    def _minimums(self) -> Iterable[tuple[str, Decimal]]:
        for part in filter(None, (part.strip() for part in self.minimum_payout.split(","))):
            currency, _, amount = part.partition("=")
            yield currency.strip(), Decimal(amount.strip())

    def problems(self) -> Iterable[str]:
        if not is_time_zone(self.time_zone):
            yield f"time_zone is {self.time_zone!r}, which is no name of a time zone; write for example Asia/Seoul"
        try:
            for currency, amount in self._minimums():
                minor(amount, currency)
        except (InvalidOperation, BadMoney) as error:
            yield f"minimum_payout is {self.minimum_payout!r}; write for example KRW=10000,USD=10 ({error})"


register("finance", FinanceSettings)
