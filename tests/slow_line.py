"""A slow line to a server: what a client sends arrives at so many bytes a second, and the line can be cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

PIECE = 4096


class SlowLine:
    def __init__(self, address: str) -> None:
        server = urlsplit(address)
        self._server = (str(server.hostname), int(server.port or 80))
        self._listener = socket.socket()
        # A small buffer, or the system takes a whole photo at once and the client believes that it has arrived.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * PIECE)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self.bytes_a_second = 0
        """No limit while it is 0."""
        self.most = 0
        """Bytes after which nothing more arrives; no limit while it is 0."""
        self.arrived = 0
        """Bytes that went to the server since there is such an end."""
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection breaks, and what was still on its way is lost."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                threading.Thread(target=self._carry, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, False), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket, slowly: bool) -> None:
        with suppress(OSError):
            while piece := here.recv(PIECE):
                if slowly and self.bytes_a_second:
                    time.sleep(len(piece) / self.bytes_a_second)
                while slowly and self.most and self.arrived >= self.most:
                    time.sleep(0.02)
                there.sendall(piece)
                if slowly and self.most:
                    self.arrived += len(piece)
        for one in (here, there):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_line(address: str) -> Iterator[SlowLine]:
    line = SlowLine(address)
    try:
        yield line
    finally:
        line.close()
