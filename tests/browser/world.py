"""A small company that has got somewhere, served on this machine: what browsers look at in tests and screenshots."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import openpyxl
from sqlalchemy import update
from sqlmodel import Session, col, select

from batch.models import Employee, Headshot, Invitation, Link, Photo, PhotoState
from batch.photos import intake, photos
from batch.sittings import headshots, sittings
from batch.sittings.runs import Run, RunState, Weights
from batch.visit import concerns, invitations
from compliance.erasure import receipts
from compliance.models import Certificate, Erasure, Hold, Pulse
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.lanes import Lane
from likeness.identity import Kind, make_link, start_session
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.smtp import MailOutcome
from likeness.run.serving import server
from likeness.web.guards import cookie_name
from tenants import looks, packs
from tenants.members import members, programs
from tenants.models import CUTOUT, Member, Role
from tests.browser.turns import (
    Studio,
    asked_for_address,
    mails_that_failed,
    several_people,
    studio,
    taken_back,
    withdrawn,
)
from tests.factories import give_consent, make_batch, make_employee, make_member, make_tenant, run_jobs
from tests.handed_in import get_sitting, kept
from tests.pictures import beside as side_by_side
from tests.pictures import drawn

PEOPLE = (
    ("Nadia Ümit", "Design"), ("Zoë van der Berg", "Design"), ("José Núñez", "Sales"), ("ليلى حداد", "Finance"),
    ("Anna-Lena Grünewald", "Engineering"), ("Owen O'Brien", "Engineering"), ("李 小龙", "Engineering"),
    ("Priya Raghunathan", "Sales"), ("Tomáš Dvořák", "Finance"), ("Ifeoma Okafor", "Operations"),
    ("Sæunn Þórsdóttir", "Operations"), ("Maximilian Freiherr von Hohenstein-Wartburg", "Legal"),
    ("Aiko Tanaka", "Design"), ("Lucía Fernández", "Sales"), ("Jonas Lind", "Engineering"), ("Mira Patel", "Finance"),
    ("Kwame Mensah", "Operations"), ("Ewa Nowak", "Legal"), ("Chloé Dubois", "Design"), ("Ravi Shah", "Engineering"),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Ids, and the cookies of one person of each kind."""

    kernel: Kernel
    address: str
    tenant: UUID
    batch: UUID
    empty_tenant: UUID
    cookies: dict[str, str]
    link: str
    gone: str
    headshot: UUID
    another: UUID
    sign_in: str
    address_question: str
    studio: Studio
    person: UUID
    look: UUID


@contextmanager
def served(kernel: Kernel) -> Iterator[str]:
    """The application over real HTTP, in a thread; yields its address."""
    running = server(kernel, host="127.0.0.1", port=0)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        thread.join(0.05)
        assert thread.is_alive(), "the web server did not start"
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join(10)


def build(kernel: Kernel, address: str) -> World:
    tenant, empty = (
        make_tenant(kernel, name="Northlight Optics", recipes=["portrait-small", CUTOUT]),
        make_tenant(kernel, name="Still Empty", with_credits=0),
    )
    hr = make_member(kernel, tenant, Role.OWNER, Role.HR)
    legal = make_member(kernel, tenant, Role.OWNER, Role.LEGAL, name="Ruth Adeyemi")
    lena = _team(kernel, tenant, hr)
    empty_hr, empty_legal = make_member(kernel, empty, Role.OWNER, Role.HR), make_member(kernel, empty, Role.LEGAL)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, name="Autumn 2026", imported_at=utc_now() - timedelta(minutes=4))
        people = [
            make_employee(session, kernel, batch=batch, full_name=name, department=department,
                          email=f"person{number}@northlight.example", language="de" if number in (4, 16) else "en")
            for number, (name, department) in enumerate(PEOPLE)
        ]  # fmt: skip
        invitations.invite_all(session, [person.id for person in people[:-2]], utc_now())
        packs.add(session, "Workshop", [look.id for look in looks.list_looks(session)[:2]], caller="member:x")
    run_jobs(kernel, tenant=tenant)
    cookies = {"withdrawn": withdrawn(kernel, people[17])}
    address_question = asked_for_address(kernel, people[14])
    several_people(kernel, people[16])
    nadia, zoe, jose, laila, anna, owen, li = people[:7]
    for person in (nadia, zoe, jose, laila, owen, li, people[8]):
        _consented(kernel, person)
    _some_photos(kernel, nadia)
    for person in (zoe, jose, laila, li):
        _good_photos(kernel, person, 8 if person is zoe else 6)
    _good_photos(kernel, people[8], 6)
    made = _headshots(kernel, zoe)
    _training(kernel, jose)
    _failed(kernel, laila)
    _given_up(kernel, laila)
    others = _headshots(kernel, li)
    with kernel.db.transaction(tenant) as session:
        headshots.release(session, li.id, [headshots.of(session, li.id, utc_now())[0].id], utc_now())
        headshots.release(session, zoe.id, [made[1].id], utc_now())
        headshots.favourite(session, zoe.id, made[0].id, utc_now())
        taken_back(session, others[1])
        _places(session, people[7:])
        mails_that_failed(session, {
            people[7].id: (MailOutcome.ADDRESS, "550 5.1.1"), people[10].id: (MailOutcome.AWAY, ""),
            anna.id: (MailOutcome.REFUSED, "554 5.7.1"), people[15].id: (MailOutcome.UNKNOWN, ""),
        })  # fmt: skip
        gone = _legal(session, kernel, tenant, legal, lena)
        for name, days in (("Payroll", 365), ("Old intranet", 10), ("Directory", None)):
            programs.make(session, hr, name, ["people.read", "headshots.read"], utc_now(), days=days)
        said = "The blue backdrop makes my hair look cut off. Can I have another one?"
        concerns.write(session, kernel.keys, zoe.id, "hr", "/visit/headshots", said, address, utc_now())
        concerns.write(session, kernel.keys, zoe.id, "legal", "", "Who has opened my page?", address, utc_now())
    with kernel.db.transaction(tenant) as session:
        # A second link is refused for two minutes, and the pages are opened sooner.
        earlier = utc_now() - timedelta(hours=1)
        session.execute(update(Link).where(col(Link.tenant_id) == tenant).values(created_at=earlier))
        mailed = (col(Invitation.tenant_id) == tenant, col(Invitation.reminded_at).is_not(None))
        session.execute(update(Invitation).where(*mailed).values(reminded_at=earlier))
        sign_in = make_link(session, Kind.MEMBER, hr.id, utc_now())
        cookies |= {
            "hr": start_session(session, Kind.MEMBER, hr.id, utc_now()),
            "legal": start_session(session, Kind.MEMBER, legal.id, utc_now()),
            **{
                name: start_session(session, Kind.EMPLOYEE, person.id, utc_now())
                for name, person in (("photos", nadia), ("choose", zoe), ("making", jose), ("failed", laila),
                                     ("consent", people[12]), ("german", anna), ("declined", people[9]),
                                     ("few", owen), ("who", people[16]), ("asked", people[14]), ("enough", people[8]))
            },
        }  # fmt: skip
    with kernel.db.transaction(empty) as session:
        cookies["empty"] = start_session(session, Kind.MEMBER, empty_hr.id, utc_now())
        cookies["empty-legal"] = start_session(session, Kind.MEMBER, empty_legal.id, utc_now())
    with kernel.db.transaction(PLATFORM) as session:
        operator = members.invite_member(
            session, kernel.keys, f"{uuid4().hex[:8]}@localhost.example", "Operator", [Role.OPERATOR]
        )
        cookies["operator"] = start_session(session, Kind.OPERATOR, operator.id, utc_now())
        for hours in range(1, 150):
            waited = {str(lane): float((hours * 7 + len(lane)) % 23 + 900 * (hours == 60)) for lane in Lane}
            at = utc_now() - timedelta(hours=hours)
            session.add(Pulse(tenant_id=PLATFORM, at=at, waited=waited, late_seconds=4 * (hours % 5)))
    beside = studio(kernel)
    return World(
        kernel, address, tenant, batch.id, empty, cookies | beside.cookies, _link(kernel, people[13]), gone, made[0].id,
        made[2].id, sign_in, address_question, beside, zoe.roster_id, made[0].look_id,
    )  # fmt: skip


def cookie_of(world: World, name: str) -> dict[str, Any]:
    return {"name": cookie_name(world.kernel.settings), "value": world.cookies[name], "url": world.address}


def _consented(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, person)


def _some_photos(kernel: Kernel, person: Employee) -> None:
    """One photo of each state."""
    shots = drawn(3, 6, 640)
    states: list[tuple[bytes, PhotoState, dict[str, str] | None]] = [
        (shots[0], PhotoState.ACCEPTED, None),
        (shots[1], PhotoState.ACCEPTED, None),
        (shots[2], PhotoState.ACCEPTED, None),
        (shots[3], PhotoState.ADVISED, {"message": "This photo is very dark.", "action": "Turn towards a window"}),
        (side_by_side(shots[4], drawn(8, 1, 640)[0]), PhotoState.CHOOSING,
         {"message": "There are several people in this photo.", "action": "Tap your own face"}),
        (b"no picture", PhotoState.REJECTED,
         {"message": "We could not find a face in this photo.", "action": "Take one facing the camera"}),
        (shots[5], PhotoState.CHECKING, None),
    ]  # fmt: skip
    for data, state, finding in states:
        _photo(kernel, person, data, state, finding)


def _good_photos(kernel: Kernel, person: Employee, count: int) -> None:
    # The same for everybody: nobody sees another's, and drawing them takes seconds.
    for data in drawn(5, 8, 384)[:count]:
        _photo(kernel, person, data, PhotoState.ACCEPTED, None)


def _photo(kernel: Kernel, person: Employee, data: bytes, state: PhotoState, finding: dict[str, str] | None) -> None:
    photo = intake.add(kernel, person.tenant_id, person.id, data, utc_now() - timedelta(days=1, hours=2))
    with kernel.db.transaction(person.tenant_id) as session:
        row: Photo = photos.get(session, person.id, photo.id)
        row.state, row.pose = state, "front"
        row.findings = [finding | {"code": "x", "kind": "advice"}] if finding else []
        if state == PhotoState.CHOOSING:
            row.width, row.height, row.faces = 1280, 640, [[200, 170, 430, 440], [850, 170, 1080, 440]]


def _headshots(kernel: Kernel, person: Employee) -> list[Headshot]:
    with kernel.db.transaction(person.tenant_id) as session:
        sitting = sittings.submit(session, person.id, utc_now(), "portrait-small")
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
    with kernel.db.transaction(person.tenant_id) as session:
        held = get_sitting(session, sitting.id)
        allowed = looks.list_looks(session)
        made = [
            kept(session, kernel, held, allowed[number % len(allowed)].id, number, data, 1.2 - number / 20)
            for number, data in enumerate(drawn(person.id.int % 1000, 6, 512))
        ]  # fmt: skip
        assert sittings.finish(session, sitting.id, fence)
        started = utc_now() - timedelta(minutes=21)
        session.add(
            Run(tenant_id=person.tenant_id, employee_id=person.id, sitting_id=sitting.id, fence=fence,
                state=RunState.SUCCEEDED, recipe={}, step=600, steps=600, made=18, passed=6, started_at=started,
                seconds={"load": 4, "train": 900, "render": 180, "judge": 40},
                finished_at=started + timedelta(minutes=19))
        )  # fmt: skip
        session.add(
            Weights(tenant_id=person.tenant_id, employee_id=person.id, sitting_id=sitting.id, kind="adapter",
                    path=f"x/{uuid4()}", bytes=1, due_at=utc_now() + timedelta(days=5, hours=3))
        )  # fmt: skip
    return made


def _given_up(kernel: Kernel, person: Employee) -> None:
    """More jobs than the page of operators shows at once, of the kinds with the longest names."""
    with kernel.db.transaction(person.tenant_id) as session:
        for kind in sorted(jobs.KINDS, key=len)[-7:]:
            session.add(
                jobs.Job(tenant_id=person.tenant_id, kind=kind, key="given-up", args=[], state=jobs.JobState.DEAD, due=None,
                         finished_at=utc_now(), attempt=5, error="MasterKeyMissing")
            )  # fmt: skip


def _training(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        sitting = sittings.submit(session, person.id, utc_now(), "portrait-small")
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        session.add(
            Run(tenant_id=person.tenant_id, employee_id=person.id, sitting_id=sitting.id, fence=fence, recipe={},
                step=260, steps=600, started_at=utc_now() - timedelta(minutes=7))
        )  # fmt: skip


def _failed(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        sitting = sittings.submit(session, person.id, utc_now(), "portrait-small")
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        sittings.fail(session, sitting.id, fence, "None of the headshots looked enough like you.")


def _places(session: Session, people: list[Employee]) -> None:
    """Some who opened, some whose mail came back, one who said no."""
    for number, person in enumerate(people[:9]):
        standing = session.exec(
            select(Invitation).where(
                col(Invitation.tenant_id) == person.tenant_id, col(Invitation.employee_id) == person.id
            )
        ).first()
        if standing is None:
            continue
        standing.delivered_at = utc_now() - timedelta(days=2, hours=number)
        if number == 0:
            standing.delivered_at, standing.bounced_at = None, utc_now() - timedelta(hours=5)
        if number in (1, 2, 4):
            standing.opened_at = utc_now() - timedelta(days=1, hours=number)
        if number == 2:
            session.merge(person).opted_out_at = utc_now()


def _team(kernel: Kernel, tenant: UUID, hr: Member) -> Member:
    """Somebody of legal who could decide with HR, somebody whose invitation waits, and somebody who left."""
    lena = make_member(kernel, tenant, Role.LEGAL, name="Lena Marsh", email="lena.marsh@northlight.example")
    left = make_member(kernel, tenant, Role.HR, name="Tariq Bell", email="tariq.bell@northlight.example")
    with kernel.db.transaction(tenant) as session:
        members.invite_member(
            session, kernel.keys, "maximiliane.von-hohenstein@northlight.example", "Maximiliane von Hohenstein",
            [Role.HR, Role.BRAND], by=hr.id,
        )  # fmt: skip
        members.disable(session, left.id, utc_now(), caller=f"member:{hr.id}")
    return lena


def _legal(session: Session, kernel: Kernel, tenant: UUID, ruth: Member, lena: Member) -> str:
    one = Erasure(tenant_id=tenant, employee_id=uuid4(), trigger="person", requested_by="employee:x", state="certified")
    other = Erasure(tenant_id=tenant, employee_id=uuid4(), trigger="withdrawal", requested_by="x", state="verifying")
    session.add_all([one, other])
    session.flush()
    session.add(Certificate(tenant_id=tenant, erasure_id=one.id, document={"a": 1}, jws="e30.e30.e30"))
    until = {"expires_at": utc_now() + timedelta(days=90), "unsealed_reason": "Preservation order"}
    asked = {"lift_asked_by": lena.id, "lift_asked_at": utc_now()}
    stands = {"placed_by": ruth.id, "confirmed_by": lena.id, "confirmed_at": utc_now()}
    session.add_all([
        Hold(tenant_id=tenant, employee_id=uuid4(), unsealed_reference="LG Berlin 12 O 34/26", **stands, **until),
        Hold(tenant_id=tenant, employee_id=uuid4(), unsealed_reference="LG Berlin 12 O 35/26", **stands, **asked, **until),
        Hold(tenant_id=tenant, employee_id=uuid4(), unsealed_reference="AG Köln 7 C 9/26", placed_by=lena.id, **until),
        Hold(tenant_id=tenant, employee_id=uuid4(), unsealed_reference="AG Köln 7 C 10/26", placed_by=ruth.id, **until),
    ])  # fmt: skip
    return f"/gone/{receipts.issue(session, kernel.keys, one)}"


def _link(kernel: Kernel, person: Employee) -> str:
    """A personal link that nobody has opened, as its mail says it."""
    with kernel.db.transaction(person.tenant_id) as session:
        for row in mail.mailbox(session):
            letter = mail.read(kernel.keys, row)
            if row.owner_id == person.id and letter and "/i/" in letter.text:
                return "/i/" + letter.text.split("/i/")[1].split()[0]
    raise AssertionError("no mail holds a link")


def workbook_of(names: list[str]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Employee ID", "Full name", "E-mail", "Department"])
    for number, name in enumerate(names, 1):
        sheet.append([f"{number:04}", name, f"new{number}.{uuid4().hex[:6]}@north-light-optics.example", "Design"])
    sheet.append(["0099", "Broken Address", "not an address", "Design"])
    sheet.append(["0100", "Typing Error", "typing.error@gmial.com", "Design"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
