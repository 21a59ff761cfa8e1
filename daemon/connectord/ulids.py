"""ULIDs as text: 26 characters of Crockford's base32 for 128 bits."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]  # 10 bits at a time: base64.b32encode is slower
_SHIFTS = range(120, -1, -10)


def encode(number: int) -> str:
    """The 26 characters of a number of 128 bits."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
