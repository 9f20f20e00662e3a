"""Files that people take along, and work that goes on part by part."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from pasar.apps.cells import safe_cell
from pasar.apps.pages.visit import Visit

PART = 20
"""So many things of a long list are done for one request: about a second's work."""


def as_csv(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """RFC 4180, UTF-8 with the mark that spreadsheets need."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return Response(text.getvalue().encode("utf-8-sig"), headers=headers, media_type="text/csv")


class Outcome(NamedTuple):
    """What became of one thing of a long list."""

    what: str
    good: bool
    detail: str


class Bulk(NamedTuple):
    """A long list, done part by part: each request does one part and answers with a page that asks for the next. The
    browser holds what is left, so stopping is not asking any more, and nothing goes on behind anybody's back."""

    todo: list[str]
    rest: list[str]
    done: int
    failed: list[str]
    """`what: why`, of all parts so far."""

    @property
    def total(self) -> int:
        return self.done + len(self.rest)


def next_part(visit: Visit, items: Sequence[str]) -> Bulk:
    """The part to be done now. `done` and `failed` come along in the form."""
    done = visit.text("done")
    failed = [str(line) for line in visit.fields.getlist("failed") if isinstance(line, str)][:500]
    return Bulk(list(items[:PART]), list(items[PART:]), int(done) if done.isdigit() and len(done) < 7 else 0, failed)


def bulk_page(
    visit: Visit, bulk: Bulk, outcomes: Sequence[Outcome], *, title: str, back: str, kept: Sequence[tuple[str, str]]
) -> Response:
    """How far it is, what failed, and the form for the rest. `kept` are its other fields."""
    failed = [*bulk.failed, *(f"{one.what}: {one.detail}" for one in outcomes if not one.good)]
    after = Bulk([], bulk.rest, bulk.done + len(outcomes), failed)
    return visit.render(
        "console/bulk.html", bulk=after, outcomes=outcomes, title=title, back=back, kept=kept,
        path=visit.request.scope["path"],
    )  # fmt: skip
