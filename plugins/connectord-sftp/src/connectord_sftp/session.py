"""One SFTP session: paramiko's client, with what the protocol's servers can do beyond it, and errors with codes.

Everything here waits: it runs in threads.
"""

from __future__ import annotations

import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko
from paramiko.sftp import CMD_EXTENDED, SFTP_EOF, SFTP_OK

from connectord_sftp.answers import NO_SUCH_FILE, OP_UNSUPPORTED, StatusError, Truncated, Version

if TYPE_CHECKING:
    from paramiko.message import Message

_CHUNK = 32_768


class Session(paramiko.SFTPClient):
    """An SFTP session. Its methods raise :class:`StatusError`, and whatever else where the connection is lost."""

    can_sync = True
    can_replace = True

    if TYPE_CHECKING:

        def _request(self, kind: int, *arguments: object) -> tuple[int, Message]: ...

    def version(self, path: str) -> Version | None:
        """The file's size and time; None where there is none."""
        with _about(path):
            try:
                return _version(self.stat(path))
            except StatusError as error:
                if error.code != NO_SUCH_FILE:
                    raise
                return None

    def is_directory(self, path: str) -> bool:
        """Whether it is one; false too where the server does not say."""
        with _about(path):
            return stat.S_ISDIR(self.stat(path).st_mode or 0)

    def write(self, path: str, content: bytes, mode: int | None) -> None:
        """Write a file anew, to the server's disk where it can do that. Raises :class:`Truncated` too."""
        with _about(path), self.open(path, "w") as file:
            if mode is not None:
                file.chmod(mode)
            file.write(content)
            file.flush()
            self._sync(file)
            size = file.stat().st_size
        if size is not None and size != len(content):
            raise Truncated(f"{path} has {size} bytes after {len(content)} were written")

    def replace(self, old: str, new: str) -> None:
        """Rename; what ``new`` was before is gone. A server that cannot do this refuses where ``new`` is there."""
        with _about(new):
            try:
                if self.can_replace:
                    self.posix_rename(old, new)
            except StatusError as error:
                if error.code != OP_UNSUPPORTED:
                    raise
                self.can_replace = False
            if not self.can_replace:
                self.rename(old, new)

    def rename_new(self, old: str, new: str) -> None:
        """Rename; refused where ``new`` is there."""
        with _about(new):
            self.rename(old, new)

    def remove_if_there(self, path: str) -> bool:
        """Remove a file; whether there was one."""
        with _about(path):
            try:
                self.remove(path)
            except StatusError as error:
                if error.code != NO_SUCH_FILE:
                    raise
                return False
            return True

    def read(self, path: str, most: int) -> tuple[Version, bytes] | None:
        """What a file holds, its first ``most`` bytes; None where it is not there, or changed meanwhile."""
        with _about(path):
            try:
                file = self.open(path, "r")
            except StatusError as error:
                if error.code != NO_SUCH_FILE:
                    raise
                return None
            with file:
                before = _version(file.stat())
                wanted = min(before.size, most)
                content = bytearray()
                while len(content) < wanted and (piece := file.read(min(wanted - len(content), _CHUNK))):
                    content += piece
                after = _version(file.stat())
        return (after, bytes(content)) if before == after and len(content) == wanted else None

    def entries(self, directory: str) -> Iterator[tuple[str, Version]]:
        """The plain files of a directory."""
        with _about(directory):
            for entry in self.listdir_iter(directory):
                if stat.S_ISREG(entry.st_mode or stat.S_IFREG):
                    yield entry.filename, _version(entry)

    def _sync(self, file: paramiko.SFTPFile) -> None:
        if not self.can_sync:
            return
        try:
            self._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
        except StatusError as error:
            if error.code != OP_UNSUPPORTED:
                raise
            self.can_sync = False

    def _convert_status(self, message: Message) -> None:
        # paramiko keeps only two of the codes, and what a refusal means depends on the others
        code, said = message.get_int(), message.get_text()
        if code == SFTP_EOF:
            raise EOFError(said)
        if code != SFTP_OK:
            raise StatusError(code, said)


def _version(attributes: paramiko.SFTPAttributes) -> Version:
    return Version(attributes.st_size or 0, int(attributes.st_mtime or 0))


@contextmanager
def _about(path: str) -> Generator[None, None, None]:
    try:
        yield
    except StatusError as error:
        error.path = error.path or path
        raise
