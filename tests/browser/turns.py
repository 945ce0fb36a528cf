"""What happens beside the ordinary way, for the pages that tell of it: a no, another address, other people in photos, mails
that do not arrive, studio portraits, deletions that are late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from batch.models import Employee, Headshot, Invitation, Link, PhotoState, Release
from batch.people import employees
from batch.photos import intake, photos
from batch.pilots import pilots
from batch.roster import undoing
from batch.sittings import approvals, edits, headshots, sittings
from batch.vision.presets import Crop
from batch.visit import addresses, invitations
from compliance.models import Erasure
from compliance.rights import attending
from likeness.ground.db import utc_now
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Mail
from likeness.mail.smtp import MailOutcome
from tenants import looks, tenants
from tenants.models import CUTOUT, Role
from tests.factories import give_consent, make_batch, make_employee, make_member, make_tenant, run_jobs
from tests.handed_in import get_sitting, kept
from tests.pictures import drawn


@dataclass(frozen=True)
class Studio:
    """A company that offers studio portraits alone, and that is late with deleting."""

    batch: UUID
    headshot: UUID
    cookies: dict[str, str]
    crowded: str


def withdrawn(kernel: Kernel, person: Employee) -> str:
    """Somebody who handed in a photo, said no after all, and has the certificate; returns their cookie."""
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, person)
    intake.add(kernel, person.tenant_id, person.id, drawn(4, 1, 384)[0], utc_now())
    with kernel.db.transaction(person.tenant_id) as session:
        cookie = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
        attending.withdraw(session, person.id, utc_now())
    run_jobs(kernel, tenant=person.tenant_id, ahead=timedelta(minutes=2))
    return cookie


def asked_for_address(kernel: Kernel, person: Employee) -> str:
    """Another address was imported for somebody who has consented; returns the path of the question in their mail."""
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, person)
        moved = replace(
            employees.profile(kernel.keys, person), email="jonas.lindqvist-sommer@northlight-optics.example"
        )
        addresses.correct(session, kernel.keys, {person.id: moved}, utc_now(), caller=f"member:{uuid4()}")
    run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        for row in mail.mailbox(session):
            letter = mail.read(kernel.keys, row)
            if row.owner_id == person.id and letter and "/a/" in letter.text:
                return "/a/" + letter.text.split("/a/")[1].split()[0]
    raise AssertionError("no mail asks about the address")


def several_people(kernel: Kernel, person: Employee) -> None:
    """Photos of somebody and of two others, of whom nobody has said yet who is who, and one that was nearly the same."""
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, person)
    shots = (
        [(1, one) for one in drawn(11, 4, 384)] + [(2, one) for one in drawn(12, 2, 384)] + [(3, drawn(13, 1, 384)[0])]
    )
    for number, data in shots:
        photo = intake.add(kernel, person.tenant_id, person.id, data, utc_now())
        with kernel.db.transaction(person.tenant_id) as session:
            row = photos.get(session, person.id, photo.id)
            row.state, row.person, row.pose = PhotoState.ACCEPTED, number, "front"
    with kernel.db.transaction(person.tenant_id) as session:
        mine = photos.of(session, person.id)
        mine[3].twin_of = mine[2].id
        photos.sets.settle(mine)
        session.add_all(mine)


def mails_that_failed(session: Session, people: dict[UUID, tuple[MailOutcome, str]]) -> None:
    """The newest mail of each, as it is once a mail server has said no, said nothing, or was away."""
    now = utc_now()
    for employee_id, (outcome, code) in people.items():
        links = select(Link.mail_id).where(col(Link.employee_id) == employee_id)
        for letter in session.exec(select(Mail).where(col(Mail.id).in_(links))):
            letter.outcome, letter.code, letter.tried_at, letter.sent_at = (
                outcome,
                code,
                now - timedelta(minutes=9),
                None,
            )
            letter.handed_at = now - timedelta(minutes=9) if outcome == MailOutcome.UNKNOWN else None
            letter.failed_at = now if outcome in (MailOutcome.ADDRESS, MailOutcome.REFUSED) else None
        for invited in session.exec(select(Invitation).where(col(Invitation.employee_id) == employee_id)):
            invited.delivered_at = invited.opened_at = None
            invited.bounced_at = now if outcome in (MailOutcome.ADDRESS, MailOutcome.REFUSED) else None


def taken_back(session: Session, headshot: Headshot) -> None:
    """Released, downloaded by HR, taken back."""
    headshots.release(session, headshot.employee_id, [headshot.id], utc_now())
    given = session.exec(select(Release).where(col(Release.headshot_id) == headshot.id)).one()
    given.downloaded_at = utc_now() - timedelta(hours=3)
    session.flush()
    headshots.unrelease(session, headshot.employee_id, headshot.id, utc_now())


def studio(kernel: Kernel) -> Studio:
    tenant = make_tenant(kernel, name="Atelier Süd", recipes=[CUTOUT])
    hr = make_member(kernel, tenant, Role.OWNER, Role.HR, name="Paula Brecht")
    legal = make_member(kernel, tenant, Role.LEGAL, name="Lars Holm")
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, name="Studio portraits")
        asked, handing, waiting, choosing = (
            make_employee(session, kernel, batch=batch, full_name=name, department="Atelier", language=language)
            for name, language in (("Ines Roth", "en"), ("Uwe Kranz", "de"), ("Leo Abt", "en"), ("Maja Stein", "en"))
        )
        invitations.invite_all(session, [one.id for one in (asked, handing, waiting, choosing)], utc_now())
    run_jobs(kernel, tenant=tenant)
    for person in (handing, waiting, choosing):
        with kernel.db.transaction(tenant) as session:
            give_consent(session, kernel, person)
        for data in drawn(5, 8, 384)[:2]:
            photo = intake.add(kernel, tenant, person.id, data, utc_now())
            with kernel.db.transaction(tenant) as session:
                photos.get(session, person.id, photo.id).state = PhotoState.ACCEPTED
    with kernel.db.transaction(tenant) as session:
        sittings.submit(session, waiting.id, utc_now())
    made = _portraits(kernel, choosing)
    with kernel.db.transaction(tenant) as session:
        tenants.change_approval(session, approves=True, caller="test")
        headshots.release(session, choosing.id, [made[0].id, made[2].id], utc_now())
        approvals.ask_for_another(session, kernel.keys, made[0].shelf_id, "glare", utc_now(), caller=f"member:{hr.id}")
        late, kept = photos.of(session, choosing.id)
        for one in made:
            one.photo_id = kept.id
            session.add(one)
        session.flush()
        wider = Crop(closer=-1)
        edits.ask(session, kernel.objects, kernel.keys, choosing.id, made[1].id, utc_now(), crop=wider)
        late.due_at = utc_now() - timedelta(hours=5)
        session.add(late)
        session.add(Erasure(tenant_id=tenant, employee_id=uuid4(), trigger="retention", requested_by="system",
                            state="verifying", requested_at=utc_now() - timedelta(hours=2), failures=2))  # fmt: skip
        cookies = {
            "studio": start_session(session, Kind.MEMBER, hr.id, utc_now()),
            "studio-legal": start_session(session, Kind.MEMBER, legal.id, utc_now()),
            **{
                name: start_session(session, Kind.EMPLOYEE, person.id, utc_now())
                for name, person in (("studio-consent", asked), ("studio-photos", handing), ("studio-making", waiting),
                                     ("studio-choose", choosing))
            },
        }  # fmt: skip
    return Studio(batch.id, made[1].id, cookies, _crowded(kernel, tenant, hr.id))


def _crowded(kernel: Kernel, tenant: UUID, hr_id: UUID) -> str:
    """The path of a batch's page with all that can stand on it: tried with three people, copies to delete, the import
    can be undone and so can what was just asked for, a dozen mails failed, and nine people are not invited yet."""
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, name="Everything at once")
        people = [
            make_employee(session, kernel, batch=batch, full_name=f"Maximiliane von Hohenstein-Wartburg {number}",
                          email=f"maximiliane-{number}@atelier-sued.example")
            for number in range(24)
        ]  # fmt: skip
        pilots.begin(session, batch.id, [one.roster_id for one in people[:3]], utc_now(), caller=f"member:{hr_id}")
        invitations.invite_all(session, [one.id for one in people[3:15]], utc_now())
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, people[0])
    for data in drawn(5, 8, 384)[:2]:
        photo = intake.add(kernel, tenant, people[0].id, data, utc_now())
        with kernel.db.transaction(tenant) as session:
            photos.get(session, people[0].id, photo.id).state = PhotoState.ACCEPTED
    made = _portraits(kernel, people[0])
    with kernel.db.transaction(tenant) as session:
        taken_back(session, made[0])
        mails_that_failed(session, {one.id: (MailOutcome.REFUSED, "554 5.7.1") for one in people[3:15]})
        # Far ahead, so that it waits for as long as the page is looked at.
        later = utc_now() + timedelta(hours=1)
        act = undoing.ask_with_batch(session, "invite", batch.id, hr_id, later, caller=f"member:{hr_id}")
    return f"/desk/batches/{batch.id}?inviting=9&act={act}"


def _portraits(kernel: Kernel, person: Employee) -> list[Headshot]:
    """Three portraits, one of which asks the person to look closely."""
    with kernel.db.transaction(person.tenant_id) as session:
        sitting = sittings.submit(session, person.id, utc_now())
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
    with kernel.db.transaction(person.tenant_id) as session:
        held = get_sitting(session, sitting.id)
        allowed = looks.list_looks(session)
        made = [
            kept(session, kernel, held, allowed[number].id, number, data, 1)
            for number, data in enumerate(drawn(person.id.int % 1000, 3, 512))
        ]
        for one, question in zip(made, (None, "soft", None), strict=True):
            one.likeness_ratio, one.question, one.loosening = None, question, 1.05
        assert sittings.finish(session, sitting.id, fence)
    return made
