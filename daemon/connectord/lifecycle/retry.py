"""Rule 13: the time until the next try. Pure arithmetic on whole milliseconds."""

from __future__ import annotations

from connectord.lifecycle.policy import RetryPolicy

RETRY_AFTER_CAP_MS = 24 * 3_600_000
"""The longest ``Retry-After`` that is obeyed: a day. A system that asks for more is tried after a day."""


def retry_delay_ms(policy: RetryPolicy, step: int, draw: float) -> int:
    """Milliseconds until automatic retry number ``step`` (0 for the first).

    ``draw`` is a random number from 0 to 1. Jitter only ever adds, also beyond ``max_delay_ms``, so that a system's
    own limits are never undercut.
    """
    try:
        delay = policy.delay_ms * policy.factor**step
    except OverflowError:
        delay = float(policy.max_delay_ms)
    delay = min(delay, float(policy.max_delay_ms))
    return int(delay * (1 + policy.jitter * draw))


def respect_retry_after(due_at: int, now: int, retry_after_ms: int | None) -> int:
    """The later of ``due_at`` and the system's own wish, which is capped (rule 12)."""
    if retry_after_ms is None:
        return due_at
    return max(due_at, now + min(max(retry_after_ms, 0), RETRY_AFTER_CAP_MS))
