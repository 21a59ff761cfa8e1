"""Standard Webhooks (https://www.standardwebhooks.com), version 1: who sent a message, and when.

A signature is the HMAC-SHA256 of ``ID.TIMESTAMP.BODY``, in base64. A message may bear several, one for each secret
while one is being replaced by another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence

import pydantic
from connectord.adapters import CallbackNotAllowed

PREFIX = "whsec_"

_FEWEST_BYTES, _MOST_BYTES = 24, 64
_MOST_SIGNATURES = 32
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


def decode_secret(text: str) -> bytes:
    """The key in ``whsec_BASE64``; the prefix may be missing.

    Raises :class:`ValueError`, which never repeats the secret, where it is no base64 or not 24 to 64 bytes long.
    """
    try:
        encoded = text.removeprefix(PREFIX).rstrip("=")
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must be a secret of Standard Webhooks: {PREFIX} and base64") from None
    if not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        wanted = f"{_FEWEST_BYTES} to {_MOST_BYTES} bytes long"
        raise ValueError(f"must be a secret of Standard Webhooks, {wanted}; this one has {len(key)}")
    return key


def decode_secrets(secrets: Sequence[pydantic.SecretStr]) -> list[bytes]:
    """The key in each of ``secrets``."""
    return [decode_secret(secret.get_secret_value()) for secret in secrets]


class Signer:
    """Signs what is sent. ``now`` gives the wall clock in seconds since the epoch."""

    def __init__(self, keys: Sequence[bytes], now: Callable[[], float]) -> None:
        self._keys = tuple(keys)
        self._now = now

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """The headers for a message. Every try of the same one bears the same ``message_id``."""
        timestamp = str(int(self._now()))
        signatures = [_signature(key, message_id, timestamp, body) for key in self._keys]
        return {
            "Webhook-Id": message_id,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": " ".join(signatures),
        }


class Verifier:
    """Checks what comes in, in a time that does not tell how near a wrong signature is."""

    def __init__(self, keys: Sequence[bytes], now: Callable[[], float], tolerance_seconds: float) -> None:
        self._keys = tuple(keys)
        self._now = now
        self._tolerance_seconds = tolerance_seconds

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if one of the signatures is by one of the keys, and not older or newer than the tolerance.

        Header names are lower case. Raises :class:`CallbackNotAllowed`. The same message twice passes twice: what it
        says counts once (rule 15).
        """
        message_id, timestamp, signatures = (
            headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if not (message_id and timestamp and signatures):
            raise CallbackNotAllowed("Webhook-Id, Webhook-Timestamp and Webhook-Signature are needed; one is missing")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise CallbackNotAllowed("Webhook-Timestamp must be a number of seconds since 1970")
        if abs(self._now() - int(timestamp)) > self._tolerance_seconds:
            raise CallbackNotAllowed("Webhook-Timestamp is too far from this machine's time")
        # as text: base64 spells the same bytes in several ways, of which one is valid
        given = [each.encode() for each in signatures.split(" ")[:_MOST_SIGNATURES] if each.startswith("v1,")]
        matches = False
        for key in self._keys:
            expected = _signature(key, message_id, timestamp, body).encode()
            for each in given:
                # no early end: how long it takes must not tell which one fits
                matches |= hmac.compare_digest(expected, each)
        if not matches:
            raise CallbackNotAllowed("no signature in Webhook-Signature is valid for this body")


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode('ascii')}"
