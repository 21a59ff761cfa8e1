"""Rule 13: the time until the next try, and until the next question. Pure arithmetic on whole milliseconds."""

from __future__ import annotations

from connectord.lifecycle.policy import PollPolicy, RetryPolicy

RETRY_AFTER_CAP_MS = 24 * 3_600_000
"""The longest ``Retry-After`` that is obeyed: a day. A system that asks for more is tried after a day."""


def retry_delay_ms(policy: RetryPolicy, step: int, draw: float) -> int:
    """Milliseconds until automatic retry number ``step`` (0 for the first).

    ``draw`` is a random number from 0 to 1. Jitter only ever adds, also beyond ``max_delay_ms``, so that a system's
    own limits are never undercut.
    """
    return _backoff_ms(policy.delay_ms, policy.factor, policy.max_delay_ms, policy.jitter * draw, step)


def poll_delay_ms(policy: PollPolicy, step: int, draw: float) -> int:
    """Milliseconds until an action is polled that was polled ``step`` times in vain, 0 or more.

    ``draw`` is a random number from 0 to 1; jitter only ever adds, as in :func:`retry_delay_ms`.
    """
    return _backoff_ms(policy.interval_ms, policy.factor, policy.max_interval_ms, policy.jitter * draw, step)


def longest_poll_delay_ms(policy: PollPolicy) -> int:
    """The most that :func:`poll_delay_ms` can give."""
    return int(policy.max_interval_ms * (1 + policy.jitter))


def next_poll_at(policy: PollPolicy, step: int, draw: float, now: int, deadline: int) -> int:
    """When to poll an action that was polled ``step`` times in vain and whose response may take until ``deadline``.

    Where that would be after the deadline, one more question comes ``interval_ms`` before it, so that an answer is
    not missed because the questions have grown rare.
    """
    at = now + poll_delay_ms(policy, step, draw)
    last = deadline - policy.interval_ms
    return last if now < last and at > deadline else at


def _backoff_ms(first: int, factor: float, longest: int, jitter: float, step: int) -> int:
    try:
        delay = first * factor**step
    except OverflowError:
        delay = float(longest)
    return int(min(delay, float(longest)) * (1 + jitter))


def respect_retry_after(due_at: int, now: int, retry_after_ms: int | None) -> int:
    """The later of ``due_at`` and the system's own wish, which is capped (rule 12)."""
    if retry_after_ms is None:
        return due_at
    return max(due_at, now + min(max(retry_after_ms, 0), RETRY_AFTER_CAP_MS))
