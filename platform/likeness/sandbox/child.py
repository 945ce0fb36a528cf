"""Runs a function on hostile bytes in a limited child process.

A child imports its module once, then forks for every job. The fork that meets one person's file ends with that job, so
nothing of it can reach the next person's file, and the imports (0.6 s for the face models) are paid once.

A function that can be run here takes `(about: dict, data: bytes)` and returns `(answer: dict, data: bytes)`. Between
the processes travel JSON and raw bytes, never pickles.

Each fork has limits on memory, processor time, file size and open files, an empty environment, one open file for its
answer, and no way to reach anything else (`confinement`): whatever it needs is imported before. What goes wrong in it
is a `ChildFailed` in the parent.
"""

import atexit
import contextlib
import ctypes
import gc
import json
import logging
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

if __name__ == "__main__":
    # Run by its path and in isolated mode, the child does not find the project by itself. Last on the path, because
    # the project has a folder named like the standard library's platform.
    sys.path += [str(folder) for folder in Path(__file__).resolve().parents[2:4]]

from likeness.sandbox.belts import BELTS, put_on
from likeness.sandbox.confinement import ANSWER, Unconfined, allowlist, confine
from likeness.sandbox.limits import ChildFailed as ChildFailed
from likeness.sandbox.limits import Limits as Limits
from likeness.sandbox.limits import Reason

log = logging.getLogger(__name__)

# Two lengths stand before each message: the JSON and the raw bytes that follow it.
HEAD = struct.Struct("!II")
LARGEST_REPLY = 256 * 2**20
START_SECONDS = 30.0
KILL_SECONDS = 5.0
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENPYXL_LXML": "False"}
"""All of it. Where lxml happens to be installed, openpyxl would read with it, and defusedxml guards the other reader."""

Answer = tuple[dict[str, Any], bytes]


class Children:
    """A few warm children for one function of one module.

    At most `size` jobs run at a time; others wait `wait_seconds` and then fail as "busy". A child is replaced after
    `jobs` jobs, and at once when it does not answer. With `keep=False` none stays once its job is done.
    """

    def __init__(
        self,
        module: str,
        function: str,
        *,
        warm: str = "",
        limits: Limits | None = None,
        size: int = 2,
        jobs: int = 200,
        keep: bool = True,
        wait_seconds: float = 30.0,
    ) -> None:
        self.limits = limits or Limits()
        self._command = [module, function, warm, json.dumps(asdict(self.limits))]
        self._size, self._jobs, self._keep, self._wait = size, jobs, keep, wait_seconds
        self._forget()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def _forget(self) -> None:
        # A forked web or worker process must not talk into the pipes of its parent's children.
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._size)

    def run(self, about: dict[str, Any], data: bytes) -> Answer:
        """The function's answer for one file; raises ChildFailed."""
        if not self._turns.acquire(timeout=self._wait):
            raise ChildFailed("busy")
        try:
            child = self._take()
            try:
                answer = child.ask(about, data)
            except BaseException as error:
                if isinstance(error, ChildFailed) and child.sound:
                    self._give_back(child)
                else:
                    child.kill()
                raise
            self._give_back(child)
            return answer
        finally:
            self._turns.release()

    def belts(self) -> list[str]:
        """Which of `BELTS` this machine puts around a child, beside the allowlist. Raises ChildFailed."""
        child = _Child(self._command, self.limits)
        child.kill()
        return child.belts

    def _take(self) -> "_Child":
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _Child(self._command, self.limits)
            if child.alive():
                return child
            child.kill()

    def _give_back(self, child: "_Child") -> None:
        if not self._keep or child.jobs >= self._jobs:
            child.kill()
            return
        with self._lock:
            self._idle.append(child)

    def close(self) -> None:
        """Ends the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()


class _Child:
    """One child process as its parent sees it."""

    def __init__(self, command: list[str], limits: Limits) -> None:
        self.jobs = 0
        self.sound = True
        self._seconds = limits.wall_seconds
        try:
            # Isolated mode (-I) keeps the working directory and the environment out of the import path.
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).resolve()), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise ChildFailed("start", type(error).__name__) from None
        assert self._process.stdin
        assert self._process.stdout
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        try:
            status, _ = self._receive(time.monotonic() + START_SECONDS)
        except ChildFailed:
            self.kill()
            raise ChildFailed("start") from None
        if status.get("ready") is not True:
            self.kill()
            why = str(status.get("why", ""))[:300]
            log.error("a child did not start: %s", why)
            raise ChildFailed("start", why)
        self.belts = [belt for belt in BELTS if belt in status.get("belts", ())]
        _say_once(self.belts)

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, about: dict[str, Any], data: bytes) -> Answer:
        self.jobs += 1
        self.sound = False
        # The fork's own alarm comes first; these seconds more are for a child that no longer obeys its alarm.
        deadline = time.monotonic() + self._seconds + 5
        self._send(_framed(about, data), deadline)
        status, body = self._receive(deadline)
        reason = status.get("failed")
        if reason is None:
            answer = _parted(body)
            self.sound = True
            return answer
        self.sound = reason in ("start", "time", "processor", "memory", "crash", "refused")
        raise ChildFailed(reason if self.sound else "crash", str(status.get("why", ""))[:200])

    def kill(self) -> None:
        # Asked first, because one that waits for the process behind it has to see that one's end: in a container nobody
        # else would.
        self._process.terminate()
        deadline = time.monotonic() + KILL_SECONDS
        ended = os.WEXITED | os.WNOWAIT | os.WNOHANG
        with contextlib.suppress(ChildProcessError):  # It had ended, and was waited for already.
            while os.waitid(os.P_PID, self._process.pid, ended) is None and time.monotonic() < deadline:
                time.sleep(0.002)
        # It leads its own session, so the group's number is its own and nobody else's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            self._ready(self._to, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._to, rest) :]
            except BlockingIOError:
                continue
            except OSError:
                raise ChildFailed("crash") from None

    def _receive(self, deadline: float) -> Answer:
        head, body = HEAD.unpack(self._read(HEAD.size, deadline))
        if head + body > LARGEST_REPLY:
            raise ChildFailed("crash", "reply too long")
        return _parted(HEAD.pack(head, body) + self._read(head + body, deadline))

    def _read(self, length: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            self._ready(self._from, select.POLLIN, deadline)
            try:
                part = os.read(self._from, min(length - len(parts), 2**20))
            except BlockingIOError:
                continue
            if not part:
                raise ChildFailed("crash")
            parts += part
        return bytes(parts)

    @staticmethod
    def _ready(file: int, event: int, deadline: float) -> None:
        poll = select.poll()  # select() fails on file numbers above 1,023, which a busy server has.
        poll.register(file, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise ChildFailed("time")


_said: set[tuple[str, ...]] = set()


def _say_once(belts: list[str]) -> None:
    """Which belts this machine refuses is for the log, once in a process."""
    missing = tuple(belt for belt in BELTS if belt not in belts)
    if missing and missing not in _said:
        _said.add(missing)
        log.warning("the system refuses some belts around decoders: %s", ", ".join(missing))


def _framed(about: dict[str, Any], data: bytes) -> bytes:
    words = json.dumps(about).encode()
    return HEAD.pack(len(words), len(data)) + words + data


def _parted(message: bytes) -> Answer:
    """Opens a message; what a child says is not trusted to be well formed."""
    try:
        head, body = HEAD.unpack_from(message)
        if HEAD.size + head + body != len(message):
            raise ValueError
        about = json.loads(message[HEAD.size : HEAD.size + head])
        if not isinstance(about, dict):
            raise ValueError
    except (ValueError, RecursionError, struct.error):
        raise ChildFailed("crash", "malformed reply") from None
    return about, message[HEAD.size + head :]


# From here on the code runs in the child.


def _serve(module: str, function: str, warm: str, limits: Limits) -> None:
    inp, out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    _limit(limits)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        found = import_module(module)
        target = getattr(found, function)
        if warm:
            getattr(found, warm)()
        compiled = allowlist()
        belts = put_on(libc, _go_on_in_a_child)
        _try_confinement(libc, compiled)
    except BaseException as error:
        why = str(error) if isinstance(error, Unconfined) else _named(error)
        _write(out, _framed({"ready": False, "why": why}, b""))
        return
    gc.freeze()  # Objects that the collector never touches stay shared between the forks.
    _write(out, _framed({"ready": True, "belts": belts}, b""))

    def forked(message: bytes, reply: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limits.processor_seconds, limits.processor_seconds + 2))
        confine(libc, compiled)
        _write(reply, _framed(*target(*_parted(message))))

    while True:
        head = _exactly(inp, HEAD.size)
        message = head + _exactly(inp, sum(HEAD.unpack(head)))
        _write(out, _one_job(forked, message))
        del message


def _go_on_in_a_child() -> None:
    """Returns in a child. The process before it waits for its end, and ends in the same way; told to end, it ends both."""
    pid = 0
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL) if pid else os._exit(EXIT_CRASH))
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _one_job(forked: Callable[[bytes, int], None], message: bytes) -> bytes:
    # The fork writes into memory, not into the parent's pipe: a fork that dies half-way cannot leave half a reply.
    reply = os.memfd_create("reply")
    try:
        pid = os.fork()
        if pid == 0:
            _run_and_exit(forked, message, reply)
        _, status = os.waitpid(pid, 0)
        failure = _failure(status)
        size = os.fstat(reply).st_size
        body = b"" if size > LARGEST_REPLY else os.pread(reply, size, 0)
    finally:
        os.close(reply)
    if failure == "refused":
        return _framed({"failed": failure, "why": body.decode("utf-8", "replace")}, b"")
    return _framed({"failed": failure} if failure else {}, b"" if failure else body)


def _run_and_exit(forked: Callable[[bytes, int], None], message: bytes, reply: int) -> NoReturn:
    code = EXIT_CRASH
    try:
        _keep_only(reply)
        forked(message, ANSWER)
        code = EXIT_DONE
    except MemoryError:
        code = EXIT_MEMORY
    except Unconfined:
        code = EXIT_UNCONFINED
    except BaseException as error:
        os.ftruncate(ANSWER, 0)
        os.lseek(ANSWER, 0, os.SEEK_SET)
        _write(ANSWER, _named(error).encode())
        code = EXIT_REFUSED
    finally:
        os._exit(code)


def _keep_only(reply: int) -> None:
    """Closes every file but the one for the answer, pipes to the parent and what a library left open included."""
    os.dup2(reply, ANSWER)
    os.closerange(ANSWER + 1, os.sysconf("SC_OPEN_MAX"))


def _try_confinement(libc: ctypes.CDLL, compiled: bytes) -> None:
    """Sees the filter refuse once, before any file is taken. Raises `Unconfined`."""
    pid = os.fork()
    if pid == 0:
        try:
            confine(libc, compiled)
            # A harmless question that is not on the list and that no other belt refuses; no process has this number.
            os._exit(EXIT_DONE if libc.getppid() == -1 else EXIT_UNCONFINED)
        finally:
            os._exit(EXIT_UNCONFINED)
    _, status = os.waitpid(pid, 0)
    if not os.WIFEXITED(status) or os.WEXITSTATUS(status) != EXIT_DONE:
        raise Unconfined(
            "This machine's kernel does not filter system calls (seccomp), and without that no photo and no workbook is"
            " opened. Check the container's security settings."
        )


EXIT_DONE, EXIT_MEMORY, EXIT_REFUSED, EXIT_CRASH, EXIT_UNCONFINED = 0, 3, 4, 5, 6


def _failure(status: int) -> Reason | None:
    if os.WIFSIGNALED(status):
        known: dict[int, Reason] = {signal.SIGALRM: "time", signal.SIGXCPU: "processor"}
        return known.get(os.WTERMSIG(status), "crash")
    codes: dict[int, Reason | None] = {
        EXIT_DONE: None, EXIT_MEMORY: "memory", EXIT_REFUSED: "refused", EXIT_UNCONFINED: "start",
    }  # fmt: skip
    return codes.get(os.WEXITSTATUS(status), "crash")


def _named(error: BaseException) -> str:
    """Kind and place of an error, without its text, which may quote somebody's file."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}{where}"


def _limit(limits: Limits) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _exactly(file: int, length: int) -> bytes:
    """Reads so many bytes; ends the child when its parent has gone."""
    parts = bytearray()
    while len(parts) < length:
        part = os.read(file, min(length - len(parts), 2**20))
        if not part:
            os._exit(0)
        parts += part
    return bytes(parts)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], sys.argv[3], Limits(**json.loads(sys.argv[4])))
