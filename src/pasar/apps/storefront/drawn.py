"""The pictures of the demo mall, drawn when they are asked for. A shop with goods of its own uploads photographs."""

import re

from starlette.responses import Response

from pasar.apps.demo_art import draw
from pasar.apps.demo_data import PICTURES, goods
from pasar.apps.pages.page import page
from pasar.apps.pages.visit import Visit
from pasar.kernel.access import anyone
from pasar.kernel.web_answers import etag_of, matches
from pasar.kernel.web_refusals import NotFound

_NAME = re.compile(r"([a-z0-9-]{1,60})-([0-9])\.svg")
KEPT = "public, max-age=86400"


@page("GET", "/media/drawn/{name}", policy=anyone, bare=True)
async def picture(visit: Visit) -> Response:
    """One of the pictures of one of the demo's products."""
    found = _NAME.fullmatch(visit.path["name"])
    shown = goods().get(found[1]) if found else None
    if found is None or shown is None or not 1 <= int(found[2]) <= PICTURES:
        raise NotFound
    body = draw(shown, int(found[2]))
    headers = {"ETag": f'"{etag_of(body)}"', "Cache-Control": KEPT}
    known = visit.request.headers.get("if-none-match")
    if known is not None and matches(known.encode("latin-1"), etag_of(body)):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="image/svg+xml")
