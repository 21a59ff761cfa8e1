"""Rule 7: what went wrong, in words for the card."""

from __future__ import annotations

import os
import socket

from connectord_sftp.answers import (
    BAD_MESSAGE,
    FAILURE,
    NO_SUCH_FILE,
    OP_UNSUPPORTED,
    PERMISSION_DENIED,
    StatusError,
)

_NO_SPACE, _QUOTA, _INVALID_NAME = 14, 15, 20  # of later versions of the protocol, which some servers use all the same
_WORDS = {
    NO_SUCH_FILE: "no such file or directory",
    PERMISSION_DENIED: "permission denied",
    BAD_MESSAGE: "the name is refused",
    OP_UNSUPPORTED: "the server cannot do this",
    _NO_SPACE: "no space left",
    _QUOTA: "quota exceeded",
    _INVALID_NAME: "the name is refused",
}
REFUSED_NAME = frozenset({BAD_MESSAGE, _INVALID_NAME})
"""The status codes that say that a file may not have such a name."""

_LONGEST = 300


def status_words(error: StatusError) -> str:
    """What the server refused, and why as far as it says."""
    words = _WORDS.get(error.code)
    if words is None:
        words = f"the server says {one_line(error.said) or f'status {error.code}'!r}"
        if error.code == FAILURE:
            # the third version of the protocol has one code for all of this
            words += "; it may be out of space, or over a quota"
    return f"{error.path}: {words}" if error.path else words


def describe(error: BaseException) -> str:
    """Why a connection failed or broke."""
    import paramiko

    match error:
        case StatusError():
            return status_words(error)
        case paramiko.BadAuthenticationType():
            return f"login refused: the server takes {', '.join(error.allowed_types) or 'nothing'}"
        case paramiko.AuthenticationException():
            return f"login refused: {one_line(str(error))}"
        case OSError():
            return os_words(error)
        case EOFError():
            return "the server hung up"
        case _:
            return one_line(str(error)) or type(error).__name__


def os_words(error: BaseException) -> str:
    """The operating system's words about ``error``, or about what caused it."""
    for cause in (*_causes(error),):
        match cause:
            case socket.gaierror():
                return f"name lookup failed: {cause.strerror}"
            case OSError() if cause.errno is not None:
                text = os.strerror(cause.errno)
                return text[:1].lower() + text[1:]
    return one_line(str(error)) or type(error).__name__


def _causes(error: BaseException) -> list[BaseException]:
    inner = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else [error.__cause__]
    return [error, *(deeper for each in inner if each is not None for deeper in _causes(each))]


def one_line(text: str) -> str:
    """``text`` without what could play tricks on a terminal, and not too long."""
    return "".join(each if each.isprintable() else " " for each in text)[:_LONGEST].strip()
