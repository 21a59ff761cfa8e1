"""Frames and messages, without a network."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import pairwise

import pamqp.frame
import pytest
from connectord.adapters import NotConnected
from connectord_amqp.wire import Message, Received, Receiver, encode, encode_message
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat


def received(data: bytes, *, at_most: int = 1000, steps: list[int] | None = None) -> list[Received]:
    receiver, found = Receiver(max_body_bytes=at_most), []
    cuts = sorted({0, len(data), *(each % (len(data) + 1) for each in steps or [])})
    for start, end in pairwise(cuts):
        receiver.feed(data[start:end])
        while (each := receiver.next()) is not None:
            found.append(each)
    return found


def delivered(body: bytes, tag: int = 1, **properties: str) -> bytes:
    header = ContentHeader(body_size=len(body), properties=commands.Basic.Properties(**properties))
    frames = [commands.Basic.Deliver("ctag", tag, False, "", "answers"), header]
    frames += [ContentBody(body[at : at + 100]) for at in range(0, len(body), 100)]
    return b"".join(pamqp.frame.marshal(each, 1) for each in frames)


@given(body=st.binary(max_size=500), steps=st.lists(st.integers(min_value=0), max_size=20))
def test_a_message_is_the_same_however_its_bytes_arrive(body: bytes, steps: list[int]) -> None:
    data = encode(commands.Basic.Ack(5)) + delivered(body, 7, correlation_id="A-1")
    data += pamqp.frame.marshal(Heartbeat(), 0) + delivered(b"", 8) + encode(commands.Basic.Ack(6))
    ack, first, second, last = received(data, steps=steps)
    assert isinstance(ack, commands.Basic.Ack)
    assert isinstance(last, commands.Basic.Ack)
    assert (ack.delivery_tag, last.delivery_tag) == (5, 6)
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert first.body == body
    assert first.properties().correlation_id == "A-1"
    assert first.method.delivery_tag == 7
    assert second.body == b""
    assert second.properties().correlation_id is None


@given(st.binary(max_size=200))
def test_rubbish_raises_nothing_but_no_connection(data: bytes) -> None:
    with suppress(NotConnected):
        received(data)


@given(data=st.data())
def test_damage_raises_nothing_but_no_connection_or_unreadable_properties(data: st.DataObject) -> None:
    whole = bytearray(encode(commands.Connection.Tune(1, 2, 3)) + delivered(b"x" * 150, 7, correlation_id="A-1"))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NotConnected):
        for each in received(bytes(whole)):
            if isinstance(each, Message):
                with suppress(ValueError):
                    each.properties()


def test_a_body_is_kept_up_to_its_limit_and_the_next_message_is_whole() -> None:
    first, second, third = received(delivered(b"x" * 1001) + delivered(b"y" * 1000) + delivered(b"z"))
    assert [each.body for each in (first, second, third) if isinstance(each, Message)] == [None, b"y" * 1000, b"z"]


def test_properties_that_a_sender_made_unreadable_concern_that_message_alone() -> None:
    # a timestamp beyond every calendar: flag 0x40 of the properties
    payload = struct.pack(">HHQHQ", 60, 0, 2, 0x0040, 2**63)
    header = struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"
    method = encode(commands.Basic.Deliver("ctag", 7, False, "", "answers"))
    body = pamqp.frame.marshal(ContentBody(b"{}"), 1)
    bad, good = received(method + header + body + delivered(b"{}", 8))
    assert isinstance(bad, Message)
    assert bad.method.delivery_tag == 7
    with pytest.raises(ValueError, match="its properties cannot be read"):
        bad.properties()
    assert isinstance(good, Message)
    assert good.properties().correlation_id is None


def test_a_routing_key_that_is_not_utf_8_concerns_nobody() -> None:
    data = delivered(b"{}", 7, correlation_id="A-1").replace(b"\x07answers", b"\x07\xff\xfe\xfdwers")
    (message,) = received(data)
    assert isinstance(message, Message)
    assert message.method.delivery_tag == 7
    assert message.properties().correlation_id == "A-1"


@pytest.mark.parametrize(
    "data",
    [
        b"AMQP\x00\x00\x09\x01",
        b"HTTP/1.1 200 OK",
        struct.pack(">BHI", 1, 1, 200_000),
        encode(commands.Basic.Ack(1))[:-1] + b"\x00",
        struct.pack(">BHI", 1, 1, 4) + b"\xff\xff\xff\xff\xce",
        struct.pack(">BHI", 1, 1, 2) + b"\x00\x0a\xce",
        pamqp.frame.marshal(ContentHeader(body_size=1), 1),
        pamqp.frame.marshal(ContentBody(b"x"), 1),
        delivered(b"x")[:-9] + delivered(b"x"),
        delivered(b"x" * 5).replace(struct.pack(">Q", 5), struct.pack(">Q", 4)),
    ],
)
def test_what_is_not_amqp_ends_the_connection(data: bytes) -> None:
    with pytest.raises(NotConnected, match="not AMQP"):
        received(data)


@given(size=st.integers(0, 20_000), frame_max=st.integers(4096, 10_000))
def test_what_we_send_is_read_back(size: int, frame_max: int) -> None:
    body = b"x" * size
    method = commands.Basic.Publish(exchange="work", routing_key="jobs", mandatory=True)
    data = encode_message(method, commands.Basic.Properties(message_id="A-1"), body, frame_max=frame_max)
    found, at, kept = [], 0, b""
    while at < len(data):
        used, channel, frame = pamqp.frame.unmarshal(data[at:])
        assert channel == 1
        assert used <= frame_max
        found.append(frame.name)
        kept += frame.value if isinstance(frame, ContentBody) else b""
        at += used
    assert found[:2] == ["Basic.Publish", "ContentHeader"]
    assert kept == body
