"""The sockets that the service manager passes, against what the configuration says."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import structlog
from connectord.config import Config, load_config
from connectord.doors import open_doors
from connectord.errors import AddressUnusable, ConfigurationRefused
from connectord.systemd import Inherited
from helpers.ports import lasting_port


def configured(directory: Path, bind: str, more: str = "") -> Config:
    file = directory / "connectord.toml"
    file.write_text(f'[callbacks]\nbind = "{bind}"\n{more}')
    return load_config(file, adapters={}, environ={"RUNTIME_DIRECTORY": str(directory)})


def listening(host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket()
    made.bind((host, 0))
    made.listen()
    return made


async def test_a_passed_socket_counts_and_a_difference_is_told(tmp_path: Path) -> None:
    passed = listening()
    port = passed.getsockname()[1]
    with structlog.testing.capture_logs() as logs:
        doors = await open_doors(configured(tmp_path, "127.0.0.1:1"), Inherited((passed,)))
    assert doors.public_url == f"http://127.0.0.1:{port}"
    (told,) = logs
    assert told["key"] == "callbacks.bind"
    assert (told["configured"], told["listening"]) == ("127.0.0.1:1", [f"127.0.0.1:{port}"])
    for listener in (*doors.callbacks, doors.control):
        await listener.aclose()


async def test_a_passed_socket_that_the_configuration_names_too_is_nothing_to_tell(tmp_path: Path) -> None:
    passed = listening()
    bind = f"127.0.0.1:{passed.getsockname()[1]}"
    with structlog.testing.capture_logs() as logs:
        doors = await open_doors(
            configured(tmp_path, bind, 'public_url = "https://c.example.org"'), Inherited((passed,))
        )
    assert doors.public_url == "https://c.example.org"
    assert logs == []
    for listener in (*doors.callbacks, doors.control):
        await listener.aclose()


async def test_nobody_can_connect_to_every_interface(tmp_path: Path) -> None:
    passed = listening("0.0.0.0")
    with pytest.raises(ConfigurationRefused, match=r"callbacks.public_url: missing: the service manager listens on"):
        await open_doors(configured(tmp_path, f"127.0.0.1:{lasting_port()}"), Inherited((passed,)))
    assert passed.fileno() == -1


async def test_where_the_second_address_cannot_be_had_the_first_is_given_back(tmp_path: Path) -> None:
    port = lasting_port()
    (tmp_path / "control.sock").write_text("something else")
    with pytest.raises(AddressUnusable):
        await open_doors(configured(tmp_path, f"127.0.0.1:{port}"), Inherited())
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
