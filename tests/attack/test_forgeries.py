"""Forged tokens and signatures are not accepted: the short run of ``make forge``."""

from __future__ import annotations

from collections import Counter

from attack.forge import NOW, SECRET, SIGNING_KEY, signing_adapter, try_directly, try_through_a_socket
from attack.forgeries import Message, forged_messages, forged_tokens, signature, token, ulid
from connectord.adapters import CallbackRequest, Succeeded
from connectord.callbacks import TokenKey


def test_of_20_000_forgeries_none_is_accepted() -> None:
    kinds, accepted = try_directly(20_000, seed=1)
    assert accepted == []
    assert kinds.total() == 20_000
    noise = kinds["token: noise"] + kinds["signature: noise"]
    assert noise == 10_000
    assert min(kinds.values()) > 50, kinds  # every kind was tried, and not only once


async def test_of_600_through_a_socket_none_is_accepted_and_most_are_slowed_down() -> None:
    statuses = await try_through_a_socket(600, seed=2)
    assert set(statuses) <= {400, 401, 404, 429}, statuses
    assert statuses.total() == 600
    assert statuses[429] > 200


def test_what_the_forgeries_are_made_from_is_genuine() -> None:
    """Else every forgery would be refused for a reason of no interest."""
    raw = bytes(range(16))
    assert TokenKey(SECRET).verify(token(SECRET, raw)) == ulid(raw)
    body = b'{"status": "success"}'
    message = Message("msg", str(NOW), signature(SIGNING_KEY, "msg", str(NOW), body), body)
    assert signing_adapter().read_callback(CallbackRequest("A", message.headers(), body)) == Succeeded({})


def test_half_of_them_are_near_misses_and_a_seed_makes_the_same_ones() -> None:
    tokens = [forged.kind for forged in forged_tokens(SECRET, 3, 400)]
    assert Counter(kind == "noise" for kind in tokens) == {True: 200, False: 200}
    assert list(forged_tokens(SECRET, 3, 50)) == list(forged_tokens(SECRET, 3, 50))
    assert list(forged_messages(SIGNING_KEY, NOW, 3, 50)) == list(forged_messages(SIGNING_KEY, NOW, 3, 50))
