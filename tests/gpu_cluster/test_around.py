"""What is around a studio, beside its way to a network: tried from inside, and by a second process of the same user."""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import likeness.sandbox
from likeness.ground.settings import Settings
from likeness.run import machine
from likeness.sandbox.around import AROUND, CAPABILITIES, DUMPS, FILTER, MEMORY, OFFLINE, PRIVILEGES, say
from likeness.sandbox.offline import offline

STUDIO = """
import json, os, sys
sys.path += {path!r}
if {closed}:
    from likeness.sandbox.around import close_in
    held = close_in()
else:
    held = []
face = bytearray(b"an open face")
import ctypes
where = ctypes.addressof(ctypes.c_char.from_buffer(face))
print(json.dumps([os.getpid(), where, held]), flush=True)
sys.stdin.read()
"""
NEIGHBOUR = """
import ctypes, sys
pid, where = int(sys.argv[1]), int(sys.argv[2])
try:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(where)
        print(memory.read(12).decode())
except OSError:
    print("refused")
class Part(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("length", ctypes.c_size_t))
held = ctypes.create_string_buffer(12)
mine, theirs = Part(ctypes.addressof(held), 12), Part(where, 12)
libc = ctypes.CDLL(None, use_errno=True)
read = libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
print(held.raw.decode() if read == 12 else "refused")
"""
PLAIN = "/usr/bin/python3"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")


def read_by_a_neighbour(folder: Path, *, closed: bool) -> tuple[list[str], list[str]]:
    """What another process of the same user reads of a studio's memory, and the belts of the studio."""
    # A copy, because not every folder above the program is open to others.
    path = [str(folder)] if closed else []
    studio = subprocess.Popen(
        [PLAIN, "-c", STUDIO.format(path=path, closed=closed)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user="nobody", cwd="/",
    )  # fmt: skip
    try:
        assert studio.stdout is not None
        pid, where, held = json.loads(studio.stdout.readline())
        looks = [PLAIN, "-c", NEIGHBOUR, str(pid), str(where)]
        said = subprocess.run(looks, user="nobody", capture_output=True, text=True, check=True, cwd="/")
        return said.stdout.splitlines(), held
    finally:
        studio.kill()
        studio.communicate()


@pytest.fixture
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="likeness-around-"))
    (made / "likeness").mkdir()
    (made / "likeness/__init__.py").touch()
    shutil.copytree(Path(likeness.sandbox.__file__).parent, made / "likeness/sandbox")
    for one in (made, *made.rglob("*")):
        one.chmod(0o755)
    yield made
    shutil.rmtree(made)


@as_root
def test_a_studio_of_another_company_on_the_same_node_reads_no_face(copied: Path) -> None:
    ptrace = Path("/proc/sys/kernel/yama/ptrace_scope")
    if not ptrace.exists() or ptrace.read_text().strip() == "0":
        assert read_by_a_neighbour(copied, closed=False)[0] == ["an open face"] * 2, "the attack itself works"
    seen, held = read_by_a_neighbour(copied, closed=True)
    assert seen == ["refused", "refused"]
    assert {OFFLINE, MEMORY, DUMPS, PRIVILEGES, CAPABILITIES} <= set(held)


CALLS = {
    "read another's memory": "libc.process_vm_readv(os.getpid(), None, 0, None, 0, 0)",
    "another view": "libc.unshare(0x08000000)",
    "another's view": "libc.setns(-1, 0)",
    "mount": "libc.mount(None, None, None, 0, None)",
    "another root": "libc.chroot(b'/nowhere')",
    "a file by its handle": "libc.syscall(304, -1, None, 0)",
    "code for the kernel": "libc.syscall(321, 99, None, 0)",
    "the kernel's keys": "libc.syscall(250, 6, 0, 0, 0, 0)",
    "watching": "libc.syscall(298, None, 0, 0, -1, 0)",
    "page faults": "libc.syscall(323, 0xffff)",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ways_to_other_processes_are_closed_to_what_trains(call: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def outcome() -> int:
        ctypes.set_errno(0)
        eval(call, {"libc": libc, "os": os})  # noqa: S307 - the calls above
        return ctypes.get_errno()

    assert offline(outcome) == errno.EACCES
    code = f"import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); {call}; print(ctypes.get_errno())"
    outside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(outside) != errno.EACCES, "it is the filter that refuses"


def test_check_and_the_log_say_which_belts_hold(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    told = [one for one in machine.belts(Settings(home=tmp_path)) if one.startswith("Studios")]
    assert len(told) == 1
    assert all(belt in told[0] for belt in AROUND)
    if os.geteuid() == 0:
        assert CAPABILITIES in told[0].partition("refuses")[2]
    [there] = [one for one in machine.belts(Settings(home=tmp_path, ray_address="ray://x:1")) if "studios" in one]
    assert "log" in there
    with caplog.at_level(logging.WARNING):
        say([belt for belt in AROUND if belt != FILTER])
        say(list(AROUND))
    assert [one.message for one in caplog.records] == [f"the system refuses some belts around a studio: {FILTER}"]
