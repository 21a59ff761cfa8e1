"""Keys: the one that we show to a server, and those that a server may show to us."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry

from connectord_sftp.settings import SSH_PORT

_KINDS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_RSA = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


class KeyUnusable(Exception):
    """A key, or a file of keys, cannot be used; the message says why and never repeats a secret."""


def read_private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    """A private key as ``ssh-keygen`` writes it. Raises :class:`KeyUnusable`."""
    for kind in _KINDS:
        try:
            return kind.from_private_key(io.StringIO(text), password=passphrase)
        except paramiko.PasswordRequiredException:
            raise KeyUnusable("the private key is encrypted: set passphrase") from None
        except (paramiko.SSHException, ValueError, IndexError, UnicodeError):
            continue
    if passphrase is not None:
        raise KeyUnusable("the private key cannot be read: it is damaged, or the passphrase is another one")
    raise KeyUnusable("is not a private key that can be read: Ed25519, ECDSA or RSA, as ssh-keygen writes it")


@dataclass(frozen=True, slots=True)
class Trusted:
    """The host keys of one server that are trusted: some keys, or some fingerprints, or, with neither, any at all."""

    name: str
    """The server's, as known_hosts has it."""
    keys: tuple[paramiko.PKey, ...] = ()
    fingerprints: tuple[str, ...] = ()

    def prefer(self, transport: paramiko.Transport) -> None:
        """Ask the server for a key of a kind that is known, where it has several."""
        options = transport.get_security_options()
        wanted = {each for key in self.keys for each in _RSA.get(key.get_name(), (key.get_name(),))}
        chosen = [each for each in options.key_types if each in wanted]
        if chosen:
            options.key_types = chosen

    def check(self, key: paramiko.PKey) -> None:
        """Raises :class:`KeyUnusable` where the server's key is none of them."""
        if self.keys:
            trusted = key.asbytes() in {each.asbytes() for each in self.keys}
        else:
            trusted = not self.fingerprints or key.fingerprint in self.fingerprints
        if not trusted:
            raise KeyUnusable(
                f"the host key of {self.name} is not the trusted one: it shows {key.get_name()} {key.fingerprint}. "
                "Somebody may be in between; if the server has a new key, trust that one"
            )


def read_known_hosts(file: Path, host: str, port: int) -> Trusted:
    """The keys that ``file`` has of a server. Raises :class:`KeyUnusable` where it has none."""
    name = host if port == SSH_PORT else f"[{host}]:{port}"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        # what it says about revoked keys and authorities must not be skipped in silence
        if any(line.lstrip().startswith("@") for line in lines):
            raise KeyUnusable(f"{file} has lines with @revoked or @cert-authority, which are not supported")
        keys = tuple(key for line in lines if (key := _key_of(name, line)) is not None)
    except (OSError, UnicodeError) as error:
        raise KeyUnusable(f"known_hosts cannot be read: {error}") from error
    if not keys:
        raise KeyUnusable(f"{file} has no key of {name}")
    return Trusted(name, keys)


def _key_of(name: str, line: str) -> paramiko.PKey | None:
    """The key in a line of known_hosts, if the line is about ``name``."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    try:
        entry = HostKeyEntry.from_line(line.strip())
    except paramiko.SSHException:
        return None
    if entry is None or not any(_is_name(name, each) for each in entry.hostnames or ()):
        return None
    return entry.key


def _is_name(name: str, pattern: str) -> bool:
    if pattern.startswith("|1|"):
        return paramiko.HostKeys.hash_host(name, pattern) == pattern
    return pattern == name
