"""Checkpoints as signed notes: a few lines of text and an Ed25519 signature, in the form that transparency logs use.

    <origin>            whose log it is: instance/tenant/epoch
    <size>              how many entries the log had
    <root>              base64 of the root of their Merkle tree
    time <moment>       when it was signed
    sequence <number>   of the last entry, which no later epoch uses again

    — <name> <base64 of 4 bytes that name the key, and the signature>

(C2SP signed-note and tlog-checkpoint.) Whoever holds one can tell later whether the log still begins with what it held.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519 = b"\x01"
DASH = "\N{EM DASH}"
BODY = re.compile(
    r"(?P<origin>[^\s/]+(?:/[^\s/]+)*)/(?P<tenant>[0-9a-f-]{36})/(?P<epoch>[1-9][0-9]{0,8})\n"
    r"(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"time (?P<at>[0-9TZ:+.-]{20,35})\nsequence (?P<sequence>0|[1-9][0-9]{0,15})\n"
)
SIGNATURE = re.compile(rf"{DASH} (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/=]{{92}})\n")


class NoteInvalid(ValueError):
    """Not a signed note of a log."""


@dataclass(frozen=True)
class CheckpointNote:
    """What a note says."""

    instance: str
    tenant: UUID
    epoch: int
    size: int
    root: bytes
    at: datetime
    sequence: int

    def text(self) -> str:
        return (
            f"{self.instance}/{self.tenant}/{self.epoch}\n{self.size}\n{b64encode(self.root).decode()}\n"
            f"time {self.at.astimezone(UTC).isoformat(timespec='seconds')}\nsequence {self.sequence}\n"
        )


def instance_of(public_url: str) -> str:
    """The name under which an instance signs: its address without the scheme."""
    return public_url.rpartition("://")[2].rstrip("/")


def sign(checkpoint: CheckpointNote, key: Ed25519PrivateKey) -> str:
    text = checkpoint.text()
    signature = key_id(checkpoint.instance, key.public_key()) + key.sign(text.encode())
    return f"{text}\n{DASH} {checkpoint.instance} {b64encode(signature).decode()}\n"


def read(note: str) -> CheckpointNote:
    """What the note says, whoever signed it. Raises `NoteInvalid`."""
    text, gap, last = note.partition("\n\n")
    said = BODY.fullmatch(text + "\n")
    if not gap or SIGNATURE.fullmatch(last) is None:
        raise NoteInvalid("This is no signed note.")
    if said is None:
        raise NoteInvalid("This is no checkpoint of a log.")
    try:
        return CheckpointNote(
            said["origin"], UUID(said["tenant"]), int(said["epoch"]), int(said["size"]), b64decode(said["root"]),
            datetime.fromisoformat(said["at"]), int(said["sequence"]),
        )  # fmt: skip
    except ValueError:
        raise NoteInvalid("This is no checkpoint of a log.") from None


def signed_by(note: str, keys: Iterable[Mapping[str, str]]) -> bool:
    """Whether one of these public keys (JWK) signed the note, and whoever signed it is whom its first line names."""
    text, _, last = note.partition("\n\n")
    signed, said = SIGNATURE.fullmatch(last), BODY.fullmatch(text + "\n")
    if signed is None or said is None or signed["name"] != said["origin"]:
        return False
    blob = b64decode(signed["signature"])
    for raw in (urlsafe_b64decode(one["x"] + "=") for one in keys):
        key = Ed25519PublicKey.from_public_bytes(raw)
        if blob[:4] == key_id(signed["name"], key):
            with suppress(InvalidSignature):
                key.verify(blob[4:], (text + "\n").encode())
                return True
    return False


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return sha256(name.encode() + b"\n" + ED25519 + raw).digest()[:4]
