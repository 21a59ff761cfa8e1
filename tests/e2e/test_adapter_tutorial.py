"""docs/writing-an-adapter.md, followed from an empty folder: every command and every file on it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx
import pytest
import trio
from connectord.testing import Answer, DaemonProcess, FakeSystem, Request

PAGE = (Path(__file__).parents[2] / "docs" / "writing-an-adapter.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.S | re.M)
SECRET = "desk-secret-of-the-tutorial"


class Desk:
    """The invented system of the page."""

    def __init__(self) -> None:
        self.parcels: dict[str, str] = {}
        self.callback_answers: list[int] = []
        self.system = FakeSystem(answer=self.take)

    def take(self, request: Request) -> Answer:
        parcel = request.json()
        number = self.parcels.setdefault(request.headers["x-request-id"], f"P-{len(self.parcels) + 1}")
        if self.system.nursery is not None:
            self.system.nursery.start_soon(self.deliver, number, parcel["reply_to"])
        return Answer.of_json({"parcel": number}, 201)

    async def deliver(self, number: str, reply_to: str) -> None:
        body = json.dumps({"parcel": number, "state": "delivered", "signed_by": "ada"}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"Content-Type": "application/json", "X-Desk-Signature": signature}
            answer = await client.post(reply_to, content=body, headers=headers)
        self.callback_answers.append(answer.status_code)


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A fresh environment, in which what this one has can be imported, and into which is installed."""
    directory = tmp_path / "environment"
    venv.create(directory, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(directory), "platbase": str(directory)}))
    mine = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in mine))
    return str(directory / "bin" / "python")


def listing(directory: Path) -> str:
    ignored = (".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis", "__pycache__")
    files = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return "".join(sorted(f"{file}\n" for file in files if not set(file.parts) & set(ignored)))


async def test_the_tutorial_ends_with_a_parcel_delivered(tmp_path: Path, python: str) -> None:
    desk = Desk()
    async with desk.system.serve():
        environ = {
            **os.environ,
            "DESK_SECRET": SECRET,
            "CONNECTORD_CONFIG": str(tmp_path / "connectord.toml"),
            "CONNECTORD_SOCKET": str(tmp_path / "control.sock"),
            "PATH": os.pathsep.join([str(Path(python).parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        daemon = DaemonProcess(tmp_path, environ, python=python)
        daemon.configure(daemon.head())
        try:
            await daemon.start()
            await follow(daemon, desk, environ, tmp_path)
        finally:
            daemon.kill()
    assert desk.callback_answers == [200]
    assert list(desk.parcels.values()) == ["P-1"]


async def follow(daemon: DaemonProcess, desk: Desk, environ: dict[str, str], start: Path) -> None:
    directory, printed = start, ""
    for kind, text in BLOCKS:
        if kind == "sh":
            printed, directory = await run(text, directory, environ)
            if "submit" in text:
                await daemon.until(printed.strip(), "closed")
        elif kind == "python":
            place, _, source = text.partition("\n")
            file = directory / place.removeprefix("# ")
            assert file.exists(), place
            file.write_text(source)
        elif kind == "toml":
            system = text.replace("http://127.0.0.1:9000", desk.system.base_url)
            assert system != text
            daemon.configure(daemon.config_file.read_text() + system)
        elif "pyproject.toml" in text:
            assert text == listing(directory)
        else:
            assert text.strip() in printed


async def run(script: str, directory: Path, environ: dict[str, str]) -> tuple[str, Path]:
    """What the commands printed, and the directory that they ended in."""
    marked = f'set -eu\n{script}\necho; echo "ended in:$PWD"'
    with trio.fail_after(300):
        done = await trio.run_process(
            ["sh", "-c", marked], cwd=directory, env=environ, check=False,
            capture_stdout=True, stderr=subprocess.STDOUT,
        )  # fmt: skip
    printed = done.stdout.decode()
    assert done.returncode == 0, printed
    output, _, ended = printed.rpartition("\nended in:")
    return output, Path(ended.strip())
