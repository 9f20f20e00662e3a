"""Mails to somebody who has no account."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

from journeys.people import City, Person, fresh, item, until


def mails(city: City, person: Person) -> list[EmailMessage]:
    """What was written to somebody, in the order of its writing."""
    files = (city.town.folder / "mailbox").glob(f"**/*.{person.id}.eml")
    found = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in sorted(files)]
    return found  # type: ignore[return-value]


async def test_a_guest_is_written_to_in_the_language_of_each_order(city: City) -> None:
    guest, sku, mail = await city.guest(), await city.sell(5), f"{fresh('guest')}@example.com"
    numbers = {}
    for language in ("zh", "ko"):
        contact = {"mail": mail, "language": language}
        numbers[language] = (await guest.placed(item(sku), contact=contact))["order_no"]
        await guest.pay(numbers[language])
        await guest.sees(numbers[language], "ALLOCATED")
    await city.deliver(numbers["zh"])

    async def all_written() -> Any:
        return found if len(found := mails(city, guest)) == 4 else None

    written = await until(all_written, "mails to the guest: two paid, one shipped, one delivered")
    assert {message["To"] for message in written} == {f"Kim Minji <{mail}>"}
    subjects = {str(message["Subject"]) for message in written}
    assert f"感谢您的订单 {numbers['zh']}" in subjects
    assert sum(numbers["zh"] in subject for subject in subjects) == 3
    [korean] = [message for message in written if numbers["ko"] in str(message["Subject"])]
    assert korean["Content-Language"] == "ko"
    await city.at_rest()  # A mail is there a moment before it is noted.
    listed = (await guest.get("/me/mails"))["items"]
    assert {one["state"] for one in listed} == {"sent"}


async def test_an_address_that_orders_and_does_not_pay_is_not_written_to(city: City) -> None:
    """Anybody can say that it is theirs."""
    guest, sku = await city.guest(), await city.sell(1)
    contact = {"mail": "victim@example.com", "language": "en"}
    number = (await guest.placed(item(sku), contact=contact))["order_no"]
    city.town.jump(minutes=45)
    await guest.sees(number, "CANCELLED", "CANCELED")
    await city.at_rest()
    [mail] = (await guest.get("/me/mails"))["items"]
    assert (mail["template"], mail["state"]) == ("order_canceled", "failed")
    assert mails(city, guest) == []


async def test_what_is_no_address_is_refused(city: City) -> None:
    guest, sku = await city.guest(), await city.sell(1)
    for contact in ({"mail": "nobody"}, {"mail": ""}, {"mail": "a@example.com\r\nBcc: b@example.com"}):
        problem = (await guest.place(item(sku), contact=contact)).refused(400, 3003)
        assert [one["field"] for one in problem["errors"]] == ["/contact/mail"]
    (await guest.place(item(sku), contact={"mail": "a@example.com", "language": "xx"})).refused(400, 3003)
    (await guest.place(item(sku), contact="a@example.com")).refused(400, 3003)
