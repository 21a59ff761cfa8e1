"""What a server says of a piece of work, and what may become of one: without paramiko, which takes long to import."""

from __future__ import annotations

from dataclasses import dataclass

NO_SUCH_FILE = 2
PERMISSION_DENIED = 3
FAILURE = 4
BAD_MESSAGE = 5
OP_UNSUPPORTED = 8
"""Status codes of SFTP's third version (draft-ietf-secsh-filexfer-02, section 7)."""


class StatusError(OSError):
    """The server refused an operation; the connection is as good as before.

    ``code`` is its SFTP status code, ``said`` its words, ``path`` what the operation was about.
    """

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said
        self.path = ""


class Truncated(Exception):
    """A file has another size than what was written: there is no room, or somebody else writes to it."""


class ConnectionLost(Exception):
    """The connection broke, or was given up because the server took too long; the message says which."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one state of a file from another. Servers give times to the second."""

    size: int
    modified: int
