"""The one way out over HTTP: a name is resolved once, every address is checked, and what was checked is connected to.

Redirects are not followed, a deadline covers the whole call, and bytes are counted after unpacking. Hosts of our own
(simulators, a proxy in the same network) are named with their port in `outgoing.allow`; everything else must be
https at a public address.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES = 1 << 20
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → all its addresses as texts. Raises `OSError`."""

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?:[/?][^\s\\#\x00-\x1f\x7f]*)?")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "svc", "home.arpa", "cluster.local")
"""Endings of names that exist inside networks only (RFC 6761, RFC 6762, RFC 8375, ICANN's "internal")."""
_WELL_KNOWN_PORTS = frozenset({80, 443})
_FIRST_OPEN_PORT = 1024
_RESERVED = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "64:ff9b:1::/48", "fec0::/10")))
"""What `is_global` of this Python does not refuse by itself in every release."""
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


class OutgoingFailed(Exception):
    """Nothing is known of what the other side did: not reached, too slow, too long, broken."""


class OutgoingForbidden(OutgoingFailed):
    """The address is not one that we call; nothing was sent."""


class OutgoingReply(NamedTuple):
    """`headers` by their names in lower case; `body` unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_url(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL whose text says nothing that is forbidden; refuses (`OutgoingForbidden`) other
    schemes, names and passwords, names without a dot or of inside networks, numbers that are no plain IPv4 address, and
    addresses that are not public. International names must be written in their `xn--` form."""
    found = _URL.fullmatch(url)
    if found is None:
        raise OutgoingForbidden("that is no http(s) address that is called from here")
    scheme, host, port = found.group(1), found.group(2).lower(), _port(found.group(1), found.group(3))
    if host.startswith("["):
        host = host[1:-1]
        check_address(host)
    elif host.rpartition(".")[2].startswith("0x") or host.rpartition(".")[2].isdigit():
        check_address(host)  # Whatever ends in a number is an IPv4 address; other spellings than the plain are not.
    else:
        _check_name(host)
    return scheme, host, port


def _port(scheme: str, text: str | None) -> int:
    port = int(text) if text else {"http": 80, "https": 443}[scheme]
    if port not in _WELL_KNOWN_PORTS and not _FIRST_OPEN_PORT <= port < 1 << 16:
        raise OutgoingForbidden(f"port {port} is not called from here")
    return port


def _check_name(host: str) -> None:
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise OutgoingForbidden(f"{host[:80]} is no public name")
    if any(host == ending or host.endswith(f".{ending}") for ending in _INSIDE):
        raise OutgoingForbidden(f"{host} is a name of an inside network")


def check_address(text: str) -> str:
    """The address, in its usual spelling; refuses what is not public, also where IPv6 wraps such an IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        raise OutgoingForbidden(f"{text[:80]} is no plain address") from None
    carried = _carried(address)
    # A network without IPv4 reaches public addresses of it by NAT64 (RFC 6052): there only what is carried counts.
    for part in carried if address in _NAT64 else (address, *carried):
        if not part.is_global or part.is_multicast or part.is_reserved or part.is_unspecified or _is_reserved(part):
            raise OutgoingForbidden(f"{address} is not a public address")
    return str(address)


def _is_reserved(address: IPv4Address | IPv6Address) -> bool:
    return any(address.version == network.version and address in network for network in _RESERVED)


def _carried(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for (RFC 4291 §2.5.5, RFC 6052, RFC 3056, RFC 4380)."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [part for part in found if part is not None]


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, by the resolver of the machine."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


class Outgoing:
    """An HTTP client for the outside. `allow` are own hosts as `host:port`, which may be private and without TLS."""

    def __init__(self, allow: Iterable[str] = (), *, resolve: Resolve = resolve) -> None:
        self._allow = frozenset(entry.lower() for entry in allow)
        self._resolve = resolve
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout_s: int,
        most_bytes: int = MOST_BYTES,
    ) -> OutgoingReply:
        """One call. The URL goes out as it is given, since some receivers have its text signed. Raises
        `OutgoingForbidden`, else `OutgoingFailed`."""
        import aiohttp  # Here, since a start is a fifth faster without.
        from yarl import URL

        self._check(url)
        session = self._session = self._session or self._opened()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                received = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    received += chunk
                    if len(received) > most_bytes:
                        response.close()
                        raise OutgoingFailed(f"the answer is longer than {most_bytes} bytes")
                told = {name.lower(): value for name, value in response.headers.items()}
                return OutgoingReply(response.status, told, bytes(received))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise OutgoingFailed(f"{type(problem).__name__} {problem}") from problem

    def _check(self, url: str) -> None:
        found = _URL.fullmatch(url)
        if found is not None and self._is_own(found.group(2).strip("[]"), _default_port(found)):
            return
        scheme, _, _ = check_url(url)
        if scheme != "https":
            raise OutgoingForbidden("only https leaves this machine")

    def _is_own(self, host: str, port: int) -> bool:
        return f"{host.lower()}:{port}" in self._allow

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        # Its own cache of names would be filled before we look; cookies of one receiver are no other's business.
        connector = aiohttp.TCPConnector(resolver=cast("Any", self), use_dns_cache=False)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[dict[str, Any]]:
        """Asked by the connector, which connects to nothing but what this returns. One bad address spoils all."""
        addresses = await self._resolve(host, port)
        if not self._is_own(host, port):
            for address in addresses:
                check_address(address)
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        """End all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _default_port(found: "re.Match[str]") -> int:
    return int(found.group(3)) if found.group(3) else {"http": 80, "https": 443}[found.group(1)]
