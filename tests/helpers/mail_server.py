"""A real mail server on loopback (aiosmtpd), which a test may stop, start again, and have refuse things."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import trio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from helpers.ports import lasting_port


@dataclass
class MailServer:
    """``replies`` has the server's answer to RCPT by address; whoever is not in it is taken."""

    port: int = field(default_factory=lasting_port)
    replies: dict[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    conversations: int = 0
    """How many conversations came to a mail."""
    hold: threading.Event | None = None
    """Not set: what has come is kept, and the answer to it is held back."""
    _controller: Controller | None = None

    async def start(self) -> None:
        """Listen on :attr:`port`."""
        options: dict[str, Any] = {"tls_context": self.tls} if self.tls else {}
        if self.login:
            options |= {"authenticator": self._check, "auth_required": True, "require_starttls": self.tls is not None}
        self._controller = Controller(_Handler(self), hostname="127.0.0.1", port=self.port, **options)
        await trio.to_thread.run_sync(self._controller.start)

    async def stop(self) -> None:
        """Listen no more; who connects is refused."""
        controller, self._controller = self._controller, None
        if controller is not None:
            await trio.to_thread.run_sync(controller.stop)

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for ``condition``, at most so long."""
        with trio.fail_after(seconds):
            while not condition():
                await trio.sleep(0.01)

    def receivers(self) -> list[str]:
        return [str(mail["To"]) for mail in self.mails]

    def _check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == self.login, handled=False)


class _Handler:
    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._sessions: set[Session] = set()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self._server.replies.get(address)
        if reply is not None:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        content = envelope.content
        assert isinstance(content, bytes)
        if session not in self._sessions:
            self._sessions.add(session)
            self._server.conversations += 1
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self._server.mails.append(mail)
        hold = self._server.hold
        while hold is not None and not hold.is_set():
            await asyncio.sleep(0.01)
        return "250 kept"
