"""Whether the addresses that settings name accept connections, their certificates, and how their clocks go."""

from __future__ import annotations

import email.utils
import os
import re
import socket
import ssl
from datetime import UTC, datetime

import trio

from connectord import __version__
from connectord.control import results as r
from connectord.doctor.certificates import judge_certificate
from connectord.doctor.findings import error, fine, warning
from connectord.doctor.settings import Target
from connectord.guards.faults import leaf_of, message_of

CHECK, CLOCK = "reachability", "clock"
CLOCKS_APART_SECONDS, CLOCKS_FAR_APART_SECONDS = 30, 300
_LONGEST_HEAD = 16_384
_DATE = re.compile(rb"^date:[ \t]*([^\r\n]+)", re.I | re.M)


async def try_target(target: Target, system: str, now: datetime) -> list[r.Finding]:
    """Connect, with TLS where the setting says so. No time limit of its own; may be cancelled at any await."""
    try:
        stream: trio.abc.Stream = await trio.open_tcp_stream(target.host, target.port)
    except OSError as mistake:
        # of several addresses, the first one's reason
        reason: BaseException = leaf_of(mistake.__cause__ or mistake)
        reason = reason.__cause__ or reason
        number = reason.errno if isinstance(reason, OSError) and not isinstance(reason, socket.gaierror) else None
        return [_unreachable(target, system, os.strerror(number) if number else message_of(reason))]
    found = []
    try:
        if target.tls:
            secured = trio.SSLStream(stream, _unverified(), server_hostname=target.host, https_compatible=True)
            stream = secured
            await secured.do_handshake()
            der = secured.getpeercert(binary_form=True)
            if der:
                found.append(judge_certificate(f"the certificate of {target}", der, now, system))
        found.insert(0, fine(CHECK, f"{target} accepts connections{' with TLS' if target.tls else ''}", system))
        if target.http:
            found += await _clock_of(stream, target, system)
    except trio.BrokenResourceError as mistake:
        cause = mistake.__cause__
        words = getattr(cause, "reason", None) or str(cause or "the connection broke")
        found.append(_unreachable(target, system, f"TLS failed: {words}"))
    finally:
        await trio.aclose_forcefully(stream)
    return found


def _unverified() -> ssl.SSLContext:
    # only to see the certificate: whether it is trusted is for the adapter to say, with its own roots
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _unreachable(target: Target, system: str, why: str) -> r.Finding:
    advice = f"check {target.key} in connectord.toml, the network, and whether the system is up"
    return error(CHECK, f"{target} cannot be connected to: {why}", advice, system)


async def _clock_of(stream: trio.abc.Stream, target: Target, system: str) -> list[r.Finding]:
    """What the system's ``Date`` says; nothing where it says none."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    head = f"HEAD / HTTP/1.1\r\nHost: {host}:{target.port}\r\nUser-Agent: connectord/{__version__} (doctor)\r\n"
    answer = b""
    try:
        await stream.send_all(f"{head}Connection: close\r\n\r\n".encode("ascii", "replace"))
        while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEAD:
            chunk = await stream.receive_some()
            if not chunk:
                break
            answer += chunk
    except trio.BrokenResourceError:
        return []
    match = _DATE.search(answer)
    if match is None:
        return []
    try:
        told = email.utils.parsedate_to_datetime(match[1].decode("ascii"))
        apart = abs((told - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return []
    seen = f"the clock of {target} and this one are {apart:.0f} s apart"
    advice = "synchronise both (NTP): signatures and tokens are refused where clocks differ"
    if apart > CLOCKS_FAR_APART_SECONDS:
        return [error(CLOCK, seen, advice, system)]
    if apart > CLOCKS_APART_SECONDS:
        return [warning(CLOCK, seen, advice, system)]
    return [fine(CLOCK, seen, system)]
