"""``[control.roles]``: who may do what on the control socket."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable
from typing import Literal, get_args

from connectord.config.scalars import text
from connectord.config.tables import Table, shown
from connectord.config.values import ControlSettings, Role, RoleRule

# the highest number means "nobody" to the kernel
_HIGHEST_ID = 2**32 - 2
_HOW = 'must be "user:NAME", "group:NAME", "uid:NUMBER" or "gid:NUMBER"'


def read_control(table: Table) -> ControlSettings:
    """The ``[control]`` table, with users and groups looked up on this machine."""
    roles = table.table("roles")
    rules: list[RoleRule] = []
    for role in get_args(Role):
        rules += roles.read_each(role, _peer(role))
    roles.finish()
    table.finish()
    return ControlSettings(roles=tuple(rules))


def _peer(role: Role) -> Callable[[object], RoleRule]:
    def read(value: object) -> RoleRule:
        if not isinstance(value, str):
            raise ValueError(f"{_HOW}, not {shown(value)}")  # noqa: TRY004 - every reader raises ValueError
        kind, _, name = text(value).partition(":")
        match kind:
            case "user":
                return RoleRule(role, "uid", _user(name))
            case "group":
                return RoleRule(role, "gid", _group(name))
            case "uid" | "gid":
                return RoleRule(role, kind, _number(kind, name))
            case _:
                raise ValueError(f"{_HOW}, not {shown(value)}")

    return read


def _user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {shown(name)} on this machine") from None


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {shown(name)} on this machine") from None


def _number(kind: Literal["uid", "gid"], digits: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", digits, re.ASCII) or int(digits) > _HIGHEST_ID:
        raise ValueError(f"a {kind} is a number from 0 to {_HIGHEST_ID}, not {shown(digits)}")
    return int(digits)
