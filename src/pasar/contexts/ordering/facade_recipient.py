"""Where an order goes, and where mails about it go."""

from pasar.contexts.identity import facade as identity
from pasar.kernel.messages import FieldError
from pasar.kernel.private import Private
from pasar.kernel.store import Reader
from pasar.kernel.web_refusals import InvalidRequest
from pasar.refusals import AddressUnusable
from pasar.vocabulary import Address, ContactPoint, Delivery, is_mail_address

from .bodies import NewOrder
from .order import order


async def address_of(db: Reader, wish: NewOrder) -> Address:
    if (wish.shipping_address_id is None) == (wish.address is None):
        raise AddressUnusable("say where to send it: either shipping_address_id or address")
    if wish.shipping_address_id is not None:
        return await identity.address(db, wish.uid, wish.shipping_address_id)
    assert wish.address is not None
    return Address(**{name: getattr(wish.address, name) for name in Address.__struct_fields__})


def contact_of(wish: NewOrder) -> ContactPoint | None:
    """Where mails about the order go; refuses what is no address."""
    if wish.contact is None:
        return None
    if not is_mail_address(wish.contact.mail.plain_text):
        detail = "must be a mail address: name@example.com"
        raise InvalidRequest(errors=(FieldError(field="/contact/mail", detail=detail),))
    return ContactPoint(mail=wish.contact.mail, language=wish.contact.language)


async def contact(db: Reader, order_no: str) -> tuple[ContactPoint, Private[Delivery]] | None:
    """Where mails about an order go, and the name to write there, both sealed; None: to the buyer's account."""
    found = await db.state(order, order_no)
    if found is None or found.placed is None or found.placed.contact is None:
        return None
    return found.placed.contact, found.placed.address.recipient
