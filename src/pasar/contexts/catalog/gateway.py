"""Pictures: looked at, made harmless, kept. Whatever comes in is decoded and written anew: no metadata, no riders."""

import asyncio
import io
import os
import re
import warnings
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pasar.refusals import MediaRefused

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
NAME = re.compile(r"[0-9a-f]{32}\.(?:jpg|png|webp)")
_at_once = asyncio.Semaphore(2)
"""Pictures that are decoded at the same time in one process: each may need 4 bytes a pixel."""


class Picture(NamedTuple):
    """A picture that is safe to show: its bytes, and the name that is made of them."""

    name: str
    data: bytes


class Pictures(Protocol):
    """Where pictures are kept: a folder, or a store of objects."""

    async def put(self, picture: Picture) -> None: ...

    async def get(self, name: str) -> bytes | None: ...


def cleaned(data: bytes, *, max_bytes: int, max_pixels: int, max_side: int) -> Picture:
    """The picture decoded and encoded anew, turned as its EXIF says, without any metadata. Refuses what is too large
    before it is decoded, and what only pretends to be a picture."""
    import filetype  # These two are large, and most processes never see a picture.
    from PIL import Image, ImageOps

    if len(data) > max_bytes:
        raise MediaRefused(f"a picture has {max_bytes} bytes at most")
    kind = filetype.guess_mime(data[:512])
    if kind not in FORMATS:
        raise MediaRefused("send a picture: JPEG, PNG, WebP or GIF")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[FORMATS[kind]]) as opened:
                width, height = opened.size
                if width * height > max_pixels or max(width, height) > max_side:
                    raise MediaRefused(f"a picture has {max_pixels} pixels and {max_side} a side at most")
                opened.load()  # The first frame of those that move.
                turned = ImageOps.exif_transpose(opened)
                return _encoded(
                    turned, "JPEG" if opened.format == "JPEG" else "PNG" if opened.format == "GIF" else None
                )
    except MediaRefused:
        raise
    except Exception:  # A decoder that meets hostile bytes raises whatever it likes; all of it means no.
        raise MediaRefused("the picture cannot be read") from None


def _encoded(picture: "Image.Image", into: str | None) -> Picture:
    """The pixels only, in a new file."""
    format = into or picture.format or ("PNG" if picture.mode in ("P", "1", "I", "I;16", "LA") else "WEBP")
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    pixels = picture.convert("RGBA" if has_alpha and format != "JPEG" else "RGB")
    from PIL import Image

    bare = Image.frombytes(pixels.mode, pixels.size, pixels.tobytes())
    target = io.BytesIO()
    options = {"JPEG": {"quality": 90}, "WEBP": {"quality": 90, "method": 2}, "PNG": {"compress_level": 4}}[format]
    bare.save(target, format, **options)
    data = target.getvalue()
    return Picture(f"{blake2b(data, digest_size=16).hexdigest()}.{ENDINGS[format]}", data)


async def clean(data: bytes, *, max_bytes: int, max_pixels: int, max_side: int) -> Picture:
    """The same beside the event loop, a few at a time."""
    async with _at_once:
        return await asyncio.to_thread(cleaned, data, max_bytes=max_bytes, max_pixels=max_pixels, max_side=max_side)


class Folder:
    """Pictures as files that are named after their content: the same picture twice is one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, picture: Picture) -> None:
        await asyncio.to_thread(self._put, picture)

    def _put(self, picture: Picture) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._folder / picture.name
        if place.exists():
            return
        part = place.with_name(f"{picture.name}.{os.getpid()}.part")
        with open(part, "wb") as file:
            file.write(picture.data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)

    async def get(self, name: str) -> bytes | None:
        if NAME.fullmatch(name) is None:
            return None
        return await asyncio.to_thread(self._get, name)

    def _get(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
