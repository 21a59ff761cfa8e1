"""Until when certificates are valid.

The standard library shows the dates of a certificate only once it was verified, and a doctor wants to see those that do
not verify, too. So the one field is read here from the DER encoding (RFC 5280, 4.1: ``Certificate``).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectord.control import results as r
from connectord.doctor.findings import error, fine, warning

CHECK = "certificates"
WARN_DAYS = 30
LARGEST = 4_194_304

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def valid_until(der: bytes) -> datetime:
    """``notAfter`` of a certificate. Raises :class:`ValueError` where this is none."""
    certificate, _ = _element(der, _SEQUENCE)
    to_be_signed, _ = _element(certificate, _SEQUENCE)
    rest = to_be_signed
    if rest[:1] == bytes([_VERSION]):
        rest = _element(rest)[1]
    for _ in ("serialNumber", "signature", "issuer"):
        rest = _element(rest)[1]
    validity, _ = _element(rest, _SEQUENCE)
    _, after = _element(validity)
    return _time(after)


def _element(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it."""
    if len(data) < 2 or (tag is not None and data[0] != tag):
        raise ValueError("is no X.509 certificate")
    length, start = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("is no X.509 certificate")
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if len(data) < start + length:
        raise ValueError("is no X.509 certificate: it ends too early")
    return data[start : start + length], data[start + length :]


def _time(data: bytes) -> datetime:
    content, _ = _element(data)
    try:
        text = content.decode("ascii")
        if data[0] == _UTC_TIME:
            # RFC 5280: 50 to 99 are the last century
            text = f"{'19' if text[:2] >= '50' else '20'}{text}"
        elif data[0] != _GENERALIZED_TIME:
            raise ValueError
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("is no X.509 certificate: its end of validity cannot be read") from None


def certificates_in(pem: str) -> Iterator[bytes]:
    """The certificates of a PEM file, in DER. Raises :class:`ValueError`."""
    for piece in pem.split(_BEGIN)[1:]:
        body, end, _ = piece.partition(_END)
        if not end:
            raise ValueError("a certificate has no end")
        yield ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{body}{_END}")


def judge_certificate(what: str, der: bytes, now: datetime, about: str | None) -> r.Finding:
    """How long a certificate is still good for."""
    try:
        end = valid_until(der)
    except ValueError as mistake:
        return warning(CHECK, f"{what}: {mistake}", "look at it with openssl x509 -text", about)
    return judge_end(what, end, now, about)


def judge_end(what: str, end: datetime, now: datetime, about: str | None) -> r.Finding:
    """How long something that ends at ``end`` is still good for."""
    days = (end - now).days
    until = f"{what} is valid until {end:%Y-%m-%d}"
    if end <= now:
        return error(CHECK, f"{what} has expired on {end:%Y-%m-%d}", "replace it now, then connectorctl reload", about)
    if days < WARN_DAYS:
        return warning(CHECK, f"{until}, {days} days from now", "have it renewed", about)
    return fine(CHECK, until, about)


def judge_file(key: str, path: Path, now: datetime, about: str) -> r.Finding | None:
    """The certificate in ``path`` that ends first; None where the file has none."""
    try:
        with path.open("rb") as stream:
            text = stream.read(LARGEST).decode("utf-8", "replace")
    except OSError as mistake:
        words = f"{key}: {path} cannot be read: {mistake.strerror}"
        return error(CHECK, words, "put the file there, readable for the daemon", about)
    try:
        ends = [valid_until(der) for der in certificates_in(text)]
    except ValueError as mistake:
        return warning(CHECK, f"{key}: {path}: {mistake}", "look at it with openssl x509 -text", about)
    return judge_end(f"{key} ({path})", min(ends), now, about) if ends else None
