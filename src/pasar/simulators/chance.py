"""What a provider invents: keys, numbers and nonces that nobody can guess."""

import secrets


def hexadecimal(size: int) -> str:
    """Twice as many characters as bytes."""
    return secrets.token_hex(size)


def digits(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}}"


def token(size: int) -> str:
    """Letters, digits, hyphens and underscores for so many bytes."""
    return secrets.token_urlsafe(size)
