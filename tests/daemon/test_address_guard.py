"""No form of an internal address gets past the guard, and the allow-list opens what it names and nothing else."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from connectord.address_guard import AddressGuard, look_up, parse_literal, parse_network
from connectord.errors import TargetRefused
from hypothesis import given
from hypothesis import strategies as st

PUBLIC = ("8.8.8.8", "93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e")

INTERNAL = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "CGNAT",
    "100.127.255.255": "CGNAT",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "protocols",
    "192.0.0.9": "protocols",
    "192.0.0.170": "protocols",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarks",
    "198.19.255.255": "benchmarks",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::2": "disguise",
    "::127.0.0.1": "disguise",
    "::ffff:127.0.0.1": "disguise",
    "::ffff:7f00:1": "disguise",
    "::ffff:8.8.8.8": "disguise",
    "0:0:0:0:0:ffff:a9fe:a9fe": "disguise",
    "64:ff9b::127.0.0.1": "NAT64",
    "64:ff9b::8.8.8.8": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff": "NAT64",
    "100::1": "discard",
    "2001::1": "Teredo",
    "2001:0:53aa:64c::1": "Teredo",
    "2001:2::1": "protocols",
    "2001:10::1": "protocols",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "segment routing",
    "fc00::1": "unique local",
    "fd00:ec2::254": "metadata",
    "fdff::1": "unique local",
    "fe80::1": "link-local",
    "febf::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "4000::1": "not globally routable",
    "1::1": "not globally routable",
}
"""Addresses in their plain form, and what the refusal says of each."""

ODD = [
    "2130706433",  # 127.0.0.1 as one number
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7F.1",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.0.0.0x1",
    "127.0.0.1.",
    "127.0.0.256",
    "1.2.3.4.5",
    "256.256.256.256",
    "134744072",  # 8.8.8.8: a public one in an odd spelling is no better
    "0x08080808",
    "8.8.2056",
    "foo.0x7f",
    "foo.127",
    "localhost.",
    "localhost..",
    ".localhost",
    "a..b",
    "",
    ".",
    "-a.example",
    "::1%eth0",
    "fe80::1%1",
    "::1%25lo",
    "[::1]",
    "::ffff:127.0.0.1%1",
    "1::2::3",
    ":::",
    "127.0.0.1:80",
    "user@127.0.0.1",
    "127.0.0.1@example.org",
    "127.0.0.1#example.org",
    "example.org/127.0.0.1",
    "127.0.0.1\\example.org",
    "127.0.0.1%00.example.org",
    "%31%32%37.0.0.1",
    "exa mple.org",
    "example.org\n",
    "127.0.0.1\0",
    "\uff11\uff12\uff17.0.0.1",  # full-width digits
    "\u2460\u2461\u2466.0.0.1",  # circled ones
    "127\u30020\u30020\u30021",  # ideographic full stops
    "lo\u0441alhost",  # a Cyrillic letter
    "\u24db\u24de\u24d2\u24d0\u24db",
    "local\u00adhost",  # a soft hyphen
    "a" * 64,
    "a." * 127 + "a",
]
"""What is neither a plain name nor a plain address."""


def resolve_to(*addresses: str) -> Any:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses

    return lookup


async def never(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{host!r} was looked up")


async def refusal(guard: AddressGuard, host: str) -> str:
    with pytest.raises(TargetRefused) as refused:
        await guard.find_addresses(host, 80)
    return str(refused.value)


def test_there_are_enough_forms() -> None:
    assert len(INTERNAL) + len(ODD) >= 100


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_addresses_pass(address: str) -> None:
    assert await AddressGuard(lookup=never).find_addresses(address, 443) == (address,)
    assert await AddressGuard(lookup=resolve_to(address)).find_addresses("example.org", 443) == (address,)


@pytest.mark.parametrize(("address", "words"), INTERNAL.items())
async def test_internal_addresses_are_refused(address: str, words: str) -> None:
    assert words in await refusal(AddressGuard(lookup=never), address)
    told = await refusal(AddressGuard(lookup=resolve_to(address)), "example.org")
    assert told.startswith(f"example.org is at {address}, which is not allowed")
    # one good address beside it does not help
    await refusal(AddressGuard(lookup=resolve_to("8.8.8.8", address)), "example.org")


@pytest.mark.parametrize("host", ODD)
async def test_odd_spellings_are_refused_before_any_lookup(host: str) -> None:
    told = await refusal(AddressGuard([parse_network("0.0.0.0/0"), parse_network("::/0")], lookup=never), host)
    assert told.isprintable()


@pytest.mark.parametrize("address", ["fe80::1%eth0", "", "localhost", "0x7f.1"])
async def test_what_a_resolver_may_say_that_is_no_address(address: str) -> None:
    await refusal(AddressGuard([parse_network("::/0")], lookup=resolve_to(address)), "example.org")


@pytest.mark.parametrize(
    ("allow", "opened", "closed"),
    [
        (
            "10.0.0.0/8",
            ["10.0.0.1", "10.255.255.255"],
            ["::ffff:10.0.0.1", "172.16.0.1", "64:ff9b::a00:1", "127.0.0.1"],
        ),
        ("127.0.0.1/32", ["127.0.0.1"], ["127.0.0.2", "::1", "::ffff:127.0.0.1", "0.0.0.0", "2002:7f00:1::"]),
        ("169.254.169.254", ["169.254.169.254"], ["169.254.169.253", "fd00:ec2::254"]),
        ("fd00::/8", ["fd00::1", "fd00:ec2::254"], ["fc00::1", "fe80::1"]),
        ("::ffff:0:0/96", ["::ffff:10.0.0.1"], ["10.0.0.1", "::10.0.0.1"]),
        ("0.0.0.0/0", ["127.0.0.1", "255.255.255.255"], ["::1", "::ffff:127.0.0.1"]),
    ],
)
async def test_allow_opens_just_what_it_names(allow: str, opened: list[str], closed: list[str]) -> None:
    guard = AddressGuard([parse_network(allow)], lookup=never)
    for address in opened:
        assert await guard.find_addresses(address, 80) == (address,)
    for address in closed:
        await refusal(guard, address)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0.1/8", "localhost", "10.0.0.0-10.1.0.0", "10/8"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="must be a network such as"):
        parse_network(text)


async def test_a_lookup_that_fails_is_no_refusal() -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    for lookup in (fail, resolve_to()):
        with pytest.raises(socket.gaierror):
            await AddressGuard(lookup=lookup).find_addresses("example.org", 80)


async def test_the_system_resolver() -> None:
    assert "127.0.0.1" in await look_up("localhost", 80)
    assert "loopback" in await refusal(AddressGuard(), "localhost")


async def test_a_lookup_is_cut_off_with_its_caller(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await trio.sleep_forever()
        return ()

    with pytest.raises(trio.TooSlowError), trio.fail_after(1):
        await AddressGuard(lookup=hang).find_addresses("example.org", 80)


@given(st.integers(0, 2**32 - 1))
def test_what_passes_is_globally_routable_ipv4(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if passes(address):
        assert address.is_global
        assert not any((address.is_multicast, address.is_private, address.is_reserved))


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, (0x4000 << 112) - 1))
def test_what_passes_is_globally_routable_ipv6(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if passes(address):
        assert address.is_global
        assert number >> 125 == 1
        assert not any((address.is_multicast, address.ipv4_mapped, address.sixtofour, address.teredo))


@given(st.text(max_size=30) | st.from_regex(r"[0-9a-fx.:%]{1,20}", fullmatch=True))
def test_a_literal_is_read_in_one_way_only(host: str) -> None:
    try:
        literal = parse_literal(host)
    except TargetRefused:
        return
    if literal is None:
        # the C library, which a resolver may ask first, must not take it for an address either
        with pytest.raises((OSError, ValueError)):
            socket.inet_aton(host)
    elif literal.version == 4:
        assert str(literal) == host


def passes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    async def find() -> bool:
        try:
            await AddressGuard(lookup=never).find_addresses(str(address), 80)
        except TargetRefused:
            return False
        return True

    return trio.run(find)
