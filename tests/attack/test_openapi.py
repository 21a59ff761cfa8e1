"""The callback interface's description, and the real listener held against it by schemathesis."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from connectord.callbacks import CallbackAnswer, Limits, TokenKey, open_callback_listeners, openapi, serve_callbacks
from connectord.responses import SuccessDocument, read_response
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

KEY = TokenKey(bytes(range(32)))
TOKEN = KEY.issue("01JDEFGHJKMNPQRSTVWXYZ0123")
FILE = Path(__file__).parents[2] / "schema" / "connectord_schema" / "json" / openapi.FILE_NAME

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_the_file_is_what_the_types_make() -> None:
    assert FILE.read_text(encoding="utf-8") == openapi.render(), "python -m connectord.callbacks.openapi DIRECTORY"


class Reader:
    """Reads bodies as connectord's own format, as the daemon does for a system whose adapter wants no other."""

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        await trio.lowlevel.checkpoint()
        return CallbackAnswer.TAKEN if isinstance(read_response(body), SuccessDocument) else CallbackAnswer.LATE


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A listener in a thread of its own, for a client that does not know trio."""
    started, stop = threading.Event(), trio.Event()
    where: list[str] = []
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        listeners = await open_callback_listeners("127.0.0.1", 0)
        where.append(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        tokens.append(trio.lowlevel.current_trio_token())
        started.set()
        limits = Limits(guesses_per_minute=20)
        await serve_callbacks(listeners, key=KEY, handler=Reader(), limits=limits.in_force, drain=stop)

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert started.wait(10)
    yield where[0]
    tokens[0].run_sync_soon(stop.set)
    thread.join(10)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_one_that_the_description_has(mode: str, base_url: str) -> None:
    operation = schemathesis.openapi.from_dict(openapi.description())["/callback/{token}"]["POST"]
    cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
    seen = set()

    @SETTINGS
    @given(case=cases, genuine=st.booleans())
    def answered(case: schemathesis.Case, genuine: bool) -> None:
        if genuine:
            case.path_parameters["token"] = TOKEN
        response = case.call(base_url=base_url, timeout=10)
        seen.add(response.status_code)
        case.validate_response(
            response,
            checks=[
                schemathesis.checks.not_a_server_error,
                schemathesis.specs.openapi.checks.status_code_conformance,
                schemathesis.specs.openapi.checks.content_type_conformance,
                schemathesis.specs.openapi.checks.response_schema_conformance,
                schemathesis.specs.openapi.checks.response_headers_conformance,
            ],
        )
        assert genuine or response.status_code not in (200, 202)

    answered()
    assert seen & ({200, 202} if mode == "positive" else {400, 404, 415})
