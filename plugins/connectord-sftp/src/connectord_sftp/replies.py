"""Response files: which are whole, and what they say."""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from connectord.adapters import InvalidCallback, Response, response_from
from connectord.responses import read_response

from connectord_sftp.answers import Version

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_REMEMBERED = 10_000


class Unreadable(Exception):
    """A file is no response; the message says why. ``is_json``: it is at least whole."""

    def __init__(self, message: str, *, is_json: bool) -> None:
        self.is_json = is_json
        super().__init__(message)


class Versions:
    """The state in which each of some files was last seen, and since when. The oldest are forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[Version, float]] = OrderedDict()

    def since(self, path: str, version: Version, now: float) -> float:
        """Since when (seconds, of the clock of ``now``) the file has been seen in this state."""
        known = self._seen.pop(path, None)
        began = known[1] if known is not None and known[0] == version else now
        self._seen[path] = version, began
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return began

    def note(self, path: str, version: Version) -> None:
        """The file has been dealt with in this state."""
        self.since(path, version, 0.0)

    def is_known(self, path: str, version: Version) -> bool:
        """Whether the file was last seen in this state."""
        known = self._seen.get(path)
        return known is not None and known[0] == version

    def forget(self, path: str) -> None:
        """The file is gone."""
        self._seen.pop(path, None)


def read_reply(path: str, version: Version, content: bytes, max_bytes: int) -> Response:
    """What a file says in connectord's own format. Raises :class:`Unreadable`."""
    if version.size > max_bytes:
        message = f"the response file {path} has {version.size} bytes, and {max_bytes} are the most"
        raise Unreadable(message, is_json=True)
    body = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        return response_from(read_response(body))
    except InvalidCallback as error:
        words = str(error).replace("the body is", "it is", 1)
        raise Unreadable(f"{path} is no response file: {words}", is_json=_is_json(body)) from error


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    except RecursionError:
        return True
    return True
