"""Build the Debian package into dist/: ``make deb``. Needs debhelper and dpkg-dev, and fetches nothing."""

from __future__ import annotations

import argparse
import email.utils
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION_FILE = "daemon/connectord/__init__.py"
NEEDED = ("daemon/connectord", "schema", "plugins", "docs", "pyproject.toml", "README.md", "LICENSE")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info", ".*_cache", "tests")


def main() -> None:
    """Build, and print where the package is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="where the package is put")
    parser.add_argument("--version", help="another version number: for a test of an upgrade")
    arguments = parser.parse_args()
    _check_python()
    print(build(arguments.output, arguments.version))


def build(output: Path, version: str | None = None) -> Path:
    """Build the package into ``output``; its path."""
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "connectord"
        _copy_source(tree / "source", version)
        shutil.copytree(ROOT / "packaging" / "debian", tree / "debian")
        number = re.search(r'__version__ = "(.+)"', (tree / "source" / VERSION_FILE).read_text())
        if number is None:
            raise SystemExit(f"{VERSION_FILE} has no version")
        _write_changelog(tree / "debian" / "changelog", number[1])
        environ = {**os.environ, "CONNECTORD_PYTHON": sys.executable, "CONNECTORD_SOURCE": str(ROOT)}
        # what is installed decides what can be built: no check against a list of packages
        command = ["dpkg-buildpackage", "--build=binary", "--no-sign", "--no-check-builddeps"]
        done = subprocess.run(command, cwd=tree, env=environ, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
        (package,) = Path(directory).glob("connectord_*.deb")
        return Path(shutil.copy(package, output))


def _check_python() -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    system = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if here != system:
        raise SystemExit(
            f"the package runs on /usr/bin/python3, which is {system or 'missing'}; this environment has {here}: "
            "make it with make clean, then PYTHON=/usr/bin/python3 make deb"
        )


def _copy_source(target: Path, version: str | None) -> None:
    for name in NEEDED:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=_LEFT_OUT)
        else:
            shutil.copyfile(source, copy)
    if version is not None:
        file = target / VERSION_FILE
        file.write_text(re.sub(r'__version__ = ".+"', f'__version__ = "{version}"', file.read_text()))


def _write_changelog(file: Path, version: str) -> None:
    # in the time of the last commit, so that the same sources give the same package
    epoch = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    date = email.utils.formatdate(float(os.environ.get("SOURCE_DATE_EPOCH") or epoch or 0))
    text = f"connectord ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md in the sources.\n\n"
    file.write_text(f"{text} -- The connectord developers <connectord@packages.example.org>  {date}\n")


if __name__ == "__main__":
    main()
