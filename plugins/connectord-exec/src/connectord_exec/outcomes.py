"""What a finished command means for its action."""

from __future__ import annotations

import signal
from typing import Any

import msgspec
from connectord.adapters import (
    InvalidCallback,
    NotConnected,
    Outcome,
    Progress,
    Rejected,
    Succeeded,
    Taken,
    response_from,
)
from connectord.responses import read_response

from connectord_exec.processes import Finished
from connectord_exec.settings import ExecSettings

LONGEST_REASON = 500


def judge(done: Finished, settings: ExecSettings) -> Outcome:
    """Taken, succeeded or rejected.

    Raises :class:`NotConnected` where it did not end by itself, or its exit code says 'not now' (rule 12).
    """
    if done.timed_out:
        raise NotConnected(f"the command did not end within {settings.timeout / 1000:g} s and was stopped")
    if done.too_much_output:
        raise NotConnected(f"the command printed more than {settings.max_output_bytes} bytes and was stopped")
    if done.code < 0:
        raise NotConnected(f"the command was ended by {_signal_name(-done.code)}{_because(done)}")
    if done.code in settings.retry_codes:
        raise NotConnected(f"the command exited with {done.code}{_because(done)}")
    if done.code in settings.taken_codes:
        return Taken(reference=_reference(done.output))
    if done.code != 0:
        return _failed(done)
    match settings.output:
        case "ignore":
            return Succeeded()
        case "text":
            return Succeeded({"output": done.output.decode("utf-8", "replace")})
        case "json":
            return _answered(done.output)


def _answered(output: bytes) -> Outcome:
    if not output.strip():
        return Succeeded()
    document = _decode(output)
    if not isinstance(document, dict):
        return Rejected(
            "what the command printed is not a JSON object; if it need not be, set output to text or ignore"
        )
    match document.get("status"):
        case None:
            return Succeeded(document)
        case "taken":
            return Taken(reference=_text(document.get("reference")))
    try:
        response = response_from(read_response(output))
    except InvalidCallback as error:
        return Rejected(f"what the command printed is not a response: {error}")
    if isinstance(response, Progress):
        # it says that the work goes on
        return Taken()
    return response


def _failed(done: Finished) -> Rejected:
    document = _decode(done.output)
    if isinstance(document, dict):
        data = document.get("data")
        reason = _text(document.get("reason"))
        if reason is not None:
            return Rejected(reason, data if isinstance(data, dict) else {})
    return Rejected(f"the command exited with {done.code}{_because(done)}")


def _reference(output: bytes) -> str | None:
    document = _decode(output)
    return _text(document.get("reference")) if isinstance(document, dict) else None


def _decode(output: bytes) -> Any:
    try:
        return msgspec.json.decode(output)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(value: object) -> str | None:
    return value[:LONGEST_REASON] if isinstance(value, str) and value.strip() else None


def _because(done: Finished) -> str:
    """The end of what it said on standard error, where programs say why they gave up."""
    words = "".join(
        each if each.isprintable() or each == "\n" else " " for each in done.error.decode("utf-8", "replace")
    ).strip()
    return f": {words[-LONGEST_REASON:]}" if words else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
