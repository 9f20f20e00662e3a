"""Where clients may write as they like, card numbers are looked for."""

from collections.abc import Iterator
from typing import Literal, get_origin, get_type_hints

import pytest

from pasar.apps.wiring import contexts
from pasar.kernel.free_text import TextBody
from pasar.kernel.messages import Body

FREE = frozenset({"metadata", "reason", "note", "place", "address", "comment", "message"})
"""How fields are called in which people write what they like."""


def _below(kind: type[Body]) -> Iterator[type[Body]]:
    for part in kind.__subclasses__():
        yield part
        yield from _below(part)


@pytest.mark.promise("E6")
def test_every_free_text_of_a_body_is_named_as_one() -> None:
    contexts()
    bodies = [kind for kind in _below(Body) if kind.__module__.startswith("pasar.contexts.")]
    looked_at = set()
    for kind in bodies:
        named = set(kind.free_texts) if issubclass(kind, TextBody) else set()
        assert named <= set(kind.__struct_fields__), kind
        for field in FREE.intersection(kind.__struct_fields__):
            looked_at.add(field)
            assert (field in named) != _is_choice(kind, field), (kind, field)
    assert looked_at >= {"metadata", "reason", "note", "address"}


def _is_choice(kind: type[Body], field: str) -> bool:
    """Whether the field takes one of a few words only."""
    return get_origin(get_type_hints(kind)[field]) is Literal
