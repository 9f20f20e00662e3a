"""What was added is always in it; of what was not, hardly any seems to be."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from pasar.kernel.bloom import Bloom


@given(st.lists(st.text(max_size=40)), st.integers(1, 50))
def test_what_was_added_is_in_it_however_full_it_is(keys: list[str], capacity: int) -> None:
    bloom = Bloom(capacity)
    for key in keys:
        bloom.add(key)
    assert all(key in bloom for key in keys)
    assert bloom.count <= len(set(keys))


def test_two_in_a_hundred_of_what_was_not_added_seem_to_be_in_it_at_most() -> None:
    bloom = Bloom(10_000)
    assert str(UUID(int=1)) not in bloom
    for number in range(10_000):
        bloom.add(str(UUID(int=number)))
    seen = sum(str(UUID(int=number)) in bloom for number in range(10**6, 10**6 + 20_000))
    assert seen < 400, seen
    assert bloom.is_full or bloom.count > 9_800
