"""Files for browsers: own styles and scripts, and libraries. Served with a hash in their address, so that browsers may
keep them for ever; nothing comes from elsewhere."""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
VENDOR = FOLDER / "vendor"
PREFIX = "/static/"
_URL = re.compile(rb'url\("([^":]+)"\)')
LEAST_PACKED = 1024
KEPT = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    url: str
    body: bytes
    content_type: str
    packed: bytes | None
    """The same by gzip, where that is worth it."""


class Assets:
    """All files of some folders, in memory. A later folder's file does not replace an earlier one's. A folder that is
    called like a style sheet, `console.css/`, is one, of its files in their order."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._by_name: dict[str, Asset] = {}
        files = [(folder, file) for folder in folders for file in sorted(folder.rglob("*"))]
        # Styles last: they name other files, by addresses that are known then.
        for folder, file in sorted(files, key=lambda pair: pair[1].suffix == ".css"):
            name, is_style = file.relative_to(folder).as_posix(), file.suffix == ".css"
            if file.name.startswith(".") or name in self._by_name or file.parent.suffix == ".css":
                continue
            if file.is_file():
                body = file.read_bytes()
                self._by_name[name] = _asset(name, self._linked(body) if is_style else body)
            elif is_style:
                parts = b"\n".join(part.read_bytes() for part in sorted(file.glob("*.css")))
                self._by_name[name] = _asset(name, self._linked(parts))
        self._by_url = {asset.url: asset for asset in self._by_name.values()}

    def _linked(self, style: bytes) -> bytes:
        """A style sheet with the addresses of the files that it names; what was not fetched is left out."""

        def link(found: re.Match[bytes]) -> bytes:
            asset = self._by_name.get(found[1].decode())
            return b'local("none")' if asset is None else f'url("{asset.url}")'.encode()

        return _URL.sub(link, style)

    def has(self, name: str) -> bool:
        return name in self._by_name

    def url(self, name: str) -> str:
        """The address of a file; KeyError where there is none."""
        return self._by_name[name].url

    def answer(self, path: str, accept_encoding: str = "") -> Response:
        found = self._by_url.get(path)
        if found is None:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        headers = {"Cache-Control": KEPT, "Content-Type": found.content_type, "Vary": "Accept-Encoding"}
        if found.packed is not None and "gzip" in accept_encoding:
            return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"})
        return Response(found.body, headers=headers)


def _asset(name: str, body: bytes) -> Asset:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "text/javascript" if name.endswith(".js") else "font/woff2" if name.endswith(".woff2") else kind
    text = kind.startswith("text/") or kind == "image/svg+xml"
    digest = hashlib.blake2b(body, digest_size=6).hexdigest()
    packed = gzip.compress(body, mtime=0) if text and len(body) > LEAST_PACKED else None
    return Asset(f"{PREFIX}{digest}/{name}", body, f"{kind}; charset=utf-8" if text else kind, packed)
