"""Deeply nested data is refused before it is stored, where it could never be shown again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from connectord.adapters import Taken
from connectord.callbacks import CallbackAnswer
from connectord.control.protocol import ProtocolError, encode_result, parse_request
from connectord.errors import InvalidCallback, InvalidRequest
from helpers.simulated_daemon import simulated_daemon

SYSTEM = '[systems.erp]\nadapter = "simulated"\n'


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def submission(data: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":1,"method":"submit","params":{{"system":"erp","data":{data}}}}}'.encode()


@pytest.mark.parametrize("levels", [1, 199, 200, 201, 500, 900, 940, 950, 960, 1_000, 100_000])
async def test_data_is_taken_and_shown_or_refused(levels: int, autojump_clock: Any, tmp_path: Path) -> None:
    async with simulated_daemon(tmp_path, SYSTEM, lambda call: Taken()) as simulated:
        if levels > 200:
            # how deep JSON can be read at all depends on how deep the stack is already
            with pytest.raises((ProtocolError, InvalidRequest), match="nested"):
                await simulated.call("submit", **parse_request(submission(nested(levels))).params)
            assert (await simulated.call("list"))["actions"] == []
            return
        request = parse_request(submission(nested(levels)))
        action = await simulated.call("submit", **request.params)
        for method in ("show", "why", "history", "attempts"):
            assert encode_result(1, await simulated.call(method, id=action["id"]))


@pytest.mark.parametrize("levels", [199, 300, 900])
async def test_a_callback_too_deep_is_the_senders_mistake(levels: int, autojump_clock: Any, tmp_path: Path) -> None:
    async with simulated_daemon(tmp_path, SYSTEM, lambda call: Taken()) as simulated:
        action = await simulated.call("submit", system="erp")
        document = {"status": "success", "data": json.loads(nested(levels))}
        if levels < 200:
            assert await simulated.respond(action["id"], document) is CallbackAnswer.TAKEN
        else:
            with pytest.raises(InvalidCallback, match="nested deeper than 200 levels"):
                await simulated.respond(action["id"], document)


async def test_one_of_many_too_deep_refuses_all(autojump_clock: Any, tmp_path: Path) -> None:
    async with simulated_daemon(tmp_path, SYSTEM, lambda call: Taken()) as simulated:
        deep = {"system": "erp", "data": json.loads(nested(300))}
        with pytest.raises(InvalidRequest, match="data is nested deeper than 200 levels"):
            await simulated.call("submit_many", actions=[{"system": "erp"}, deep])
        assert (await simulated.call("list"))["actions"] == []
