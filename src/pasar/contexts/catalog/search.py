"""Texts as pairs of letters, by which products are found although a letter is wrong.

Written apart into their smallest parts (Korean syllables into letters, accents from their letters) texts of any
language can be compared by the pairs that they share: 사가 meets 사과, "aple" meets "apple", 富土 meets 富士.
PostgreSQL makes the same pairs of titles (`PAIRS_SQL`) when the view is written.
"""

import re
import unicodedata

LONGEST = 100
_BREAKS = r"[\s,.;:!?()/''\"\[\]·、。，（）《》「」-]+"
_SPLIT = re.compile(_BREAKS)
PAIRS_SQL = (
    """array(
    select distinct substr(framed.padded, begins.number, 2) collate "C" as pair
      from unnest(regexp_split_to_array(lower(normalize({text}, NFKD)), $breaks$"""
    + _BREAKS
    + """$breaks$)) words (word),
           lateral (select ' ' || words.word || ' ' as padded) framed,
           lateral generate_series(1, length(framed.padded) - 1) begins (number)
     where words.word <> '' order by pair)"""
)
"""`{text}` is an SQL text. The same as `pairs`, in the database."""


def pairs(text: str) -> list[str]:
    """The pairs of letters of every word, with a space before and after it; each once, in their order."""
    plain = unicodedata.normalize("NFKD", text[:LONGEST]).lower()
    found: dict[str, None] = {}
    for word in _SPLIT.split(plain):
        if word:
            padded = f" {word} "
            found.update((padded[at : at + 2], None) for at in range(len(padded) - 1))
    return list(found)
