"""What is installed: the wheel, and what the Debian package takes along."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_has_the_units_and_nothing_of_the_sources_beside_the_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info" not in name and ".data/" not in name}
    assert packages == {"connectord", "connectord_schema"}
    assert {name.rpartition("/")[2] for name in names if ".data/" in name} == {
        "connectord.1", "connectorctl.1", "connectord.toml.5",
    }  # fmt: skip
    files = {path.name for path in (ROOT / "daemon/connectord/service/files").iterdir()}
    assert {f"connectord/service/files/{name}" for name in files} <= set(names)


def test_an_installed_wheel_runs_and_installs_its_service(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python3.*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    # its libraries come from the environment of the tests, behind it: nothing is fetched
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    home = tmp_path / "home"
    done = subprocess.run(
        [str(environment / "bin" / "connectord"), "install-service", "--user"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    unit = (home / ".config/systemd/user/connectord.service").read_text()
    assert f"ExecStart={environment}/bin/connectord run" in unit
    assert f"ExecReload={environment}/bin/connectorctl reload" in unit


def test_the_package_takes_along_what_is_needed_and_no_more() -> None:
    libraries = load("stage").libraries()
    assert {"trio", "httpx", "pydantic-core", "paramiko", "prometheus-client"} <= libraries
    assert libraries.isdisjoint({"pytest", "mypy", "ruff", "hypothesis", "connectord", "connectord-http"})


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
