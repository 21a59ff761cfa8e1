"""The helpers that decide whether a test runs at all, and whether it can flake."""

from __future__ import annotations

import socket

import pytest
from helpers.ports import lasting_port
from helpers.programs import require_program


def test_a_missing_program_skips_by_name_and_fails_where_services_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_program("sh").endswith("/sh")
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed; make services"):
        require_program("no-such-program")
    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        require_program("no-such-program")


def test_a_lasting_port_is_the_servers_alone_whether_it_listens_or_not() -> None:
    port = lasting_port()
    for _ in range(2):
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        # says SO_REUSEADDR, as servers do
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass
