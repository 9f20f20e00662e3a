"""Schemathesis against a running town, as somebody of a role: everything that the API document offers is tried."""

import asyncio
import json
import time
import uuid
from collections import Counter
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from zlib import crc32

import msgspec
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName

from journeys.people import fresh
from journeys.town import Town
from pasar.apps.demo import PASSWORD
from pasar.apps.deployment import opened, read_settings
from pasar.contexts.identity import facade as identity
from pasar.contexts.identity.contract import SetRoles
from pasar.kernel.bus import Context

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "missing_required_header", "unsupported_method", "allow_header_conformance",
    "ignored_auth",
)  # fmt: skip
ALL_PHASES = ("examples", "coverage", "fuzzing", "stateful")
LOOK_AGAIN_S = 1.0


class Report(msgspec.Struct):
    """What was seen: failures by kind, operations that were called, and how they answered."""

    failures: dict[str, str] = {}
    called: set[str] = set()
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    errors: list[str] = []
    offered: set[str] = set()


class Somebody:
    """A token of a role. Who was locked out, or gave up the account, comes back as somebody else of that role."""

    def __init__(self, town: Town, role: str) -> None:
        self.town, self.role, self.token, self.looked_at = town, role, "", 0.0

    def get(self, case: Any, context: Any) -> str:
        if time.monotonic() - self.looked_at > LOOK_AGAIN_S:
            if not (self.token and self._is_welcome()):
                self.token = self._come()
            self.looked_at = time.monotonic()
        return self.token

    def set(self, case: Any, token: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}

    def _is_welcome(self) -> bool:
        with suppress(HTTPError):
            headers = {"Authorization": f"Bearer {self.token}"}
            return urlopen(Request(f"{self.town.api}/api/v1/cart", headers=headers), timeout=30).status == 200
        return False

    def _come(self) -> str:
        if self.role == "guest":
            return self._post("guests", {})["access_token"]
        mail = f"{fresh(self.role)}@example.com"
        asyncio.run(self._join(mail))
        return self._post("sessions", {"login": mail, "password": PASSWORD})["access_token"]

    def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        data = json.dumps(body).encode() if body else b""
        headers = {"Content-Type": "application/json"} if body else {}
        with urlopen(Request(f"{self.town.api}/api/v1/{path}", data, headers, method="POST"), timeout=30) as answer:
            return json.load(answer)

    async def _join(self, mail: str) -> None:
        settings = read_settings({"data_dir": str(self.town.folder), "replay": True})
        roles: Any = tuple(dict.fromkeys(("member", self.role)))
        async with opened(settings, self.town.addresses) as deployment:
            bus = deployment.core.bus(Context(principal="test", correlation_id=uuid.uuid4().hex))
            account = await identity.ensure_account(bus, mail, PASSWORD, self.role, roles)
            if self.role in ("seller", "manager"):
                change = SetRoles(account=account, roles=roles, stores=("volt",), granted_by=("admin", *roles))
                await bus.send(change)


def fuzz(
    town: Town, role: str, *, phases: tuple[str, ...], examples: int, seconds: int | None = None, share: int = 1
) -> Report:
    """Try everything as somebody of the role: so many examples of each operation, or less when the time is over.
    `share`: one operation of so many, others for each role."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            **({"max-time": seconds} if seconds else {}),
            "continue-on-failure": True,
            "request-timeout": 30,
            "suppress-health-check": ["all"],
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "phases": {name: {"enabled": name in phases} for name in ALL_PHASES},
        }
    )
    schema = schemathesis.openapi.from_url(f"{town.api}/openapi.json", config=config)
    if share > 1:
        schema = schema.include(lambda context: crc32(f"{role} {context.operation.label}".encode()) % share == 0)

    class Provider(Somebody):
        def __init__(self) -> None:
            super().__init__(town, role)

    schema.auth(refresh_interval=None)(Provider)  # It looks after its token itself.
    report = Report(offered={operation.ok().label for operation in schema.get_all_operations()})
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            report.errors.append(str(getattr(event, "info", None) or getattr(event, "exception", event)))
        if isinstance(event, events.ScenarioFinished) and event.phase != PhaseName.PROBING:
            _note(report, event.recorder)
    return report


def _note(report: Report, recorder: Any) -> None:
    for id, node in recorder.cases.items():
        interaction = recorder.interactions.get(id)
        if interaction is not None and interaction.response is not None:
            report.called.add(node.value.operation.label)
            report.statuses[interaction.response.status_code] += 1
        for check in recorder.checks.get(id, ()):
            if check.failure_info is not None:
                failure, told = check.failure_info.failure, check.failure_info.code_sample
                kind = f"{node.value.operation.label}: {check.name}: {failure.title}"
                report.failures.setdefault(kind, f"{failure.message[:600]}\n{told[:600]}")
