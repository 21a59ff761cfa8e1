"""The clients have every method of the control socket, and say what the daemon says."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from connectord import client, errors
from connectord.callers import Role
from connectord.client import generate
from connectord.client.descriptions import DESCRIPTIONS
from connectord.client.sync_methods import SyncMethods
from connectord.client.trio_methods import TrioMethods
from connectord.client.wire import failure, find_socket, typed
from connectord.control import params as p
from connectord.control import results as r
from connectord.control.signatures import SIGNATURES, Signature

DIRECTORY = Path(generate.__file__).parent
SAMPLES: dict[str, Any] = {"actions": [p.Submit(system="erp")], "a": 1, "b": 2}
"""Values of parameters that are not text."""


class Recorder(SyncMethods):
    """What a method sends, with a type for its answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, p.Params, type[r.Result]]] = []

    def _request(self, method: str, params: p.Params, result: Any) -> Any:
        self.sent.append((method, params, result))

    _stream = _pages = _request  # type: ignore[assignment]


@pytest.mark.parametrize("flavour", generate.FLAVOURS, ids=lambda flavour: flavour.file)
def test_the_methods_are_those_that_the_types_give(flavour: generate.Flavour) -> None:
    text = (DIRECTORY / flavour.file).read_text(encoding="utf-8")
    assert text == generate.render(flavour), "run: python -m connectord.client.generate"


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("methods", [SyncMethods, TrioMethods])
def test_every_method_is_there_with_its_parameters_and_its_result(methods: type, name: str) -> None:
    method = getattr(methods, name)
    signature = SIGNATURES[name]
    expected: dict[str, Any] = {}
    for field in msgspec.structs.fields(signature.params):
        is_filters = field.name == "filters"
        for item in msgspec.structs.fields(get_args(field.type)[0]) if is_filters else (field,):
            expected[item.name] = inspect.Parameter.empty if item.default is msgspec.NODEFAULT else item.default
    taken = dict(inspect.signature(method).parameters)
    del taken["self"]
    assert {key: value.default for key, value in taken.items()} == expected
    if signature.result is not None:
        assert get_type_hints(method)["return"] is signature.result
    assert method.__doc__ is not None
    assert f"Needs the role {signature.role.name.lower()}." in method.__doc__


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_method_sends_what_the_daemon_takes(name: str) -> None:
    recorder = Recorder()
    method = getattr(recorder, name)
    required = [item.name for item in inspect.signature(method).parameters.values() if item.default is item.empty]
    method(*[SAMPLES.get(item, f"a {item}") for item in required])
    ((sent, params, _),) = recorder.sent
    assert sent == name
    told = msgspec.to_builtins(params)
    assert {key: value for key, value in told.items() if key in required} == {
        key: msgspec.to_builtins(SAMPLES.get(key, f"a {key}")) for key in required
    }
    assert msgspec.convert(told, SIGNATURES[name].params) == params


def test_filters_stand_among_the_parameters_and_are_left_out_where_none_is_given() -> None:
    recorder = Recorder()
    recorder.watch(system="erp")
    recorder.watch()
    recorder.rerun(ids=["A"])
    recorder.rerun(resolution="not_done_successfully", dry_run=True)
    assert [msgspec.to_builtins(params) for _, params, _ in recorder.sent] == [
        {"filters": {"system": "erp"}},
        {},
        {"ids": ["A"]},
        {"filters": {"resolution": "not_done_successfully"}, "dry_run": True},
    ]


def test_no_description_is_of_a_method_that_is_gone() -> None:
    assert set(DESCRIPTIONS) <= set(SIGNATURES)


def test_a_method_without_a_description_is_not_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIGNATURES, "bury", Signature(Role.ADMIN, p.ById, r.Action))
    with pytest.raises(generate.NotGenerated, match="say in .* what bury does"):
        generate.render(generate.SYNC)


@pytest.mark.parametrize("kind", [bytes, set[str], list[bytes]])
def test_a_type_that_the_generator_does_not_know_is_an_error(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    params = msgspec.defstruct("Odd", [("odd", kind)], bases=(p.Params,), frozen=True)
    monkeypatch.setitem(SIGNATURES, "odd", Signature(Role.ADMIN, params, r.Action))
    with pytest.raises(generate.NotGenerated, match="does not know"):
        generate.render(generate.TRIO)


def test_a_member_of_a_later_version_is_ignored() -> None:
    told = {"stopping": True, "because": {"of": ["something", "new"]}}
    assert typed("shutdown", told, r.Stopping) == r.Stopping(stopping=True)


def test_an_answer_of_another_shape_is_told() -> None:
    with pytest.raises(errors.UnexpectedAnswer, match=r"shutdown: .*stopping"):
        typed("shutdown", {"stopping": "soon"}, r.Stopping)
    with pytest.raises(errors.UnexpectedAnswer, match=r"shutdown: .*missing"):
        typed("shutdown", {}, r.Stopping)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-32700, errors.BadRequest),
        (-32600, errors.BadRequest),
        (-32601, errors.NoSuchMethod),
        (-32602, errors.BadRequest),
        (-32603, errors.DaemonFault),
        (-32001, errors.DoesNotExist),
        (-32002, errors.WrongState),
        (-32003, errors.NotPermitted),
        (-32004, errors.ConfigurationInvalid),
        (-32005, errors.TryAgain),
        (-32006, errors.KeyTaken),
        (-32999, errors.RequestFailed),
    ],
)
def test_every_code_has_its_exception(code: int, kind: type[errors.RequestFailed]) -> None:
    error = failure(code, "why not")
    assert type(error) is kind
    assert (error.code, error.reason, str(error), error.data) == (code, "why not", "why not", None)


def test_every_code_of_the_protocol_has_an_exception_of_its_own() -> None:
    from connectord.control import protocol

    codes = [value for name, value in vars(protocol).items() if isinstance(value, int) and name != "MAX_LINE_BYTES"]
    assert codes
    assert all(type(failure(code, "")) is not errors.RequestFailed for code in codes)


def test_errors_carry_their_details() -> None:
    refused = failure(-32002, "it is closed", {"state": "closed", "reason": "it is closed"})
    assert isinstance(refused, errors.WrongState)
    assert refused.state == "closed"
    assert failure(-32005, "too slow", {"resume_after": 17}).resume_after == 17
    invalid = failure(-32004, "1 problem", {"errors": [{"file": "c", "line": 3, "key": "k", "message": "m"}]})
    assert isinstance(invalid, errors.ConfigurationInvalid)
    assert invalid.errors == (errors.Problem("c", 3, "k", "m"),)


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, {"state": 3, "errors": "all", "resume_after": "x"}, {"errors": [1, {}]}]
)
def test_details_that_are_not_there_are_none(data: Any) -> None:
    refused, invalid = failure(-32002, "no", data), failure(-32004, "no", data)
    assert isinstance(refused, errors.WrongState)
    assert isinstance(invalid, errors.ConfigurationInvalid)
    assert (refused.state, refused.resume_after) == (None, None)
    assert all(isinstance(problem, errors.Problem) for problem in invalid.errors)


def test_the_socket_is_the_one_given_else_of_the_environment_else_the_default() -> None:
    environ = {"CONNECTORD_SOCKET": "/env.sock", "RUNTIME_DIRECTORY": "/run/x"}
    assert find_socket(Path("/given.sock"), environ) == "/given.sock"
    assert find_socket(None, environ) == "/env.sock"
    assert find_socket(None, {"RUNTIME_DIRECTORY": "/run/x"}) == "/run/x/control.sock"
    assert find_socket(None, {}) == "/run/connectord/control.sock"


def test_who_blocks_does_not_load_trio() -> None:
    code = "import sys, json, connectord.client; print(json.dumps(sorted({'trio', 'httpx'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == []


def test_what_is_not_there_is_an_attribute_error() -> None:
    assert set(client.__all__) == {"AsyncClient", "Client", "Submit"}
    assert client.AsyncClient.__name__ == "AsyncClient"
    with pytest.raises(AttributeError, match="Cliemt"):
        _ = client.Cliemt
