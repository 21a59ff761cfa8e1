import json

import pytest
from connectord.control import protocol
from connectord.control.peers import Peer, Role, role_of
from connectord.control.protocol import ProtocolError, Request, parse_request
from connectord.errors import (
    ConfigurationRefused,
    InvalidRequest,
    KeyConflict,
    NotAllowed,
    NotFound,
    NotInHistory,
    Overloaded,
    Problem,
    Refused,
    StoreFailed,
    StoreFull,
    WatcherTooSlow,
)


def test_a_request_is_read():
    line = b'{"jsonrpc":"2.0","id":7,"method":"show","params":{"id":"A"}}'
    assert parse_request(line) == Request(7, "show", {"id": "A"})
    assert parse_request(b'{"jsonrpc":"2.0","id":"x","method":"status"}\r') == Request("x", "status", {})


def test_a_request_without_an_id_is_a_notification_but_a_null_id_is_an_id():
    assert parse_request(b'{"jsonrpc":"2.0","method":"status"}').is_notification
    assert not parse_request(b'{"jsonrpc":"2.0","id":null,"method":"status"}').is_notification


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"", -32700, None),
        (b"{", -32700, None),
        (b"nonsense", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":NaN}', -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, None),
        (b'{"\xc3\x28":1}', -32700, None),
        (b"[" * 100_000, -32700, None),
        (b'{"a":' * 100_000, -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"status"} {}', -32700, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"status"}]', -32600, None),
        (b"1", -32600, None),
        (b"null", -32600, None),
        (b"{}", -32600, None),
        (b'{"jsonrpc":"1.0","id":1,"method":"status"}', -32600, 1),
        (b'{"jsonrpc":2.0,"id":1,"method":"status"}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":true,"method":"status"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"status"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"status"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","parms":{}}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","params":[]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","params":null}', -32602, 1),
    ],
)
def test_a_broken_line_has_its_code_and_its_id(line, code, request_id):
    with pytest.raises(ProtocolError) as caught:
        parse_request(line)
    assert (caught.value.code, caught.value.id) == (code, request_id)


def test_a_batch_is_refused_in_words():
    with pytest.raises(ProtocolError, match="batches are not taken"):
        parse_request(b"[1]")


def test_lines_end_with_one_newline():
    lines = [
        protocol.encode_result(1, {"text": "two\nlines"}),
        protocol.encode_error(None, -32600, "no\nno", {"a": "\n"}),
        protocol.encode_notification("event", {"a": "\n"}),
    ]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)


@pytest.mark.parametrize(
    ("error", "code", "data"),
    [
        (NotFound("no"), -32001, None),
        (Refused("closed", "it is closed"), -32002, {"state": "closed", "reason": "it is closed"}),
        (NotAllowed("no"), -32003, None),
        (
            ConfigurationRefused([Problem("c.toml", 3, "a.b", "must be 1")]),
            -32004,
            {"errors": [{"file": "c.toml", "line": 3, "key": "a.b", "message": "must be 1"}]},
        ),
        (NotInHistory("gone", 7), -32002, {"state": None, "reason": "gone", "resume_after": 7}),
        (Overloaded("later"), -32005, None),
        (WatcherTooSlow(7), -32005, {"resume_after": 7}),
        (StoreFull("later"), -32005, None),
        (KeyConflict("no"), -32006, None),
        (InvalidRequest("no"), -32602, None),
        (StoreFailed("disk /dev/x"), -32603, None),
        (ZeroDivisionError("secret"), -32603, None),
    ],
)
def test_errors_have_their_codes(error, code, data):
    reply = json.loads(protocol.error_reply(4, error))
    assert (reply["id"], reply["error"]["code"], reply["error"].get("data")) == (4, code, data)
    assert "secret" not in reply["error"]["message"]
    assert "/dev/x" not in reply["error"]["message"]


def test_the_nearest_method_is_named():
    error = protocol.unknown_method("stauts", ["status", "show"])
    assert error.code == -32601
    assert "did you mean 'status'?" in error.message
    assert "did you mean" not in protocol.unknown_method("xyzzy", ["status"]).message


class Rule:
    def __init__(self, role, kind, number):
        self.role, self.kind, self.number = role, kind, number


def test_roles():
    peer = Peer(uid=1000, gid=1000, pid=1, groups=frozenset({1000, 50}))
    assert role_of(peer, [], 999) is None
    assert role_of(peer, [], 1000) is Role.ADMIN
    assert role_of(Peer(0, 0, 1), [Rule("viewer", "uid", 0)], 999) is Role.ADMIN
    assert role_of(peer, [Rule("viewer", "uid", 1000), Rule("operator", "gid", 50)], 999) is Role.OPERATOR
    assert role_of(peer, [Rule("admin", "uid", 50), Rule("admin", "gid", 7)], 999) is None
    assert Role.VIEWER < Role.OPERATOR < Role.ADMIN
