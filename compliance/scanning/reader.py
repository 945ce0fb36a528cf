"""The look as a program of its own: a second process, which is given the address of the role that only reads and no other.

A process that asks starts it with its first question and keeps it. It has no broker, no mail server, no signer and, where
the operator configured the role that only reads, no way to write to the database. Objects and keys it reads with the
access that the asking process has; it says so in its answer, and the certificate repeats it.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from threading import Lock
from time import monotonic
from typing import Any
from uuid import UUID

from compliance import stores
from compliance.proof.scan import StoreAnswer
from compliance.scanning import tables
from compliance.scanning.looking import Subject, answers, of_company
from likeness.ground.settings import Settings
from likeness.kernel import Kernel, assemble

SECONDS = 150
"""Less than the lease of the job that asks."""
WITHHELD = (
    "owner_database_url", "broker_url", "smtp_url", "keycloak_url", "keycloak_secret", "keycloak_setup_secret",
    "counter_url",
)  # fmt: skip


class ReaderSilent(Exception):
    """The second process ended or took too long."""


class Reader:
    """One second process, and the questions to it one after the other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Raises `ReaderSilent`."""
        with self._lock:
            child = self._running()
            assert child.stdin
            assert child.stdout
            try:
                child.stdin.write(json.dumps(question).encode() + b"\n")
                child.stdin.flush()
                found: dict[str, Any] = json.loads(_line(child.stdout.fileno(), seconds))
            except (OSError, ValueError, ReaderSilent) as error:
                self.end()
                raise ReaderSilent(type(error).__name__) from error
            return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")},
            )  # fmt: skip
        return self._child

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe:
                    pipe.close()
            self._child = None


READER = Reader()
atexit.register(READER.end)


def _line(descriptor: int, seconds: float) -> bytes:
    until, taken = monotonic() + seconds, b""
    while not taken.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0, until - monotonic()))
        piece = os.read(descriptor, 1 << 16) if ready else b""
        if not piece:
            raise ReaderSilent("ended" if ready else "took too long")
        taken += piece
    return taken


def look(kernel: Kernel, subject: Subject) -> tuple[list[StoreAnswer], dict[str, str]]:
    """What every store answered, and with which rights it was asked."""
    return _looked(kernel, {"subject": subject.as_words()}, stores.names())


def look_for_company(
    kernel: Kernel, tenant: UUID, stays: Mapping[str, str]
) -> tuple[list[StoreAnswer], dict[str, str]]:
    """The same of a company that left; `stays` says of tables why their rows are kept."""
    return _looked(kernel, {"company": str(tenant), "stays": dict(stays)}, stores.company_names())


def _looked(
    kernel: Kernel, question: Mapping[str, Any], names: frozenset[str]
) -> tuple[list[StoreAnswer], dict[str, str]]:
    settings = kernel.settings
    given = settings.model_dump(mode="json", exclude={"public_url", *WITHHELD, "signer_folder"})
    given["database_url"] = settings.rescan_database_url or settings.database_url
    try:
        said = READER.ask({"settings": given, **question}, SECONDS)
        if "error" in said:
            raise ReaderSilent(said["error"])
    except ReaderSilent as error:
        note = f"the second process: {error}"
        return [StoreAnswer(name, "not reachable", note=note) for name in sorted(names)], {}
    return [StoreAnswer(**{**one, "where": tuple(one["where"])}) for one in said["answers"]], said["rights"]


# In the second process


def answer(question: Mapping[str, Any], kernels: dict[str, Kernel]) -> dict[str, Any]:
    try:
        which = json.dumps(question["settings"], sort_keys=True)
        if which not in kernels:
            for one in kernels.values():
                one.db.close()
            kernels.clear()
            kernels[which] = assemble(Settings(**question["settings"]))
        kernel = kernels[which]
        if "company" in question:
            found = of_company(kernel, UUID(question["company"]), question["stays"])
        else:
            found = answers(kernel, Subject.of_words(question["subject"]))
        return {"answers": [asdict(one) for one in found], "rights": tables.rights(kernel)}
    except Exception as error:  # Whatever it is, the one who asks gets an answer, which is not "clean".
        return {"error": type(error).__name__}


def main() -> None:
    kernels: dict[str, Kernel] = {}
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), kernels)), flush=True)


if __name__ == "__main__":
    main()
