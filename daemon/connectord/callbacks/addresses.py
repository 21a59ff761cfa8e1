"""Whom a connection is counted under: limits and guesses are counted for each address.

An IPv6 network hands each customer 2^64 addresses or more, so IPv6 is counted by /64 (as nginx and fail2ban are usually
set up to); an IPv4 address that came over an IPv6 socket is the IPv4 address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV6_PREFIX = 64
_MOST_HOPS = 32


def read_address(text: str) -> IPAddress | None:
    """An address as a socket or a proxy writes it, without its zone; None where it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def group_of(address: IPAddress) -> str:
    """What an address is counted under: an IPv4 address itself, an IPv6 address's /64."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))


def is_within(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    """Whether ``address`` lies in one of ``networks``."""
    return any(address in network for network in networks)


def client_behind(forwarded_for: str, trusted: Sequence[IPNetwork]) -> IPAddress | None:
    """The last address of an ``X-Forwarded-For`` that no trusted proxy has; None where there is none to be had.

    What stands to the left of it is the client's own word, and is not looked at.
    """
    for text in reversed(forwarded_for.rsplit(",", _MOST_HOPS)):
        address = read_address(_bare(text.strip()))
        if address is None:
            return None
        if not is_within(address, trusted):
            return address
    return None


def _bare(text: str) -> str:
    """Without the port that some proxies add."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
