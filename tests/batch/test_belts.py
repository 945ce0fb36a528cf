"""The belts beside the allowlist, tried without it: what a decoder could reach on the day on which the list has a hole."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from likeness.ground.settings import Settings
from likeness.run import check
from likeness.sandbox import child
from likeness.sandbox.belts import BELTS, FILES, IPC, LANDLOCK, NETWORK, PROCESSES, USER
from likeness.sandbox.child import Children

PLAIN = "/usr/bin/python3"
"""One that another user may start too."""
TRY = """
import ctypes, encodings.idna, json, os, socket, sys
from likeness.sandbox.belts import put_on
from likeness.sandbox.child import _go_on_in_a_child
folder, pid, port, segment = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
libc = ctypes.CDLL(None, use_errno=True)
out = os.dup(1)
belts = put_on(libc, _go_on_in_a_child) if sys.argv[5] == "on" else []
found = {}
def attempt(name, work):
    try:
        found[name] = str(work())
    except OSError as error:
        found[name] = "refused"
def connect():
    with socket.create_connection(("127.0.0.1", port), timeout=3):
        return "reached"
def local():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\\0likeness-test-%d" % pid)
        return "reached"
def shared():
    if libc.shmat(segment, None, 0) == -1:
        raise OSError
    return "reached"
attempt("read", lambda: open(folder + "/master.key").read())
attempt("list", lambda: os.listdir(folder))
attempt("root", lambda: os.listdir("/"))
attempt("write", lambda: open(folder + "/new", "w"))
attempt("here", lambda: open("new", "w"))
attempt("delete", lambda: os.unlink(folder + "/a"))
attempt("change", lambda: os.chmod(folder + "/a", 0o777))
attempt("link", lambda: os.symlink("/etc", folder + "/link"))
attempt("tcp", connect)
attempt("unix", local)
attempt("signal", lambda: os.kill(pid, 0))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 5))
attempt("memory", lambda: open("/proc/%d/mem" % pid, "rb").read(1))
attempt("shared memory", shared)
attempt("mount", lambda: libc.mount(b"none", b"/", b"tmpfs", 0, 0) and (_ for _ in ()).throw(OSError()))
attempt("become root", lambda: os.setuid(0))
os.write(out, json.dumps({"belts": belts, "found": found, "uid": os.getuid()}).encode())
"""


@pytest.fixture
def victims(tmp_path: Path) -> Path:
    for name in ("master.key", "a"):
        (tmp_path / name).write_bytes(b"precious")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def tried(folder: Path, on: str = "on", before: str = "") -> dict[str, Any]:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    made = subprocess.run(["ipcmk", "-M", "4096", "-p", "0666"], capture_output=True, text=True, check=True)
    segment = made.stdout.split()[-1]
    try:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"\0likeness-test-{sleeper.pid}")
            unix.listen()
            arguments = [str(folder), str(sleeper.pid), str(tcp.getsockname()[1]), segment, on]
            ended = subprocess.run(
                [sys.executable, "-c", before + TRY, *arguments], capture_output=True, text=True, timeout=60, check=False
            )
            assert ended.returncode == 0, ended.stderr
            assert sleeper.poll() is None
            said: dict[str, Any] = json.loads(ended.stdout)
            said["priority"] = os.getpriority(os.PRIO_PROCESS, sleeper.pid)
            return said
    finally:
        sleeper.kill()
        sleeper.wait()
        subprocess.run(["ipcrm", "-m", segment], check=True)


def world(folder: Path) -> dict[str, Any]:
    return {file.name: (file.lstat().st_mode, file.read_bytes()) for file in sorted(folder.iterdir())}


def test_the_world_outside_is_out_of_reach_also_without_the_allowlist(victims: Path) -> None:
    before = world(victims)
    said = tried(victims)
    if missing := set(BELTS) - set(said["belts"]) - {LANDLOCK}:
        pytest.skip(f"This system refuses some belts: {sorted(missing)}")
    assert set(said["found"].values()) == {"refused"}, said["found"]
    assert said["uid"] != 0
    assert (world(victims), said["priority"]) == (before, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user, and make a decoder one")
def test_what_runs_as_nobody_has_no_power_over_a_decoder() -> None:
    """Many services share that user, and who is of a process's user may end it, stop it and starve it."""
    pool = Children("likeness.sandbox.confinement", "reached")
    try:
        pool.run({}, b"")
        own = psutil.Process(pool._idle[0]._process.pid)
        decoders = [one.pid for one in own.children(recursive=True) if one.uids().real != 0]
        assert decoders
        for pid in decoders:
            act = f"import os, resource; os.kill({pid}, 0)"
            assert subprocess.run([PLAIN, "-c", act], user="nobody", stderr=subprocess.DEVNULL, check=False).returncode
            limit = f"import resource; resource.prlimit({pid}, resource.RLIMIT_NOFILE, (1, 1))"
            assert subprocess.run([PLAIN, "-c", limit], user="nobody", stderr=subprocess.DEVNULL, check=False).returncode
        assert pool.run({"a": 1}, b"x") == ({"a": 1}, b"x")
    finally:
        pool.close()


def test_what_is_tried_does_succeed_where_nothing_holds(victims: Path) -> None:
    """Otherwise the test before would say nothing."""
    found = tried(victims, on="off")["found"]
    reached = {name for name, said in found.items() if said != "refused"}
    assert reached >= {"read", "list", "root", "write", "here", "delete", "link", "tcp", "unix", "signal", "shared memory"}
    assert not (victims / "a").exists()
    Path("new").unlink(missing_ok=True)


REFUSING = """
import errno, pyseccomp
refusing = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for name in {names!r}:
    refusing.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
refusing.load()
"""


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        (["unshare"], {NETWORK, IPC, PROCESSES, FILES}),
        (["landlock_create_ruleset"], {LANDLOCK}),
        (["chroot"], {FILES}),
        (["unshare", "chroot", "setresuid", "landlock_restrict_self"], {NETWORK, IPC, PROCESSES, FILES, USER, LANDLOCK}),
    ],
)
def test_a_belt_that_the_system_refuses_is_missing_from_what_is_said(
    victims: Path, names: list[str], lost: set[str]
) -> None:
    whole = set(tried(victims)["belts"])
    assert set(tried(victims, before=REFUSING.format(names=names))["belts"]) == whole - lost


def test_children_say_their_belts_and_the_log_and_check_what_is_missing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pool = Children("likeness.sandbox.confinement", "reached", keep=False)
    held = pool.belts()
    assert pool.run({"a": 1}, b"x") == ({"a": 1}, b"x")
    (told,) = [one for one in check.makes(Settings(home=tmp_path)) if "Photos and workbooks are opened behind" in one]
    assert all(belt in told for belt in held)
    monkeypatch.setattr(child, "_said", set())
    with caplog.at_level(logging.WARNING):
        child._say_once([belt for belt in BELTS if belt != LANDLOCK])
        child._say_once([belt for belt in BELTS if belt != LANDLOCK])
    assert [record.message for record in caplog.records] == [
        "the system refuses some belts around decoders: Landlock"
    ]
