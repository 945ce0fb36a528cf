"""What is kept outside the database, so that no restored backup undoes it: append-only: random ids, times, and the
program's own words, such as a photo's state. What more a person's act tells is sealed under a key of theirs.

    heads/T              the newest entry of a company's log: epoch, position, number, leaf
    acts/T.jsonl         everything that narrowed something: a deletion, a withdrawal, a take-back, a revocation, a hold
    notes/T/E-SIZE       signed checkpoints
    certificates/T/ID    certificates of deletion, with what makes their receipts lead to them again
    signers/KID          public keys that ever signed, since when
    marks/ID             root certificates of what pictures say of themselves, since when; the key beside it is sealed
    drills/TIME          trial restores, with counts of what stayed away

It lies in the folder of tombstones. A second place, the counter, may lie outside the whole home: it holds each company's
newest checkpoint, and only it notices that everything was put back together, this folder included.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import obstore
from obstore.store import from_url

from likeness.evidence import notes
from likeness.evidence.notes import CheckpointNote
from likeness.ground.files import is_part, write_atomically

NARROWING = frozenset(
    {
        "address.refused", "address.taken-back", "consent.declined", "consent.narrowed", "consent.withdrawn",
        "departure.called-off", "directory.back", "directory.left", "erasure.withdrawn", "headshot.expired",
        "headshot.not-me", "headshot.removed",
        "hold.confirmed", "hold.lifted", "identity.forgotten", "invitation.ran-out", "invitation.revoked", "key.revoked",
        "member.bound", "member.changed", "member.disabled",
        "photo.expired", "photo.kept", "photo.leaving", "photo.removed", "processing.stopped", "release.taken-back",
        "tenant.changed", "tenant.left", "tenant.resumed", "tenant.suspended", "upload.forgotten", "webhook.removed",
        "weights.expired",
    }
)  # fmt: skip
"""Events of the log that a restored backup must not undo. `compliance/erasure/replay.py` repeats each of them.
Six undo another one, which would be repeated alone without them or go on by itself: a hold that is lifted, a leaver who is
back and whose deletion is withdrawn, a photo that its person keeps after all, and a company that goes on after it was
suspended or stays after it wanted to leave."""


@dataclass(frozen=True)
class LogHead:
    """The newest entry that is known of a company's log."""

    epoch: int
    size: int
    sequence: int
    leaf: bytes | None = None
    """None where only a checkpoint is known."""

    @property
    def place(self) -> tuple[int, int]:
        return self.epoch, self.size


@dataclass(frozen=True)
class Act:
    event: str
    tenant: UUID
    at: datetime
    subject: UUID | None
    objects: tuple[str, ...]
    leaf: bytes
    """The entry of the log that says the same: a database without it is from before the act."""
    facts: Mapping[str, str]

    def line(self) -> bytes:
        words = {
            "act": self.event, "tenant": str(self.tenant), "at": self.at.astimezone(UTC).isoformat(),
            "subject": str(self.subject) if self.subject else None, "objects": list(self.objects),
            "leaf": self.leaf.hex(), "facts": dict(self.facts),
        }  # fmt: skip
        return json.dumps(words, sort_keys=True).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Act:
        """Raises `ValueError`."""
        try:
            words = json.loads(line)
            return cls(
                words["act"], UUID(words["tenant"]), datetime.fromisoformat(words["at"]),
                UUID(words["subject"]) if words["subject"] else None, tuple(words["objects"]),
                bytes.fromhex(words["leaf"]), words["facts"],
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise ValueError("a line of the narrowing acts cannot be read") from error


@dataclass(frozen=True)
class Drill:
    """A trial restore that went to its end."""

    at: datetime
    own: bool
    """With a backup of this installation, and not of an invented company."""
    acts: int
    """Narrowing acts that the backup had undone, and that were carried out again."""
    people: int
    """Deleted again."""
    whole: bool
    """A second start had nothing more to do."""


class Outside:
    def __init__(self, folder: Path, counter_url: str = "") -> None:
        self.folder = folder
        self._counter_url = counter_url
        self.seen: dict[UUID, LogHead] = {}
        """How far this process itself has seen each company's log: a database that is behind it was put back under it."""

    # The newest entry

    def note_head(self, tenant: UUID, head: LogHead) -> None:
        """After each commit; only ever raised. Not forced to the disk, which every entry would have to wait for."""
        with self._locked("heads", str(tenant)) as file:
            known = _head(os.pread(file, 256, 0))
            if known is None or known.place < head.place:
                leaf = head.leaf.hex() if head.leaf else "-"
                os.ftruncate(file, 0)
                os.pwrite(file, f"{head.epoch} {head.size} {head.sequence} {leaf}\n".encode(), 0)

    def head(self, tenant: UUID) -> LogHead | None:
        """The newest that any of the places knows. Raises `OSError` and what the counter's store raises."""
        found = [*self._noted_heads(tenant), *(_of(one) for one in self._counted(tenant))]
        return max(found, key=lambda head: (*head.place, head.leaf is not None), default=None)

    def noted(self, tenant: UUID) -> LogHead | None:
        """The newest that was noted after a commit, without the checkpoints; quick enough to be asked all the time."""
        try:
            return _head((self.folder / "heads" / str(tenant)).read_bytes())
        except FileNotFoundError:
            return None

    def _noted_heads(self, tenant: UUID) -> Iterator[LogHead]:
        if (head := self.noted(tenant)) is not None:
            yield head
        yield from (_of(notes.read(note)) for note in self.checkpoints(tenant, newest=True))

    # Narrowing acts

    def lay(self, act: Act) -> None:
        """On the disk when this returns."""
        with self._locked("acts", f"{act.tenant}.jsonl") as file:
            size = os.lseek(file, 0, os.SEEK_END)
            whole = not size or os.pread(file, 1, size - 1) == b"\n"  # Else a process died within the line before.
            os.write(file, (b"" if whole else b"\n") + act.line())
            os.fsync(file)

    def take_up(self, act: Act) -> None:
        """The act did not happen after all: its transaction was rolled back."""
        with self._locked("acts", f"{act.tenant}.jsonl") as file:
            os.lseek(file, 0, os.SEEK_END)
            os.write(file, json.dumps({"void": act.leaf.hex()}).encode() + b"\n")
            os.fsync(file)

    def acts(self, tenant: UUID) -> list[Act]:
        """In the order in which they happened. Raises `ValueError` for a line that is neither an act nor cut short."""
        try:
            lines = (self.folder / "acts" / f"{tenant}.jsonl").read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        found: dict[bytes, Act] = {}
        for line in lines:
            if line.startswith(b'{"void"'):
                found.pop(bytes.fromhex(json.loads(line)["void"]), None)
            elif line.endswith(b"}"):
                act = Act.read(line)
                found[act.leaf] = act
        return list(found.values())

    # Checkpoints

    def keep_checkpoint(self, tenant: UUID, note: str) -> None:
        said = notes.read(note)
        self._add(f"notes/{tenant}", f"{said.epoch:09}-{said.size:012}", note.encode())
        self._count(tenant, note)

    def checkpoints(self, tenant: UUID, *, newest: bool = False) -> list[str]:
        """Oldest first, or the newest alone."""
        files = sorted(self._files(f"notes/{tenant}"))
        return [file.read_text() for file in (files[-1:] if newest else files)]

    def counted(self) -> bool:
        """Whether there is a counter outside the home."""
        return bool(self._counter_url)

    def try_counter(self) -> None:
        """Writes and reads once. Raises what its store raises."""
        store = from_url(self._counter_url)
        obstore.put(store, "check", b"check")
        if bytes(obstore.get(store, "check").bytes()) != b"check":
            raise OSError("what was written came back changed")

    def _counted(self, tenant: UUID) -> list[CheckpointNote]:
        if not self._counter_url:
            return []
        try:
            return [notes.read(bytes(obstore.get(from_url(self._counter_url), f"{tenant}.note").bytes()).decode())]
        except FileNotFoundError:
            return []

    def _count(self, tenant: UUID, note: str) -> None:
        if self._counter_url and all(_of(notes.read(note)).place > _of(one).place for one in self._counted(tenant)):
            obstore.put(from_url(self._counter_url), f"{tenant}.note", note.encode())

    # Certificates and keys

    def keep_certificate(self, tenant: UUID, certificate: UUID, facts: Mapping[str, Any]) -> None:
        self._add(f"certificates/{tenant}", f"{certificate}.json", json.dumps(dict(facts), sort_keys=True).encode())

    def certificates(self, tenant: UUID) -> dict[UUID, Path]:
        return {UUID(file.name.partition(".")[0]): file for file in self._files(f"certificates/{tenant}")}

    def keep_signer(self, kid: str, jwk: Mapping[str, Any], since: datetime) -> None:
        self._add("signers", f"{kid}.json", json.dumps({"jwk": dict(jwk), "since": since.isoformat()}).encode())

    def signers(self) -> list[dict[str, Any]]:
        """Oldest first: the public key and since when it has signed."""
        return sorted((json.loads(file.read_bytes()) for file in self._files("signers")), key=lambda one: str(one["since"]))

    def keep_marks(self, fingerprint: str, root: str, sealed: bytes, since: datetime) -> None:
        said = {"root": root, "sealed": sealed.hex(), "since": since.astimezone(UTC).isoformat()}
        self._add("marks", f"{fingerprint}.json", json.dumps(said).encode())

    def marks(self) -> list[dict[str, str]]:
        """Oldest first: who signs what pictures say of themselves, beside the one that needs no place here."""
        return sorted((json.loads(file.read_bytes()) for file in self._files("marks")), key=lambda one: str(one["since"]))

    def keep_drill(self, drill: Drill) -> None:
        words = asdict(drill) | {"at": drill.at.astimezone(UTC).isoformat()}
        self._add("drills", f"{drill.at.astimezone(UTC):%Y%m%dT%H%M%S%f}.json", json.dumps(words, sort_keys=True).encode())

    def last_drill(self) -> Drill | None:
        newest = max(self._files("drills"), default=None)
        if newest is None:
            return None
        words = json.loads(newest.read_bytes())
        return Drill(**words | {"at": datetime.fromisoformat(words["at"])})

    def tenants(self) -> set[UUID]:
        """Every company that anything is kept of."""
        named = {file.name.partition(".")[0] for part in ("heads", "acts") for file in self._files(part)}
        return {UUID(name) for name in named}

    def _add(self, below: str, name: str, data: bytes) -> None:
        """Once; what is there already stays as it is."""
        folder = self._made(below)
        if (folder / name).exists():
            return
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileExistsError):
                write_atomically(opened, name, [data])
        finally:
            os.close(opened)

    def _files(self, below: str) -> list[Path]:
        folder = self.folder / below
        return [file for file in folder.iterdir() if not is_part(file.name)] if folder.is_dir() else []

    def _made(self, below: str) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # The top folder of a volume may belong to somebody else.
            self.folder.chmod(0o700)
        folder = self.folder / below
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _locked(self, below: str, name: str) -> Iterator[int]:
        """A file that one process at a time writes, also over a network volume."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self._made(below) / name, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _head(line: bytes) -> LogHead | None:
    words = line.split()
    if len(words) != 4 or not line.endswith(b"\n"):
        return None  # A process died while it wrote; the next entry writes it anew.
    leaf = None if words[3] == b"-" else bytes.fromhex(words[3].decode())
    return LogHead(int(words[0]), int(words[1]), int(words[2]), leaf)


def _of(checkpoint: CheckpointNote) -> LogHead:
    return LogHead(checkpoint.epoch, checkpoint.size, checkpoint.sequence)
