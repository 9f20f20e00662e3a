"""The three database roles of Pasar, none of them a superuser, and how one address becomes that of another role.

`pasar_owner` owns the schemas and runs the migrations; nobody logs in as it. `pasar_app` is what the API and the
workers are; what it may do is granted by the migrations. `pasar_reader` only reads (reports, exports, support).
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

OWNER = "pasar_owner"
APP = "pasar_app"
READER = "pasar_reader"

# A forgotten transaction stalls every follower of the log, hence the limit.
_ATTRIBUTES = "nosuperuser nobypassrls nocreatedb nocreaterole noreplication"
CREATE_ROLES: Mapping[str, tuple[str, ...]] = {
    OWNER: (f"create role {OWNER} nologin {_ATTRIBUTES}",),
    APP: (
        f"create role {APP} login {_ATTRIBUTES}",
        f"alter role {APP} set idle_in_transaction_session_timeout = '60s'",
    ),
    READER: (
        f"create role {READER} login {_ATTRIBUTES}",
        f"alter role {READER} set default_transaction_read_only = on",
        f"alter role {READER} set idle_in_transaction_session_timeout = '60s'",
    ),
}


def with_database(dsn: str, database: str) -> str:
    """The same server and user, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path="/" + quote(database, safe="")))


def with_login(dsn: str, role: str, password: str | None = None) -> str:
    """The same database, logged in as `role`; for servers that trust the caller, or with the role's own password."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    user = quote(role, safe="") + ("" if password is None else ":" + quote(password, safe=""))
    query = urlencode(
        [(key, value) for key, value in parse_qsl(parts.query) if key not in ("user", "password")], safe="/"
    )
    return urlunsplit(parts._replace(netloc=f"{user}@{place}", query=query))


def with_role(dsn: str, role: str) -> str:
    """The same login, acting as `role` from the first statement on; for servers where only one login is at hand."""
    parts = urlsplit(dsn)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != "options"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("options", f"-crole={role}")], safe="/")))
