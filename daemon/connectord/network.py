"""The real way out: what adapters get as :class:`connectord.adapters.Network` when the daemon runs."""

from __future__ import annotations

import ssl

import httpx

from connectord.http_out import ExchangeWatch, PooledTransport, SlottedTransport

DEFAULT_KEEPALIVE_SECONDS = 4.0
"""How long an idle connection is kept: less than the 5 s after which many servers close theirs, for a request
that crosses such a close on the wire is lost."""

DEFAULT_MAX_IDLE = 1000
"""How many idle connections one transport keeps: as many as a lane may have attempts in flight."""


class SystemNetwork:
    """The machine's own network.

    All its transports share one TLS context, which is made when the first of them is: certificates that are
    installed later are seen by a new :class:`SystemNetwork`. Proxy settings in the environment are ignored.
    """

    def __init__(
        self, *, keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS, max_idle: int = DEFAULT_MAX_IDLE
    ) -> None:
        self._keepalive_seconds = keepalive_seconds
        self._max_idle = max_idle
        self._ssl_contexts: dict[bool, ssl.SSLContext] = {}
        self._watch = ExchangeWatch()

    async def run(self) -> None:
        """Look who is late, with one timer for all transports. Runs until cancelled.

        Without it they keep their limits as well, and each exchange costs a cancel scope more.
        """
        await self._watch.run()

    def http_transport(
        self, *, connect_timeout_seconds: float, verify: bool | ssl.SSLContext = True, proxy: str | None = None
    ) -> PooledTransport | SlottedTransport:
        """A transport for one ``httpx.AsyncClient``, which closes it.

        ``connect_timeout_seconds`` (more than 0) applies to requests that bring no connect timeout of their own.
        ``verify=False`` accepts any certificate; an :class:`ssl.SSLContext` is used as it is. ``proxy`` is the URL of
        an HTTP proxy, with or without TLS; what goes through one is sent by stock httpx, which is slower.

        Raises :class:`ValueError` for a proxy of another kind.
        """
        context = verify if isinstance(verify, ssl.SSLContext) else self._shared_context(verify)
        if proxy is None:
            return PooledTransport(
                ssl_context=context,
                connect_timeout_seconds=connect_timeout_seconds,
                keepalive_seconds=self._keepalive_seconds,
                max_idle=self._max_idle,
                watch=self._watch,
            )
        if httpx.URL(proxy).scheme not in ("http", "https"):
            raise ValueError(f"a proxy's URL begins with http:// or https://, unlike {proxy!r}")
        return SlottedTransport(
            ssl_context=context,
            connect_timeout_seconds=connect_timeout_seconds,
            keepalive_seconds=self._keepalive_seconds,
            max_idle=self._max_idle,
            proxy=proxy,
        )

    def _shared_context(self, verify: bool) -> ssl.SSLContext:
        if verify not in self._ssl_contexts:
            self._ssl_contexts[verify] = _ssl_context(verify=verify)
        return self._ssl_contexts[verify]


def _ssl_context(*, verify: bool) -> ssl.SSLContext:
    if not verify:
        return httpx.create_ssl_context(verify=False, trust_env=False)
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        return httpx.create_ssl_context(trust_env=False)
    # the machine's own store rather than certifi's, which httpx takes: internal systems have internal authorities
    return ssl.create_default_context()
