"""A mall that has been open for sixty days: what was paid then is given back today."""

from collections.abc import Iterator

import pytest

from browser.conftest import Stage
from browser.shopper import Shopper
from browser.test_console import again, sign_in
from journeys.town import Town, make_town
from postgres import TestDatabase, TestServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def old_town(
    postgres_server: TestServer, template_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    with make_town(postgres_server, template_database, tmp_path_factory.mktemp("old"), with_history=True) as made:
        yield made


@pytest.mark.parametrize(
    ("gateway", "channel", "amount", "shown"),
    [("toss", "web", "1000", "₩1,000"), ("wechat", "wechat", "1.50", "CN¥1.50")],
)
def test_a_part_of_an_old_payment_is_given_back(
    stage: Stage, old_town: Town, gateway: str, channel: str, amount: str, shown: str
) -> None:
    finance = sign_in(Shopper(stage.browser, old_town.api, "en"), "finance")
    page = finance.page
    try:
        finance.open(f"/console/orders?state=DELIVERED&channel={channel}")  # Its money is not shared out yet.
        numbers = [cell.inner_text().strip() for cell in page.locator("td a.mono").all()]
        for number in numbers:
            finance.open(f"/console/payments?state=captured&gateway={gateway}&q={number}")
            if page.locator("tbody td a").count():
                break
        page.locator("tbody td a").first.click()
        page.locator("#amount").fill(amount)
        page.locator("#reason").fill("a bruised apple")
        finance.check()
        page.locator("main form .button-bad").click()
        again(finance)
        page.get_by_text("The refund is on its way.").wait_for()
        finance.check()
        for _ in range(100):
            if "completed" in page.locator("main").inner_text():
                break
            page.wait_for_timeout(200)
            page.reload()
        line = page.locator(".todo li", has_text=shown)
        assert "completed" in line.inner_text()
        finance.check()
    finally:
        finance.close()
