"""Where a target may lie that somebody else named: the guard against server-side request forgery.

What stands in connectord.toml is the operator's word and may be internal. A host that comes from an action's data or
from a redirect is checked here: it is looked up once, every address must be globally routable unicast, and the caller
connects to the addresses that were checked, never to the name, so that a resolver that changes its mind wins nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import trio

from connectord.errors import TargetRefused

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

Lookup: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the addresses of a host name, the best first. Raises :class:`OSError`."""

# Python's is_global says yes to some of these: multicast, 6to4, NAT64, a cloud's own servers at public addresses
_SPECIAL: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ipaddress.ip_network(network), words)
    for network, words in (
        ("169.254.169.254/32", "the metadata service of a cloud"),
        ("168.63.129.16/32", "the metadata service of a cloud"),
        ("100.100.100.200/32", "the metadata service of a cloud"),
        ("fd00:ec2::254/128", "the metadata service of a cloud"),
        ("fd20:ce::254/128", "the metadata service of a cloud"),
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved for protocols"),
        ("192.52.193.0/24", "reserved for protocols"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved for protocols"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in disguise"),
        ("::/96", "an IPv4 address in disguise"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("100::/64", "the discard prefix"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("2620:4f:8000::/48", "reserved for protocols"),
        ("3fff::/20", "for documentation"),
        ("5f00::/16", "for segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")

_DOTTED_QUAD = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*", re.ASCII)
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*", re.ASCII)
_LONGEST_NAME = 253


async def look_up(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver knows for ``host``, without the same one twice."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def parse_network(text: str) -> IPNetwork:
    """A network as ``allow`` names it: ``10.0.0.0/8``, ``fd00::/8``, or a single address.

    Raises :class:`ValueError` with what is wrong.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f'must be a network such as "10.0.0.0/8" or "fd00::/8": {error}') from None


class AddressGuard:
    """Says which addresses may be connected to.

    ``allow`` opens the networks that it names and nothing else: an address that only wraps one of theirs, such as
    ``::ffff:10.0.0.1`` for ``10.0.0.0/8``, stays refused.
    """

    def __init__(self, allow: Iterable[IPNetwork] = (), *, lookup: Lookup = look_up) -> None:
        self._allow = tuple(allow)
        self._lookup = lookup

    async def find_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Every address of ``host``, each of them checked, the best first. Connect to these, not to the name.

        ``host`` is a name or an address as it stands in a URL, without brackets; an international name in its ASCII
        form. Raises :class:`TargetRefused` if it is no plain name and no plain address, or if any address is not
        allowed; :class:`OSError` if the lookup fails.
        """
        literal = parse_literal(host)
        found = [host] if literal is not None else await self._lookup(host, port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        for address in found:
            self._check(host, address)
        return tuple(found)

    def _check(self, host: str, address: str) -> None:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            parsed = None
        why = "not an address" if parsed is None else self._objection(parsed)
        if why is not None:
            which = address if address == host else f"{host} is at {address}, which"
            raise TargetRefused(f"{which} is not allowed: it is {why}")

    def _objection(self, address: IPAddress) -> str | None:
        if getattr(address, "scope_id", None) is not None:
            return "bound to one interface of this machine"
        if any(address in network for network in self._allow):
            return None
        for network, words in _SPECIAL:
            if address in network:
                return words
        if (address.version == 6 and address not in _GLOBAL_IPV6) or not address.is_global or address.is_multicast:
            return "not globally routable"
        return None


def parse_literal(host: str) -> IPAddress | None:
    """The address that ``host`` is, or None if it is a name.

    Raises :class:`TargetRefused` for what is neither in its plain form. Spellings that only some programs take for an
    address (``2130706433``, ``0x7f.1``, ``0177.0.0.1``, ``127.1``) are among them, and so is a zone id.
    """
    shown = host if host.isascii() and host.isprintable() else ascii(host)[1:-1]
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise TargetRefused(f"{shown} is not an IPv6 address") from None
        if address.scope_id is not None:
            raise TargetRefused(f"{shown} is not allowed: a zone id names an interface of this machine")
        return address
    if _DOTTED_QUAD.fullmatch(host):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise TargetRefused(f"{shown} is not an IPv4 address in its usual form") from None
    if host.endswith("."):
        raise TargetRefused(f"{shown} is not allowed: a host may not end with a dot")
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise TargetRefused(f"{shown[:100]!r} is not a host name")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise TargetRefused(f"{shown} is not allowed: write an IPv4 address as four decimal numbers")
    return None
