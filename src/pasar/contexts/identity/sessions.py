"""Refresh tokens, taken apart, and the ids of accounts."""

import base64
from typing import NamedTuple
from uuid import UUID

from pasar.kernel.ids import Ids
from pasar.refusals import SessionIsOver


class Refresh(NamedTuple):
    """A refresh token, taken apart: whose, of which session, the session's own secret, and the one that changes."""

    account: UUID
    session: UUID
    family: str
    secret: str

    def __str__(self) -> str:
        return f"{self.account.hex}.{self.session.hex}.{self.family}.{self.secret}"

    @classmethod
    def read(cls, text: str) -> "Refresh":
        """Refuses (4006) what has not the form."""
        try:
            account, session, family, secret = text.split(".")
            return cls(UUID(hex=account), UUID(hex=session), family, secret)
        except ValueError:
            raise SessionIsOver from None


def new_account_id(ids: Ids) -> UUID:
    """A random UUID (version 4): it tells nobody when somebody came."""
    return UUID(bytes=base64.urlsafe_b64decode(ids.token(16) + "=="), version=4)
