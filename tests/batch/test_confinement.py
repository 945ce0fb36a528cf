"""The confined child, tried from inside with every call that the kernel has; the world outside is looked at afterwards."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from likeness.sandbox import confinement
from likeness.sandbox.child import Answer, ChildFailed, Children, Limits

LIMITS = Limits(memory=1024 * 2**20, processor_seconds=20, wall_seconds=60, open_files=32)
HIGHEST = 700
"""Above every number that a kernel has given so far."""
PROBES = {335, 336} if os.uname().machine == "x86_64" else set()
"""uretprobe and uprobe: newer kernels let no filter see them, and kill whoever calls them without a probe's trampoline."""
libc = ctypes.CDLL(None, use_errno=True)


def call(name: str | int, *arguments: Any) -> str:
    """What the kernel says: the name of the error, or `ok`."""
    number = name if isinstance(name, int) else _numbers[name]
    ctypes.set_errno(0)
    answer = libc.syscall(number, *arguments)
    return "ok" if answer >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


_numbers: dict[str, int] = {}


def warm_up() -> None:
    """Learns the numbers of this machine's calls by name, while the library may still be opened."""
    import pyseccomp

    for number in range(HIGHEST):
        try:
            _numbers[pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number).decode()] = number
        except ValueError:
            continue


def sweep(about: dict[str, Any], data: bytes) -> Answer:
    """Runs in the child: every call that is not on the list, with nothing as its arguments."""
    listed = {*confinement.ALLOWED, *confinement.WRITES, "mmap", "mprotect", "clone", "clone3", "sched_getaffinity",
              "clock_gettime", "clock_getres"}  # fmt: skip
    skipped = {_numbers[name] for name in listed if name in _numbers} | PROBES
    names = {number: name for name, number in _numbers.items()}
    answers = {names.get(n, str(n)): call(n, 0, 0, 0, 0, 0, 0) for n in range(HIGHEST) if n not in skipped}
    return {"tried": len(answers), "passed": {n: a for n, a in answers.items() if a != "EPERM"}}, b""


def probe(about: dict[str, Any], data: bytes) -> Answer:
    """Runs in the child: what an intruder would try, class by class; answers what the kernel said to each."""
    at, them = about["folder"].encode(), about["pid"]
    here = -100
    pair = ctypes.create_string_buffer(16)
    found: dict[str, str] = {
        "read a file": call("open", at + b"/master.key", os.O_RDONLY),
        "openat": call("openat", here, at + b"/master.key", os.O_RDONLY),
        "openat2": call("openat2", here, at + b"/master.key", ctypes.create_string_buffer(24), 24),
        "create": call("creat", at + b"/new", 0o600),
        "by handle": call("open_by_handle_at", here, pair, 0),
        "unlink": call("unlink", at + b"/master.key"),
        "unlinkat": call("unlinkat", here, at + b"/master.key", 0),
        "rmdir": call("rmdir", at + b"/dir"),
        "rename": call("rename", at + b"/a", at + b"/b"),
        "renameat2": call("renameat2", here, at + b"/a", here, at + b"/b", 0),
        "link": call("link", at + b"/a", at + b"/b"),
        "symlink": call("symlink", b"/etc", at + b"/link"),
        "truncate": call("truncate", at + b"/c", 0),
        "chmod": call("chmod", at + b"/d", 0o777),
        "fchmodat": call("fchmodat", here, at + b"/d", 0o777),
        "chown": call("chown", at + b"/d", 1, 1),
        "utimes": call("utimensat", here, at + b"/d", 0, 0),
        "xattr": call("setxattr", at + b"/d", b"user.x", b"1", 1, 0),
        "mkdir": call("mkdir", at + b"/made", 0o700),
        "mknod": call("mknod", at + b"/node", 0o010600, 0),
        "stat": call("newfstatat", here, at + b"/c", ctypes.create_string_buffer(256), 0),
        "statx": call("statx", here, at + b"/c", 0, 0xFFF, ctypes.create_string_buffer(512)),
        "access": call("faccessat", here, at + b"/c", 0),
        "readlink": call("readlink", b"/proc/self/exe", pair, 16),
        "list": call("getdents64", 0, pair, 16),
        "chdir": call("chdir", at),
        "chroot": call("chroot", at),
        "mount": call("mount", b"none", at, b"tmpfs", 0, 0),
        "inotify": call("inotify_init1", 0),
        "copy a file's number": call("dup", 1),
        "send a file": call("sendfile", 1, 1, 0, 1),
        "control a device": call("ioctl", 1, 0x5401, pair),
        "socket": call("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
        "unix socket": call("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, pair),
        "kill": call("kill", them, 0),
        "tkill": call("tkill", them, 0),
        "tgkill": call("tgkill", them, them, 0),
        "sigqueue": call("rt_sigqueueinfo", them, 0, ctypes.create_string_buffer(128)),
        "pidfd": call("pidfd_open", them, 0),
        "pidfd_send_signal": call("pidfd_send_signal", 1, 0, 0, 0),
        "pidfd_getfd": call("pidfd_getfd", 1, 3, 0),
        "ptrace": call("ptrace", 16, them, 0, 0),
        "read memory": call("process_vm_readv", them, pair, 0, pair, 0, 0),
        "write memory": call("process_vm_writev", them, pair, 0, pair, 0, 0),
        "limits of another": call("prlimit64", them, 7, 0, pair),
        "priority of another": call("setpriority", 0, them, 5),
        "processors of another": call("sched_getaffinity", them, 16, pair),
        "clock of another": call("clock_gettime", (~them << 3) | 2, pair),
        "compare": call("kcmp", them, them, 0, 0, 0),
        "fork": call("fork"),
        "vfork": call("vfork"),
        "clone a process": call("clone", 17, 0, 0, 0, 0),
        "clone into a namespace": call("clone", confinement.NEW_THREAD | 0x40000000, 0, 0, 0, 0),
        "clone3": call("clone3", ctypes.create_string_buffer(88), 88),
        "program": call("execve", b"/bin/true", 0, 0),
        "namespace": call("unshare", 0x10000000),
        "enter a namespace": call("setns", 1, 0),
        "io_uring": call("io_uring_setup", 1, ctypes.create_string_buffer(128)),
        "kernel program": call("bpf", 0, pair, 16),
        "events": call("perf_event_open", pair, 0, -1, -1, 0),
        "fault handler": call("userfaultfd", 0),
        "memory file": call("memfd_create", b"x", 0),
        "shared memory": call("shmget", 1234, 4096, 0o1666),
        "queue": call("mq_open", b"/x", 0o102, 0o666, 0),
        "key ring": call("add_key", b"user", b"x", b"1", 1, -1),
        "another filter": call("seccomp", 1, 0, 0),
        "settings of the process": call("prctl", 4, 1, 0, 0, 0),
        "user": call("setuid", 0),
        "personality": call("personality", 0x0400000),
        "write elsewhere": call("write", 9, b"x", 1),
        "code in new memory": call("mmap", 0, 4096, 7, 0x22, -1, 0),
        "old memory as code": call("mprotect", ctypes.c_void_p(about["page"] or _page()), 4096, 5),
    }
    return {"found": found}, b""


_held = mmap.mmap(-1, 4096)


def _page() -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(_held))


def compute(about: dict[str, Any], data: bytes) -> Answer:
    """Runs in the child: what decoders do, threads included."""
    import numpy as np

    total: list[float] = []

    def work() -> None:
        total.append(float(np.ones((300, 300)).dot(np.ones((300, 300))).sum()))
        time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    big = bytearray(60 * 2**20)
    return {"total": sum(total), "random": len(os.urandom(8)), "big": len(big), "now": time.time() > 0}, data


def many_files(about: dict[str, Any], data: bytes) -> Answer:
    """Runs in the child: which numbers are open files."""
    return {"open": [n for n in range(64) if call("lseek", n, 0, 1) != "EBADF"]}, b""


def numpy_first() -> None:
    import numpy  # noqa: F401


@pytest.fixture
def victims(tmp_path: Path) -> Path:
    for name in ("master.key", "a", "c", "d"):
        (tmp_path / name).write_bytes(b"precious")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "dir").mkdir()
    return tmp_path


def world(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    return {
        path.name: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_uid,
                    path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.iterdir())
    }  # fmt: skip


def in_child(
    function: str, about: dict[str, Any] | None = None, warm: str = "warm_up", **limits: Any
) -> dict[str, Any]:
    pool = Children("tests.batch.test_confinement", function, warm=warm, limits=LIMITS, keep=False)
    return pool.run(about or {}, b"x" * 1000)[0]


def test_no_call_outside_the_list_is_answered_with_anything_but_no() -> None:
    said = in_child("sweep")
    assert said["passed"] == {}
    assert said["tried"] > 600


def test_nothing_outside_can_be_reached_and_nothing_is_changed(victims: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    try:
        before = world(victims)
        found = in_child("probe", {"folder": str(victims), "pid": sleeper.pid, "page": 0})["found"]
        assert found.pop("clone3") == "ENOSYS"
        assert {name: said for name, said in found.items() if said != "EPERM"} == {}
        assert len(found) > 60
        assert world(victims) == before
        assert sleeper.poll() is None
        assert os.getpriority(os.PRIO_PROCESS, sleeper.pid) == os.getpriority(os.PRIO_PROCESS, os.getpid())
    finally:
        sleeper.kill()
        sleeper.wait()


def test_computing_with_threads_still_works() -> None:
    assert in_child("compute", warm="numpy_first") == {
        "total": 4 * 300.0**3,
        "random": 8,
        "big": 60 * 2**20,
        "now": True,
    }


def test_only_the_answer_is_open() -> None:
    assert in_child("many_files")["open"] == [0, 1, 2, confinement.ANSWER]


def no_library() -> None:
    sys.modules["pyseccomp"] = None  # type: ignore[assignment]  # What an import meets where libseccomp is missing.


def no_filters() -> None:
    """A kernel, or a container's rules, that take no filter: a filter of our own refuses the next one."""
    import pyseccomp

    refusing = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refusing.add_rule(pyseccomp.ERRNO(errno.EPERM), "prctl", pyseccomp.Arg(0, pyseccomp.EQ, confinement.PR_SET_SECCOMP))
    refusing.load()


def deaf_kernel() -> None:
    """A kernel that says yes and filters nothing."""
    import pyseccomp

    deaf = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    deaf.add_rule(pyseccomp.ERRNO(0), "prctl", pyseccomp.Arg(0, pyseccomp.EQ, confinement.PR_SET_SECCOMP))
    deaf.load()


@pytest.mark.parametrize(
    ("lack", "named"), [("no_library", "libseccomp2"), ("no_filters", "seccomp"), ("deaf_kernel", "seccomp")]
)
def test_a_machine_that_cannot_confine_decodes_nothing(lack: str, named: str) -> None:
    with pytest.raises(ChildFailed) as caught:
        in_child("compute", warm=lack)
    assert caught.value.machine
    assert named in str(caught.value)
    assert "no photo and no workbook" in str(caught.value)
