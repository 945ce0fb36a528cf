"""A real RabbitMQ of one's own: its own node, port and folders, so that it disturbs nobody and ends with the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pika

from tests.ports import free_port
from tests.tls import Certificates


def installed() -> bool:
    return shutil.which("rabbitmq-server") is not None or Path("/usr/sbin/rabbitmq-server").exists()


class Rabbit:
    def __init__(self, tls: Certificates | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="likeness-rabbit-"))
        self.port, self.name = free_port(), f"likeness-{uuid4().hex[:8]}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self.process: subprocess.Popen[bytes] | None = None
        self.tls, self.tls_port = tls, free_port()
        self.tls_url = f"amqps://guest:guest@localhost:{self.tls_port}/%2F"

    def environment(self) -> dict[str, str]:
        config = self.folder / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = false\n{self._tls()}")
        plugins = self.folder / "plugins"
        plugins.write_text("[].\n")
        return os.environ | {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _tls(self) -> str:
        if self.tls is None:
            return ""
        files = {"cacertfile": self.tls.authority, "certfile": self.tls.certificate, "keyfile": self.tls.key}
        asked = "".join(f"ssl_options.{name} = {file}\n" for name, file in files.items())
        return f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n{asked}ssl_options.verify = verify_none\n"

    def start(self) -> None:
        server = shutil.which("rabbitmq-server") or "/usr/sbin/rabbitmq-server"
        # Debian's wrapper drops root; the script behind it does not and may then use this folder.
        script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        self.process = subprocess.Popen(
            [str(script) if script.exists() else server],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with suppress(Exception):
                pika.BlockingConnection(pika.URLParameters(self.url)).close()
                return
            time.sleep(0.3)
        raise RuntimeError(f"RabbitMQ did not start; see {self.folder}/log")

    def kill(self) -> None:
        """The whole node at once, as a power cut would."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def rabbit(tls: Certificates | None = None) -> Iterator[Rabbit]:
    server = Rabbit(tls)
    try:
        server.start()
        yield server
    finally:
        server.close()
