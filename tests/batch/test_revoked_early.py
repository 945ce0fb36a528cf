"""HR that takes an invitation back before its end learns nothing by it of who has said no, nor by asking again.

Everybody of one company is compared at the same moment: in what HR reads and tries, in what programs are told, in what
the morning mail counts, and in how much the database is asked.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import event, text
from sqlmodel import col, select

from batch.delivery import digest, statement
from batch.models import Employee, Invitation
from batch.people import employees, funnel
from batch.people.funnel import Stage
from batch.visit import consents, invitations, mailing, reminders
from likeness import identity
from likeness.ground.db import utc_now
from likeness.identity import Kind, LinkUnknown
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail import mail
from tenants import credits
from tests.batch.test_same_to_hr import API, MOMENT, World
from tests.factories import make_employee, make_member, make_tenant, run_jobs, sign_in

WAYS = ("did not answer", "declined", "withdrew", "withdrew after headshots")


def shape(said: str) -> str:
    """Without what is each person's own; moments to the day."""
    said = re.sub(r"[\w-]+@\w+\.example|[0-9a-f]{8}-[0-9a-f-]{27}", "X", re.sub(r"'row': \d+", "", said))
    return MOMENT.sub(lambda moment: moment[0][:10] if "T" in moment[0] else "T", said)


def _as_often(answers: dict[str, tuple[int, str, int]]) -> bool:
    asked = [statements for _, _, statements in answers.values()]
    return max(asked) - min(asked) <= 1


class Desk:
    """What HR finds of each in one world; everybody has to be found alike."""

    def __init__(self, kernel: Kernel, app: Litestar, world: World, client: TestClient[Any]) -> None:
        self.kernel, self.world, self.client = kernel, world, client
        self.lines = {way: str(person.roster_id) for way, person in world.people.items()}
        hr = make_member(kernel, world.tenant)
        sign_in(client, kernel, world.tenant, Kind.MEMBER, hr.id)
        self.caller = f"member:{hr.id}"

    def alike(self, method: str, path: str, **said: Any) -> tuple[int, str]:
        """What everybody's answer is. The database is asked as often for each, or once less where a credit was charged,
        which does not come back."""
        answers = self._asked_of_each(method, path, **said)
        assert len({answer[:2] for answer in answers.values()}) == 1, answers
        status, text = next(iter(answers.values()))[:2]
        if not _as_often(answers) and (method == "GET" or status >= 400):
            # What is noted once a minute, or read once and kept, falls on one of them by chance, and not a second time.
            answers = self._asked_of_each(method, path, **said)
        assert _as_often(answers), answers
        return status, text

    def _asked_of_each(self, method: str, path: str, **said: Any) -> dict[str, tuple[int, str, int]]:
        return {way: self._asked(method, f"{API}/{path.format(line)}", line, **said) for way, line in self.lines.items()}

    def _asked(self, method: str, path: str, line: str, **said: Any) -> tuple[int, str, int]:
        with self.counted() as statements:
            answer = self.client.request(method, path, **said)
        return answer.status_code, shape(answer.text), len(statements)

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            statements.append(statement)

        event.listen(self.kernel.db.engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(self.kernel.db.engine, "before_cursor_execute", note)

    def reads_alike(self, stage: Stage) -> None:
        world, now = self.world, utc_now()
        for path in ("employees/{}", "employees/{}/history", "employees/{}/credit", "people/{}/photos"):
            assert self.alike("GET", path)[0] == 200, path
        assert self.alike("GET", "people/{}/erasure")[0] == 200
        for path in ("batches/{}/people", "batches/{}/attention", "employees", "headshots", "credits/people"):
            listed = self.client.get(f"{API}/{path.format(world.batch)}").json()
            listed = (
                listed if isinstance(listed, list) else next(one for one in listed.values() if isinstance(one, list))
            )
            shapes = {shape(str(line)) for line in listed}
            assert len(shapes) <= 1, (path, shapes)
            assert len(listed) in (0, len(self.world.people)), path
        assert {one["stage"] for one in self.client.get(f"{API}/batches/{world.batch}/people").json()} == {str(stage)}
        tallies = self.client.get(f"{API}/batches/{world.batch}/funnel").json()["stages"]
        assert {one["stage"]: one["people"] for one in tallies if one["people"]} == {str(stage): len(self.world.people)}
        for sheet in ("batches/{}/status", "credits/export?format=xlsx&people=true"):
            found = self.client.get(f"{API}/{sheet.format(world.batch)}")
            assert found.status_code == 200, sheet
            book = openpyxl.load_workbook(io.BytesIO(found.content))
            rows = [tuple(str(cell.value) for cell in row) for row in book.worksheets[-1]][1:]
            assert len({shape(str(row)) for row in rows}) == (stage != Stage.OPTED_OUT or "status" in sheet), rows
        with self.kernel.db.transaction(world.tenant) as session:
            (of_batch,) = statement.of_batches(session, now)
            standing = [getattr(of_batch, one) for one in ("set_aside", "charged", "given_back", "refunded", "aside")]
            assert max(standing) == sum(standing) == len(self.world.people), standing
            assert digest.sentences(session, words("en"), now - timedelta(days=1), now) == []

    def ends_alike(self) -> None:
        """A mail with a link puts the end of an invitation off; where none is sent it looks so."""
        run_jobs(self.kernel, tenant=self.world.tenant)
        mailing.note_deliveries(self.kernel, utc_now())
        with self.kernel.db.transaction(self.world.tenant) as session:
            mine = (col(Invitation.tenant_id) == self.world.tenant, col(Invitation.revoked_at).is_(None))
            ends = session.exec(select(Invitation.expires_at).where(*mine)).all()
            assert len(ends) == len(self.world.people)
            assert max(ends) - min(ends) < timedelta(hours=1), ends

    def written_to(self) -> dict[str, int]:
        """How many mails with a link somebody got."""
        with self.kernel.db.transaction(self.world.tenant) as session:
            known = session.exec(select(Employee).where(Employee.tenant_id == self.world.tenant)).all()
            lines = {str(one.roster_id): one.id for one in known}
            sent = [
                one.owner_id for one in mail.mailbox(session) if one.template in ("invitation", "link", "remind-start")
            ]
            return {way: sent.count(lines[line]) for way, line in self.lines.items()}


def on_a_working_day() -> datetime:
    """At ten o'clock, within the next days."""
    day = utc_now().replace(hour=10)
    return day + timedelta(days=(7 - day.weekday()) % 7 if day.weekday() > 4 else 0)


MOMENTS = (
    "employee.created_at", "employee.opted_out_at", "invitation.created_at", "invitation.delivered_at",
    "invitation.expires_at", "invitation.reminded_at", "link.created_at", "mail.sent_at", "credit.at",
)  # fmt: skip


def begun_earlier(kernel: Kernel, world: World) -> None:
    """All of it so far was five days ago."""
    with kernel.db.transaction(world.tenant) as session:
        for moment in MOMENTS:
            table, column = moment.split(".")
            session.execute(
                text(f"update {table} set {column} = {column} - interval '5 days' where tenant_id = :tenant"),
                {"tenant": world.tenant},
            )


def test_who_said_no_is_told_apart_neither_by_a_revocation_nor_by_asking_again(
    kernel: Kernel, app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That HR's session is in use is noted once a minute otherwise, with whoever of them that falls on.
    monkeypatch.setattr(identity, "NOTED", timedelta(hours=1))
    world = World(kernel, WAYS, runs=True)
    with TestClient(app) as client:
        desk = Desk(kernel, app, world, client)
        mailing.note_deliveries(kernel, utc_now())
        begun_earlier(kernel, world)
        before = desk.written_to()
        desk.reads_alike(Stage.DELIVERED)
        assert desk.alike("POST", "employees/{}/revoke")[0] == 204
        desk.reads_alike(Stage.ADDED)
        assert desk.alike("POST", "employees/{}/revoke")[0] == 409
        assert desk.alike("POST", "employees/{}/resend")[0] == 409
        assert desk.alike("POST", "employees/{}/invite")[0] == 204
        run_jobs(kernel, tenant=world.tenant)
        mailing.note_deliveries(kernel, utc_now())
        desk.reads_alike(Stage.DELIVERED)
        assert "sent-just-now" in desk.alike("POST", "employees/{}/resend")[1]
        assert desk.alike("POST", "employees/{}/invite")[0] == 409
        with kernel.db.transaction(world.tenant) as session:
            assert credits.balance(session) == 1000 - len(WAYS) - 1, "one for each, and one that was used"
        begun_earlier(kernel, world)
        assert desk.alike("POST", "employees/{}/resend")[0] == 204
        desk.ends_alike()
        begun_earlier(kernel, world)
        reminders.remind(kernel, on_a_working_day())
        desk.ends_alike()
        desk.reads_alike(Stage.DELIVERED)
        told = desk.written_to()
        assert {way: told[way] - before[way] for way in WAYS} == dict.fromkeys(WAYS, 0) | {"did not answer": 3}
        world.end(utc_now() - timedelta(minutes=1))
        desk.reads_alike(Stage.OPTED_OUT)
        for method, path in (("POST", "employees/{}/invite"), ("POST", "employees/{}/revoke")):
            assert desk.alike(method, path)[0] == 409


def test_who_said_no_keeps_the_way_back_and_is_asked_in_earnest_once_they_have_rested(kernel: Kernel) -> None:
    tenant, now = make_tenant(kernel), utc_now()
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
        invitations.invite(session, person, now)
    run_jobs(kernel, tenant=tenant)

    def links() -> list[str]:
        with kernel.db.transaction(tenant) as session:
            sent = [one for one in mail.mailbox(session) if one.template in ("invitation", "link")]
            texts = [letter.text for one in sent if (letter := mail.read(kernel.keys, one))]
        return [found[1] for one in reversed(texts) if (found := re.search(r"/i/(\S+)", one))]

    (link,) = links()
    with kernel.db.transaction(tenant) as session:
        invitations.accept(session, link, now)
        consents.decline(session, person.id, now)
    for moment, new in ((now, False), (now + funnel.LIFETIME + funnel.REST + timedelta(days=2), True)):
        with kernel.db.transaction(tenant) as session:
            assert invitations.revoke(session, [person.id], moment) == 1
            with pytest.raises(LinkUnknown):
                invitations.look_up(session, link, moment)
            invitations.invite_all(session, [person.id], moment)
        run_jobs(kernel, tenant=tenant, ahead=timedelta(days=40))
        with kernel.db.transaction(tenant) as session:
            if new:
                with pytest.raises(LinkUnknown):
                    invitations.look_up(session, link, moment)
            else:
                invitations.renew(session, link, moment + timedelta(minutes=3))
            assert (employees.get(session, person.id).opted_out_at is None) == new
        run_jobs(kernel, tenant=tenant, ahead=timedelta(days=40))
        assert len(links()) == 2 + new, "asked for by themselves, and then in earnest"
