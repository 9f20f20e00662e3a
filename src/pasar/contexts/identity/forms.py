"""The forms of what people say of themselves, which are private texts and so have no pattern of their own."""

import re
from collections.abc import Iterator, Mapping

from pasar.vocabulary import is_mail_address

_MOBILE = re.compile(r"\+?[0-9][0-9 ().-]{5,24}")


def wrong(texts: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """What is wrong with these (`mail`, `mobile`, `name`): field and sentence. What is absent is fine."""
    for field, text in texts.items():
        if text is None:
            continue
        if field == "mail" and not is_mail_address(text):
            yield field, "must be a mail address: name@example.com"
        elif field == "mobile" and not _MOBILE.fullmatch(text):
            yield field, "must be a telephone number"
        elif field == "name" and not (1 <= len(text) <= 100 and text.isprintable()):
            yield field, "must have 1 to 100 printable characters"
