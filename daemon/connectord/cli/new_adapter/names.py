"""What the parts of a new adapter's package are called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectord.errors import InvalidRequest
from connectord.plugins import RESERVED_NAMES

LONGEST_NAME = 30
FIRST_PARTY = frozenset({"amqp", "exec", "http", "sftp", "soap"})
"""Adapters of our own; of two with one name the daemon takes but one."""

PACKAGES = frozenset({"schema"})
"""What would make a package whose name another one has: ``connectord_schema``."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AdapterNames:
    """``name`` is the adapter's, as ``adapter = "..."`` has it."""

    name: str

    @property
    def distribution(self) -> str:
        """What is installed: ``connectord-parcel-desk``."""
        return f"connectord-{self.name}"

    @property
    def module(self) -> str:
        """What is imported: ``connectord_parcel_desk``."""
        return self.distribution.replace("-", "_")

    @property
    def class_prefix(self) -> str:
        """What its classes' names begin with: ``ParcelDesk``."""
        return "".join(part.capitalize() for part in self.name.split("-"))


def names_for(name: str) -> AdapterNames:
    """The names of the adapter ``name``. Raises :class:`InvalidRequest`, with what to write instead."""
    if name.startswith("connectord-"):
        raise InvalidRequest(f"leave connectord- out: connectord new-adapter {name.removeprefix('connectord-')}")
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} is no name for an adapter: small letters, digits and single hyphens, beginning with a letter, "
            f"at most {LONGEST_NAME} characters, such as parcel-desk"
        )
    if name in FIRST_PARTY:
        raise InvalidRequest(f"the name {name!r} is taken by connectord's own adapter connectord-{name}")
    # the keys of [systems.NAME] have underscores, and nobody should have to tell them apart
    if name.replace("-", "_") in RESERVED_NAMES or name in PACKAGES:
        raise InvalidRequest(f"the name {name!r} is reserved: connectord.toml or connectord itself uses it otherwise")
    return AdapterNames(name)
