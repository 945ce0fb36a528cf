"""A proxy before PostgreSQL that loses one message: the answer to a COMMIT, or the COMMIT itself.

Everything else passes. The program sees the same thing both times, a connection that breaks while it waits for the
answer; whether the row is there only the database knows.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from likeness.ground.db import Database
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


@dataclass
class Loss:
    """Which COMMIT is meant: that of the first transaction whose statements hold these words."""

    words: str
    reaches_the_server: bool
    happened: threading.Event = field(default_factory=threading.Event)


class LossyProxy:
    def __init__(self, server: Path) -> None:
        self._server = server
        self._losses: list[Loss] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer(self, words: str) -> Loss:
        """The server commits; nobody is told."""
        return self._lose(Loss(words.lower(), reaches_the_server=True))

    def lose_commit(self, words: str) -> Loss:
        """The server never hears of the COMMIT and rolls back."""
        return self._lose(Loss(words.lower(), reaches_the_server=False))

    def _lose(self, loss: Loss) -> Loss:
        self._losses.append(loss)
        return loss

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                threading.Thread(target=_Link(self._losses, client, server).run, daemon=True).start()


class _Link:
    """One connection, with the statements of the transaction under way."""

    def __init__(self, losses: list[Loss], client: socket.socket, server: socket.socket) -> None:
        self._losses, self._client, self._server = losses, client, server
        self._said = ""
        self._prepared: dict[bytes, str] = {}
        self._deaf = threading.Event()

    def run(self) -> None:
        threading.Thread(target=self._answers, daemon=True).start()
        with suppress(OSError):
            for message in self._messages():
                if message == COMMIT and (loss := self._meant()):
                    self._deaf.set()
                    if loss.reaches_the_server:
                        self._server.sendall(message)
                        while b"Z" not in self._server.recv(65536):  # Ready for the next query: it is committed.
                            pass
                    self._losses.remove(loss)
                    break
                self._note(message)
                self._server.sendall(message)
            else:
                loss = None
            _close(self._server)
            if loss:  # Before the program can know of it: whoever looks once it does finds it so.
                loss.happened.set()
            _close(self._client)

    def _messages(self) -> Iterator[bytes]:
        """What the program says, whole messages; the first one has no letter in front."""
        held, head = b"", 0
        while True:
            while len(held) >= head + 4:
                length = head + struct.unpack("!I", held[head : head + 4])[0]
                if len(held) < length:
                    break
                yield held[:length]
                held, head = held[length:], 1
            piece = self._client.recv(65536)
            if not piece:
                return
            held += piece

    def _note(self, message: bytes) -> None:
        kind, body = message[:1], message[5:]
        if kind == b"Q":
            words = body.rstrip(b"\0").decode().lower()
            self._said = "" if words.startswith(("begin", "commit", "rollback")) else f"{self._said}\n{words}"
        elif kind == b"P":
            name, words, _ = body.split(b"\0", 2)
            self._prepared[name] = words.decode().lower()
        elif kind == b"B":
            self._said += "\n" + self._prepared.get(body.split(b"\0")[1], "")

    def _meant(self) -> Loss | None:
        return next((loss for loss in self._losses if loss.words in self._said), None)

    def _answers(self) -> None:
        with suppress(OSError, ValueError):  # The other thread closed them.
            while not self._deaf.is_set():
                # Looked at first, because the answer to a lost COMMIT must be left for the other thread.
                if not _readable(self._server):
                    continue
                if self._deaf.is_set():
                    return
                piece = self._server.recv(65536)
                if not piece:
                    break
                self._client.sendall(piece)
            else:
                return
            _close(self._client)


def _readable(one: socket.socket) -> bool:
    return bool(select.select([one], [], [], 0.05)[0])


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def behind_a_lossy_proxy(kernel: Kernel, postgres: EmbeddedPostgres) -> Iterator[tuple[Kernel, LossyProxy]]:
    """The same program over the same stores, but its way to the database goes through the proxy."""
    folder = Path(postgres.url("likeness_app").partition("host=")[2])
    proxy = LossyProxy(folder / ".s.PGSQL.5432")
    url = f"postgresql+psycopg://likeness_app@127.0.0.1:{proxy.port}/likeness?sslmode=disable&gssencmode=disable"
    unsure = replace(kernel, db=Database(url, pool_size=2))
    unsure.db.notify, unsure.db.outside = kernel.db.notify, kernel.db.outside
    try:
        yield unsure, proxy
    finally:
        unsure.db.close()
        proxy.close()
