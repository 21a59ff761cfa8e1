"""Notifications to case owners, as the control socket shows them."""

from __future__ import annotations

from connectord.control import results as r
from connectord.store.base import OutboxRecord
from connectord.times import rfc3339


def notification_view(record: OutboxRecord) -> r.Notification:
    """One notification, with what became of it."""
    row = record.row
    done, stuck = record.delivered_at is not None, record.next_try_at is None
    nobody = done and row.owner is None
    return r.Notification(
        seq=record.seq,
        action=row.action_id,
        case=row.case_id,
        owner=row.owner,
        notice=row.notice,
        at=rfc3339(row.at),
        text=row.text,
        state="no_owner" if nobody else "delivered" if done else "undeliverable" if stuck else "waiting",
        tries=record.tries,
        next_try_at=None if record.next_try_at is None else rfc3339(record.next_try_at),
        delivered_at=None if record.delivered_at is None or nobody else rfc3339(record.delivered_at),
        last_error=record.last_error,
    )
