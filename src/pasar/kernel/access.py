"""Who asks, and what they may do. Policies are judged before a request is read; every route names one.

A policy sees the principal and the parameters of the path, nothing that had to be loaded: what somebody may not see,
the facade does not load, and the answer is the same as for what does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .messages import Value

Kind = Literal["anonymous", "guest", "member", "seller", "manager", "admin", "finance", "warehouse", "system"]
STAFF: frozenset[str] = frozenset({"manager", "admin", "finance", "warehouse"})


class Principal(Value):
    """Who asks. `id` is the account's; `stores` are those that a seller or manager works for."""

    id: str
    kind: Kind
    roles: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    tenant: int = 1
    version: int = 0
    token_id: str = ""
    session: str = ""
    """The sign-in that the token came from; it can be ended by itself."""

    @property
    def signed_in(self) -> bool:
        return self.kind != "anonymous"

    def has(self, *roles: str) -> bool:
        """Whether the kind or one of the roles is among `roles`."""
        return self.kind in roles or not self.roles.isdisjoint(roles)


@dataclass(frozen=True)
class Policy:
    """A named rule. `needs_token` says that nobody passes without having signed in (401 rather than 403)."""

    name: str
    check: Callable[[Principal, Mapping[str, Any]], bool]
    description: str
    needs_token: bool = True

    def __or__(self, other: "Policy") -> "Policy":
        """Either of two rules is enough."""
        return Policy(
            f"{self.name} or {other.name}",
            lambda who, at: self.check(who, at) or other.check(who, at),
            f"{self.description}; or: {other.description}",
            self.needs_token and other.needs_token,
        )

    def __and__(self, other: "Policy") -> "Policy":
        """Both rules must hold."""
        return Policy(
            f"{self.name} and {other.name}",
            lambda who, at: self.check(who, at) and other.check(who, at),
            f"{self.description}; and: {other.description}",
            self.needs_token or other.needs_token,
        )


def anonymous(tenant: int = 1) -> Principal:
    """Somebody who did not say who they are."""
    return Principal(id="anonymous", kind="anonymous", tenant=tenant)


def staff(*roles: str) -> Policy:
    """Staff of one of the kinds or roles; without any, all staff."""
    wanted = frozenset(roles) or STAFF
    return Policy(
        f"staff({', '.join(sorted(wanted))})",
        lambda who, at: who.kind in wanted or not who.roles.isdisjoint(wanted),
        f"staff: {', '.join(sorted(wanted))}",
    )


def own(parameter: str) -> Policy:
    """The parameter of the path is the caller's own account. What is another's is refused before it is looked up."""
    return Policy(
        f"own({parameter})",
        lambda who, at: who.kind != "anonymous" and str(at[parameter]) == who.id,
        f"the account named by `{parameter}` itself",
    )


def own_store(parameter: str) -> Policy:
    """The parameter of the path is a store that the caller works for."""
    return Policy(
        f"own_store({parameter})",
        lambda who, at: who.kind in ("seller", "manager") and at[parameter] in who.stores,
        f"sellers and managers of the store named by `{parameter}`",
    )


anyone = Policy("anyone", lambda who, at: True, "anyone", needs_token=False)
signed_in = Policy("signed_in", lambda who, at: who.kind != "anonymous", "guests and members with a token")
member = Policy("member", lambda who, at: who.kind == "member", "members")
seller = Policy("seller", lambda who, at: who.kind == "seller", "sellers")
system = Policy("system", lambda who, at: who.kind == "system", "the system itself")
