"""What becomes of a mail tells HR nothing of who has said no.

To who said no nothing is sent, so nothing of it waits, fails or comes back. So of somebody whom an invitation had reached
before HR asked anew, or before it gave them another address, nothing is told of the later mails until they agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.models import Employee
from batch.people.funnel import REST, Stage
from batch.visit import concerns, invitations, mailing
from likeness.ground.db import utc_now
from likeness.ground.lanes import Lanes
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.bounces import Bounce
from likeness.mail.smtp import MailOutcome
from tests.batch.test_revoked_early import Desk, begun_earlier, shape
from tests.batch.test_same_to_hr import World, different
from tests.factories import give_consent, run_jobs
from tests.kernel.scripted import SILENT, scripted

WAYS = ("did not answer", "opened and did not answer", "declined", "withdrew")
AWAY = {"mail": "421 4.3.2 bye"}
FATES = {
    "it is away": AWAY,
    "it knows no such address": {"rcpt": "550 5.1.1 unknown"},
    "it never answers": {"text": SILENT},
    "it takes them, and they come back": {},
}


@contextmanager
def reaching(kernel: Kernel, script: dict[str, str]) -> Iterator[Kernel]:
    with scripted(**script) as server:
        patience = 0.4 if SILENT in script.values() else server.patience
        reached = {"smtp_url": server.url, "smtp_timeout": patience}
        yield replace(kernel, settings=kernel.settings.model_copy(update=reached), lanes=Lanes())


def sent(kernel: Kernel, world: World, script: dict[str, str]) -> None:
    """What was asked for goes to such a server, and comes back later where it was taken."""
    with reaching(kernel, script) as sending:
        run_jobs(sending, tenant=world.tenant)
    mailing.note_deliveries(kernel, utc_now())
    if not script:
        with kernel.db.transaction(world.tenant) as session:
            back = [Bounce(one.id, MailOutcome.NO_MAILBOX, "550 5.1.1") for one in mail.mailbox(session)]
            mail.came_back(session, back, utc_now())
        mailing.note_deliveries(kernel, utc_now())


def pages_alike(desk: Desk) -> None:
    told = {}
    for way, line in desk.lines.items():
        page = desk.client.get(f"/desk/people/{line}", headers={"accept": "text/html"})
        assert page.status_code == 200
        told[way] = shape(page.text)
    assert len(set(told.values())) == 1, different(told)


def test_what_becomes_of_a_mail_tells_nobody_apart_who_is_asked_anew(kernel: Kernel, app: Litestar) -> None:
    world = World(kernel, WAYS, runs=True)
    with TestClient(app) as client:
        desk = Desk(kernel, app, world, client)
        before = desk.written_to()
        for fate, script in FATES.items():
            begun_earlier(kernel, world)
            assert desk.alike("POST", "employees/{}/revoke")[0] == 204, fate
            assert desk.alike("POST", "employees/{}/invite")[0] == 204, fate
            sent(kernel, world, script)
            begun_earlier(kernel, world)
            assert desk.alike("POST", "employees/{}/resend")[0] == 204, fate
            sent(kernel, world, script)
            desk.reads_alike(Stage.DELIVERED)
            pages_alike(desk)
        told = desk.written_to()
        assert {way: told[way] - before[way] for way in WAYS} == {way: 8 * ("answer" in way) for way in WAYS}


def test_nor_whose_address_is_corrected(kernel: Kernel, app: Litestar) -> None:
    """Once, after they were asked anew, and once more. What HR answers to a message of each does not arrive either."""
    world = World(kernel, WAYS, runs=True)
    with TestClient(app) as client:
        desk = Desk(kernel, app, world, client)
        for number, script in enumerate((AWAY, AWAY, FATES["it knows no such address"])):
            begun_earlier(kernel, world)
            if number == 1:
                assert desk.alike("POST", "employees/{}/revoke")[0] == 204
                assert desk.alike("POST", "employees/{}/invite")[0] == 204
                sent(kernel, world, script)
                begun_earlier(kernel, world)
            for way, line in desk.lines.items():
                moved = {"name": "Nadia", "email": f"moved-{number}-{WAYS.index(way)}@zebra.example"}
                assert client.patch(f"/api/v1/employees/{line}", json=moved).status_code == 200, way
            sent(kernel, world, script)
            desk.reads_alike(Stage.DELIVERED)
            with kernel.db.transaction(world.tenant) as session:
                asked = [
                    concerns.write(session, kernel.keys, one.id, "hr", "/visit", "Why?", "http://x", utc_now()).id
                    for one in session.exec(select(Employee).where(Employee.tenant_id == world.tenant))
                ]
            for one in asked:
                assert client.post(f"/api/v1/concerns/{one}/answer", json={"words": "Because"}).status_code < 300
            sent(kernel, world, script)
            desk.reads_alike(Stage.DELIVERED)
            pages_alike(desk)
            desk.ends_alike()


def test_whoever_comes_back_by_an_earlier_link_does_not_open_the_later_invitation(kernel: Kernel, app: Litestar) -> None:
    """That link is kept for who has said no alone; the later invitation leaves in days, or waits for a mail server."""
    world = World(kernel, ("did not answer", "declined"), runs=True)
    with kernel.db.transaction(world.tenant) as session:
        (link,) = [
            found[1]
            for one in mail.mailbox(session)
            if one.owner_id == world.people["declined"].id and (letter := mail.read(kernel.keys, one))
            and (found := re.search(r"/i/(\S+)", letter.text))
        ]  # fmt: skip
    with TestClient(app) as client:
        desk = Desk(kernel, app, world, client)
        people = [one.id for one in world.people.values()]
        with kernel.db.transaction(world.tenant) as session:
            invitations.revoke(session, people, utc_now())
            invitations.invite_all(session, people, utc_now(), send_at=utc_now() + timedelta(days=2))
            invitations.renew(session, link, utc_now() + timedelta(minutes=3))
        run_jobs(kernel, tenant=world.tenant)
        mailing.note_deliveries(kernel, utc_now())
        with kernel.db.transaction(world.tenant) as session:
            assert invitations.accept(session, link, utc_now()) == world.people["declined"].id
        desk.reads_alike(Stage.INVITED)
        assert desk.alike("POST", "employees/{}/resend")[0] == 204


def test_of_who_agrees_and_of_whom_nothing_had_reached_it_is_told(kernel: Kernel, app: Litestar) -> None:
    world = World(kernel, ("did not answer", "agreed later", "never reached", "rested"), runs=True)
    people, now = world.people, utc_now()
    with TestClient(app) as client:
        desk = Desk(kernel, app, world, client)
        with kernel.db.transaction(world.tenant) as session:
            session.execute(
                text("update invitation set delivered_at = null, bounced_at = now() where employee_id = :id"),
                {"id": people["never reached"].id},
            )
            session.execute(
                text("update invitation set expires_at = :at where employee_id = :id"),
                {"id": people["rested"].id, "at": now - REST - timedelta(days=2)},
            )
            invitations.revoke(session, [one.id for one in people.values()], now)
            invitations.invite_all(session, [one.id for one in people.values()], now)
            give_consent(session, kernel, people["agreed later"])
        sent(kernel, world, FATES["it knows no such address"])
        told = {way: client.get(f"/api/v1/batches/{world.batch}/people").json() for way in people}
        lines = {one["id"]: one for one in told["rested"]}
        stages = {way: (lines[line]["stage"], lines[line]["mail"] is not None) for way, line in desk.lines.items()}
        assert stages == {
            "did not answer": ("delivered", False), "agreed later": ("consented", True),
            "never reached": ("bounced", True), "rested": ("bounced", True),
        }  # fmt: skip
        history = client.get(f"/api/v1/employees/{desk.lines['did not answer']}/history").text
        assert "Whether it arrived is not told" in history
        assert "A mail server took the mail" not in history
