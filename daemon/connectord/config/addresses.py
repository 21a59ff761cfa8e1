"""Addresses as people write them: where to listen, URLs, and mail addresses."""

from __future__ import annotations

import ipaddress
import re
from email.errors import HeaderParseError, ObsoleteHeaderDefect
from email.headerregistry import Address, AddressHeader
from email.policy import default as mail_policy
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_LONGEST_HOST = 253
_HIGHEST_PORT = 65_535


def parse_bind(text: str) -> tuple[str, int]:
    """The host and the port of ``HOST:PORT`` or ``[IPv6]:PORT``; port 0 stands for any free one.

    Raises :class:`ValueError`, with how to write it.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII):
        raise ValueError('must be HOST:PORT, such as "127.0.0.1:8470" or "[::1]:8470"')
    if int(port) > _HIGHEST_PORT:
        raise ValueError(f"the port must be from 0 (any free one) to {_HIGHEST_PORT}")
    if host.startswith("[") and host.endswith("]"):
        if not is_ipv6(host[1:-1]):
            raise ValueError('what stands in brackets must be an IPv6 address, such as "[::1]:8470"')
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError(f'an IPv6 address stands in brackets: "[{host}]:{port}"')
    if not is_host(host):
        raise ValueError('the host must be an IP address or a host name, such as "127.0.0.1:8470"')
    return host, int(port)


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address, or a network in CIDR notation. Raises :class:`ValueError`, with how to write it."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError('must be an address or a network such as "127.0.0.1" or "10.1.0.0/16"') from None


def parse_http_url(text: str) -> str:
    """``text`` without a slash at its end, if it is an absolute http or https URL with no query and no fragment.

    Raises :class:`ValueError`; the message never repeats the URL, which may hold a secret.
    """
    url = parse_target_url(text)
    if "?" in url:
        raise ValueError("must have no query (what follows a ?)")
    return url.rstrip("/")


def parse_target_url(text: str) -> str:
    """``text`` itself, if it is an absolute http or https URL with no fragment. Raises :class:`ValueError` as above."""
    example = 'such as "https://connectord.example.org"'
    if not text.isascii() or any(ord(character) <= ord(" ") for character in text):
        raise ValueError(f"must be a URL in plain ASCII without spaces, {example}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        # urllib's own message repeats parts of the URL
        raise ValueError(f"must be a URL with a valid host and port, {example}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError(f"must be an http or https URL with a host, {example}")
    if "#" in text:
        raise ValueError("must have no fragment (what follows a #)")
    return text


def default_public_url(host: str, port: int) -> str:
    """``http://HOST:PORT``, with an IPv6 address in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_unspecified(host: str) -> bool:
    """Whether ``host`` means every interface (0.0.0.0, ::), which nobody can connect to from elsewhere."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Whether ``text`` is an IPv4 address or a host name; IPv6 addresses are not."""
    if re.fullmatch(r"[0-9.]+", text, re.ASCII):
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            return False
        return True
    return len(text) <= _LONGEST_HOST and _HOST_NAME.fullmatch(text) is not None


def is_ipv6(text: str) -> bool:
    """Whether ``text`` is an IPv6 address, without brackets."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def parse_mail_address(text: str) -> Address:
    """One mail address, ``anna@example.org`` or ``Anna <anna@example.org>``.

    Raises :class:`ValueError`, with what is wrong.
    """
    try:
        header = mail_policy.header_factory("To", text)
    except (ValueError, IndexError, HeaderParseError):
        raise ValueError("it cannot be read as one") from None
    if not isinstance(header, AddressHeader) or len(header.addresses) != 1 or header.groups[0].display_name is not None:
        raise ValueError("it must be exactly one")
    (address,) = header.addresses
    if not address.username or not address.domain:
        raise ValueError("it has no @ between a name and a domain")
    # an unquoted dot in the name before the address is old-fashioned, and common
    defects = [defect for defect in getattr(header, "defects", ()) if not isinstance(defect, ObsoleteHeaderDefect)]
    if defects:
        raise ValueError(str(defects[0]))
    return address
