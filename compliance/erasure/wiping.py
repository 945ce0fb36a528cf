"""Leaves nothing of one person: what erasures do once, and again for whoever a restored backup brings back.

`wipe` takes what lies outside the database, the raw file of the person's batch too, and `wipe_rows` what lies in it.
"""

from __future__ import annotations

import logging
import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, Uuid, any_, cast, delete, literal, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Session, col, select

from batch.directory import groups
from batch.models import Batch, Employee
from batch.roster import listings, raw_workbooks
from compliance import holds
from compliance.erasure import tombstones
from compliance.erasure.tombstones import Tombstone
from compliance.models import Erasure
from compliance.scanning import files
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Unavailable
from likeness.identity import SignInLink, WebSession, end_sessions_of
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef, KeyUnavailable
from likeness.mail.mail import Mail
from likeness.store.storage import StoreSilent
from tenants.sso import identities
from tenants.sso.identities import Identity

log = logging.getLogger(__name__)

ANY_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")


class WipeIncomplete(Unavailable):
    """Something outside the database could not be deleted; everything else was, and a repetition may do the rest."""

    title = "Not everything is deleted yet"


def wipe(kernel: Kernel, tombstone: Tombstone, names: Iterable[str] = ()) -> int:
    """What is outside the database: tombstone, keys, objects, log lines; safe to repeat. Returns how many objects.
    `names` are those that rows named: a list of a bucket may be older than what is there.

    What cannot be deleted keeps nothing else from going. Raises `WipeIncomplete` at the end, also while the company's keys
    are away: they must not come back whole after a certificate.
    """
    tenant, owner = tombstone.tenant, tombstone.owner
    tombstones.write(kernel.settings.tombstones_path(), tombstone)
    troubles: list[Exception] = []
    deleted = 0
    for cls in KeyClass:
        with _going_on(troubles):
            kernel.keys.destroy(KeyRef(tenant, owner, cls), tombstone.at)
    with _going_on(troubles):
        deleted = kernel.objects.delete_prefix(f"tenants/{tenant}/employees/{owner}")
    for path in (f"tenants/{tenant}/employees/{owner}/{name}" for name in names):
        # A store that keeps its answers back is waited for twice: the next pass asks for the rest, and others wait.
        if sum(isinstance(one, StoreSilent) for one in troubles) > 1:
            break
        with _going_on(troubles):
            if kernel.objects.exists(path):
                kernel.objects.delete(path)
                deleted += 1
    with _going_on(troubles):  # Its own sweep tries again; meanwhile the re-scan finds the file.
        _wipe_workbook(kernel, tenant, owner, tombstone.at)
    for file in files.log_files(kernel):
        with _going_on(troubles), file.open("r+b") as opened:
            _blank(opened.fileno(), [str(owner).encode(), owner.hex.encode()])
    if troubles:
        raise WipeIncomplete from troubles[0]
    return deleted


def _wipe_workbook(kernel: Kernel, tenant: UUID, employee_id: UUID, now: datetime) -> None:
    """Where the company's own line about the person stays, it has another id by now, and the file stays for its day."""
    mine = (col(Employee.tenant_id) == tenant, col(Employee.id) == employee_id, col(Batch.workbook_id).is_not(None))
    of_person = (col(Batch.tenant_id) == col(Employee.tenant_id)) & (col(Batch.id) == col(Employee.batch_id))
    with kernel.db.transaction(tenant) as session:
        workbook_id = session.exec(select(Batch.workbook_id).join(Employee, of_person).where(*mine)).one_or_none()
    if workbook_id is not None:
        raw_workbooks.forget(kernel, tenant, workbook_id, now)


@contextmanager
def _going_on(troubles: list[Exception]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        troubles.append(error)


def _blank(file: int, needles: Sequence[bytes]) -> None:
    """Overwrites the id in place; the program goes on appending to the same file meanwhile."""
    try:
        words = mmap.mmap(file, 0)
    except ValueError:  # The file is empty.
        return
    with words:
        for needle in needles:
            while (at := words.find(needle)) >= 0:
                words[at : at + len(needle)] = b"-" * len(needle)
        words.flush()


def wipe_rows(session: Session, kernel: Kernel, employee_id: UUID, now: datetime, *, line_stays: bool = False) -> int:
    """What is in the database; everything under the person goes by cascade. Returns how many people there were.

    With `line_stays` the company's own line is entered again under the same number and stays in the directory's groups, and
    the company's own file stays for its day.
    """
    tenant = tenant_of(session)
    person = locked_person(session, employee_id)
    if person is not None and not line_stays:
        groups.forget(session, person.roster_id)
    try:
        holds.forget_words(session, kernel.keys, employee_id, now)
    except KeyUnavailable:  # Nobody can read them without the company's keys; an erasure waits for these before.
        log.exception("the words of a hold could not be deleted", extra={"tenant": str(tenant)})
    end_sessions_of(session, employee_id)
    identities.forget(session, employee_id)
    listings.forget(session, [employee_id])
    session.execute(delete(Mail).where(col(Mail.tenant_id) == tenant, col(Mail.owner_id) == employee_id))
    # One that is still on its way ends by itself; until then the re-scan finds it.
    session.execute(
        delete(Job).where(
            col(Job.tenant_id) == tenant,
            col(Job.state).in_((JobState.DONE, JobState.DEAD)),
            cast(col(Job.args), Text).contains(str(employee_id)) | col(Job.key).contains(str(employee_id)),
        )
    )
    gone = session.execute(
        delete(Employee)
        .where(col(Employee.tenant_id) == tenant, col(Employee.id) == employee_id)
        .returning(col(Employee.id))
    ).all()
    return len(gone)


def locked_person(session: Session, employee_id: UUID) -> Employee | None:
    return session.exec(
        select(Employee)
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == employee_id)
        .with_for_update()
    ).one_or_none()


def batch_of(session: Session, person: Employee) -> Batch | None:
    return session.exec(
        select(Batch).where(col(Batch.tenant_id) == person.tenant_id, col(Batch.id) == person.batch_id)
    ).one_or_none()


def replay_tombstones(kernel: Kernel) -> int:
    """Deletes again what a restored backup brought back; to be called before the first request is served.

    Every store is asked who is in it, for a company at a time, because a start must not take minutes where thousands
    were erased; whoever is found in any of them goes the whole way again. Returns how many people had come back. Raises
    `ValueError` when a tombstone cannot be read: then nothing is served.
    """
    laid: dict[UUID, list[Tombstone]] = {}
    for tombstone in tombstones.read_all(kernel.settings.tombstones_path()):
        laid.setdefault(tombstone.tenant, []).append(tombstone)
    in_logs = _in_logs(kernel) if laid else set()
    returned = [one for theirs in laid.values() for one in _returned(kernel, theirs, in_logs)]
    return sum(_replay(kernel, tombstone) for tombstone in returned)


def _returned(kernel: Kernel, theirs: Sequence[Tombstone], in_logs: set[UUID]) -> list[Tombstone]:
    """Those of one company's tombstones whose people are in any of the stores that `wipe` and `wipe_rows` empty."""
    tenant = theirs[0].tenant
    with kernel.db.transaction(tenant) as session:
        somewhere = _in_rows(session, {tombstone.owner for tombstone in theirs})
    somewhere |= in_logs | kernel.objects.people(tenant)
    return [
        tombstone
        for tombstone in theirs
        # A key folder from before the erasure has neither the key nor the mark that forbids a new one.
        if tombstone.owner in somewhere or _keys_came_back(kernel, tombstone)
    ]


def _keys_came_back(kernel: Kernel, tombstone: Tombstone) -> bool:
    try:
        return not kernel.keys.all_destroyed(tombstone.tenant, tombstone.owner)
    except KeyUnavailable:  # Nothing opens without them, and the start after their return looks again.
        log.warning("the keys of a company are away", extra={"tenant": str(tombstone.tenant)})
        return False


def _in_rows(session: Session, owners: set[UUID]) -> set[UUID]:
    tenant, wanted = tenant_of(session), literal(list(owners), ARRAY(Uuid()))
    found: set[UUID] = set()
    for table, column in (
        (Employee, Employee.id),
        (Mail, Mail.owner_id),
        (WebSession, WebSession.subject_id),
        (WebSession, WebSession.other_id),
        (Identity, Identity.person_id),
        (SignInLink, SignInLink.subject_id),
    ):
        held = select(col(column)).where(col(table.tenant_id) == tenant, col(column) == any_(wanted))
        found.update(one for one in session.exec(held) if one is not None)
    ended = (col(Job.tenant_id) == tenant, col(Job.state).in_((JobState.DONE, JobState.DEAD)))
    for args, key in session.exec(select(Job.args, Job.key).where(*ended)):
        found |= owners & _ids_in(" ".join([*args, key]).encode())
    return found


def _in_logs(kernel: Kernel) -> set[UUID]:
    found: set[UUID] = set()
    for file in files.log_files(kernel):
        if file.stat().st_size:  # An empty file cannot be mapped.
            with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as words:
                found |= _ids_in(words)
    return found


def _ids_in(words: bytes | mmap.mmap) -> set[UUID]:
    return {UUID(found[0].decode()) for found in ANY_ID.finditer(words)}


def _replay(kernel: Kernel, tombstone: Tombstone) -> bool:
    """Whether there was a row or an object to delete."""
    try:
        objects = wipe(kernel, tombstone)
    except WipeIncomplete:  # Without its key nobody can read it; the start of everybody's program does not hang on it.
        log.exception("what a backup brought back could not be deleted whole", extra={"tenant": str(tombstone.tenant)})
        objects = 1
    with kernel.db.transaction(tombstone.tenant) as session:
        came_back = bool(wipe_rows(session, kernel, tombstone.owner, utc_now()) or objects)
        if came_back:
            _record_replay(session, tombstone)
    return came_back


def _record_replay(session: Session, tombstone: Tombstone) -> None:
    # A backup that was made since may hold what this destroyed once more.
    mine = (col(Erasure.tenant_id) == tombstone.tenant, col(Erasure.id) == tombstone.id)
    session.execute(update(Erasure).where(*mine, col(Erasure.deleted_at).is_not(None)).values(deleted_at=utc_now()))
    # Objects may have come back without the company's row, which the ledger needs.
    if session.execute(text("select 1 from tenant where id = :id"), {"id": tombstone.tenant}).first():
        ledger.record(session, "erasure.replayed", subject=tombstone.owner, objects=[tombstone.id])
