"""An SMTP server that says at each line what a test wants, or nothing at all, and keeps what was handed over."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from likeness.mail import smtp

SILENT, CUT = "(silent)", "(cut)"
USUAL = {
    "banner": "220 scripted",
    "ehlo": "250-scripted\r\n250 SIZE 1000000",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go on",
    "text": "250 2.0.0 queued",
    "quit": "221 bye",
}


class Scripted(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, script: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.script = {**USUAL, **script}
        self.lines: list[str] = []
        self.texts: list[bytes] = []
        """What was handed over whole, whatever was answered then."""
        self.over = threading.Event()

    @property
    def patience(self) -> float:
        """Seconds for which a client is to wait for an answer: two suffice where none comes, and a server that answers may
        have to wait for a processor first. The text's has a patience of its own, see `scripted`."""
        return 2.0 if SILENT in {said for at, said in self.script.items() if at != "text"} else 60.0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: Scripted

    def handle(self) -> None:
        with suppress(OSError):
            if not self._say("banner"):
                return
            while line := self.rfile.readline():
                said = line.decode().rstrip("\r\n")
                self.server.lines.append(said)
                word = said[:4].strip().lower()
                if not self._say(word if word in self.server.script else "quit"):
                    return
                if word == "data" and self.server.script["data"].startswith("354") and not self._text():
                    return

    def _text(self) -> bool:
        text = b""
        while not text.endswith(b"\r\n.\r\n"):
            piece = self.rfile.readline()
            if not piece or self.server.script["text"] == "(cut before the end)":
                return False
            text += piece
        self.server.texts.append(text)
        return self._say("text")

    def _say(self, at: str) -> bool:
        answer = self.server.script[at]
        if answer == CUT:
            return False
        if answer == SILENT:
            self.server.over.wait(120)
            return False
        self.wfile.write(answer.encode() + b"\r\n")
        return not answer.startswith(("421", "221")) and at != "quit"


@contextmanager
def scripted(**script: str) -> Iterator[Scripted]:
    """`banner`, `ehlo`, `mail`, `rcpt`, `data`, `text`: what is answered there; what is not named goes well."""
    server = Scripted(script)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            if server.script["text"] == SILENT:
                # Whatever comes before is answered, however long that takes here; here alone no answer ends the waiting.
                patch.setattr(smtp, "LAST_PATIENCE", 0.5 / server.patience)
            yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
