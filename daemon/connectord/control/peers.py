"""Who is at the other end of the control socket, as the kernel says, and which role that gives."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

_SO_PEERGROUPS = 59  # socket.h; Python has no name for it


class Role(IntEnum):
    """What a caller may do; each one may do what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """A process, by the kernel's word (SO_PEERCRED)."""

    uid: int
    gid: int
    pid: int
    groups: frozenset[int]


class Rule(Protocol):
    """One line of ``[control.roles]``: who is in the uid or gid ``number`` has the role."""

    @property
    def role(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def number(self) -> int: ...


class _Socket(Protocol):
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def peer_of(connection: _Socket) -> Peer:
    """The peer of a unix stream socket."""
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 1024)
    except OSError:  # an old kernel: the primary group is all that is known
        raw = b""
    groups = struct.unpack(f"{len(raw) // 4}I", raw[: len(raw) // 4 * 4])
    return Peer(uid, gid, pid, frozenset((*groups, gid)))


def role_of(peer: Peer, rules: Sequence[Rule], daemon_uid: int) -> Role | None:
    """The highest role that a rule gives; root and the daemon's own user are always admin. None: refused."""
    if peer.uid in (0, daemon_uid):
        return Role.ADMIN
    roles = [
        Role[rule.role.upper()]
        for rule in rules
        if (rule.kind == "uid" and rule.number == peer.uid) or (rule.kind == "gid" and rule.number in peer.groups)
    ]
    return max(roles, default=None)
