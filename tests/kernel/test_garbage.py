"""What is imported is looked through once at most, and what comes later as ever."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from contextlib import suppress

from likeness.ground.garbage import importing

runs = []
gc.callbacks.append(lambda phase, about: runs.append(about["generation"]))
with importing():
    import sqlalchemy.orm
while_importing, kept = list(runs), gc.get_freeze_count()
with suppress(ModuleNotFoundError), importing():
    import nothing_of_this_name
later = [[number] for number in range(5000)]
print(while_importing, kept > 10_000, gc.isenabled(), 0 in runs)
"""


def test_nobody_looks_for_garbage_while_a_program_is_imported_nor_among_it_later() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.split() == ["[]", "True", "True", "True"]
