"""The error catalogue of the shop: every "no" that has a number. Numbers and names never change.

1xxx order, stock, price · 2xxx payment · 4xxx identity, permission · 5xxx catalog · 6xxx promotion · 7xxx wallet,
finance · 8xxx fulfilment, after-sales · 9xxx platform. The kernel's own (3xxx requests, 4001, 4003, 4029, 90xx) are in
`pasar.kernel.web_refusals`. The first line of a docstring is what a person reads who gets no better detail.
"""

from pasar.kernel.messages import Refused


class InsufficientStock(Refused, code=1001):
    """There are not that many units left."""


class PriceChanged(Refused, code=1002):
    """A price is not what you saw: accept the new one and order again."""


class OrderNotFound(Refused, code=1003, status=404):
    """There is no such order."""


class OrderStateForbids(Refused, code=1004):
    """The order's state does not allow that."""


class HoldIsOver(Refused, code=1005):
    """The hold was released; take a new one."""


class HoldIsAnother(Refused, code=1006):
    """That hold keeps something else."""


class HoldNotFound(Refused, code=1007, status=404):
    """There is no such hold."""


class TooManyHolds(Refused, code=1008):
    """You hold as much as one person may."""


class CartNotFound(Refused, code=1009, status=404):
    """There is no such cart."""


class CartIsEmpty(Refused, code=1010, status=422):
    """There is nothing to order."""


class CartIsFull(Refused, code=1011, status=422):
    """A cart takes no more lines."""


class NotForSale(Refused, code=1012):
    """That is not for sale here now."""


class BatchUnknown(Refused, code=1013, status=422):
    """There is no such batch of that SKU."""


class WarehouseUnknown(Refused, code=1014, status=422):
    """There is no such warehouse."""


class OrderExists(Refused, code=1015):
    """That order number is taken by another order."""


class LineNotInCart(Refused, code=1016, status=404):
    """The cart has no such line."""


class AddressUnusable(Refused, code=1017, status=422):
    """Nothing can be sent to that address."""


class StockIsAnother(Refused, code=1018):
    """That receipt or adjustment was booked with other content."""


class WarehouseExists(Refused, code=1019):
    """There is a warehouse with that code."""


class AmountTooLarge(Refused, code=1020, status=422):
    """The order would cost more than can be paid at once."""


class HoldNotExtendable(Refused, code=1031):
    """The hold was extended as often as it may be."""


class NotThatMuchThere(Refused, code=1032):
    """There are not that many pieces in that place."""


class ShortfallIsSmaller(Refused, code=1033):
    """There is not that much shortfall to fill: look again."""


class StockIsBusy(Refused, code=1034, status=503):
    """The stock keeps changing; try again."""


class PaymentChannelUnavailable(Refused, code=2001, status=503):
    """No payment channel can take this payment now."""


class PaymentNotFound(Refused, code=2002, status=404):
    """There is no such payment."""


class PaymentStateForbids(Refused, code=2003):
    """The payment's state does not allow that."""


class PaymentDeclined(Refused, code=2004):
    """The payer or the bank declined."""


class NoticeRefused(Refused, code=2005, status=400):
    """The notice is not signed by the provider, or is stale."""


class RefundAboveCaptured(Refused, code=2006):
    """More would be given back than was paid."""


class AlreadyPaid(Refused, code=2007):
    """The order is paid."""


class PaymentInProgress(Refused, code=2008):
    """Another payment of this order is open."""


class ParkedNotFound(Refused, code=2009, status=404):
    """There is no such parked money."""


class LoginTaken(Refused, code=4004):
    """An account with this login exists."""


class BadCredentials(Refused, code=4005, status=401):
    """Login and password do not match."""


class SessionIsOver(Refused, code=4006, status=401):
    """The session is over; sign in again."""


class AccountNotFound(Refused, code=4007, status=404):
    """There is no such account."""


class AccountIsErased(Refused, code=4008, status=410):
    """The account was erased."""


class AddressNotFound(Refused, code=4009, status=404):
    """There is no such address."""


class WeakPassword(Refused, code=4010, status=422):
    """The password is too short or too common."""


class KycStateForbids(Refused, code=4011):
    """The state of the seller's verification does not allow that."""


class ConsentMissing(Refused, code=4012, status=422):
    """A consent that is needed was not given."""


class TooManyAddresses(Refused, code=4013, status=422):
    """An address book takes no more."""


class RoleNotYours(Refused, code=4014, status=403):
    """Nobody gives or takes a role that they do not have."""


class TooManyGuesses(Refused, code=4015, status=429):
    """Too many sign-ins with this login from here at once. Wait as long as Retry-After says."""


class SecondFactorNeeded(Refused, code=4016, status=401):
    """Sign in again with a code of your authenticator app, or a recovery code."""


class SecondFactorStateForbids(Refused, code=4017):
    """The state of the second factor does not allow that."""


class FormNotOurs(Refused, code=4018, status=403):
    """The form did not come from a page of this site that is still good. Open the page again."""


class ProductNotFound(Refused, code=5001, status=404):
    """There is no such product."""


class SkuTaken(Refused, code=5002):
    """Another product has that SKU."""


class ProductStateForbids(Refused, code=5003):
    """The product's state does not allow that."""


class SkuNotFound(Refused, code=5004, status=404):
    """There is no such SKU."""


class CategoryNotFound(Refused, code=5005, status=404):
    """There is no such category."""


class CategoryExists(Refused, code=5006):
    """There is a category with that code."""


class MediaRefused(Refused, code=5007, status=422):
    """The file is no picture that can be shown here."""


class TooManyMedia(Refused, code=5008, status=422):
    """A product takes no more pictures."""


class OptionsDoNotFit(Refused, code=5009, status=422):
    """The SKU's option values do not fit the product's options."""


class PriceNotFound(Refused, code=5010, status=404):
    """The SKU has no price in that channel."""


class PriceMalformed(Refused, code=5011, status=422):
    """A price of that kind cannot be set there."""


class VersionNotFound(Refused, code=5012, status=404):
    """There was no such version."""


class CouponNotFound(Refused, code=6001, status=404):
    """There is no such coupon."""


class CouponExhausted(Refused, code=6002):
    """The coupon is used up."""


class CouponLimitReached(Refused, code=6003):
    """You have used this coupon as often as one person may."""


class CouponNotApplicable(Refused, code=6004, status=422):
    """The coupon does not fit this order."""


class CouponExists(Refused, code=6005):
    """There is a coupon with that code."""


class CouponMalformed(Refused, code=6006, status=422):
    """The coupon's values do not fit together."""


class SaleNotFound(Refused, code=6101, status=404):
    """There is no such sale."""


class SaleExists(Refused, code=6102):
    """A sale of this code exists, with other content."""


class SaleMalformed(Refused, code=6103, status=422):
    """A sale cannot be like that."""


class SaleNotOpen(Refused, code=6104):
    """The sale has not begun, or is over."""


class SaleLimitReached(Refused, code=6105):
    """You have taken as many of this sale as one person, device or address may."""


class TicketRefused(Refused, code=6106, status=403):
    """The ticket is not one for this order, or its time is over: join the queue again."""


class TicketUsed(Refused, code=6107):
    """This ticket has been used for an order."""


class NotQueued(Refused, code=6108, status=404):
    """You do not stand in that queue."""


class DeviceUnknown(Refused, code=6109, status=422):
    """This sale is limited per device: say which in X-Device-Id."""


class InsufficientPoints(Refused, code=7001):
    """There are not that many points."""


class PayableTooSmall(Refused, code=7002):
    """The seller is due less than that."""


class SettlementStateForbids(Refused, code=7003):
    """The settlement's state does not allow that."""


class SecondPersonNeeded(Refused, code=7004, status=403):
    """Somebody else must approve what you proposed."""


class SettlementNotFound(Refused, code=7005, status=404):
    """There is no such settlement run."""


class AlreadySettled(Refused, code=7006):
    """A line of this settlement was settled before."""


class PointsRefused(Refused, code=7007, status=422):
    """Points cannot be used that way."""


class AlreadyRecognized(Refused, code=7008):
    """The order's revenue was shared out before."""


class PayoutAccountMissing(Refused, code=7009):
    """Of a seller in the run nobody knows whom to pay."""


class NothingToAllocate(Refused, code=8001):
    """The order has nothing left to allocate."""


class ParcelNotFound(Refused, code=8002, status=404):
    """There is no such parcel."""


class ParcelStateForbids(Refused, code=8003):
    """The parcel's state does not allow that."""


class ReturnNotFound(Refused, code=8004, status=404):
    """There is no such return."""


class ReturnStateForbids(Refused, code=8005):
    """The return's state does not allow that."""


class ReturnAboveBought(Refused, code=8006, status=422):
    """More would be returned than was bought."""


class NotAllocatable(Refused, code=8007):
    """No warehouse has what the order needs."""


class TrackingNoTaken(Refused, code=8008):
    """Another parcel of this carrier has that tracking number."""


class ReturnWindowOver(Refused, code=8009):
    """It is too late to return that for that reason."""


class ReturnsMeet(Refused, code=8010):
    """Another return of this order is just being asked for; try again."""


class StoreNotFound(Refused, code=9101, status=404):
    """There is no such store."""


class StoreExists(Refused, code=9102):
    """There is a store with that code."""


class ChannelNotFound(Refused, code=9103, status=404):
    """There is no such channel."""


class ChannelExists(Refused, code=9104):
    """There is a channel with that code."""


class FlagNotFound(Refused, code=9105, status=404):
    """There is no such feature flag."""


class CurrencyUnknown(Refused, code=9107, status=422):
    """That is not a currency of ISO 4217, or not one with these digits."""


class StoreIsClosed(Refused, code=9108):
    """The store is closed."""


class ClockRefused(Refused, code=9106, status=409):
    """Only a replay deployment lets its clock be set, and only forward."""


class TooManySearches(Refused, code=9109):
    """Somebody keeps as many searches as can be kept."""
