"""The embedded profile: every part in one process, over one folder, with nothing to install or configure."""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from compliance import clear_text, restores
from likeness.ground.lanes import threads
from likeness.ground.settings import Settings
from likeness.jobs import claims
from likeness.jobs.notify import Notifier, broker_for
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from likeness.run.scheduler import Scheduler
from likeness.run.serving import cannot_listen, server
from likeness.sso.running import ADDRESS, OwnKeycloak
from tenants import tenants


class AlreadyRunning(RuntimeError):
    """Another Likeness works over the same folder."""


@dataclass
class Embedded:
    """Start with `start`, end with `stop`; both from the main thread, which PostgreSQL's life hangs on."""

    settings: Settings
    kernel: Kernel = field(init=False)
    sealed: list[str] = field(default_factory=list, init=False)
    """What this start did to words that an older version kept in clear."""
    keycloak: OwnKeycloak | None = field(default=None, init=False)
    _lock: IO[str] | None = field(default=None, init=False)

    def start(self) -> Kernel:
        home = self.settings.home
        home.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._lock = _exclusive(home / "lock")
        self.postgres = EmbeddedPostgres(home / "postgres")
        self.postgres.start()
        migrate(self.postgres.url("likeness_owner"))
        self.settings = self.settings.model_copy(
            update={
                "database_url": self.postgres.url("likeness_app"),
                "rescan_database_url": self.postgres.url("likeness_rescan"),
            }
        )
        if self.settings.keycloak is not None:
            address = self.settings.keycloak_url or ADDRESS
            realm = self.settings.keycloak_realm
            self.keycloak = OwnKeycloak(self.settings.keycloak, home / "keycloak", address, realm)
            self.settings = self.keycloak.start(self.settings)
        self.kernel = assemble(self.settings)
        self.kernel.db.check()
        fingerprint.settle(self.kernel.db, self.kernel.keys)
        restores.start(self.kernel)
        self.sealed = clear_text.seal_clear(self.kernel)
        tenants.note_base(self.kernel)
        claims.release_leases(self.kernel)
        self.notifier = Notifier(self.kernel, broker_for(self.settings.broker_url))
        self.notifier.start()
        self.notifier.answer(threads(self.settings))
        self.scheduler = Scheduler(self.kernel)
        self.scheduler.start()
        return self.kernel

    def serve(self) -> None:
        """Starts the web server in a thread; returns when it answers."""
        self.server = server(self.kernel, timeout_graceful_shutdown=10)
        self._web = threading.Thread(target=self.server.run, name="web", daemon=True)
        self._web.start()
        while not self.server.started:
            self._web.join(0.05)
            if not self._web.is_alive():
                raise RuntimeError(cannot_listen(self.settings))

    def stop(self) -> None:
        # The scheduler comes first: it would take Ray's end, if the same signal reached it, for a loss.
        if hasattr(self, "scheduler"):
            self.scheduler.stop()
        if hasattr(self, "server"):
            self.server.should_exit = True
            self._web.join(15)
        if hasattr(self, "notifier"):
            self.notifier.stop()
        if hasattr(self, "kernel"):
            self.kernel.db.close()
        if self.keycloak is not None:
            self.keycloak.stop()
        if hasattr(self, "postgres"):
            self.postgres.stop()
        if self._lock:
            self._lock.close()


def starting(keycloak: bool) -> str:
    """What is said while `start` runs."""
    if keycloak:
        return "Starting the database, Keycloak, whose first start takes a minute or two, the worker and the web server …"
    return "Starting the database, the worker and the web server …"


def _exclusive(path: Path) -> IO[str]:
    """A lock that the operating system frees however this process ends. Raises `AlreadyRunning`."""
    # Who could open it could also hold it, and keep this program from starting.
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+")
    os.fchmod(file.fileno(), 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        raise AlreadyRunning(
            f"Another Likeness (process {file.read().strip() or 'unknown'}) uses {path.parent}. Stop it first, or set"
            " LIKENESS_HOME to another folder."
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
