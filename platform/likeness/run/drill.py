"""The restore drill: puts a backup into an empty site, starts it as any start does, and says what stayed away.

The tombstones are today's, because that is what a real restore finds; everything else is the backup's. Nothing is served,
and the site is gone afterwards; that the drill took place stays on record, with its counts. Without a backup of your own
the drill makes one first, of an invented company.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID, uuid4

from sqlmodel import Session

import gpu_cluster.api  # noqa: F401 - the tables of every floor, as the program has them
from batch.models import Batch, Employee
from batch.people import employees
from batch.photos import decisions, intake, photos
from batch.roster import naming
from batch.sittings import sittings
from batch.visit import consents, notices
from compliance.erasure import erasures, replay
from compliance.models import Trigger
from likeness.evidence.outside import Drill, Outside
from likeness.ground.db import utc_now
from likeness.ground.lanes import Lane
from likeness.ground.settings import alone
from likeness.jobs import claims
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tenants import credits, tenants

PARTS = ("postgres", "objects", "keys", "signer")


def drill(backup: Path | None, tombstones: Path | None, record: Outside) -> Iterator[str]:
    """One sentence after the other. `backup` is a copy of a home: `postgres`, `objects` and `keys`. What became of it goes
    into `record`, when it went to its end.
    """
    own = backup is not None
    place = Path(mkdtemp(prefix="likeness-drill-"))
    place.chmod(0o755)
    try:
        if backup is None:
            yield "No backup was named, so an invented company is backed up first, and then things happen in it."
            backup, tombstones = _invented(place)
        site = place / "site"
        for part in PARTS:
            if (backup / part).is_dir():
                _copy(backup / part, site / part)
        if tombstones is not None and tombstones.is_dir():
            shutil.copytree(tombstones, site / "tombstones")
        with _started(site) as kernel:
            report = replay.after_restore(kernel)
            yield from _told(report)
            again = replay.after_restore(kernel)
            whole = not again.acts and not again.people
            yield f"A second start {'had nothing more to do' if whole else 'found more'}."
        record.keep_drill(Drill(utc_now(), own, len(report.acts), report.people, whole))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """With owners, because the database's files belong to a user of their own where the program runs as root."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("postmaster.pid", "lock"), symlinks=True)
    for path in (target, *target.rglob("*")):
        was = (source / path.relative_to(target)).lstat()
        os.chown(path, was.st_uid, was.st_gid, follow_symlinks=False)


def _told(report: replay.Report) -> Iterator[str]:
    yield f"Logs that were behind: {len(report.epochs)}; each goes on in a new epoch, and no number is used twice."
    for event, count in sorted(Counter(act.event for act in report.acts).items()):
        yield f"  {count} times {event.replace('.', ': ').replace('-', ' ')} was carried out again."
    yield f"People whose erasure the backup had undone, deleted again: {report.people}."
    yield f"Certificates that the backup did not hold, back with their receipts: {report.certificates}."


@contextmanager
def _started(home: Path) -> Iterator[Kernel]:
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    server = EmbeddedPostgres(home / "postgres")
    server.start()
    try:
        migrate(server.url("likeness_owner"))
        kernel = assemble(alone(home, database_url=server.url("likeness_app")))
        kernel.db.check()
        fingerprint.settle(kernel.db, kernel.keys)
        yield kernel
        kernel.db.close()
    finally:
        server.stop()


# An invented company


def _invented(place: Path) -> tuple[Path, Path]:
    home, backup = place / "home", place / "backup"
    with _started(home) as kernel:
        tenant = tenants.found(kernel, name="Harbour Drill", contact="privacy@drill.example", recipes=["cutout"])
        with kernel.db.transaction(tenant) as session:
            credits.grant(session, 10, "drill")
            batch = Batch(tenant_id=tenant, created_by=uuid4(), imported_at=utc_now())
            naming.first(session, kernel.keys, batch, "Drill", utc_now())
            session.flush()
            people = [_person(session, kernel, batch, name) for name in ("Ada Drill", "Bo Drill", "Cy Drill")]
        for one in people:
            intake.add(kernel, tenant, one, b"not a picture", utc_now())
    for part in PARTS:
        if (home / part).is_dir():
            _copy(home / part, backup / part)
    with _started(home) as kernel:
        _happen(kernel, tenant, people)
    return backup, home / "tombstones"


def _person(session: Session, kernel: Kernel, batch: Batch, name: str) -> UUID:
    one = uuid4()
    who = employees.EmployeeProfile(full_name=name, email=f"{one.hex[:8]}@drill.example", language="en")
    session.add(
        Employee(
            id=one,
            tenant_id=batch.tenant_id,
            batch_id=batch.id,
            row=2,
            email_index=employees.email_index(kernel.keys.index_key(batch.tenant_id), who.email),
            profile=who.sealed(kernel.keys.open_or_create(employees.profile_ref(batch.tenant_id, one))),
        )
    )
    session.flush()
    asked = list(consents.words(session, "en"))
    consents.give(session, kernel.keys, one, asked, notices.current(session, "en").id, name, utc_now())
    return one


def _happen(kernel: Kernel, tenant: UUID, people: list[UUID]) -> None:
    """What a restore would undo: one deletes a photo, one withdraws, one has everything deleted."""
    now = utc_now()
    first, second, third = people
    with kernel.db.transaction(tenant) as session:
        decisions.remove(session, kernel.objects, first, photos.of(session, first)[0].id)
        sittings.withdraw(session, second, now)
        erasures.request(session, third, trigger=Trigger.PERSON, requested_by=f"employee:{third}", now=now)
    while claims.work_next(kernel, Lane.PRIVACY):
        pass
