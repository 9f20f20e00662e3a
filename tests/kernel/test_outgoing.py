"""Calls to the outside reach public addresses and hosts of our own, and nothing else; whatever answers is bounded."""

import asyncio
import gzip
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pasar.kernel.outgoing import Outgoing, OutgoingFailed, OutgoingForbidden, check_address, check_url
from proof import Evidence

BLACK_HOLE = "192.175.48.1"
"""A public address that nothing is behind (AS112, RFC 7534)."""
INSIDE = (
    "127.0.0.1", "127.1", "127.0.0.01", "127.255.255.254", "0.0.0.0", "0", "2130706433", "0x7f000001", "0x7f.0.0.1",
    "0177.0.0.1", "017700000001", "127.0.0.1.", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1",
    "100.64.0.1", "100.100.100.200", "169.254.169.254", "2852039166", "0xA9FEA9FE", "169.254.43518", "192.0.0.192",
    "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]",
    "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]",
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "metadata", "metadata.google.internal", "instance-data",
    "redis", "kubernetes.default.svc", "db.internal", "printer.local", "host.docker.internal", "router.home.arpa",
    "example.com@127.0.0.1", "127.0.0.1#@example.com", "127.0.0.1\\@example.com", "127.0.0.1%2523@example.com",
    "127.0.0.1%00.example.com", "127.0.0.1 .example.com", "127.0.0.1\t.example.com", "①②⑦.⓪.⓪.①", "127。0。0。1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "127.0.0.1\u200b", "loc\u00adalhost", "[::1", "::1", "...", "a" * 64 + ".example.com",
)  # fmt: skip
OTHER = (
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "ftp://127.0.0.1/", "dict://127.0.0.1:6379/info",
    "data:text/html,x", "javascript:alert(1)", "ws://127.0.0.1/", "unix:///var/run/docker.sock", "//127.0.0.1/",
    "http:/127.0.0.1/", "http:127.0.0.1/", "http:///127.0.0.1/", "https:example.com", "",
    "https://user:pass@example.com/", "https://example.com:22/", "https://example.com:0/",
    "https://example.com:65536/", "https://example.com:-80/", "https://example.com/\r\nHost: inside",
)  # fmt: skip
OUTSIDE = (
    "https://example.com/hook", "https://example.com:443/hook", "https://example.com:8443/hook?a=b",
    "https://xn--fsq.com/", "https://8.8.8.8/", "https://[2606:4700::1111]/", "https://api.mch.weixin.qq.com/v3/pay",
)  # fmt: skip
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A server on this machine that counts who connects."""

    def __init__(self, port: int) -> None:
        self.port, self.connections = port, 0


async def listening(serve: Serve, **how: ssl.SSLContext) -> AsyncIterator[Listener]:
    listener = Listener(0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, **how)
    listener.port = server.sockets[0].getsockname()[1]
    yield listener
    server.close()


def answering(*parts: bytes, pause: bool = False) -> Serve:
    """Writes the parts; then ends, or with `pause` keeps the connection open for good."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if pause:
            await reader.read()

    return serve


def head(length: int, *lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {length}", *lines, "", "")).encode()


@pytest.fixture
async def inside() -> AsyncIterator[Listener]:
    async for listener in listening(answering(head(2), b"no")):
        yield listener


async def never(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was resolved")


def resolving(*answers: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    """One answer after another; the last one again and again."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def call(client: Outgoing, url: str, timeout_s: int = 20) -> bytes:
    return (await client.request("GET", url, headers={}, timeout_s=timeout_s, most_bytes=100_000)).body


def known() -> Iterator[str]:
    """The URLs of a folder of corpora, where this machine has one (`LAB_CORPORA`)."""
    file = Path(os.environ.get("LAB_CORPORA", "/nowhere")) / "ssrf" / "urls.json"
    if file.is_file():
        # What only a resolver can tell is tried with a resolver below.
        yield from (one["url"] for one in json.loads(file.read_text())["deny"] if "resolves" not in one["why"])


@pytest.mark.promise("D6")
async def test_no_spelling_of_an_inner_address_is_connected_to(inside: Listener, proof: Evidence) -> None:
    client = Outgoing(resolve=never)
    hosts = [
        f"{scheme}://{host}{port}/" for host in INSIDE for scheme in ("https", "http") for port in ("", inside.port)
    ]
    hosts = [url.replace(f"{inside.port}/", f":{inside.port}/") for url in hosts]
    for url in (*hosts, *OTHER, *known()):
        for spelt in dict.fromkeys((url, url.replace("http://", "https://", 1))):
            proof.attempt()
            with pytest.raises(OutgoingForbidden):
                await call(client, spelt)
    await client.close()
    assert inside.connections == 0


@pytest.mark.parametrize("url", OUTSIDE)
def test_public_addresses_may_be_called(url: str) -> None:
    scheme, host, _ = check_url(url)
    assert url.startswith(f"{scheme}://")
    assert host in url


async def test_only_tls_leaves_this_machine() -> None:
    client = Outgoing(resolve=never)
    with pytest.raises(OutgoingForbidden, match="https"):
        await call(client, "http://example.com/")
    await client.close()


@pytest.mark.promise("D6")
@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:10.0.0.1"], [BLACK_HOLE, "10.0.0.1"],
     ["10.0.0.1", BLACK_HOLE], ["fe80::1%eth0"]],
    ids=str,
)  # fmt: skip
async def test_one_inner_address_spoils_the_answer_of_the_resolver(answer: list[str], inside: Listener) -> None:
    client = Outgoing(resolve=resolving(answer))
    with pytest.raises(OutgoingForbidden):
        await call(client, f"https://shop.example.com:{inside.port}/")
    await client.close()
    assert inside.connections == 0


@pytest.mark.promise("D6")
async def test_what_was_checked_is_connected_to_even_if_the_name_moves(inside: Listener, proof: Evidence) -> None:
    """A resolver of the attacker answers a public address first and ours next. It is asked once."""
    client = Outgoing(resolve=resolving([BLACK_HOLE], ["127.0.0.1"], ["127.0.0.1"]))
    url = f"https://rebinding.example.com:{inside.port}/"
    try:
        for problem in (OutgoingFailed, OutgoingForbidden, OutgoingForbidden):
            proof.attempt()
            with pytest.raises(problem) as told:
                await call(client, url, timeout_s=1)
            assert type(told.value) is problem
    finally:
        await client.close()
    assert inside.connections == 0


@pytest.mark.promise("D6")
@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
async def test_nobody_is_followed_elsewhere(status: str, inside: Listener) -> None:
    there = f"Location: http://127.0.0.1:{inside.port}/"
    async for own in listening(answering(head(0, there, status=status))):
        client = Outgoing([f"own.test:{own.port}"], resolve=resolving(["127.0.0.1"]))
        reply = await client.request("GET", f"http://own.test:{own.port}/", headers={}, timeout_s=5)
        assert (reply.status, reply.headers["location"]) == (int(status[:3]), there[10:])
        await client.close()
    assert inside.connections == 0


async def test_hosts_of_our_own_are_called_by_the_port_that_was_named(inside: Listener) -> None:
    client = Outgoing([f"127.0.0.1:{inside.port}"])
    assert await call(client, f"http://127.0.0.1:{inside.port}/") == b"no"
    with pytest.raises(OutgoingForbidden):
        await call(client, f"http://127.0.0.1:{inside.port + 1}/")
    with pytest.raises(OutgoingForbidden):
        await call(client, f"http://localhost:{inside.port}/")
    await client.close()


BOMB = gzip.compress(bytes(50_000_000))
BROKEN: dict[str, Serve] = {
    "too long": answering(head(200_000), bytes(200_000)),
    "without end": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"4\r\nwxyz\r\n"] * 50_000),
    "a bomb": answering(head(len(BOMB), "Content-Encoding: gzip"), BOMB),
    "headers without end": answering(b"HTTP/1.1 200 OK\r\n", *[b"X-Long: " + b"x" * 8_000 + b"\r\n"] * 1_300),
    "silent": answering(pause=True),
    "slow": answering(head(50), b"slow", pause=True),
    "reset": answering(head(50), b"broken"),
    "no HTTP": answering(b"SSH-2.0-OpenSSH_9.6\r\n"),
}


@pytest.mark.promise("D6")
@pytest.mark.parametrize("how", list(BROKEN))
async def test_whatever_answers_is_bounded(how: str) -> None:
    async for own in listening(BROKEN[how]):
        client = Outgoing([f"127.0.0.1:{own.port}"])
        timeout_s = 1 if how in ("silent", "slow") else 20
        async with asyncio.timeout(30):
            with pytest.raises(OutgoingFailed):
                await call(client, f"http://127.0.0.1:{own.port}/", timeout_s)
        await client.close()
        assert own.connections >= 1


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own.test")]),
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    certificate = builder.sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    async for own in listening(answering(head(2), b"ok"), ssl=context):
        client = Outgoing([f"own.test:{own.port}"], resolve=resolving(["127.0.0.1"]))
        with pytest.raises(OutgoingFailed, match=r"(?i)certificate"):
            await call(client, f"https://own.test:{own.port}/")
        await client.close()


def test_a_network_without_ipv4_reaches_public_addresses_of_it() -> None:
    assert check_address("64:ff9b::808:808") == "64:ff9b::808:808"
