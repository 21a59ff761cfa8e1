"""``via = "smtp"``: a mail to the owner. The mail server is talked to in a thread that never outlives its caller.

smtplib blocks. The connection is made by trio, so that resolving and connecting can be given up at any time; the
conversation then runs in a thread, and whoever cancels it cuts the connection, at which the thread ends at once.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import trio

from connectord.config import SmtpSettings, parse_mail_address
from connectord.notifier.channels import (
    ChannelUnreachable,
    DeliveryFailed,
    DeliveryRefused,
    NoAnswer,
    Undeliverable,
    notification_id,
)
from connectord.store.base import OutboxItem

CONNECT_SECONDS = 10.0
READ_SECONDS = 15.0
"""How long the server may take over any one answer."""
MAIL_SECONDS = 30.0
"""How long one mail may take as a whole, and so may the greeting with TLS and log-in."""
QUIT_SECONDS = 2.0

_SHUTTING_DOWN = 421
_SUBJECT_CHARACTERS = 200


def compose(item: OutboxItem, sender: str) -> EmailMessage:
    """The mail. It is the same at every try, and so is its ``Message-ID``.

    Raises :class:`Undeliverable` where the owner is no mail address.
    """
    row = item.row
    owner = row.owner or ""
    try:
        receiver = parse_mail_address(owner)
    except ValueError as error:
        raise Undeliverable(
            f"the owner {owner!r} is no mail address ({error}); submit an action of the case with a mail address as "
            "--owner, or change [notify]; then: connectorctl notifications --retry"
        ) from error
    domain = parse_mail_address(sender).domain
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = receiver
    mail["Subject"] = _one_line(row.text.partition("\n")[0])
    mail["Date"] = datetime.fromtimestamp(row.at // 1000, UTC)
    mail["Message-ID"] = f"<{notification_id(item)}@{domain if domain.isascii() else 'connectord.invalid'}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday reply comes back for it
    mail.set_content(row.text)
    return mail


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_SUBJECT_CHARACTERS]


class MailChannel:
    """One conversation with the mail server, begun by the first mail and used for all that follow."""

    at_once = 1

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._server: _Server | None = None

    async def deliver(self, item: OutboxItem) -> None:
        mail = compose(item, self._settings.sender)
        if self._server is None:
            self._server = await self._connect()
        error = await self._server.talk(self._server.smtp.send_message, mail)
        if error is not None:
            raise self._failure(error)

    async def _connect(self) -> _Server:
        settings = self._settings
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream = await trio.open_tcp_stream(settings.host, settings.port)
        except trio.TooSlowError:
            raise ChannelUnreachable(f"no connection to {self._place} within {CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise ChannelUnreachable(f"no connection to {self._place}: {error.strerror or error}") from error
        server = _Server(socket.socket(fileno=stream.socket.detach()), settings)
        try:
            refusal = await server.talk(server.greet)
            if refusal is not None:
                raise ChannelUnreachable(f"{self._place}: {_said(refusal)}") from refusal
        except BaseException:
            server.close()
            raise
        return server

    def _failure(self, error: Exception) -> DeliveryFailed:
        match error:
            case smtplib.SMTPRecipientsRefused(recipients=recipients) if recipients:
                ((address, (code, text)),) = recipients.items()
                return self._refusal(code, f"{address} was refused: {_reply(code, text)}")
            case smtplib.SMTPSenderRefused():
                # it is the same sender for every mail
                return ChannelUnreachable(f"the sender was refused: {_said(error)}")
            case smtplib.SMTPDataError(smtp_code=code):
                return self._refusal(code, f"the mail was refused: {_said(error)}")
            case smtplib.SMTPNotSupportedError() | UnicodeError():
                return DeliveryRefused(f"{self._place} cannot send it: {error}")
            case _:
                self.close()
                return NoAnswer(f"the conversation with {self._place} broke off: {_said(error)}")

    def _refusal(self, code: int, words: str) -> DeliveryFailed:
        if code == _SHUTTING_DOWN:
            self.close()
            return ChannelUnreachable(words)
        return DeliveryRefused(words) if code >= 500 else DeliveryFailed(words)

    async def quit(self) -> None:
        """Take leave of the server, where there was a conversation."""
        if self._server is not None:
            with trio.move_on_after(QUIT_SECONDS):
                await self._server.talk(self._server.smtp.quit)

    def close(self) -> None:
        """Drop the conversation; the next mail begins another."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def _place(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"


@asynccontextmanager
async def open_mail(settings: SmtpSettings) -> AsyncIterator[MailChannel]:
    """A mail channel; its conversation ends with the block."""
    channel = MailChannel(settings)
    try:
        yield channel
        await channel.quit()
    finally:
        channel.close()


class _Smtp(smtplib.SMTP):
    """smtplib on a connection that is there already."""

    def __init__(self, connection: socket.socket, host: str, port: int) -> None:
        self._connection = connection
        super().__init__(host, port, local_hostname=_own_name(connection))

    def _get_socket(self, *_: Any) -> socket.socket:
        return self._connection


class _Server:
    """A connected mail server, talked to in threads."""

    smtp: smtplib.SMTP

    def __init__(self, connection: socket.socket, settings: SmtpSettings) -> None:
        connection.settimeout(READ_SECONDS)
        self._connection = connection
        # TLS takes the connection's own object away; this one still reaches the connection
        self._handle = connection.dup()
        self._settings = settings

    def greet(self) -> None:
        """Hear the greeting, begin TLS, log in: blocks."""
        settings = self._settings
        self.smtp = _Smtp(self._connection, settings.host, settings.port)
        if settings.starttls:
            # smtplib's own default would take any certificate
            self.smtp.starttls(context=ssl.create_default_context())
        if settings.username is not None and settings.password is not None:
            self.smtp.login(settings.username, settings.password.get_secret_value())

    async def talk(self, function: Callable[..., Any], *args: Any) -> Exception | None:
        """Run ``function`` in a thread; the error that it ended with. Takes :data:`MAIL_SECONDS` at most.

        Cancelled, it cuts the connection first: then the thread has nothing more to wait for.
        """
        error: Exception | None = None
        done = False

        async def cut_when_cancelled() -> None:
            try:
                await trio.sleep_forever()
            finally:
                if not done:
                    with suppress(OSError):
                        self._handle.shutdown(socket.SHUT_RDWR)

        with trio.move_on_after(MAIL_SECONDS) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut_when_cancelled)
                error = await trio.to_thread.run_sync(_error_of, function, args)
                done = True
                nursery.cancel_scope.cancel()
        if limit.cancelled_caught:
            return TimeoutError(f"it took more than {MAIL_SECONDS:g} s")
        return error

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        if hasattr(self, "smtp"):
            self.smtp.close()
        self._connection.close()
        self._handle.close()


def _error_of(function: Callable[..., Any], args: tuple[Any, ...]) -> Exception | None:
    try:
        function(*args)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return error
    return None


def _own_name(connection: socket.socket) -> str:
    # looking the own name up in the DNS, as smtplib would, can take as long as it likes
    name = socket.gethostname()
    if "." in name:
        return name
    address = str(connection.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply(error.smtp_code, error.smtp_error)
    return str(error) or type(error).__name__


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}".rstrip()
