"""TLS of one system's own: its roots, and the certificate that connectord shows.

The files are read when the configuration is, so that a mistake has its line, and when the adapter opens. What they
hold counts as a part of the settings: a certificate that was renewed is taken up by a reload.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import httpx
import pydantic

_LARGEST = 4_194_304


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file with certificates or a key; ``digest`` tells two contents apart."""

    path: str
    digest: str

    def __str__(self) -> str:
        return f"{self.path} (sha256 {self.digest[:12]})"


def _read(value: object) -> PemFile:
    if isinstance(value, PemFile):
        return value
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError('must be an absolute path, such as "/etc/connectord/billing.pem"')
    try:
        with Path(value).open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise ValueError(f"{value} has more than {_LARGEST} bytes")
    return PemFile(value, hashlib.sha256(content).hexdigest())


PemPath: TypeAlias = Annotated[PemFile, pydantic.PlainValidator(_read), pydantic.PlainSerializer(str, return_type=str)]


def load_roots(context: ssl.SSLContext, file: PemFile) -> None:
    """Let ``context`` trust the authorities in ``file``. Raises :class:`ValueError`."""
    try:
        context.load_verify_locations(cafile=file.path)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{file.path} holds no certificates in PEM: {_words(error)}") from None


def load_certificate(
    context: ssl.SSLContext, certificate: PemFile, key: PemFile | None, password: pydantic.SecretStr | None
) -> None:
    """Let ``context`` show a certificate. Raises :class:`ValueError`."""
    # without one OpenSSL would ask for it on the terminal
    secret = "" if password is None else password.get_secret_value()
    try:
        context.load_cert_chain(certificate.path, None if key is None else key.path, password=lambda: secret)
    except (OSError, ssl.SSLError, ValueError) as error:
        where = certificate.path if key is None else f"{certificate.path} and {key.path}"
        raise ValueError(f"{where} are no certificate and its key in PEM: {_words(error)}") from None


def make_context(
    *,
    verify: bool,
    ca_file: PemFile | None,
    certificate: PemFile | None,
    key: PemFile | None,
    password: pydantic.SecretStr | None,
) -> bool | ssl.SSLContext:
    """What a transport's ``verify`` has to be: ``verify`` itself where there is nothing of the system's own.

    Raises :class:`ValueError` where a file has become unreadable.
    """
    if ca_file is None and certificate is None:
        return verify
    if not verify:
        context = httpx.create_ssl_context(verify=False, trust_env=False)
    elif ca_file is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        load_roots(context, ca_file)
    else:
        context = ssl.create_default_context()
    if certificate is not None:
        load_certificate(context, certificate, key, password)
    return context


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    strerror = getattr(error, "strerror", None)
    return strerror or type(error).__name__
