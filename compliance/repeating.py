"""What each act does again that narrowed something and that a restored backup does not know of.

Only ever less: whatever was added since then, a role for instance, is given anew by who may give it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Table, delete, func, update
from sqlmodel import Session, SQLModel, col, select

from batch.models import (
    AddressChange,
    Consent,
    Employee,
    Headshot,
    Invitation,
    Link,
    PhotoState,
    Release,
)
from batch.people import held
from batch.photos import decisions, digests
from batch.sittings import copies, narrowing, resemblance, sittings
from batch.visit import addresses, consents
from compliance import departed, holds
from compliance.models import Departure, Hold
from likeness import machines
from likeness.evidence.outside import Act
from likeness.ground.db import tenant_of, utc_now
from likeness.identity import end_sessions_of
from likeness.kernel import Kernel
from tenants import tenants
from tenants.models import Member
from tenants.sso import identities
from tenants.webhooks.endpoints import Endpoint

UNKNOWN = PhotoState.CHECKING.value
"""Of a photo whose state before is not kept outside, because `catch_up` took the act from the log: it is checked anew."""


def _ids(act: Act) -> list[UUID]:
    return [UUID(one) for one in act.objects]


def _delete(session: Session, kernel: Kernel, act: Act, *, table: str) -> None:
    """Rows with their objects; what was kept of them in the meantime by the same restore included."""
    rows: Table = SQLModel.metadata.tables[table]
    gone = session.execute(
        rows.delete()
        .where(rows.c.tenant_id == tenant_of(session), rows.c.id.in_(_ids(act)))
        .returning(rows.c.path)
    ).scalars()
    for path in gone:
        if path:
            kernel.objects.delete(path)


def _remove(session: Session, kernel: Kernel, act: Act, *, table: str) -> None:
    """What a person deleted themselves. Where a hold keeps it, it is used for nothing, and goes when the hold ends."""
    rows: Table = SQLModel.metadata.tables[table]
    if not any(held.covers(session, table, one, utc_now()) for one in _ids(act)):
        _delete(session, kernel, act, table=table)
        return
    gone: dict[str, Any] = {"due_at": func.least(rows.c.due_at, act.at)}
    if "removed_at" in rows.c:
        gone |= {"removed_at": act.at, "state": PhotoState.REJECTED}
    for one in _ids(act):
        new = {"digest": digests.of_none()} if "digest" in rows.c else {}
        session.execute(rows.update().where(rows.c.tenant_id == tenant_of(session), rows.c.id == one).values(gone | new))


def _not_me(session: Session, kernel: Kernel, act: Act) -> None:
    """It goes again, and what is made afterwards has to be liker again."""
    mine = (col(Headshot.tenant_id) == tenant_of(session), col(Headshot.id).in_(_ids(act)))
    there = session.exec(select(Headshot).where(*mine)).all()
    for headshot in there:
        resemblance.note(session, headshot, act.at)
    if not there and act.subject is not None and "sealed" in act.facts:
        resemblance.note_again(session, kernel.keys, act.subject, act.facts["sealed"], act.at)
    session.flush()
    _remove(session, kernel, act, table="headshot")


def _let_photo_go(session: Session, kernel: Kernel, act: Act) -> None:
    for one in _ids(act):
        decisions.remove_again(session, one, act.facts.get("was", UNKNOWN), utc_now())


def _keep_photo(session: Session, kernel: Kernel, act: Act) -> None:
    for one in _ids(act):
        decisions.keep_again(session, one, act.facts.get("was", UNKNOWN))


def _revoke_key(session: Session, kernel: Kernel, act: Act) -> None:
    for one in _ids(act):
        machines.revoke(session, act.at, key_id=one)


def _opt_out(session: Session, kernel: Kernel, act: Act) -> None:
    """Whatever was agreed to before that moment is withdrawn; who agreed again afterwards is asked again."""
    mine = (col(Consent.tenant_id) == tenant_of(session), col(Consent.employee_id) == act.subject)
    still = (col(Consent.withdrawn_at).is_(None), col(Consent.given_at) <= act.at)
    session.execute(update(Consent).where(*mine, *still).values(withdrawn_at=act.at))
    if act.subject is not None:
        consents.end_sittings(session, act.subject)
    _note(session, act, "opted_out_at")


def _stop(session: Session, kernel: Kernel, act: Act) -> None:
    _note(session, act, "restricted_at")


def _note(session: Session, act: Act, what: str) -> None:
    """On the person, unless it is there already."""
    column = col(getattr(Employee, what))
    mine = (col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == act.subject)
    session.execute(update(Employee).where(*mine, column.is_(None)).values({column: act.at}))


def _take_back(session: Session, kernel: Kernel, act: Act) -> None:
    for release in session.exec(
        select(Release).where(col(Release.tenant_id) == tenant_of(session), col(Release.headshot_id).in_(_ids(act)))
    ).all():
        copies.ask_back(session, release, act.at)
        session.delete(release)
    session.flush()


def _revoke(session: Session, kernel: Kernel, act: Act) -> None:
    ended = session.execute(
        update(Invitation)
        .where(
            col(Invitation.tenant_id) == tenant_of(session),
            col(Invitation.id).in_(_ids(act)),
            col(Invitation.revoked_at).is_(None),
        )
        .values(revoked_at=act.at)
        .returning(col(Invitation.employee_id))
    ).scalars()
    for person in list(ended):
        session.execute(delete(Link).where(col(Link.tenant_id) == tenant_of(session), col(Link.employee_id) == person))
        end_sessions_of(session, person)


def _run_out(session: Session, kernel: Kernel, act: Act) -> None:
    _note(session, act, "opted_out_at")


def _disable(session: Session, kernel: Kernel, act: Act) -> None:
    session.execute(
        update(Member)
        .where(
            col(Member.tenant_id) == tenant_of(session), col(Member.id).in_(_ids(act)), col(Member.disabled_at).is_(None)
        )
        .values(disabled_at=act.at)
    )
    for one in _ids(act):
        end_sessions_of(session, one)


def _hold(session: Session, kernel: Kernel, act: Act) -> None:
    """As it was confirmed. Its reference and reason are words, which are not kept outside the database."""
    facts = act.facts
    hold = session.exec(
        select(Hold).where(col(Hold.tenant_id) == tenant_of(session), col(Hold.id).in_(_ids(act)))
    ).one_or_none()
    if not facts:  # Taken from the log by `catch_up`, which has ids alone.
        return
    if hold is None and act.subject is not None:
        hold = Hold(
            id=_ids(act)[0],
            tenant_id=tenant_of(session),
            employee_id=act.subject,
            basis=facts["basis"],
            placed_by=UUID(facts["placed_by"]),
            placed_at=datetime.fromisoformat(facts["placed_at"]),
            expires_at=datetime.fromisoformat(facts["expires_at"]),
            **holds.scope_of(facts),
        )
    if hold is not None:
        hold.confirmed_by, hold.confirmed_at = UUID(facts["confirmed_by"]), act.at
        session.add(hold)
        session.flush()


def _lift(session: Session, kernel: Kernel, act: Act) -> None:
    session.execute(
        update(Hold)
        .where(col(Hold.tenant_id) == tenant_of(session), col(Hold.id).in_(_ids(act)), col(Hold.lifted_at).is_(None))
        .values(lifted_at=act.at)
    )


def _left(session: Session, kernel: Kernel, act: Act) -> None:
    """The directory said that somebody left; it may never say so again, and their last day has to come all the same."""
    day = act.facts.get("leaves_at")  # `catch_up` takes from the log, which has ids alone.
    leaves_at = datetime.fromisoformat(day) if day else act.at + timedelta(days=tenants.get(session).leaver_days)
    _set_last_day(session, act, leaves_at)


def _back(session: Session, kernel: Kernel, act: Act) -> None:
    _set_last_day(session, act, None)


def _set_last_day(session: Session, act: Act, leaves_at: datetime | None) -> None:
    session.execute(
        update(Employee)
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == act.subject)
        .values(leaves_at=leaves_at)
    )


def _call_off(session: Session, kernel: Kernel, act: Act) -> None:
    """A company that stays is not deleted because a backup still knows that it was to go."""
    mine = (col(Departure.tenant_id) == tenant_of(session), col(Departure.id).in_(_ids(act)))
    waits = (col(Departure.called_off_at).is_(None), col(Departure.begun_at).is_(None))
    session.execute(update(Departure).where(*mine, *waits).values(called_off_at=act.at))


def _leave(session: Session, kernel: Kernel, act: Act) -> None:
    """The company left, and whatever a backup brought back of it goes again; its receipt leads on."""
    departed.wipe_rows(session)
    departed.wipe(kernel, act.tenant, act.at)
    departed.leave(session, act.at)
    if act.facts:
        facts = {"id": act.objects[0], "ended_at": act.at.isoformat(), **act.facts}
        departure = departed.again(session, facts)
        if "jws" in facts:  # Certificates lie beside the acts since; `replay` gives them back.
            departed.put_back(session, kernel, departure, facts["jws"])


def _narrow(session: Session, kernel: Kernel, act: Act) -> None:
    """One purpose that was taken back alone."""
    mine = (col(Consent.tenant_id) == tenant_of(session), col(Consent.id).in_(_ids(act)))
    ended = select(Consent.employee_id, Consent.purpose).where(*mine, col(Consent.withdrawn_at).is_(None)).distinct()
    # Under several notices a purpose stands several times, and goes at once.
    for person, purpose in session.exec(ended).all():
        if not narrowing.withdraw_one(session, person, purpose, act.at):
            sittings.withdraw(session, person, act.at)


def _end_change(session: Session, kernel: Kernel, act: Act, *, outcome: str) -> None:
    """Who said that an address is not theirs is not asked again by a link that a backup brought back."""
    mine = (col(AddressChange.tenant_id) == tenant_of(session), col(AddressChange.id).in_(_ids(act)))
    ended = update(AddressChange).where(*mine, col(AddressChange.ended_at).is_(None))
    session.execute(ended.values(ended_at=act.at, outcome=outcome))


def _members(session: Session, act: Act) -> list[Member]:
    mine = (col(Member.tenant_id) == tenant_of(session), col(Member.id).in_(_ids(act)))
    return list(session.exec(select(Member).where(*mine, col(Member.disabled_at).is_(None))))


def _take_roles(session: Session, kernel: Kernel, act: Act) -> None:
    """What they hold is at most what they were left with; whoever has nothing then is let back by an owner."""
    left = act.facts.get("roles", "").split()  # `catch_up` takes from the log, which has ids alone.
    for member in _members(session, act):
        kept = [role for role in member.roles if role in left]
        if kept == member.roles:
            continue
        if kept:
            member.roles = kept
        else:
            member.disabled_at = act.at
        session.add(member)
        end_sessions_of(session, member.id)


def _bind(session: Session, kernel: Kernel, act: Act) -> None:
    """They see nobody until an owner says again whom: departments are words, which are not kept outside."""
    for member in _members(session, act):
        member.departments = []
        session.add(member)


def _remove_webhook(session: Session, kernel: Kernel, act: Act) -> None:
    session.execute(delete(Endpoint).where(col(Endpoint.tenant_id) == tenant_of(session), col(Endpoint.id).in_(_ids(act))))


def _disconnect(session: Session, kernel: Kernel, act: Act) -> None:
    """An account lets nobody in whom it was parted from; they are connected anew by a link."""
    for one in _ids(act):
        identities.forget(session, one)
        end_sessions_of(session, one)


def _suspend(session: Session, kernel: Kernel, act: Act) -> None:
    tenant = tenants.get(session)
    tenant.suspended_at = tenant.suspended_at or act.at
    session.add(tenant)


def _resume(session: Session, kernel: Kernel, act: Act) -> None:
    tenant = tenants.get(session)
    tenant.suspended_at = None
    session.add(tenant)


def _shorten(session: Session, kernel: Kernel, act: Act) -> None:
    """The terms are as short as they were; retention carries them to what is stored."""
    tenant = tenants.get(session)
    for name in ("source_days", "headshot_days"):
        setattr(tenant, name, min(getattr(tenant, name), int(act.facts.get(name, getattr(tenant, name)))))
    session.add(tenant)


REPEAT: Mapping[str, Callable[[Session, Kernel, Act], None]] = {
    "address.refused": partial(_end_change, outcome=addresses.REFUSED),
    "address.taken-back": partial(_end_change, outcome=addresses.TAKEN_BACK),
    "consent.declined": _opt_out,
    "consent.narrowed": _narrow,
    "consent.withdrawn": _opt_out,
    "departure.called-off": _call_off,
    "directory.back": _back,
    "directory.left": _left,
    "headshot.expired": partial(_delete, table="headshot"),
    "headshot.not-me": _not_me,
    "headshot.removed": partial(_remove, table="headshot"),
    "hold.confirmed": _hold,
    "hold.lifted": _lift,
    "identity.forgotten": _disconnect,
    "invitation.ran-out": _run_out,
    "invitation.revoked": _revoke,
    "key.revoked": _revoke_key,
    "member.bound": _bind,
    "member.changed": _take_roles,
    "member.disabled": _disable,
    "photo.expired": partial(_delete, table="photo"),
    "photo.kept": _keep_photo,
    "photo.leaving": _let_photo_go,
    "photo.removed": partial(_remove, table="photo"),
    "processing.stopped": _stop,
    "release.taken-back": _take_back,
    "tenant.changed": _shorten,
    "tenant.left": _leave,
    "tenant.resumed": _resume,
    "tenant.suspended": _suspend,
    "upload.forgotten": partial(_delete, table="upload"),
    "webhook.removed": _remove_webhook,
    "weights.expired": partial(_delete, table="weights"),
}
