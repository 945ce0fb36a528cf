"""Speed of the parts that everything else waits for, each beside the limit it can be compared with in the same run."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from openpyxl import Workbook, load_workbook
from sqlalchemy import text

from batch.reading import workbook
from batch.roster import imports
from benchmarks import jobs as two_companies
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.lanes import Lane
from likeness.ground.settings import Settings
from likeness.jobs import claims, jobs
from likeness.jobs.jobs import Attempt
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.keys.keys import KeyClass, KeyRef
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from likeness.store.objects import person_path
from tenants import credits, tenants

JOBS, ROWS, MANY_ROWS, OBJECTS, OBJECT_BYTES = 500, 500, 10_000, 40, 3_000_000


@jobs.actor(lane=Lane.GENERAL)
def nothing(attempt: Attempt, word: str) -> None:
    with attempt.finishing():
        pass


def measure() -> dict[str, Any]:
    """All figures, over an embedded PostgreSQL with fsync on."""
    home = Path(tempfile.mkdtemp(prefix="likeness-bench-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home / "postgres")
    try:
        server.start()
        migrate(server.url("likeness_owner"))
        kernel = assemble(Settings(home=home, database_url=server.url("likeness_app")))
        fingerprint.settle(kernel.db, kernel.keys)
        tenant = tenants.found(kernel, "Bench", employee_quota=20_000)
        other = tenants.found(kernel, "Bench too")
        with kernel.db.transaction(tenant) as session:
            credits.grant(session, 20_000, "bench")
        return {
            "jobs_in_one_thread": _jobs(kernel, tenant),
            "L5_L6_jobs_of_two_companies": two_companies.measure(kernel, tenant, other),
            "L1_import": _import(kernel, tenant, ROWS),
            "L2_import": _import(kernel, tenant, MANY_ROWS),
            "objects": _objects(kernel, tenant, home),
        }
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _jobs(kernel: Kernel, tenant: UUID) -> dict[str, float]:
    """Claim and finish in one thread, beside the durable commits that the same server can do."""
    with kernel.db.transaction(tenant) as session:
        ids = [jobs.send(session, nothing, f"n{number}") for number in range(JOBS)]
    ours = _seconds(lambda: [claims.work(kernel, job_id) for job_id in ids if job_id])

    def commits() -> None:
        for _ in range(JOBS):
            with kernel.db.transaction(PLATFORM) as session:
                session.execute(text("update tenant set created_at = created_at where id = :id"), {"id": tenant})

    bare = _seconds(commits)
    # Claiming and finishing are two transactions, so two commits are the least that a job can cost.
    return {"jobs_per_s": JOBS / ours, "commits_per_s": JOBS / bare, "ratio_to_limit": 2 * bare / ours}


def _import(kernel: Kernel, tenant: UUID, rows: int) -> dict[str, float]:
    """A roster from bytes to invited people, beside openpyxl only reading the same cells; then the same people in another
    department, as a list that comes again every year has them."""
    data, again = _roster(rows, "Sales"), _roster(rows, "Marketing")
    workbook.read(_roster(1, "Sales"), "warm.xlsx")
    read = _seconds(lambda: workbook.read(data, "roster.xlsx"))
    peer = _seconds(lambda: list(load_workbook(io.BytesIO(data), read_only=True).worksheets[0].iter_rows()))
    preview, commit, new = _imported(kernel, tenant, data)
    assert new.invited == rows
    preview_again, commit_again, corrected = _imported(kernel, tenant, again)
    assert corrected.updated == rows
    return {
        "rows": rows,
        "read_s": read,
        "openpyxl_s": peer,
        "ratio_read_to_openpyxl": read / peer,
        "preview_s": preview,
        "commit_with_invitations_s": commit,
        "preview_of_corrections_s": preview_again,
        "commit_of_corrections_s": commit_again,
    }


def _roster(rows: int, department: str) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Employee ID", "Full name", "E-mail", "Department"])
    for number in range(rows):
        sheet.append([f"E{rows}-{number}", f"Person Number {number}", f"person{number}.{rows}@bench.example", department])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _imported(kernel: Kernel, tenant: UUID, data: bytes) -> tuple[float, float, imports.ImportResult]:
    """Seconds of the preview and of the commit; each reads the file."""
    keys, objects, now = kernel.keys, kernel.objects, utc_now()
    started = time.perf_counter()
    with kernel.db.transaction(tenant) as session:
        batch, shown = imports.drop(session, keys, objects, data, "roster.xlsx", "Bench", None, uuid4(), now)
    dropped = time.perf_counter()
    with kernel.db.transaction(tenant) as session:
        result = imports.commit(
            session, keys, objects, batch.id, digest=shown.digest, invite=True, caller="bench", now=now
        )
    return dropped - started, time.perf_counter() - dropped, result


def _objects(kernel: Kernel, tenant: UUID, home: Path) -> dict[str, float]:
    """Durable, encrypted puts beside plain files with fsync."""
    person, data = uuid4(), bytes(OBJECT_BYTES)
    kernel.keys.open_or_create(KeyRef(tenant, person, KeyClass.PROFILE))
    key = kernel.keys.open_or_create(KeyRef(tenant, person, KeyClass.SOURCE))
    paths = [person_path(tenant, person, KeyClass.SOURCE, uuid4()) for _ in range(OBJECTS)]
    put = _seconds(lambda: [kernel.objects.put(path, data, key) for path in paths])

    def plain() -> None:
        for number in range(OBJECTS):
            with (home / f"plain-{number}").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    peer = _seconds(plain)
    megabytes = OBJECTS * OBJECT_BYTES / 1e6
    return {"put_mb_per_s": megabytes / put, "fsync_mb_per_s": megabytes / peer, "ratio_to_limit": peer / put}


def _seconds(act: Callable[[], Any]) -> float:
    """Wall-clock seconds of one run; most of what is measured here can be done once only."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started
