"""One opening of a page: who visits, in which language, what was asked, and how to answer."""

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pasar.kernel.access import Principal
from pasar.kernel.bus import Bus, Context, Core
from pasar.kernel.messages import FieldError, convert, decode
from pasar.kernel.private import plan_of
from pasar.kernel.store import Reader
from pasar.kernel.web import Page as Part
from pasar.kernel.web_answers import etag_of, matches
from pasar.kernel.web_errors import UNREADABLE, collect, first_error
from pasar.kernel.web_input import clean
from pasar.kernel.web_refusals import InvalidRequest

from .languages import Language
from .page import Face, Page
from .session import Session

if TYPE_CHECKING:
    from .site import Site

T = TypeVar("T")
SAID = "said"
AFTER = "after"
TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field
KEY_FIELD = "intent"
ORIGIN_FIELD = "origin"
_OWN_FIELDS = frozenset({TOKEN_FIELD, KEY_FIELD, ORIGIN_FIELD})
LONGEST_SAID = 300


class Said(NamedTuple):
    """A sentence that the next page shows once."""

    text: str
    good: bool


class Visit:
    """What a page's handler gets. Whatever it reads or writes goes through `db` and `bus`, as the API does it."""

    def __init__(
        self,
        site: "Site",
        face: Face,
        page: Page,
        request: Request,
        session: Session,
        language: Language,
        prefixed: bool,
    ) -> None:
        self.site, self.face, self.page, self.request, self.session = site, face, page, request, session
        self.language, self.prefixed = language, prefixed
        self.path: dict[str, Any] = request.path_params
        self.fields: FormData = FormData()
        self.said: Said | None = None
        self.view: dict[str, Any] = {}
        """What faces work out once a visit: the channel, the number of things in the cart."""
        self.buses: list[Bus] = []

    # Who, and what the system has.

    @property
    def who(self) -> Principal:
        return self.session.who

    @property
    def account(self) -> UUID:
        """The account of somebody who has signed in, guests too."""
        return UUID(self.who.id)

    @property
    def core(self) -> Core:
        return self.site.core

    @property
    def db(self) -> Reader:
        return self.core.database.reader(self.who.tenant)

    @property
    def frame(self) -> str:
        return self.face.frame

    @property
    def shop_name(self) -> str:
        return self.core.settings.section("notification").shop_name

    @property
    def theme(self) -> str:
        """`light` or `dark` where the visitor chose; empty: as the system has it."""
        chosen = self.site.sessions.cookie(self.request, "theme")
        return chosen if chosen in ("light", "dark") else ""

    @property
    def form_token(self) -> str:
        return self.site.sessions.form_token(self.session)

    @property
    def has_written(self) -> bool:
        """Whether this visitor changed something a moment ago, and wants to see it."""
        return self.site.sessions.cookie(self.request, AFTER) is not None

    def bus(self, *, key: str | None = None) -> Bus:
        """To write as this visitor. `key`: the intent that the form carries, so that a repeat changes nothing."""
        bus = self.core.bus(
            Context(
                tenant=self.who.tenant,
                principal=self.who.id,
                roles=self.who.roles,
                request_id=self.request.scope["pasar.request_id"],
                route=self.page.name,
                key=key,
                request_hash=b"" if key is None else self._form_digest(),
                deadline=self.request.scope["pasar.deadline"],
            )
        )
        self.buses.append(bus)
        return bus

    def _form_digest(self) -> bytes:
        digest = blake2b(self.request.url.path.encode(), digest_size=16)
        for name, value in sorted((name, str(value)) for name, value in self.fields.multi_items()):
            if name not in _OWN_FIELDS:
                digest.update(f"\0{name}\0{value}".encode())
        return digest.digest()

    @property
    def intent(self) -> str:
        """The key of the form that was sent; refused where a form has none."""
        key = str(self.fields.get(KEY_FIELD, ""))
        if not (8 <= len(key) <= 64 and key.isascii() and key.isprintable()):
            raise InvalidRequest("the form is incomplete; open the page again")
        return key

    def new_intent(self) -> str:
        return str(self.core.ids.uuid())

    async def recalled(self, bus: Bus, kind: type[T]) -> T | None:
        """The first answer to this form, when it was sent before."""
        stored = await bus.recall()
        return decode(stored.body, kind) if stored is not None and stored.status < 400 and stored.body else None

    async def opened(self, answer: T) -> T:
        """An answer of a facade with what is private in it readable."""
        if isinstance(answer, Part):
            return Part(items=[await self.opened(one) for one in answer.items], next=answer.next)  # type: ignore[return-value]
        if isinstance(answer, list | tuple):
            return [await self.opened(one) for one in answer]  # type: ignore[return-value]
        if isinstance(answer, msgspec.Struct) and plan_of(type(answer)) is not None:
            return await self.core.keys.open_all(answer)  # type: ignore[attr-defined]
        return answer

    # What was asked.

    def query(self, kind: type[T]) -> T:
        """The query as a struct. What it does not know is left alone: links carry marks of others."""
        return self._read(kind, self.request.query_params)

    def form(self, kind: type[T]) -> T:
        """The form as a struct; empty fields count as left out. Refuses with every field that is wrong."""
        return self._read(kind, self.fields)

    def text(self, name: str) -> str:
        """A field of the form as text; empty where there is none."""
        value = self.fields.get(name, "")
        try:
            return clean(value).strip() if isinstance(value, str) else ""
        except ValueError as error:
            raise InvalidRequest(errors=(FieldError(field=name, detail=str(error)),)) from None

    def _read(self, kind: type[T], given: Any) -> T:
        values: dict[str, Any] = {}
        errors: list[FieldError] = []
        for field in msgspec.structs.fields(kind):  # type: ignore[arg-type]
            several = msgspec.inspect.type_info(field.type)
            texts = [text for text in given.getlist(field.encode_name) if isinstance(text, str)]
            try:
                texts = [text for text in (clean(text).strip() for text in texts) if text]
            except ValueError as error:
                errors.append(FieldError(field=field.encode_name, detail=str(error)))
                continue
            if isinstance(several, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
                values[field.encode_name] = texts
            elif texts:
                values[field.encode_name] = texts[-1]
        if errors:
            raise InvalidRequest(errors=tuple(errors))
        try:
            return convert(values, kind, strict=False)
        except UNREADABLE as error:
            found = collect(values, kind, strict=False) or (first_error(error),)
            named = tuple(FieldError(field=one.field.lstrip("/"), detail=one.detail) for one in found)
            raise InvalidRequest(errors=named) from None

    # How to answer.

    def url(self, path: str, **query: Any) -> str:
        """A link within the site, in the language of the address that was opened."""
        pairs = [(name, value) for name, value in query.items() if value not in (None, "", ())]
        prefix = f"/{self.language.code}" if self.prefixed else ""
        asked = f"?{urlencode(pairs, doseq=True)}" if pairs else ""
        return (prefix + path if path != "/" else prefix or "/") + asked

    def in_language(self, code: str) -> str:
        """This page's address in another language."""
        path, query = self.request.scope["pasar.path"], self.request.url.query
        return f"/{code}{path if path != '/' else ''}" + (f"?{query}" if query else "")

    def say(self, text: str, *, good: bool = True, **values: object) -> None:
        """Let the next page show a sentence, once. `text` is one of the catalogue."""
        sentence = f"{'+' if good else '-'}{self.language.say(text, **values)}"[:LONGEST_SAID]
        self.session.cookies[SAID] = base64.urlsafe_b64encode(sentence.encode()).decode(), 60

    def go(self, path: str, **query: Any) -> Response:
        """Send the visitor on to another page (303), with GET."""
        return RedirectResponse(self.url(path, **query), 303)

    @property
    def origin(self) -> str:
        """The page that the form stood on, with its query, as far as it is one of ours that can be opened; or empty. A
        form that was shown in answer to another one carries where that stood."""
        referer = urlsplit(self.request.headers.get("referer", ""))
        ours = f"{referer.scheme}://{referer.netloc}" == self.site.sessions.origin(self.request)
        for path in (self.text(ORIGIN_FIELD), f"{referer.path}?{referer.query}".rstrip("?") if ours else ""):
            if path.startswith("/") and not path.startswith("//") and self.site.has_page(urlsplit(path).path):
                return path
        return ""

    def back(self, otherwise: str = "") -> Response:
        """Back to the page that the form stood on."""
        origin = self.origin
        return RedirectResponse(origin, 303) if origin else self.go(otherwise or self.face.home)

    def render(self, template: str, *, status: int = 200, validated: bool = False, **values: Any) -> Response:
        """A page of a template. `validated`: browsers may keep it and ask whether it is still right (ETag);
        others are not kept at all."""
        body = self.site.templates.render(template, self, values).encode()
        headers = {"Cache-Control": "no-store"}
        if validated and status == 200 and self.said is None:
            tag = etag_of(body)
            headers = {"Cache-Control": "private, no-cache", "ETag": f'"{tag}"', "Vary": "Cookie, Accept-Language"}
            known = self.request.headers.get("if-none-match")
            if known is not None and matches(known.encode("latin-1"), tag):
                return Response(status_code=304, headers=headers)
        return Response(body, status, headers, media_type="text/html")


def wrong_fields(error: InvalidRequest | Any) -> dict[str, str]:
    """The fields that a refusal names, for templates: name → what is wrong."""
    errors: Sequence[FieldError] = getattr(error, "errors", ())
    return {one.field.strip("/").replace("/", "."): one.detail for one in errors}
