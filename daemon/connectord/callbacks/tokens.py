"""The token in a callback's address: the action's id and a MAC over it.

Nothing is stored per token, so that a callback is recognised without an index, and the database alone is not enough
to make one: the key lies in a file of its own beside it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from connectord.errors import InvalidRequest, StateDirectoryUnusable
from connectord.store.state_directory import sync_name
from connectord.ulids import ALPHABET, encode

KEY_BYTES = 32
"""The length of the secret."""

MAC_BYTES = 20
"""How much of the HMAC-SHA256 a token carries: 160 bits, so that the token has no padding and no spare bits."""

TOKEN_CHARACTERS = 48
"""The length of every token."""

_ID_BYTES = 16
_ACTION_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{48}", re.ASCII)
# of bytes: str.translate looks every character up in a dictionary, and takes eight times as long
_TO_INT_DIGITS = bytes.maketrans(ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv")
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


class TokenKey:
    """The secret that callback tokens are made and checked with. Its repr does not show it."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: bytes) -> None:
        """Use ``secret``, exactly 32 bytes. Raises :class:`InvalidRequest` for another length."""
        if len(secret) != KEY_BYTES:
            raise InvalidRequest(f"a token key has {KEY_BYTES} bytes, not {len(secret)}")
        # HMAC-SHA-256 with the key's share of the work done once, as RFC 2104 (section 4) has it: every action makes
        # a token and checks one, and setting OpenSSL's HMAC up takes seven times as long as both hashes
        block = secret.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))

    def __repr__(self) -> str:
        return "<TokenKey>"

    @classmethod
    def load_or_create(cls, path: Path, random_bytes: Callable[[int], bytes]) -> TokenKey:
        """Read the key from ``path``; where there is none, make one with ``random_bytes`` (mode 0600).

        When it returns, the key is on disk for good: no token is ever made with one that a crash could take away.
        Blocking; call it once at the start. Raises :class:`StateDirectoryUnusable` when the file cannot be read or
        made, has not exactly 32 bytes, is not a regular file, or is open to its group or to others.
        """
        try:
            secret = _read(path)
            if secret is None:
                _create(path, random_bytes(KEY_BYTES))
                secret = _read(path)
            # Also after reading: whoever made the file may have died before its name was on disk.
            sync_name(path)
        except OSError as error:
            raise StateDirectoryUnusable(
                f"the callback key {path} cannot be read or made: {error.strerror}; let the daemon's user read and "
                f"write {path.parent}"
            ) from error
        if secret is None:
            raise StateDirectoryUnusable(
                f"the callback key {path} was removed while the daemon started: leave it there, and start again"
            )
        return cls(secret)

    def issue(self, action_id: str) -> str:
        """The token of an action: 48 characters of A-Z, a-z, 0-9, ``-`` and ``_``, always the same ones.

        Raises :class:`InvalidRequest` when ``action_id`` is not a ULID in upper case.
        """
        if _ACTION_ID.fullmatch(action_id) is None:
            raise InvalidRequest("an action id is a ULID: 26 characters of Crockford's base32, the first at most 7")
        id_bytes = int(action_id.encode().translate(_TO_INT_DIGITS), 32).to_bytes(_ID_BYTES, "big")
        return base64.urlsafe_b64encode(id_bytes + self._mac(id_bytes)).decode("ascii")

    def verify(self, token: str) -> str | None:
        """The id of the action that ``token`` was issued for, or None; in constant time for any 48 characters."""
        if _TOKEN.fullmatch(token) is None:
            return None
        raw = binascii.a2b_base64(token.encode().translate(_TO_STANDARD))
        id_bytes = raw[:_ID_BYTES]
        if not hmac.compare_digest(self._mac(id_bytes), raw[_ID_BYTES:]):
            return None
        return encode(int.from_bytes(id_bytes, "big"))

    def _mac(self, id_bytes: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(id_bytes)
        outer.update(inner.digest())
        return outer.digest()[:MAC_BYTES]


def _read(path: Path) -> bytes | None:
    """The 32 bytes in the file, or None where there is none."""
    try:
        # Not blocking, and no link followed: what stands there may be a pipe or somebody else's file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StateDirectoryUnusable(f"the callback key {path} is not a regular file: move it away")
        if status.st_mode & 0o077:
            raise StateDirectoryUnusable(
                f"the callback key {path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}): whoever read it "
                f"can answer for any system; run: chmod 600 {path}"
            )
        secret = file.read(KEY_BYTES + 1)
        if len(secret) != KEY_BYTES:
            raise StateDirectoryUnusable(
                f"the callback key {path} has {status.st_size} bytes instead of {KEY_BYTES}: restore it from a backup, "
                "or remove it; then a new one is made, and callback addresses handed out before are no longer known"
            )
        return secret


def _create(path: Path, secret: bytes) -> None:
    """Make the file whole or not at all. One that appeared meanwhile stays: its tokens may be out already."""
    if len(secret) != KEY_BYTES:
        raise InvalidRequest(f"random_bytes({KEY_BYTES}) returned {len(secret)} bytes")
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()
