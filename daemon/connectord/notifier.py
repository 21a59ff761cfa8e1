"""Delivers the outbox: notifications to case owners, at least once (rules 5, 9 and 18)."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Callable
from email.message import EmailMessage

import httpx
import msgspec
import structlog
import trio

from connectord.adapters import Network
from connectord.clock import Clock
from connectord.config import NotifySettings, SmtpSettings
from connectord.errors import ConnectordError
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import DueNotifications, SettleNotification
from connectord.store.base import OutboxItem, OutboxRow

DELIVERY_TIMEOUT_SECONDS = 30.0
FIRST_DELAY_MS = 5_000
LONGEST_DELAY_MS = 3_600_000

log = structlog.get_logger()


class DeliveryFailed(ConnectordError):
    """A notification could not be delivered; it is tried again."""


class Notifier:
    """One task that takes what is due from the outbox and delivers it as ``[notify]`` says."""

    def __init__(self, ledger: Ledger, clock: Clock, network: Network, settings: Callable[[], NotifySettings]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._network = network
        self._settings = settings

    async def run(self) -> None:
        """Deliver until cancelled."""
        alarm = self._ledger.outbox_alarm
        alarm.set(0)
        while True:
            await alarm.wait()
            items, _ = await self._ledger.insist(DueNotifications())
            for item in items:
                await self._deliver(item)
            _, next_at = await self._ledger.insist(DueNotifications(limit=0))
            alarm.set(next_at)

    async def _deliver(self, item: OutboxItem) -> None:
        row = item.row
        try:
            with trio.fail_after(DELIVERY_TIMEOUT_SECONDS):
                await self._send(row)
        except (DeliveryFailed, OSError, httpx.HTTPError, trio.TooSlowError, smtplib.SMTPException) as error:
            words = f"{type(error).__name__}: {error}".rstrip(": ")
            delay_ms = min(FIRST_DELAY_MS * 2 ** min(item.tries, 20), LONGEST_DELAY_MS)
            log.warning("notification failed", action=row.action_id, owner=row.owner, error=words, tries=item.tries + 1)
            await self._ledger.insist(SettleNotification(item.seq, words, self._clock.now_ms() + delay_ms))
        else:
            await self._ledger.insist(SettleNotification(item.seq))

    async def _send(self, row: OutboxRow) -> None:
        settings = self._settings()
        if row.owner is None:
            log.warning("nobody to notify: the action has no owner", action=row.action_id, text=row.text)
            return
        match settings.kind:
            case "log":
                log.info("owner notified", action=row.action_id, owner=row.owner, case=row.case_id, text=row.text)
            case "command":
                await self._run_command(settings.command, row)
            case "webhook":
                await self._post(settings.url or "", row)
            case "smtp" if settings.smtp is not None:
                await trio.to_thread.run_sync(_send_mail, settings.smtp, row)

    async def _run_command(self, command: tuple[str, ...], row: OutboxRow) -> None:
        done = await trio.run_process(
            command, stdin=_document(row), check=False, stdout=subprocess.DEVNULL, capture_stderr=True
        )
        if done.returncode != 0:
            words = (done.stderr or b"").decode("utf-8", "replace").strip()[:500]
            raise DeliveryFailed(f"{command[0]} exited with {done.returncode}: {words}")

    async def _post(self, url: str, row: OutboxRow) -> None:
        transport = self._network.http_transport(connect_timeout_seconds=10)
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=20) as client:
            answer = await client.post(url, content=_document(row), headers={"Content-Type": "application/json"})
        if not answer.is_success:
            raise DeliveryFailed(f"HTTP {answer.status_code}")


def _document(row: OutboxRow) -> bytes:
    return msgspec.json.encode(
        {
            "action": row.action_id,
            "case": row.case_id,
            "owner": row.owner,
            "notice": row.notice,
            "text": row.text,
        }
    )


def _send_mail(settings: SmtpSettings, row: OutboxRow) -> None:
    mail = EmailMessage()
    mail["From"] = settings.sender
    mail["To"] = row.owner or ""
    mail["Subject"] = row.text.partition("\n")[0]
    mail.set_content(row.text)
    with smtplib.SMTP(settings.host, settings.port, timeout=DELIVERY_TIMEOUT_SECONDS / 2) as server:
        if settings.starttls:
            server.starttls()
        if settings.username is not None and settings.password is not None:
            server.login(settings.username, settings.password.get_secret_value())
        server.send_message(mail)
