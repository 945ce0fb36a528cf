"""What an erasure's certificate will say: counted before anything is deleted, and put together when all of it is gone."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, SQLModel, col, select

from batch.models import Batch, Employee
from batch.people import employees
from batch.people.employees import EmployeeProfile
from batch.sittings import copies, headshots
from batch.visit import notices
from compliance import holds, stores
from compliance.erasure import rescan
from compliance.erasure.wiping import batch_of
from compliance.models import EVERYTHING, LEFT_BY, Erasure, Trigger
from compliance.proof import certificates, signing, whose
from compliance.scanning.traces import NameTraces, name_traces
from likeness import ledger, machines
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Gone
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, KeyClass, KeyRef, SealBroken
from likeness.locale.languages import ENGLISH
from likeness.locale.words import words as words_for
from likeness.mail import letters, mail
from likeness.mail.mail import Mail
from likeness.mail.smtp import MailOutcome
from tenants import tenants
from tenants.members import members
from tenants.webhooks.events import Event


def language(session: Session, kernel: Kernel, person: Employee) -> str:
    """What the certificate is written in: what the person reads; English when the profile cannot be read any more."""
    with suppress(Gone, SealBroken, KeyBroken):
        return employees.words(kernel.keys, person, tenants.get(session)).language
    return ENGLISH


WORKBOOKS_LAST = timedelta(days=1)
TAKEN_BACK = "asked on the desk when the person took it back"
BY_MAIL = "mail handed over"
ON_ITS_WAY = "the mail was still on its way"
STAYS = "not asked: on the announced day, what is still released stays with the company"


def traces(session: Session, kernel: Kernel, person: Employee) -> dict[str, Any]:
    batch = batch_of(session, person)
    samples: dict[str, str] = {}
    named: NameTraces = {}
    for ref in kernel.keys.refs(person.tenant_id, person.id):
        if kernel.keys.state(ref) == "live":
            # A damaged key file opens nothing any more; it must not keep everything else of the person.
            with suppress(KeyBroken):
                sealed = kernel.keys.open(ref).seal(b"must not open", rescan.SAMPLE_CONTEXT)
                samples[str(ref.cls)] = b64encode(sealed).decode()
    with suppress(Gone, SealBroken, KeyBroken):  # Without its keys nobody can say any more what the name was.
        name = employees.profile(kernel.keys, person).full_name
        named = name_traces(kernel.keys.index_key(person.tenant_id), name)
    return {
        **named,
        "since": person.created_at.timestamp(),
        "email_index": person.email_index.hex(),
        "workbooks": [str(batch.workbook_id)] if batch and batch.workbook_id else [],
        "samples": samples,
        "objects": _named_objects(session, person),
        "keys": [
            str(cls)
            for cls in KeyClass
            if kernel.keys.state(KeyRef(person.tenant_id, person.id, cls)) in ("live", "destroyed")
        ],
    }


def _named_objects(session: Session, person: Employee) -> list[str]:
    """Class and name of each object that a row of the person names."""
    found: list[str] = []
    for name in stores.naming_objects():
        table = SQLModel.metadata.tables[name]
        mine = (table.c.tenant_id == person.tenant_id, table.c.employee_id == person.id, table.c.path.is_not(None))
        paths = session.execute(table.select().with_only_columns(table.c.path).where(*mine)).scalars()
        found += (str(path).partition(f"/{person.id}/")[2] for path in paths)
    return found


def inform(session: Session, kernel: Kernel, erasure: Erasure) -> list[dict[str, Any]]:
    """Asks everybody who downloaded released headshots to delete their copies (GDPR article 19); who, when, which mail.

    A mail goes to the member who downloaded, or who made the key of the program that did, because nobody else knows where
    the copies are.
    """
    if erasure.trigger != Trigger.RETENTION:
        _tell_programs(session, erasure)
    downloads = [
        entry for entry in ledger.entries(session, subject=erasure.employee_id) if entry.event == "release.downloaded"
    ]
    if not downloads:
        return []
    if erasure.trigger == Trigger.RETENTION:
        return _stays(session, erasure.employee_id, downloads)
    with suppress(Gone, SealBroken, KeyBroken):
        who = employees.profile(kernel.keys, employees.get(session, erasure.employee_id))
        behind = {caller: member_behind(session, caller) for caller in {entry.caller for entry in downloads}}
        mails: dict[UUID | None, str | None] = {None: None}
        for member in {one for one in behind.values() if one is not None}:
            theirs = [entry for entry in downloads if behind[entry.caller] == member]
            mails[member] = write_to_recipient(
                session, kernel, "copies", member, who, theirs, campaign=str(erasure.id)
            )
        return [
            {
                "recipient": "the employer's desk",
                "at": certificates.moment(entry.at),
                "headshots": len(entry.objects),
                "mail": mails[behind[entry.caller]],
            }
            for entry in downloads
        ]
    return [
        {"recipient": "the employer's desk", "at": certificates.moment(entry.at), "headshots": len(entry.objects),
         "mail": None}
        for entry in downloads
    ]  # fmt: skip


def _tell_programs(session: Session, erasure: Erasure) -> None:
    """Programs that fetched what was released by themselves learn from their webhook that it is released no longer."""
    numbers = copies.shelf_ids(session, erasure.employee_id)
    for release in headshots.releases(session, erasure.employee_id):
        number = numbers[release.headshot_id]
        employees.tell_programs(
            session, Event.HEADSHOT_TAKEN_BACK, erasure.employee_id, utc_now(), headshot_id=number
        )


def member_behind(session: Session, caller: str) -> UUID | None:
    """Who knows where copies are that were downloaded: the member, or who made the key of the program that did."""
    kind, _, number = caller.rpartition(":")
    with suppress(ValueError):
        return machines.maker_of(session, UUID(number)) if kind == Kind.MACHINE else UUID(number)
    return None


def _stays(session: Session, employee_id: UUID, downloads: list[ledger.LedgerEntry]) -> list[dict[str, Any]]:
    """On the announced day nobody is asked: what is released stays with the company. What the person took back before was
    asked for on the desk at that time."""
    mine = copies.of(session, employee_id)
    asked_at = {str(one.headshot_id): certificates.moment(one.asked_at) for one in (*mine.asked, *mine.deleted)}
    found: list[dict[str, Any]] = []
    for entry in downloads:
        for asked, count in Counter(asked_at.get(str(one)) for one in entry.objects).items():
            said = {"recipient": "the employer's desk", "at": certificates.moment(entry.at), "headshots": count}
            found.append(said | {"mail": None} | ({"asked_at": asked} if asked else {}))
    return found


def write_to_recipient(
    session: Session,
    kernel: Kernel,
    template: str,
    member_id: UUID,
    who: EmployeeProfile,
    theirs: list[ledger.LedgerEntry],
    *,
    campaign: str,
) -> str | None:
    """The id of the mail to the member behind these downloads; None when they no longer work the desk."""
    try:
        member = members.active(session, member_id)
    except members.MemberMissing:
        return None
    tenant = tenants.get(session)
    reads = words_for(tenant.language, tenant.time_zone)
    letter = letters.letter(
        template,
        reads,
        members.profile(kernel.keys, member).email,
        name=who.full_name,
        count=reads.number(len({one for entry in theirs for one in entry.objects})),
        days=reads.listed([reads.day(at) for at in sorted({reads.date_of(entry.at) for entry in theirs})]),
        controller=tenant.name,
        colour=tenant.colour,
    )
    mail_id = mail.post(session, kernel.keys, member.id, letter, template=template, campaign=campaign)
    return str(mail_id) if mail_id else None


def being_informed(session: Session, erasure: Erasure) -> bool:
    """Whether a mail to a recipient is still on its way."""
    mails = _mails(session, erasure)
    return any(one.sent_at is None and one.failed_at is None for one in mails.values())


def _mails(session: Session, erasure: Erasure) -> dict[str, Mail]:
    wanted = {UUID(one["mail"]) for one in erasure.recipients if one.get("mail")}
    found = session.exec(select(Mail).where(col(Mail.tenant_id) == erasure.tenant_id, col(Mail.id).in_(wanted)))
    return {str(one.id): one for one in found}


def settle(session: Session, erasure: Erasure, now: datetime) -> bool:
    """Notes whom a mail has reached since, and whether everybody is informed or excused now.

    On the announced day nobody is asked, and when a company leaves, it is the company itself that wants all of it deleted
    and has nobody left here who could be asked afterwards.
    """
    mails = _mails(session, erasure)
    noted = [_noted(one, mails.get(one.get("mail") or "")) for one in erasure.recipients]
    if noted != erasure.recipients:
        erasure.recipients = noted
    nobody = erasure.trigger in (Trigger.RETENTION, Trigger.TENANT_EXIT)
    if erasure.recipients_settled_at is None and (nobody or all(_settled(one) for one in noted)):
        erasure.recipients_settled_at = now
    session.add(erasure)
    return erasure.recipients_settled_at is not None


def unreached(erasure: Erasure) -> bool:
    """Whether somebody who has copies is neither informed nor excused, and no mail to them is on its way."""
    return erasure.recipients_settled_at is None and not all(written_to(one) for one in erasure.recipients)


def written_to(recipient: Mapping[str, Any]) -> bool:
    return _settled(recipient) or bool(recipient.get("mail"))


def _settled(recipient: Mapping[str, Any]) -> bool:
    return any(recipient.get(how) for how in ("informed_at", "asked_at", "excuse"))


def _noted(recipient: dict[str, Any], sent: Mail | None) -> dict[str, Any]:
    if _settled(recipient) or not recipient.get("mail"):
        return recipient
    if sent is not None and sent.sent_at is not None:
        return recipient | {"informed_at": certificates.moment(sent.sent_at), "how": BY_MAIL}
    if sent is not None and sent.outcome == MailOutcome.UNKNOWN:
        return recipient | {"mail": None, "why": "the mail server did not say whether it took the mail"}
    if sent is None or sent.failed_at is not None:
        return recipient | {"mail": None, "why": "the mail could not be delivered"}
    return recipient


def told(session: Session, erasure: Erasure) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Who was informed, as far as this program can see it, and who was not."""
    mails = _mails(session, erasure)
    informed, not_informed = [], []
    for one in (_noted(one, mails.get(one.get("mail") or "")) for one in erasure.recipients):
        said = {"recipient": one["recipient"], "downloaded_at": one["at"], "headshots": one["headshots"]}
        if one.get("asked_at"):
            informed.append(said | {"informed_at": one["asked_at"], "how": TAKEN_BACK})
        elif one.get("informed_at"):
            # What legal says that it did is no finding of this program.
            by = {} if one["how"] == BY_MAIL else {"attested_by": "the controller"}
            informed.append(said | {"informed_at": one["informed_at"], "how": one["how"]} | by)
        elif erasure.trigger == Trigger.RETENTION:
            not_informed.append(said | {"why": STAYS})
        elif one.get("excuse"):
            not_informed.append(said | {"why": f"excused: {one['excuse']}"})
        elif one.get("mail"):
            not_informed.append(said | {"why": ON_ITS_WAY})
        else:
            why = "the member who downloaded no longer works the desk"
            not_informed.append(said | {"why": one.get("why") or why})
    return informed, not_informed


def case(
    session: Session, kernel: Kernel, erasure: Erasure, certificate_id: UUID, logged: dict[str, Any], now: datetime
) -> certificates.Case:
    tenant = tenants.get(session)
    deleted_at = erasure.deleted_at or now
    index_key = kernel.keys.index_key(erasure.tenant_id)
    refs = [KeyRef(erasure.tenant_id, erasure.employee_id, KeyClass(cls)) for cls in erasure.traces.get("keys", [])]
    informed, not_informed = told(session, erasure)
    return certificates.Case(
        id=str(certificate_id),
        stage=1,
        issued_at=now,
        controller=tenant.name,
        processor=kernel.settings.operator or certificates.PROCESSOR,
        terms={
            "source_days": tenant.source_days, "headshot_days": tenant.headshot_days,
            "notice_version": notices.version(tenant),
        },
        instance=kernel.settings.public_url,
        software=f"likeness {version('likeness')}",
        subject_ref=whose.subject_ref(kernel.keys, erasure.tenant_id, erasure.employee_id),
        request_ref=str(erasure.id),
        trigger=erasure.trigger,
        requested_at=erasure.requested_at,
        deleted_at=deleted_at,
        classes={name: _class(name, found, deleted_at) for name, found in erasure.counts.items()},
        keys=[
            {
                "id": whose.keyed(index_key, f"key|{ref}"),
                "class": str(ref.cls),
                "destroyed_at": certificates.moment(destroyed_at),
            }
            for ref in refs
            if (destroyed_at := kernel.keys.destroyed_at(ref)) is not None
        ],
        informed=informed,
        not_informed=not_informed,
        backup_days=kernel.settings.backup_days,
        holds=[
            {
                "basis": hold.basis,
                "from": certificates.moment(hold.confirmed_at),
                "until": certificates.moment(hold.lifted_at or hold.expires_at),
            }
            for hold in holds.told(session, erasure.employee_id)
            if hold.confirmed_at
        ],
        ledger=logged,
        residuals=residuals(session, kernel, erasure, now),
        kept=_kept(erasure),
        scope=erasure.scope,
        subject_commitment=erasure.subject_commitment,
        sealed_by=signing.sealed_by(kernel, now),
    )


def _class(name: str, found: dict[str, Any], deleted_at: datetime) -> dict[str, Any]:
    if not found["objects"]:
        return {**found, "deleted_at": None, "method": "there was nothing of this class", "nist_800_88": None}
    sealed = name != "records"
    return {
        **found,
        "deleted_at": certificates.moment(deleted_at),
        "method": "deleted, and its key destroyed" if sealed else "deleted",
        "nist_800_88": "Purge (cryptographic erase)" if sealed else "Clear",
    }


def _kept(erasure: Erasure) -> list[str]:
    if erasure.scope != EVERYTHING:
        return ["everything else of the person, until its own last day"]
    return {
        Trigger.WITHDRAWAL.value: [
            "the employer's own line about the person, marked as opted out", "messages to the personnel department",
        ],
        Trigger.ADDRESS.value: ["the employer's own line about the person, with the new address"],
    }.get(erasure.trigger, [])


def residuals(session: Session, kernel: Kernel, erasure: Erasure, now: datetime) -> list[dict[str, Any]]:
    """What is not gone yet, beside backups, with the day on which it is."""
    found: list[dict[str, Any]] = []
    latest = session.exec(
        select(func.max(col(Batch.workbook_due_at))).where(
            col(Batch.tenant_id) == tenant_of(session), col(Batch.workbook_id).is_not(None)
        )
    ).one()
    # Workbooks of groups that were imported later never knew this person.
    if latest and latest > now and erasure.scope == EVERYTHING and now - (erasure.deleted_at or now) < WORKBOOKS_LAST:
        lists = "the company's list" if erasure.trigger in LEFT_BY else "other batches"
        found.append({"what": f"raw workbooks of {lists}, sealed", "until": certificates.moment(latest)})
    if not kernel.objects.versions_purged():
        found.append({"what": "older versions in the object store, without their key", "until": None})
    return found
