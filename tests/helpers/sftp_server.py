"""An SFTP server whose faults a test programs: it has passwords, few extensions, and answers as it is told."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    OPEN_SUCCEEDED,
)
from paramiko.sftp import SFTP_OK, SFTP_OP_UNSUPPORTED


@dataclass
class Play:
    """What the server does. ``statuses`` are the answers to operations, by their names: open, write, rename."""

    password: str = "secret"
    key: paramiko.PKey | None = None
    wants_both: bool = False
    statuses: dict[str, int] = field(default_factory=dict)
    posix_rename: bool = False
    hangs_up_after_rename: bool = False
    loses_bytes: bool = False
    seen: list[str] = field(default_factory=list)


class _Login(paramiko.ServerInterface):
    def __init__(self, play: Play) -> None:
        self._play = play

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if self._play.key is None or key.asbytes() != self._play.key.asbytes():
            return AUTH_FAILED
        return AUTH_PARTIALLY_SUCCESSFUL if self._play.wants_both else AUTH_SUCCESSFUL

    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL if password == self._play.password else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED


class _Handle(paramiko.SFTPHandle):
    def __init__(self, files: _Files, path: str, flags: int) -> None:
        super().__init__(flags)
        self._files = files
        self.descriptor = os.open(path, flags, 0o644)

    def close(self) -> None:
        os.close(self.descriptor)

    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.descriptor))

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, offset)

    def write(self, offset: int, data: bytes) -> int:
        status = self._files.status("write")
        if status == SFTP_OK:
            os.pwrite(self.descriptor, data[:-1] if self._files.play.loses_bytes else data, offset)
        return status


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: paramiko.ServerInterface, play: Play, transport: paramiko.Transport) -> None:
        super().__init__(server)
        self.play = play
        self._transport = transport

    def status(self, operation: str) -> int:
        self.play.seen.append(operation)
        return self.play.statuses.get(operation, SFTP_OK)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(Path(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        status = self.status("open")
        return status if status != SFTP_OK else _Handle(self, path, flags)

    def remove(self, path: str) -> int:
        try:
            Path(path).unlink()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return SFTP_OK

    def rename(self, oldpath: str, newpath: str) -> int:
        status = self.status("rename")
        if status != SFTP_OK:
            return status
        Path(oldpath).rename(newpath)
        if self.play.hangs_up_after_rename:
            self._transport.close()
        return SFTP_OK

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        self.play.seen.append("posix-rename")
        return self.rename(oldpath, newpath) if self.play.posix_rename else SFTP_OP_UNSUPPORTED


@contextmanager
def serve_sftp(play: Play, host_key: paramiko.PKey) -> Generator[int, None, None]:
    """Serve on a free port, which is yielded, until the end of the block."""
    transports: list[paramiko.Transport] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                plug, _ = listener.accept()
                transport = paramiko.Transport(plug)
                transports.append(transport)
                transport.add_server_key(host_key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, play, transport)
                transport.start_server(event=threading.Event(), server=_Login(play))

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
            transport.join(5)
            transport.sock.close()
