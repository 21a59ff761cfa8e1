"""The callback token and its key: what is issued is recognised, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from connectord.callbacks import TokenKey
from connectord.callbacks.tokens import KEY_BYTES, TOKEN_CHARACTERS
from connectord.errors import InvalidRequest, StateDirectoryUnusable
from hypothesis import given
from hypothesis import strategies as st

SECRET = bytes(range(32))
KEY = TokenKey(SECRET)
ACTION_ID = "01JDEFGHJKMNPQRSTVWXYZ0123"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def ulid(number: int) -> str:
    """The long way round, so that it shares nothing with the code under test."""
    characters = []
    for _ in range(26):
        number, digit = divmod(number, 32)
        characters.append(CROCKFORD[digit])
    return "".join(reversed(characters))


ids = st.integers(0, 2**128 - 1).map(ulid)


@given(ids)
def test_what_was_issued_is_verified(action_id: str) -> None:
    token = KEY.issue(action_id)
    assert len(token) == TOKEN_CHARACTERS
    assert set(token) <= set(URL_SAFE)
    assert KEY.verify(token) == action_id
    assert KEY.issue(action_id) == token


@pytest.mark.parametrize("number", [0, 1, 2**128 - 1, 2**127, 0x0123456789ABCDEF0123456789ABCDEF])
def test_the_token_is_the_id_and_its_truncated_hmac(number: int) -> None:
    raw = number.to_bytes(16, "big")
    expected = base64.urlsafe_b64encode(raw + hmac.new(SECRET, raw, hashlib.sha256).digest()[:20]).decode()
    assert KEY.issue(ulid(number)) == expected


@given(ids, st.integers(0, TOKEN_CHARACTERS - 1), st.sampled_from(URL_SAFE))
def test_one_changed_character_is_one_too_many(action_id: str, position: int, character: str) -> None:
    token = KEY.issue(action_id)
    forged = token[:position] + character + token[position + 1 :]
    assert KEY.verify(forged) == (action_id if forged == token else None)


@given(st.text(), st.text(alphabet=URL_SAFE, min_size=TOKEN_CHARACTERS, max_size=TOKEN_CHARACTERS))
def test_no_other_text_is_a_token(text: str, shaped: str) -> None:
    assert KEY.verify(text) is None
    assert KEY.verify(shaped) is None


def test_only_the_canonical_spelling_counts() -> None:
    # Ids whose tokens contain '-' and '_', so that the ordinary base64 alphabet would make a difference.
    token = next(t for t in (KEY.issue(ulid(n)) for n in range(1000)) if "-" in t and "_" in t)
    assert KEY.verify(token) is not None
    for spelled in (
        token + "=",
        token + "====",
        token + "\n",
        " " + token,
        token[:-1],
        token + "A",
        token.replace("-", "+").replace("_", "/"),
        token.replace("-", "%2D"),
        token[:-1] + "é",
        token[:24] + "\n" + token[25:],
        "",
    ):
        assert KEY.verify(spelled) is None


def test_another_key_knows_nothing_of_it() -> None:
    assert TokenKey(bytes(32)).verify(KEY.issue(ACTION_ID)) is None


@pytest.mark.parametrize(
    "action_id",
    [
        "",
        ACTION_ID[:-1],
        ACTION_ID + "0",
        ACTION_ID.lower(),
        "8" + ACTION_ID[1:],
        *(ACTION_ID[:-1] + letter for letter in "ILOU-_ \n\u0661"),
        ACTION_ID + "\n",
    ],
)
def test_only_a_ulid_gets_a_token(action_id: str) -> None:
    with pytest.raises(InvalidRequest, match="ULID"):
        KEY.issue(action_id)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(InvalidRequest, match=f"not {length}"):
        TokenKey(bytes(length))


def test_the_repr_hides_the_secret() -> None:
    assert repr(KEY) == "<TokenKey>"


# --- the file -------------------------------------------------------------------------------------------------------


def never(length: int) -> bytes:
    raise AssertionError(f"asked for {length} random bytes")


def test_the_key_is_made_once_and_then_read(tmp_path: Path) -> None:
    path = tmp_path / "callback.key"
    before = os.umask(0)
    try:
        made = TokenKey.load_or_create(path, lambda length: SECRET[:length])
    finally:
        os.umask(before)
    assert path.read_bytes() == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["callback.key"]  # noqa: PTH208 - with the hidden ones
    read = TokenKey.load_or_create(path, never)
    assert read.issue(ACTION_ID) == made.issue(ACTION_ID) == KEY.issue(ACTION_ID)


def test_the_key_is_on_disk_before_it_gets_its_name_and_the_name_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, link = os.fsync, os.link

    def record_fsync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        assert is_directory or os.fstat(descriptor).st_size == KEY_BYTES
        seen.append("directory synced" if is_directory else "key synced")
        fsync(descriptor)

    def record_link(source: str, target: Path) -> None:
        seen.append("named")
        link(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "link", record_link)
    TokenKey.load_or_create(tmp_path / "key", os.urandom)
    assert seen == ["key synced", "named", "directory synced"]


def test_a_key_that_appears_meanwhile_is_the_one(tmp_path: Path) -> None:
    path = tmp_path / "key"

    def slow(length: int) -> bytes:
        path.write_bytes(SECRET)
        path.chmod(0o600)
        return bytes(length)

    assert TokenKey.load_or_create(path, slow).issue(ACTION_ID) == KEY.issue(ACTION_ID)
    assert os.listdir(tmp_path) == ["key"]  # noqa: PTH208


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_file_of_the_wrong_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(length))
    path.chmod(0o600)
    with pytest.raises(StateDirectoryUnusable, match=rf"has {length} bytes instead of 32: restore it") as refusal:
        TokenKey.load_or_create(path, never)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o610, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(mode)
    with pytest.raises(StateDirectoryUnusable, match="run: chmod 600 "):
        TokenKey.load_or_create(path, never)
    path.chmod(0o600)
    TokenKey.load_or_create(path, never)


def make_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(SECRET)
    target.chmod(0o600)
    path.symlink_to(target)


@pytest.mark.parametrize("make", [make_link, Path.mkdir, os.mkfifo], ids=["link", "directory", "pipe"])
def test_only_a_regular_file_is_a_key(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "key")
    with pytest.raises(StateDirectoryUnusable):
        TokenKey.load_or_create(tmp_path / "key", never)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateDirectoryUnusable, match=r"cannot be read or made: No such file"):
        TokenKey.load_or_create(tmp_path / "missing" / "key", os.urandom)


def test_a_poor_source_of_randomness_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="returned 16 bytes"):
        TokenKey.load_or_create(tmp_path / "key", lambda _: bytes(16))
    assert os.listdir(tmp_path) == []  # noqa: PTH208
