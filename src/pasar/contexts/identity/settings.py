"""Which consents are needed, and how much sign-ins may cost."""

from typing import Annotated

from msgspec import Meta

from pasar.kernel.settings import Section, register


class IdentitySettings(Section, frozen=True):
    """Accounts and sign-in."""

    terms_version: Annotated[
        str, Meta(description="Version of the terms that new members must accept.", pattern=r"^[A-Za-z0-9._-]{1,40}$")
    ] = "2026-01"
    privacy_version: Annotated[
        str, Meta(description="Version of the privacy notice that they must accept.", pattern=r"^[A-Za-z0-9._-]{1,40}$")
    ] = "2026-01"
    second_factor_for_staff: Annotated[
        bool, Meta(description="Whether staff roles need a second factor; who has none yet can only enrol one.")
    ] = False
    hash_threads: Annotated[int, Meta(description="Passwords of one process hashed at once.", ge=1, le=64)] = 2
    hash_queue: Annotated[int, Meta(description="Sign-ins that may wait for that.", ge=0, le=1000)] = 32


register("identity", IdentitySettings)
