"""The command `likeness`, each time in a process of its own that begins with the program imported, which takes seconds.

One process imports it and forks for each command. That a command also starts from nothing is held by `tests/journey` and
`tests/helm`, which start `likeness` itself.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

PARTS = ("likeness.cli.main", "likeness.run.embedded", "likeness.run.serving", "likeness.run.worker",
         "likeness.run.scheduler", "likeness.run.first_admin")  # fmt: skip
"""What the commands import when they have refused what can be refused without it."""


class Warm:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run([LIKENESS, *words], env=env, capture_output=True, text=True)`."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([words, dict(env)]), file=self._process.stdin, flush=True)
        code, printed, said = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(words, code, printed, said)


@contextmanager
def warm() -> Iterator[Warm]:
    command = [sys.executable, "-m", __name__]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Warm(process)
        finally:
            process.kill()


def main() -> None:
    for part in PARTS:
        import_module(part)
    gc.freeze()
    for line in sys.stdin:
        words, env = json.loads(line)
        with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
            if (child := os.fork()) == 0:
                become(words, env, printed.fileno(), said.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            both = [file.seek(0) or file.read() for file in (printed, said)]
        print(json.dumps([code, *both]), flush=True)


def become(words: list[str], env: dict[str, str], printed: int, said: int) -> NoReturn:
    """The command, to its end as a program's; but what was imported is not taken down, which takes seconds too."""
    with open(os.devnull) as nothing:
        for ours, theirs in ((nothing.fileno(), 0), (printed, 1), (said, 2)):
            os.dup2(ours, theirs)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["likeness", *words]
    code = 1
    try:
        import_module("likeness.cli.main").main(prog_name="likeness")
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
