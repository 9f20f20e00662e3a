"""The provider's page on which a buyer pays: plain HTML and one form, no script."""

from html import escape
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response


def payment_page(
    *, provider: str, title: str, amount: str, action: str, hidden: dict[str, str], outcomes: dict[str, str]
) -> HTMLResponse:
    """`outcomes`: value of the button to its label."""
    inputs = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in hidden.items())
    buttons = "".join(
        f'<button name="outcome" value="{escape(value)}">{escape(label)}</button> ' for value, label in outcomes.items()
    )
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(provider)}</title><link rel="icon" href="data:,">
<style>body{{font:1rem system-ui;max-width:26rem;margin:3rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1rem}}.amount{{font-size:1.8rem}}.note{{color:#555}}</style></head>
<body><main><h1>{escape(provider)}</h1><p>{escape(title)}</p><p class="amount">{escape(amount)}</p>
<form method="post" action="{escape(action)}">{inputs}{buttons}</form>
<p class="note">A simulator: no money moves.</p></main></body></html>"""
    )


def message_page(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>{escape(text)}</title><p>{escape(text)}", status)


async def form_or_json(request: Request) -> dict[str, str]:
    """What a page or a script sends; nothing when it is neither a form nor an object of texts."""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    try:
        return msgspec.json.decode(await request.body(), type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def redirect(url: str, query: dict[str, Any]) -> Response:
    more = f"{'&' if '?' in url else '?'}{urlencode(query)}" if query else ""
    return RedirectResponse(url + more, status_code=303)


def beside(request: Request, path: str) -> str:
    """A path of the same simulator, wherever it is mounted."""
    return f"{request.scope.get('root_path', '')}/{path}"
