"""Forged tokens and signatures: half of them near-misses of a real one, each of a kind that has a name.

The same seed makes the same forgeries. Nothing here shares code with what is attacked: tokens and signatures are put
together by hand from the secrets, as somebody could who knows how they are made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

URL_SAFE = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
LOOK_ALIKES = {
    "A": "\u0410", "B": "\u0412", "C": "\u0421", "E": "\u0415", "H": "\u041d", "K": "\u039a", "M": "\u041c",
    "O": "\u041e", "P": "\u0420", "T": "\u0422", "X": "\u0425", "a": "\u0430", "c": "\u0441", "e": "\u0435",
    "i": "\u0456", "o": "\u043e", "p": "\u0440", "x": "\u0445", "y": "\u0443", "-": "\u2010", "0": "\uff10",
    "1": "\u0661", "_": "\uff3f", "K ": "\u212a",
}  # fmt: skip
DETOURS = ("./{}", "{}/", "{}/.", "../callback/{}", "{};a", "{}?a", "{}#a")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(raw: bytes) -> str:
    """An action's id from its 16 bytes."""
    number = int.from_bytes(raw, "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def token(secret: bytes, raw: bytes, mac: bytes | None = None) -> str:
    """The token of the action with the 16 bytes ``raw``, with another MAC if one is given."""
    whole = hmac.digest(secret, raw, hashlib.sha256)[:20] if mac is None else mac
    return base64.urlsafe_b64encode(raw + whole).decode()


@dataclass(frozen=True, slots=True)
class ForgedToken:
    """A token that was never handed out. ``kind`` says how it was made."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A signed callback, as it comes in."""

    id: str
    timestamp: str
    signature: str
    body: bytes

    def headers(self) -> dict[str, str]:
        return {"webhook-id": self.id, "webhook-timestamp": self.timestamp, "webhook-signature": self.signature}


@dataclass(frozen=True, slots=True)
class ForgedMessage:
    """A callback whose signature is not its own."""

    kind: str
    message: Message


def forged_tokens(secret: bytes, seed: int, count: int) -> Iterator[ForgedToken]:
    """``count`` forged tokens of the key ``secret``: half of them near-misses, the others noise of the right shape."""
    draw = random.Random(seed)
    kinds = list(_TOKEN_KINDS.items())
    for number in range(count):
        if number % 2:
            yield ForgedToken("noise", "".join(draw.choices(URL_SAFE, k=48)))
            continue
        raw, other = draw.randbytes(16), draw.randbytes(16)
        genuine = token(secret, raw)
        while True:  # a letter without another case, a text without a dash: another kind then
            kind, make = kinds[draw.randrange(len(kinds))]
            text = make(draw, secret, raw, other)
            if text != genuine:
                break
        yield ForgedToken(kind, text)


def _flip(draw: random.Random, raw: bytes) -> bytes:
    bit = draw.randrange(len(raw) * 8)
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _change_case(draw: random.Random, text: str) -> str:
    letters = [at for at, letter in enumerate(text) if letter.isalpha()]
    if not letters:
        return text
    at = draw.choice(letters)
    return text[:at] + text[at].swapcase() + text[at + 1 :]


def _look_alike(draw: random.Random, text: str) -> str:
    places = [at for at, letter in enumerate(text) if letter in LOOK_ALIKES]
    if not places:
        return text
    at = draw.choice(places)
    return text[:at] + LOOK_ALIKES[text[at]] + text[at + 1 :]


def _mac(secret: bytes, message: bytes) -> bytes:
    return hmac.digest(secret, message, hashlib.sha256)


def _raw_token(secret: bytes, raw: bytes) -> bytes:
    return raw + _mac(secret, raw)[:20]


_TokenKind = Callable[[random.Random, bytes, bytes, bytes], str]

_TOKEN_KINDS: dict[str, _TokenKind] = {
    "one bit flipped": lambda d, s, r, o: base64.urlsafe_b64encode(_flip(d, _raw_token(s, r))).decode(),
    "cut short": lambda d, s, r, o: token(s, r)[: d.randrange(48)],
    "cut at the front": lambda d, s, r, o: token(s, r)[d.randrange(1, 48) :],
    "made longer": lambda d, s, r, o: token(s, r) + "".join(d.choices(URL_SAFE, k=d.randrange(1, 9))),
    "another action's MAC": lambda d, s, r, o: token(s, r, _mac(s, o)[:20]),
    "another key": lambda d, s, r, o: token(d.randbytes(32), r),
    "a key that differs in one bit": lambda d, s, r, o: token(_flip(d, s), r),
    "the MAC of the id as text": lambda d, s, r, o: token(s, r, _mac(s, ulid(r).encode())[:20]),
    "the other end of the MAC": lambda d, s, r, o: token(s, r, _mac(s, r)[12:]),
    "SHA-1": lambda d, s, r, o: token(s, r, hmac.digest(s, r, hashlib.sha1)),
    "a hash without a key": lambda d, s, r, o: token(s, r, hashlib.sha256(r).digest()[:20]),
    "the key in front (no HMAC)": lambda d, s, r, o: token(s, r, hashlib.sha256(s + r).digest()[:20]),
    "no MAC": lambda d, s, r, o: token(s, r, bytes(20)),
    "MAC and id swapped": lambda d, s, r, o: base64.urlsafe_b64encode(_mac(s, r)[:20] + r).decode(),
    "the bytes in standard base64": lambda d, s, r, o: base64.b64encode(_raw_token(s, r)).decode(),
    "the bytes in hexadecimal": lambda d, s, r, o: _raw_token(s, r).hex(),
    "the bytes in base32": lambda d, s, r, o: base64.b32encode(_raw_token(s, r)).decode(),
    "padded": lambda d, s, r, o: token(s, r) + "=" * d.randrange(1, 5),
    "percent-encoded": lambda d, s, r, o: (lambda t, at: f"{t[:at]}%{ord(t[at]):02X}{t[at + 1 :]}")(
        token(s, r), d.randrange(48)
    ),
    "white space": lambda d, s, r, o: (lambda t, at: t[:at] + d.choice(" \t\n\r\v\f\0\u00a0\u200b\ufeff") + t[at:])(
        token(s, r), d.randrange(49)
    ),
    "another case": lambda d, s, r, o: _change_case(d, token(s, r)),
    "all in upper case": lambda d, s, r, o: token(s, r).upper(),
    "all in lower case": lambda d, s, r, o: token(s, r).lower(),
    "a look-alike": lambda d, s, r, o: _look_alike(d, token(s, r)),
    "a path around it": lambda d, s, r, o: d.choice(DETOURS).format(token(s, r)),
    "the action's id": lambda d, s, r, o: ulid(r),
    "twice": lambda d, s, r, o: token(s, r) * 2,
}  # fmt: skip


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of Standard Webhooks, version 1."""
    return "v1," + base64.b64encode(_mac(key, f"{message_id}.{timestamp}.".encode() + body)).decode()


def forged_messages(key: bytes, now: int, seed: int, count: int) -> Iterator[ForgedMessage]:
    """``count`` callbacks with forged signatures of ``key``, at the time ``now``; half of them near-misses."""
    draw = random.Random(seed)
    kinds = list(_MESSAGE_KINDS.items())
    for number in range(count):
        message_id, timestamp = f"msg_{number}", str(now - draw.randrange(60))
        body = b'{"status": "success", "data": {"n": %d}}' % number
        genuine = Message(message_id, timestamp, signature(key, message_id, timestamp, body), body)
        if number % 2:
            noise = "v1," + base64.b64encode(draw.randbytes(32)).decode()
            yield ForgedMessage("noise", Message(message_id, timestamp, noise, body))
            continue
        while True:
            kind, make = kinds[draw.randrange(len(kinds))]
            message = make(draw, key, genuine)
            if message != genuine:
                break
        yield ForgedMessage(kind, message)


def _with(message: Message, text: str) -> Message:
    return Message(message.id, message.timestamp, text, message.body)


def _digest(message: Message) -> bytes:
    return base64.b64decode(message.signature[3:])


def _spare_bits(draw: random.Random, text: str) -> str:
    """The same 32 bytes: the last character before the padding has two bits that say nothing."""
    standard = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    return f"{text[:-2]}{standard[standard.index(text[-2]) ^ draw.randrange(1, 4)]}="


_MessageKind = Callable[[random.Random, bytes, Message], Message]

_MESSAGE_KINDS: dict[str, _MessageKind] = {
    "one bit of the signature": lambda d, k, m: _with(m, "v1," + base64.b64encode(_flip(d, _digest(m))).decode()),
    "one bit of the body": lambda d, k, m: Message(m.id, m.timestamp, m.signature, _flip(d, m.body)),
    "the body made longer": lambda d, k, m: Message(m.id, m.timestamp, m.signature, m.body + b" "),
    "another id": lambda d, k, m: Message(m.id + "0", m.timestamp, m.signature, m.body),
    "another time": lambda d, k, m: Message(m.id, str(int(m.timestamp) + d.choice((-1, 1))), m.signature, m.body),
    "the same time spelled otherwise": lambda d, k, m: Message(m.id, "0" + m.timestamp, m.signature, m.body),
    "replayed too late": lambda d, k, m: (
        lambda old: Message(m.id, old, signature(k, m.id, old, m.body), m.body)
    )(str(int(m.timestamp) - d.randrange(301, 10_000))),
    "from too far ahead": lambda d, k, m: (
        lambda new: Message(m.id, new, signature(k, m.id, new, m.body), m.body)
    )(str(int(m.timestamp) + d.randrange(400, 10_000))),
    "another message's": lambda d, k, m: _with(m, signature(k, m.id + "x", m.timestamp, m.body)),
    "another key": lambda d, k, m: _with(m, signature(d.randbytes(32), m.id, m.timestamp, m.body)),
    "a key that differs in one bit": lambda d, k, m: _with(m, signature(_flip(d, k), m.id, m.timestamp, m.body)),
    "the secret as text for a key": lambda d, k, m: _with(
        m, signature(base64.b64encode(k), m.id, m.timestamp, m.body)
    ),
    "the body alone": lambda d, k, m: _with(m, "v1," + base64.b64encode(_mac(k, m.body)).decode()),
    "SHA-1": lambda d, k, m: _with(
        m, "v1," + base64.b64encode(hmac.digest(k, f"{m.id}.{m.timestamp}.".encode() + m.body, hashlib.sha1)).decode()
    ),
    "cut short": lambda d, k, m: _with(m, m.signature[: d.randrange(len(m.signature))]),
    "spare bits": lambda d, k, m: _with(m, _spare_bits(d, m.signature)),
    "no padding": lambda d, k, m: _with(m, m.signature.rstrip("=")),
    "more padding": lambda d, k, m: _with(m, m.signature + "=" * d.randrange(1, 5)),
    "in hexadecimal": lambda d, k, m: _with(m, "v1," + _digest(m).hex()),
    "in the other base64": lambda d, k, m: _with(m, "v1," + base64.urlsafe_b64encode(_digest(m)).decode()),
    "another version": lambda d, k, m: _with(m, d.choice(["v1a", "v2", "V1", "", "v01"]) + m.signature[2:]),
    "no version": lambda d, k, m: _with(m, m.signature[3:]),
    "another separator": lambda d, k, m: _with(m, m.signature.replace(",", d.choice([":", "=", ", ", ";", ",,"]))),
    "another case": lambda d, k, m: _with(m, "v1," + _change_case(d, m.signature[3:])),
    "a look-alike": lambda d, k, m: _with(m, _look_alike(d, m.signature)),
    "in quotes": lambda d, k, m: _with(m, f'"{m.signature}"'),
    "white space within": lambda d, k, m: (
        lambda at: _with(m, m.signature[:at] + d.choice("\t\n\x0b\u00a0\u2003") + m.signature[at:])
    )(d.randrange(4, len(m.signature))),
    "no signature": lambda d, k, m: _with(m, d.choice(["", " ", "v1,", "v1,=", "v1, v1,"])),
}  # fmt: skip
