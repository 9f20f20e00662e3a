"""The refusals of the HTTP side itself: 3xxx the request, 4xxx who asks, 9xxx the platform.

Number and name never change. `retry_after_s` becomes the header Retry-After.
"""

from typing import Any

from .messages import FieldError, Refused


class InvalidIdempotencyKey(Refused, code=3001, status=400):
    """The idempotency key is missing or malformed (400), or was used before with another request (422)."""

    def __init__(
        self, detail: str = "", *, errors: tuple[FieldError, ...] = (), status: int = 400, **facts: Any
    ) -> None:
        super().__init__(detail, errors=errors, **facts)
        self.status = status  # type: ignore[misc]


class InProgress(Refused, code=3002, status=409):
    """A request with this idempotency key is being worked on. Ask again in a second."""

    retry_after_s = 1


class InvalidRequest(Refused, code=3003, status=400):
    """The request does not have the form that this operation takes; `errors` says what to change."""


class InvalidCursor(Refused, code=3004, status=400):
    """The cursor is not one that this list has given out. Start again without it."""


class PayloadTooLarge(Refused, code=3005, status=413):
    """The body is larger than this operation takes."""


class UnsupportedMediaType(Refused, code=3006, status=415):
    """The body is of a kind that this operation does not read."""


class UnsupportedVersion(Refused, code=3007, status=406):
    """The version asked for in Accept-Version is not served."""


class NotFound(Refused, code=3008, status=404):
    """There is nothing at this address."""


class MethodNotAllowed(Refused, code=3009, status=405):
    """This address does not take the method; the header Allow lists those that it takes."""


class Unauthenticated(Refused, code=4001, status=401):
    """Sign in first: the access token is missing, malformed, expired or revoked."""


class Forbidden(Refused, code=4003, status=403):
    """You may not do this."""


class TooManyRequests(Refused, code=4029, status=429):
    """Too many requests in a short time. Wait as long as Retry-After says."""

    retry_after_s = 1


class InternalError(Refused, code=9000, status=500):
    """Something went wrong on our side. Quote the request id when you ask about it."""


class Unavailable(Refused, code=9003, status=503):
    """The service cannot take this request now. Nothing is lost: repeat it with the same key."""

    retry_after_s = 1
