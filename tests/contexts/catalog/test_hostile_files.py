"""Files that are not what they say, that grow, carry riders or have hostile names: refused, or made harmless, within
little time and memory; pictures that are pictures are taken."""

import gc
import io
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil
import pytest
from PIL import Image, PngImagePlugin

from contexts.selling import Shop
from pasar.apps.lab.evidence import Evidence

pytestmark = pytest.mark.slow

MORE = "LAB_CORPORA"
PRODUCTS = "/api/v1/products"
CPU_S, MEMORY = 0.2, 50 << 20
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp"}
RIDERS = (b"<script", b"alert(", b"<?php", b"onerror", b"GPS place", b"secret camera")


class Upload(NamedTuple):
    """`good`: whether it has to be taken; None: it may be, made harmless."""

    name: str
    type: str
    data: bytes
    good: bool | None


def noise(format: str, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    target = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(target, format, **options)
    return target.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def own() -> Iterator[Upload]:
    exif = Image.Exif()
    exif[0x010E], exif[0x0110] = "GPS place", "secret camera"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "<script>alert(1)</script>")
    for format, type in (("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif")):
        yield Upload(f"an honest {format}", type, noise(format), True)
    rider = b"<script>alert(1)</script><?php ?>"
    yield Upload("EXIF", "image/jpeg", noise("JPEG", exif=exif), True)
    yield Upload("a script in a comment", "image/png", noise("PNG", pnginfo=text), True)
    yield Upload("a rider behind the end", "image/png", noise("PNG") + rider, True)
    yield Upload("a rider behind a JPEG", "image/jpeg", noise("JPEG") + rider, True)
    inflating = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50 << 20)))
    yield Upload("a text that grows", "image/png", png(2, 2, bytes(14), inflating), None)
    frames = [Image.new("P", (8, 8), number % 250) for number in range(1_000)]
    target = io.BytesIO()
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    yield Upload("a thousand frames", "image/gif", target.getvalue(), None)
    yield Upload("900 million pixels", "image/png", png(30_000, 30_000, bytes(1_000)), False)
    yield Upload("10¹⁰ pixels", "image/png", png(100_000, 100_000, b""), False)
    yield Upload("a huge canvas", "image/gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(30), False)
    yield Upload("a GIF that is a script", "image/gif", b"GIF89a/*" + bytes(20) + b"*/=1;alert(1);//", False)
    yield Upload("HTML", "image/jpeg", b"<html><script>alert(1)</script>", False)
    yield Upload("SVG", "image/png", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', False)
    yield Upload("a tenth of it", "image/jpeg", noise("JPEG")[:200], False)
    yield Upload("nothing", "image/png", b"", False)
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    yield Upload("laughs", "image/png", b'<!DOCTYPE s [<!ENTITY l0 "ha">' + laughs + b"]><s>&l9;</s>", False)
    yield Upload("an archive", "image/png", b"PK\x03\x04" + bytes(1_000), False)


def corpora() -> Iterator[Upload]:
    """Those of LAB_CORPORA, each as the type that its name says, or as a picture."""
    if not (folder := os.environ.get(MORE)):
        return
    for place in ("upload", "xss"):
        for file in sorted((Path(folder) / place / "files").iterdir()):
            yield Upload(file.name, TYPES.get(file.suffix, "image/png"), file.read_bytes(), None)


def judge(upload: Upload, shown: Any) -> None:
    """What is served is a picture of ours, and nothing of what was sent but its pixels."""
    assert shown.headers["content-type"] in TYPES.values()
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert not [rider for rider in RIDERS if rider in shown.body], f"{upload.name}: what was sent along is served"
    with Image.open(io.BytesIO(shown.body)) as opened:
        assert not opened.getexif()
        assert not {"comment", "Comment", "exif", "xmp"} & set(opened.info), opened.info.keys()
        assert getattr(opened, "n_frames", 1) == 1


@pytest.fixture
def quiet_collector() -> Iterator[None]:
    """To look through all that other tests have loaded takes as long as a costly picture."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quiet_collector")
@pytest.mark.promise("D5")
async def test_a_hostile_file_is_refused_or_made_harmless(shop: Shop, proof: Evidence) -> None:
    process = psutil.Process()
    await shop.ask("POST", f"{PRODUCTS}/none/media", noise("PNG"), token=shop.token())  # Loads the decoders.
    for number, upload in enumerate([*own(), *corpora()]):
        product = await shop.sell(f"picture-{number}")
        resting, began = process.memory_info().rss, time.process_time()
        answer = await shop.ask(
            *("POST", f"{PRODUCTS}/{product}/media", upload.data),
            token=shop.token(),
            headers=[("Content-Type", upload.type)],
        )
        spent, grown = time.process_time() - began, process.memory_info().rss - resting
        proof.attempt()
        assert answer.status < 500, (upload.name, answer.body)
        if upload.good is not None:
            assert (answer.status < 300) == upload.good, (upload.name, answer.status, answer.body)
        proof.figure("the most CPU, s", max(spent, float(proof.figures.get("the most CPU, s", 0))))
        assert spent < CPU_S, f"{upload.name} took {spent:.2f} s of CPU"
        assert grown < MEMORY, f"{upload.name} took {grown >> 20} MiB"
        if answer.status < 300:
            judge(upload, await shop.ask("GET", answer.json["media"][0]["url"]))


NAMES = (
    "../../etc/passwd", "..\\..\\windows\\win.ini", "....//....//x.png", "%2e%2e%2fx.png", "x.php", "x.png;.html",
    ".htaccess", "CON", "x.png::$DATA", "\u202egnp.exe", "x\r\nSet-Cookie: a=b.png", 'x";filename="y.html',
    "$(id).png", "-rf.png", "<script>alert(1)</script>.png", "", ".", "..", "/", "a" * 300 + ".png",
)  # fmt: skip


@pytest.mark.promise("D5")
async def test_a_hostile_name_of_a_picture_finds_no_file(shop: Shop, proof: Evidence, tmp_path: Path) -> None:
    """Names are made of the content; whoever asks for another gets nothing, and nothing is written elsewhere."""
    before = files_in(tmp_path)
    for name in NAMES:
        for spelled in (quote(name, safe=""), quote(quote(name, safe=""), safe="")):
            answer = await shop.ask("GET", f"/media/{spelled}")
            assert answer.status in (400, 404), (name, answer.status)
            assert b"root:" not in answer.body
            proof.attempt()
    assert files_in(tmp_path) == before


def files_in(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}
