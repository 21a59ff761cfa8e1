"""Why something failed, in words for the card (rule 7)."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

from connectord_amqp.wire import plain


def words_of(error: BaseException) -> str:
    """What the operating system or TLS says, without a traceback's vocabulary."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"certificate verify failed: {plain(cause.verify_message)}"
            case ssl.SSLError():
                return (cause.reason or "handshake failed").replace("_", " ").lower()
            case socket.gaierror():
                return f"name lookup failed: {cause.strerror}"
            case OSError() if cause.errno is not None:
                text = os.strerror(cause.errno)
                return text[:1].lower() + text[1:]
    return plain(str(error)) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    if error.__cause__ is not None:
        yield from _causes(error.__cause__)
