"""JSON and text that somebody else wrote."""

from __future__ import annotations

from typing import Any

import msgspec

LONGEST_TEXT = 500
"""How many characters of a foreign text are kept for people to read."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_json(body: bytes) -> Any:
    """What ``body`` holds. Raises :class:`ValueError`, with what is wrong, where it is not JSON."""
    try:
        # the mark is not JSON, but common where .NET wrote it
        return msgspec.json.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def plain(text: str) -> str:
    """The first :data:`LONGEST_TEXT` characters of ``text``, without what could play tricks on a terminal."""
    readable = "".join(each if each.isprintable() or each in "\n\t" else " " for each in text.strip()[:LONGEST_TEXT])
    return readable.strip()


def one_line(text: str) -> str:
    """The first line of ``text`` that says something, as :func:`plain` shows it."""
    lines = (plain(line) for line in text.splitlines())
    return next(filter(None, lines), "")
