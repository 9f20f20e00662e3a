"""What a password must be, after NIST SP 800-63B-4 (2025) §3.1.1.2: long, and not one that everybody tries first."""

import unicodedata

SHORTEST = 10
LONGEST = 256

# Of the passwords that leaked most often (NCSC's and SecLists' lists), stems that make the long ones.
_COMMON = frozenset(
    """password passwort passw0rd p@ssw0rd p@ssword qwerty qwertyuiop qwertzuiop qwerty123 asdfghjkl asdfasdf zxcvbnm
    zaq12wsx 1qaz2wsx 1qaz2wsx3edc 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4 q1w2e3r4t5 qazwsxedc abc123 abcd1234
    iloveyou welcome letmein sunshine princess football baseball superman batman dragon monkey shadow master michael
    jennifer charlie trustno1 starwars pokemon administrator admin root changeme changeit default secret access login
    whatever freedom computer internet liverpool chelsea arsenal samsung google facebook naver kakao pasar woaini
    woaini1314 sarang saranghae test testtest guest user manager summer winter spring autumn""".split()
)
_FILLING = "0123456789!@#$%^&*._- "
_SEQUENCES = (
    "0123456789" * 3,
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
)


def normalised(password: str) -> str:
    """One form for what looks the same on different keyboards; nothing is cut off."""
    return unicodedata.normalize("NFKC", password)


def weakness(password: str, *about: str) -> str | None:
    """What is wrong with a (normalised) password, as a sentence; None when it will do. `about`: what others know of
    its owner, such as the mail address."""
    if len(password) < SHORTEST:
        return f"a password has {SHORTEST} characters or more"
    if len(password) > LONGEST:
        return f"a password has {LONGEST} characters at most"
    plain = password.casefold()
    if len(set(plain)) < 4 or any(plain in text or plain in text[::-1] for text in _SEQUENCES):
        return "the password is a mere repetition or sequence"
    stem = plain.strip(_FILLING)
    half = stem[: len(stem) // 2]
    if plain in _COMMON or stem in _COMMON or (half * 2 == stem and half in _COMMON):
        return "many people use that password, so it is tried first"
    for text in about:
        for known in (text.casefold(), text.casefold().partition("@")[0]):
            if len(known) >= 4 and known in plain and len(plain) - len(known) < 6:
                return "the password is made of what others know about you"
    return None
