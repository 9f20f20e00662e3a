"""The providers of a deployment: adapters made from the settings, with their health and their share of the traffic."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar
from weakref import WeakKeyDictionary

from pasar.kernel.adapters import AdapterDown, Adapters, Health
from pasar.kernel.bus import Bus
from pasar.kernel.clock import SystemClock
from pasar.kernel.outgoing import Outgoing
from pasar.kernel.settings import Settings
from pasar.kernel.settings_kernel import OutgoingSettings, ServerSettings

from ..gateway import Gateway, GatewayUnavailable
from .config import PaymentSettings, simulators_place, toss_config, wechat_config
from .toss import Toss
from .wechat import WechatPay

T = TypeVar("T")
NOBODY = "health-check"
CALLBACK = "/api/v1/payments/callback"


class Hub:
    """All gateways. Calls go through the breaker of each; what cannot be reached is `GatewayUnavailable`."""

    def __init__(self, adapters: Adapters[Gateway], notify_base: str, client: Outgoing) -> None:
        self.adapters, self._notify_base, self.client = adapters, notify_base, client

    @classmethod
    def of(cls, bus: Bus) -> "Hub":
        """The hub of this process. Made when it is first asked for, as its connections belong to the event loop."""
        hub = _hubs.get(bus.settings)
        if hub is None:
            hub = _hubs[bus.settings] = cls.made(bus)
        return hub

    @classmethod
    def made(cls, bus: Bus) -> "Hub":
        chosen, server = bus.settings.section(PaymentSettings), bus.settings.section(ServerSettings)
        # Breakers and signatures live in the time of the real world, whatever clock the shop goes by.
        clock = SystemClock()
        adapters: Adapters[Gateway] = Adapters(
            "payment",
            clock,
            trouble=(GatewayUnavailable,),
            threshold=chosen.breaker_failures,
            pause=timedelta(seconds=chosen.breaker_pause_s),
            check_every=timedelta(seconds=chosen.health_check_s),
        )
        base = chosen.notify_url or server.public_url or f"http://{server.host}:{server.port}"
        own = [*bus.settings.section(OutgoingSettings).allow, *simulators_place(chosen)]
        hub = cls(adapters, base.rstrip("/"), Outgoing(own))
        client = hub.client
        for name, share in chosen.shares.items():
            if name == "toss" and (toss := toss_config(chosen)) is not None:
                hub.add(Toss(toss, client), share)
            if name == "wechat" and (wechat := wechat_config(chosen, hub.notify_url("wechat"))) is not None:
                hub.add(WechatPay(wechat, client, clock.now, lambda: bus.ids.uuid().hex), share)
        return hub

    def add(self, gateway: Gateway, share: int) -> None:
        """Well is who can say that a payment which nobody made is unknown."""
        self.adapters.register(gateway.name, gateway, share=share, check=lambda: gateway.query(NOBODY, None))

    @property
    def home(self) -> str:
        """Where buyers come back to when nobody said where."""
        return f"{self._notify_base}/"

    def notify_url(self, name: str) -> str:
        return f"{self._notify_base}{CALLBACK}/{name}"

    def __contains__(self, name: str) -> bool:
        return name in self.adapters

    def __getitem__(self, name: str) -> Gateway:
        return self.adapters[name]

    def candidates(self, key: str, currency: str, shares: Mapping[str, int]) -> list[str]:
        self.adapters.check_in_background()
        return self.adapters.candidates(key, lambda gateway: currency in gateway.currencies, shares)

    def claiming(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Whose notice this looks like."""
        return next((name for name, gateway in self.adapters.items() if gateway.claims(headers, body)), None)

    async def call(self, name: str, function: Callable[[Gateway], Awaitable[T]], within: timedelta | None = None) -> T:
        if name not in self.adapters:
            raise GatewayUnavailable(f"{name} is not configured here")
        try:
            return await self.adapters.call(name, function, within)
        except AdapterDown as down:
            raise GatewayUnavailable(str(down)) from down
        except TimeoutError as error:
            raise GatewayUnavailable(f"{name} did not answer in time") from error

    async def health(self) -> list[Health]:
        await self.adapters.check()
        return self.adapters.health()

    async def close(self) -> None:
        await self.adapters.close()
        await self.client.close()


_hubs: "WeakKeyDictionary[Settings, Hub]" = WeakKeyDictionary()


async def close(settings: Settings) -> None:
    """At the end of the process: connections and checks."""
    hub = _hubs.pop(settings, None)
    if hub is not None:
        await hub.close()
