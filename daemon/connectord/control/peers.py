"""Who is at the other end of the control socket, and what they may do."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connectord.callers import Role as Role

_SO_PEERGROUPS = 77  # not in Python's socket module
_MAX_BUFFER = 1024  # what Python lets getsockopt take: 256 groups
_PEERCRED = struct.Struct("=iII")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as the kernel saw it when it connected."""

    uid: int
    gid: int
    pid: int
    groups: frozenset[int] = frozenset()


class RoleRule(Protocol):
    """One line of ``[control.roles]``: a uid or gid, and the role it gives."""

    @property
    def role(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def number(self) -> int: ...


class _HasOptions(Protocol):
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def peer_of(connection: _HasOptions) -> Peer:
    """The peer of a connected unix socket, from the kernel; OSError if it cannot be told."""
    pid, uid, gid = _PEERCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_BUFFER)
    except OSError:
        # an old kernel, or more groups than fit: the primary group only, which never gives too much
        groups: tuple[int, ...] = ()
    else:
        count = len(raw) // 4
        groups = struct.unpack(f"={count}I", raw[: count * 4])
    return Peer(uid=uid, gid=gid, pid=pid, groups=frozenset((gid, *groups)))


def role_of(peer: Peer, rules: Sequence[RoleRule], daemon_uid: int) -> Role | None:
    """The highest role the rules give ``peer``; root and the daemon's own uid are always admin."""
    if peer.uid in (0, daemon_uid):
        return Role.ADMIN
    roles = [
        Role[rule.role.upper()]
        for rule in rules
        if (rule.kind == "uid" and rule.number == peer.uid)
        or (rule.kind == "gid" and (rule.number == peer.gid or rule.number in peer.groups))
    ]
    return max(roles, default=None)
