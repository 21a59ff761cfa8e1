"""Put connectord, its plugins and the libraries they need below a directory, as the Debian package has them.

The libraries come from the environment that runs this, into which requirements.lock was installed with its hashes:
nothing is fetched. ``make deb`` is the way to call it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

from connectord.service.units import UnitOptions, render_configuration, render_units, write_tree
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = PurePosixPath("/usr/lib/connectord")
LOCAL = "/usr/local/lib/connectord"
"""Where an admin puts plugins; the package never touches it."""

UNITS = PurePosixPath("/lib/systemd/system")
CONFIG = "/etc/connectord/connectord.toml"
OURS = ("connectord", "connectord-http", "connectord-exec", "connectord-amqp", "connectord-sftp")
COMMANDS = {"connectord": "connectord.cli.daemon", "connectorctl": "connectord.cli.control"}
COMPLETIONS = {
    "bash": ("usr/share/bash-completion/completions", "{name}"),
    "zsh": ("usr/share/zsh/vendor-completions", "_{name}"),
    "fish": ("usr/share/fish/vendor_completions.d", "{name}.fish"),
}


def main() -> None:
    """Fill the directory that is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the tree to build connectord from")
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    source, target = arguments.source.absolute(), arguments.target.absolute()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = target / str(HOME / "lib" / version / "site-packages").lstrip("/")
    packages.mkdir(parents=True)
    for name in sorted(libraries()):
        copy_distribution(name, packages)
    for project in (source, *sorted((source / "plugins").iterdir())):
        unpack_wheel(project, packages)
    (packages / "connectord-local.pth").write_text(f"{LOCAL}\n")
    make_environment(target / str(HOME).lstrip("/"))
    make_commands(target)
    options = UnitOptions("/usr/bin/connectord", "/usr/bin/connectorctl", CONFIG, sockets=True)
    write_tree(target, render_units(options), UNITS)
    write_tree(target, {PurePosixPath(CONFIG).relative_to("/"): render_configuration(options)}, PurePosixPath("/"))
    copy_pages(source / "docs", target)
    minor = sys.version_info.minor
    Path(f"{target}.python3").write_text(f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})")


def libraries() -> set[str]:
    """The distributions that connectord and its plugins need, without their own."""
    found: set[str] = set()
    open_ends = list(OURS)
    while open_ends:
        name = open_ends.pop()
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            needed = canonicalize_name(requirement.name)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and needed not in found and needed not in OURS:
                found.add(needed)
                open_ends.append(needed)
                open_ends += extras_of(requirement)
    return found


def extras_of(requirement: Requirement) -> list[str]:
    """What a requirement's extras bring, so far as it is installed."""
    found = []
    for text in metadata.requires(requirement.name) or ():
        more = Requirement(text)
        if more.marker is not None and any(more.marker.evaluate({"extra": each}) for each in requirement.extras):
            found.append(canonicalize_name(more.name))
    return found


def copy_distribution(name: str, packages: Path) -> None:
    """Copy an installed distribution's files, without bytecode and without its commands."""
    installed = Path(sysconfig.get_path("purelib"))
    for file in metadata.distribution(name).files or ():
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(installed / file, target)


def unpack_wheel(project: Path, packages: Path) -> None:
    """Build a project's wheel and unpack it."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory]
        subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (wheel,) = Path(directory).glob("*.whl")
        zipfile.ZipFile(wheel).extractall(packages)


def make_environment(home: Path) -> None:
    """A virtual environment on the system's own Python."""
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to("/usr/bin/python3")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n")


def make_commands(target: Path) -> None:
    """The two commands, as scripts that start the environment's Python."""
    directory = target / "usr" / "bin"
    directory.mkdir(parents=True)
    for name, module in COMMANDS.items():
        entry = target / str(HOME / "bin" / name).lstrip("/")
        entry.write_text(f"import sys\n\nfrom {module} import main\n\nsys.argv[0] = {f'/usr/bin/{name}'!r}\nmain()\n")
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {HOME}/bin/python3 {HOME}/bin/{name} "$@"\n')
        script.chmod(0o755)


def copy_pages(docs: Path, target: Path) -> None:
    """Man pages and completions, where the checkout has them."""
    for page in sorted(docs.glob("man/**/*.[1-8]")):
        section = target / "usr" / "share" / "man" / f"man{page.suffix[1:]}"
        section.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, section / page.name)
    for file in sorted(docs.glob("completion*/**/*")):
        known = re.search(r"(bash|zsh|fish)", str(file.relative_to(docs)))
        name = next((each for each in ("connectorctl", "connectord") if each in file.name), None)
        if file.is_file() and known is not None and name is not None:
            directory, pattern = COMPLETIONS[known[1]]
            completed = target / directory / pattern.format(name=name)
            completed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, completed)


if __name__ == "__main__":
    main()
