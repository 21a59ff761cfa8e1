"""Plugins as pip would leave them, in a directory that a daemon finds on PYTHONPATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MISBEHAVING = Path(__file__).parent.parent / "plugins" / "misbehaving"


class SitePackages:
    """A directory of installed plugins, for daemons that are started with :attr:`environ`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        paths = [str(self.directory), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}

    def install(self, module: str, source: str | None = None, *, version: str = "1.0") -> Path:
        """Install a module as a distribution of its own; one from ``tests/plugins/misbehaving`` without ``source``."""
        file = self.directory / f"{module}.py"
        if source is None:
            shutil.copy(MISBEHAVING / file.name, file)
        else:
            file.write_text(source, encoding="utf-8")
        for old in self.directory.glob(f"acme_{module}-*.dist-info"):
            shutil.rmtree(old)
        info = self.directory / f"acme_{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{module}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[connectord]\n{module} = {module}\n")
        return file


def line_of(file: Path, mark: str = "at fault") -> str:
    """``file:line`` of the line that has the mark."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if mark in line:
            return f"{file}:{number}"
    raise AssertionError(f"{file} has no {mark!r}")
