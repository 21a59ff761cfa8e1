"""Writing the package from the templates, which lie beside this file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from connectord.cli.new_adapter.names import AdapterNames
from connectord.errors import InvalidRequest

_SUFFIX = ".tmpl"

FILES = {
    "pyproject.toml": "pyproject.toml",
    "Makefile": "Makefile",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "github/ci.yml",
    "src/@MODULE@/__init__.py": "src/init.py",
    "src/@MODULE@/adapter.py": "src/adapter.py",
    "src/@MODULE@/settings.py": "src/settings.py",
    "src/@MODULE@/py.typed": "py.typed",
    "tests/test_adapter.py": "tests/test_adapter.py",
    "tests/test_conformance.py": "tests/test_conformance.py",
}
"""The files of the package, and the templates that they are made from."""


def write_package(names: AdapterNames, parent: Path) -> Path:
    """Write the package into a new directory ``connectord-NAME`` in ``parent``; the directory.

    Raises :class:`InvalidRequest` where it cannot be made: it is there already, or ``parent`` cannot be written.
    Nothing is left half done.
    """
    directory = parent / names.distribution
    words = {"@NAME@": names.name, "@MODULE@": names.module, "@CLASS@": names.class_prefix}
    templates = resources.files("connectord.cli.new_adapter").joinpath("templates")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir()
    except FileExistsError:
        raise InvalidRequest(f"{directory} is there already: choose another name or --directory") from None
    except OSError as error:
        raise InvalidRequest(f"{directory} cannot be made: {error.strerror}") from error
    try:
        for target, template in FILES.items():
            file = directory / _fill(target, words)
            file.parent.mkdir(parents=True, exist_ok=True)
            text = templates.joinpath(f"{template}{_SUFFIX}").read_text(encoding="utf-8")
            file.write_text(_fill(text, words), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise InvalidRequest(f"{directory} cannot be written: {error.strerror}") from error
    return directory


def _fill(text: str, words: Mapping[str, str]) -> str:
    for place, word in words.items():
        text = text.replace(place, word)
    return text
