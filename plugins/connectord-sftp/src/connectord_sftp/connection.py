"""One SSH connection with one SFTP session on it, for one piece of work at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import paramiko
import trio
from connectord.adapters import NotConnected

from connectord_sftp.answers import ConnectionLost, StatusError, Truncated
from connectord_sftp.failures import describe, os_words
from connectord_sftp.keys import KeyUnusable, Trusted, read_known_hosts, read_private_key
from connectord_sftp.session import Session
from connectord_sftp.settings import SftpSettings
from connectord_sftp.threads import run_stoppable

T = TypeVar("T")
_END_SECONDS = 10.0


class Connection:
    """Connected and logged in. Once anything but :class:`StatusError` came out of :meth:`run`, close it."""

    def __init__(self, link: _Link, session: Session, settings: SftpSettings, limiter: trio.CapacityLimiter) -> None:
        self._link = link
        self._session = session
        self._timeout_seconds = settings.timeout / 1000
        self._limiter = limiter

    @property
    def is_alive(self) -> bool:
        """Whether the server has not hung up."""
        return self._link.transport.is_active()

    async def run(self, work: Callable[[Session], T]) -> T:
        """Let ``work`` use the session, in a thread.

        Raises :class:`StatusError`, :class:`Truncated` and :class:`ConnectionLost`. Cancelled, the connection is cut,
        and not a byte more leaves it.
        """
        with trio.move_on_after(self._timeout_seconds):
            try:
                return await run_stoppable(lambda: work(self._session), self._link.cut, self._limiter)
            except (StatusError, Truncated):
                raise
            except (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError) as error:
                raise ConnectionLost(f"connection lost: {describe(error)}") from error
        raise ConnectionLost(f"no answer within {self._timeout_seconds:g} s")

    async def close(self) -> None:
        """Cut it, and see its thread end; not even a cancellation leaves that undone."""
        await self._link.close(self._limiter)


class _Link:
    """A socket and paramiko's thread that serves it."""

    def __init__(self, plug: socket.socket) -> None:
        self._socket = plug
        self.transport = paramiko.Transport(plug)

    def cut(self) -> None:
        """Shut the socket down, at once: whoever waits for the server gets an error."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def close(self, limiter: trio.CapacityLimiter) -> None:
        self.cut()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._end, limiter=limiter)

    def _end(self) -> None:
        self.transport.close()
        if self.transport.is_alive():
            self.transport.join(_END_SECONDS)
        self._socket.close()


async def connect(settings: SftpSettings, limiter: trio.CapacityLimiter) -> Connection:
    """Connect and log in. Raises :class:`NotConnected` with words for people."""
    seconds = settings.connect_timeout / 1000
    with trio.move_on_after(seconds):
        try:
            link = _Link(await _plug_in(settings))
        except OSError as error:
            raise NotConnected(f"{_place(settings)}: {os_words(error)}") from error
        try:
            session = await run_stoppable(lambda: _log_in(link.transport, settings), link.cut, limiter)
        except BaseException as error:
            await link.close(limiter)
            if isinstance(error, KeyUnusable | paramiko.SSHException | paramiko.SFTPError | OSError | EOFError):
                raise NotConnected(f"{_place(settings)}: {describe(error)}") from error
            raise
        return Connection(link, session, settings, limiter)
    raise NotConnected(f"{_place(settings)}: connect timeout after {seconds:g} s")


async def _plug_in(settings: SftpSettings) -> socket.socket:
    stream = await trio.open_tcp_stream(settings.host, settings.port)
    # a server that is gone without a word is noticed within this time
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.timeout)
    return socket.socket(fileno=stream.socket.detach())


def _log_in(transport: paramiko.Transport, settings: SftpSettings) -> Session:
    trusted = _trusted(settings)
    trusted.prefer(transport)
    transport.start_client()
    trusted.check(transport.get_remote_server_key())
    transport.set_keepalive(max(settings.keepalive // 1000, 1))
    _authenticate(transport, settings)
    channel = transport.open_session()
    channel.invoke_subsystem("sftp")
    return Session(channel)


def _trusted(settings: SftpSettings) -> Trusted:
    if settings.known_hosts is not None:
        return read_known_hosts(settings.known_hosts, settings.host, settings.port)
    return Trusted(f"{settings.host}:{settings.port}", fingerprints=tuple(settings.host_key or ()))


def _authenticate(transport: paramiko.Transport, settings: SftpSettings) -> None:
    """Log in with the key, then with the password where the key is not enough."""
    if settings.private_key is not None:
        passphrase = None if settings.passphrase is None else settings.passphrase.get_secret_value()
        key = read_private_key(settings.private_key.get_secret_value(), passphrase)
        try:
            if not transport.auth_publickey(settings.user, key):
                return
        except paramiko.AuthenticationException:
            if settings.password is None or not transport.is_active():
                raise
    if settings.password is None:
        raise paramiko.AuthenticationException("the server wants more than the key")
    if transport.auth_password(settings.user, settings.password.get_secret_value()):
        raise paramiko.AuthenticationException("the server wants more than the password")


def _place(settings: SftpSettings) -> str:
    return f"{settings.user}@{settings.host}:{settings.port}"
