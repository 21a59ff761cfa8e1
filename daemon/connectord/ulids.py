"""ULIDs as text: 26 characters of Crockford's base32 for 128 bits."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]  # 10 bits at a time: base64.b32encode is slower
_HALF = (1 << 60) - 1


def encode(number: int) -> str:
    """The 26 characters of a number of 128 bits."""
    # written out, it takes two thirds of what a loop takes: every action has an id, and every try a token
    pairs, high, low = _PAIRS, number >> 60, number & _HALF
    return (
        f"{pairs[high >> 60]}{pairs[high >> 50 & 1023]}{pairs[high >> 40 & 1023]}{pairs[high >> 30 & 1023]}"
        f"{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}{pairs[low >> 50]}"
        f"{pairs[low >> 40 & 1023]}{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )
