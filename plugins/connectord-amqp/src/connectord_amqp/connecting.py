"""From settings to a connection that is logged in."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable

import trio
from connectord import __version__
from connectord.adapters import NotConnected
from pamqp import commands
from pamqp.common import FieldTable

from connectord_amqp.failures import words_of
from connectord_amqp.link import Link
from connectord_amqp.settings import AmqpSettings, TlsSettings
from connectord_amqp.wire import LARGEST_FRAME_MAX, PROTOCOL_HEADER, SMALLEST_FRAME_MAX, encode, plain

_CAPABILITIES: FieldTable = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    # the broker says what was wrong with the credentials instead of just hanging up
    "authentication_failure_close": True,
}


async def connect(
    settings: AmqpSettings, name: str, set_up: Callable[[Link], Awaitable[None]], *, max_body_bytes: int = 0
) -> Link:
    """A connection on which ``set_up`` was done; its :meth:`Link.run` is still to be called.

    ``name`` is what the broker's operators see. Raises :class:`NotConnected` with words, also when it takes longer
    than ``connect_timeout``.
    """
    seconds = settings.connect_timeout / 1000
    with trio.move_on_after(seconds):
        link = Link(await _open_stream(settings), max_body_bytes=max_body_bytes)
        try:
            await _log_in(link, settings, name)
            await set_up(link)
        except BaseException:
            await link.close()
            raise
        return link
    raise NotConnected(f"{settings.where} did not let us in within {seconds:g} s")


async def _open_stream(settings: AmqpSettings) -> trio.abc.Stream:
    try:
        stream = await trio.open_tcp_stream(settings.host, settings.effective_port)
    except (OSError, UnicodeError) as error:
        raise NotConnected(f"cannot connect to {settings.where}: {words_of(error)}") from error
    if settings.tls is None:
        return stream
    try:
        secured = trio.SSLStream(
            stream, _ssl_context(settings.tls), server_hostname=settings.tls.server_name or settings.host
        )
        await secured.do_handshake()
    except (trio.BrokenResourceError, ssl.SSLError, ValueError) as error:
        await trio.aclose_forcefully(stream)
        raise NotConnected(f"no TLS with {settings.where}: {words_of(error)}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


async def _log_in(link: Link, settings: AmqpSettings, name: str) -> None:
    try:
        await link.send(PROTOCOL_HEADER)
        start = await link.ask(None, commands.Connection.Start, channel=0)
        tune = await link.ask(_credentials(settings, name, start), commands.Connection.Tune, channel=0)
        frame_max = min(tune.frame_max or LARGEST_FRAME_MAX, LARGEST_FRAME_MAX)
        if frame_max < SMALLEST_FRAME_MAX:
            raise NotConnected(f"the broker wants frames of {frame_max} bytes: AMQP has {SMALLEST_FRAME_MAX} at least")
        heartbeat = min(settings.heartbeat // 1000, tune.heartbeat or math.inf)
        await link.send(encode(commands.Connection.TuneOk(1, frame_max, int(heartbeat)), channel=0))
        link.receiver.frame_max = frame_max
        await link.ask(commands.Connection.Open(settings.vhost), commands.Connection.OpenOk, channel=0)
        await link.ask(commands.Channel.Open(), commands.Channel.OpenOk)
        link.heartbeat_seconds = heartbeat
    except NotConnected as error:
        raise NotConnected(f"cannot log in at {settings.where}: {error}") from error


def _credentials(settings: AmqpSettings, name: str, start: commands.Connection.Start) -> commands.Connection.StartOk:
    mechanism, response = "EXTERNAL", ""
    if settings.username is not None and settings.password is not None:
        mechanism, response = "PLAIN", f"\0{settings.username}\0{settings.password.get_secret_value()}"
    offered = start.mechanisms.split()
    if mechanism not in offered:
        raise NotConnected(f"the broker does not offer {mechanism}, but {plain(' '.join(offered))}")
    properties: FieldTable = {
        "product": "connectord",
        "version": __version__,
        "platform": "Python",
        "connection_name": name,
        "capabilities": _CAPABILITIES,
    }
    return commands.Connection.StartOk(properties, mechanism, response)


def _ssl_context(tls: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.roots)
    except OSError as error:
        raise NotConnected(f"tls.roots {tls.roots} cannot be used: {words_of(error)}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate is not None:
        password = "" if tls.key_password is None else tls.key_password.get_secret_value()
        try:
            # never None: OpenSSL would ask for the password at the terminal
            context.load_cert_chain(tls.certificate, tls.key, password)
        except OSError as error:
            raise NotConnected(f"tls.certificate {tls.certificate} cannot be used: {words_of(error)}") from error
    return context
