"""The embedded server's start over what a crash can leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from likeness.run.postgres import EmbeddedPostgres, PostgresFailed, _copy_for_other_user
from tests.waiting import PATIENCE


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="likeness-pgtest-"))
    made.chmod(0o755)
    yield made / "postgres"
    shutil.rmtree(made, ignore_errors=True)


def answers(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.url("likeness_app").replace("+psycopg", "")) as connection:
        return connection.execute("select 1").fetchone() == (1,)


def test_it_starts_stops_and_starts_again_over_the_same_data(folder: Path) -> None:
    for _ in range(2):
        server = EmbeddedPostgres(folder)
        server.start()
        assert answers(server)
        server.stop()
        assert server.pid is None
    assert not (folder / "data/postmaster.pid").exists()


def test_an_upgrade_of_the_program_brings_its_newer_server(folder: Path) -> None:
    """Under root a copy of the binaries is run, which was made by the version that came first."""
    program = _copy_for_other_user(folder / "server") / "postgres"
    assert program.parent == _copy_for_other_user(folder / "server")
    size, made = program.stat().st_size, program.stat().st_ino
    _copy_for_other_user(folder / "server")
    assert program.stat().st_ino == made, "nothing is copied at each start"
    (folder / "server/complete").write_text("")  # As earlier versions left it.
    program.write_bytes(b"of an older version")
    _copy_for_other_user(folder / "server")
    assert program.stat().st_size == size


def test_a_killed_server_recovers(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    for process in [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]:
        # A parallel worker or an autovacuum may have ended by itself since it was listed.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    again = EmbeddedPostgres(folder)
    again.start()
    assert answers(again)
    again.stop()


@pytest.mark.parametrize("stale", ["reused", "dead", "zombie", "garbage", ""])
def test_a_stale_pid_file_neither_stops_it_nor_harms_a_strangers_process(folder: Path, stale: str) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    stranger = subprocess.Popen(["sleep", "3600"])
    if stale == "zombie":
        stranger.kill()
        os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
    pid = {"reused": stranger.pid, "zombie": stranger.pid, "dead": 2**22 - 1}.get(stale, stale)
    (folder / "data/postmaster.pid").write_text(f"{pid}\n{folder}/data\n1\n5432\n/tmp\n\n1 1\nready\n")
    again = EmbeddedPostgres(folder)
    again.start()
    assert answers(again)
    again.stop()
    if stale != "zombie":
        assert stranger.poll() is None, "a foreign process was ended"
    stranger.kill()
    stranger.wait()


def test_a_server_of_a_killed_program_ends_with_it(folder: Path) -> None:
    program = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, time; from pathlib import Path; from likeness.run.postgres import EmbeddedPostgres;"
            "s = EmbeddedPostgres(Path(sys.argv[1])); s.start(); print(s.pid, flush=True); time.sleep(3600)",
            str(folder),
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    server = psutil.Process(int(program.stdout.readline()))
    program.kill()
    program.wait()
    assert not psutil.wait_procs([server], timeout=PATIENCE)[1]
    again = EmbeddedPostgres(folder)
    again.start()
    assert answers(again)
    again.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only under root does another user run the server")
def test_under_root_a_folder_that_others_cannot_enter_is_refused_with_a_sentence(folder: Path) -> None:
    folder.parent.chmod(0o700)
    with pytest.raises(PostgresFailed, match="LIKENESS_HOME"):
        EmbeddedPostgres(folder).start()


def test_its_log_quotes_no_rows(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    with psycopg.connect(server.url("likeness_owner").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("create table t (word text unique)")
        connection.execute("insert into t values ('canary@example.com')")
        for statement in ("insert into t values ('canary@example.com')", "select 'canary@example.com'::int"):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
    os.kill(server.pid or 0, signal.SIGHUP)
    server.stop()
    log = (folder / "postgres.log").read_text()
    assert stat.S_IMODE((folder / "postgres.log").stat().st_mode) == 0o600, "it quotes a value that somebody typed"
    assert "duplicate key" in log
    assert "canary@example.com" not in log.replace('invalid input syntax for type integer: "canary@example.com"', "")
