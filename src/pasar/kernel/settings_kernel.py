"""The kernel's own settings, one class a section. Importing this module registers them."""

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta

from .settings import Section, register


class DatabaseSettings(Section, frozen=True):
    """Where the log, the ledger and the views are."""

    url: Annotated[
        str, Meta(description="Address of a PostgreSQL (15 or newer) as its owner; empty: the embedded one.")
    ] = ""
    app_url: Annotated[
        str, Meta(description="Address for API and workers, as pasar_app; empty: `url`, acting as it.")
    ] = ""
    reader_url: Annotated[
        str, Meta(description="Address for reports, as pasar_reader; empty: `url`, acting as it.")
    ] = ""
    port: Annotated[int, Meta(description="Port of the embedded server on 127.0.0.1; 0 picks one.", ge=0, le=65535)] = 0
    programs: Annotated[str, Meta(description="Folder with `initdb` and `postgres`; empty: those of the wheel.")] = ""
    pool_size: Annotated[int, Meta(description="Connections of one process for queries.", ge=1, le=200)] = 8
    connect_timeout_s: Annotated[int, Meta(description="How long to wait for a connection.", ge=1, le=300)] = 10
    statement_timeout_s: Annotated[
        int, Meta(description="The longest a query of a request may take.", ge=1, le=3600)
    ] = 10

    def problems(self) -> Iterable[str]:
        for field in ("url", "app_url", "reader_url"):
            value = getattr(self, field)
            if value and not value.startswith(("postgresql://", "postgres://")):
                yield f"{field} must begin with postgresql://"
            if field != "url" and value and not self.url:
                yield f"{field} is given without url: give both, or none for the embedded server"


class RedisSettings(Section, frozen=True):
    """An optional Redis; nothing that decides is kept there."""

    url: Annotated[str, Meta(description="Address of a Redis for shared rate limits and caches; empty: none.")] = ""

    def problems(self) -> Iterable[str]:
        if self.url and not self.url.startswith(("redis://", "rediss://", "unix://")):
            yield "url must begin with redis://, rediss:// or unix://"


class AmqpSettings(Section, frozen=True):
    """An optional RabbitMQ; what it forgets is asked for again."""

    url: Annotated[str, Meta(description="Address of a RabbitMQ in which orders of a sale may wait; empty: none.")] = ""
    prefix: Annotated[
        str, Meta(description="Begins the names of queues, where deployments share a broker.", max_length=60)
    ] = ""

    def problems(self) -> Iterable[str]:
        if self.url and not self.url.startswith(("amqp://", "amqps://")):
            yield "url must begin with amqp:// or amqps://"


class ServerSettings(Section, frozen=True):
    """The HTTP server."""

    host: Annotated[str, Meta(description="Address to listen on; 0.0.0.0 for all.", min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on.", ge=0, le=65535)] = 8000
    workers: Annotated[int, Meta(description="Processes that answer requests.", ge=1, le=256)] = 1
    public_url: Annotated[str, Meta(description="How visitors reach the shop; empty: host and port.")] = ""
    body_limit_kb: Annotated[int, Meta(description="The largest body of a request but uploads.", ge=1, le=102400)] = (
        1024
    )
    keep_alive_s: Annotated[
        int, Meta(description="Seconds for which a connection without a request stays open.", ge=1, le=3600)
    ] = 30
    request_timeout_s: Annotated[int, Meta(description="The longest a request may take.", ge=1, le=600)] = 30
    idempotency_on_every_write: Annotated[
        bool, Meta(description="Whether every write needs an idempotency key, not only those that move money or goods.")
    ] = False

    def problems(self) -> Iterable[str]:
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            yield "public_url must begin with http:// or https://"


class CommitSettings(Section, frozen=True):
    """How changes become durable."""

    lanes: Annotated[int, Meta(description="Connections of one process that commit groups of changes.", ge=1, le=8)] = 2
    group: Annotated[int, Meta(description="The most changes committed as one group.", ge=1, le=1000)] = 128
    queue: Annotated[int, Meta(description="Changes that may wait; more are refused at once.", ge=1, le=100000)] = 2048
    attempts: Annotated[
        int, Meta(description="How often a change is decided again after a conflict.", ge=1, le=100)
    ] = 10
    deadline_s: Annotated[int, Meta(description="The longest a change may wait and take.", ge=1, le=300)] = 10

    def problems(self) -> Iterable[str]:
        if self.queue < self.group:
            yield f"queue is {self.queue}, less than a group of {self.group}: raise it, or lower commit.group"


class FollowersSettings(Section, frozen=True):
    """The readers of the log: views, policies, processes."""

    batch: Annotated[int, Meta(description="The most events read at once.", ge=1, le=10000)] = 500
    poll_ms: Annotated[
        int, Meta(description="How often the log is looked at when nobody wakes the reader.", ge=5, le=10000)
    ] = 50
    lease_s: Annotated[
        int, Meta(description="After how long without a sign of life another worker takes over.", ge=1, le=300)
    ] = 5
    retries: Annotated[int, Meta(description="How often an event is tried before it is parked.", ge=0, le=100)] = 5
    stall_alarm_s: Annotated[
        int, Meta(description="A follower that stands still this long alarms.", ge=1, le=86400)
    ] = 30
    view_wait_ms: Annotated[
        int, Meta(description="How long a page waits for its view after a write.", ge=0, le=10000)
    ] = 300


class LimitsSettings(Section, frozen=True):
    """How much one buyer and one network address may ask for."""

    person_per_s: Annotated[
        int, Meta(ge=0, le=100_000, description="Requests a second of one guest or member; 0: no limit.")
    ] = 100
    person_burst: Annotated[int, Meta(ge=1, le=1_000_000, description="How many of these at once.")] = 300
    address_per_s: Annotated[
        int,
        Meta(
            ge=0, le=1_000_000, description="The same of one network address; 0: no limit, for a proxy in front has it."
        ),
    ] = 0
    address_burst: Annotated[int, Meta(ge=1, le=10_000_000, description="How many of these at once.")] = 1000
    share_percent: Annotated[
        int, Meta(ge=1, le=100, description="The most places of a lane that one account has at once, in percent.")
    ] = 25


class TokensSettings(Section, frozen=True):
    """What proves who somebody is."""

    access_min: Annotated[int, Meta(description="Life of an access token.", ge=1, le=1440)] = 15
    refresh_days: Annotated[int, Meta(description="Life of a refresh token.", ge=1, le=365)] = 30
    revocation_check_ms: Annotated[
        int, Meta(description="How old the list of revoked tokens may be.", ge=50, le=1000)
    ] = 500


class OutgoingSettings(Section, frozen=True):
    """Calls to the outside."""

    allow: Annotated[
        tuple[str, ...],
        Meta(description="Own hosts as host:port, which may be called at private addresses and without TLS."),
    ] = ()

    def problems(self) -> Iterable[str]:
        for entry in self.allow:
            host, _, port = entry.rpartition(":")
            if not host or not port.isdigit():
                yield f"allow has {entry!r}; write a host, a colon and its port, such as 127.0.0.1:8900"


class LogSettings(Section, frozen=True):
    """What is written to the standard error output."""

    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], Meta(description="The least that is written.")
    ] = "info"
    format: Annotated[Literal["json", "console"], Meta(description="For machines or for people.")] = "json"


class TelemetrySettings(Section, frozen=True):
    """Traces; metrics are always at /metrics."""

    enabled: Annotated[bool, Meta(description="Whether traces are collected.")] = False
    endpoint: Annotated[
        str, Meta(description="OTLP over HTTP address of the collector; empty: the library's default.")
    ] = ""
    sample_percent: Annotated[int, Meta(description="Traces kept, of a hundred.", ge=0, le=100)] = 10


register(
    "database",
    DatabaseSettings,
    aliases={"DATABASE_URL": "url"},
)
register("redis", RedisSettings, aliases={"REDIS_URL": "url"})
register("amqp", AmqpSettings, aliases={"AMQP_URL": "url"})
register("server", ServerSettings, profiles={"traceable": {"idempotency_on_every_write": True}})
register("commit", CommitSettings)
register("followers", FollowersSettings)
register("tokens", TokensSettings)
register("limits", LimitsSettings)
register("outgoing", OutgoingSettings)
register("log", LogSettings)
register("telemetry", TelemetrySettings, aliases={"OTEL_EXPORTER_OTLP_ENDPOINT": "endpoint"})
