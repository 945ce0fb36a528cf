"""From the end of the invitation on HR is told the same of who declined, who withdrew and who did not answer.

Each of them is compared in everything that HR can read or try, byte for byte but for name, address and id.
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.models import Batch, Consent, Employee
from batch.visit import concerns, consents, invitations, mailing, reminders
from compliance import holds
from compliance.erasure import erasures
from compliance.models import Certificate, Trigger
from compliance.rights import attending
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants import credits
from tests.batch.test_directory import KIND, directory_of, user
from tests.factories import give_consent, make_batch, make_employee, make_tenant, run_jobs, sign_in_member
from tests.handed_in import make_headshots, make_photos
from tests.waiting import PATIENCE

WAYS = ("declined", "withdrew", "withdrew after photos", "did not answer", "opened and did not answer")
API = "/api/v1"


class World:
    """One batch with somebody for each way of not taking part, whose invitations all end at the same moment."""

    def __init__(self, kernel: Kernel, ways: tuple[str, ...] = WAYS, *, runs: bool = False) -> None:
        self.kernel, self.tenant = kernel, make_tenant(kernel)
        self.people: dict[str, Employee] = {}
        with kernel.db.transaction(self.tenant) as session:
            batch = make_batch(session)
            self.batch: UUID = batch.id
            for way in ways:
                self.people[way] = make_employee(session, kernel, batch=batch, full_name="Nadia", department="Design")
                self.people[way].pilot_at = utc_now()
            invitations.invite_all(session, [one.id for one in self.people.values()], utc_now())
        run_jobs(kernel, tenant=self.tenant)
        mailing.note_deliveries(kernel, utc_now())
        self.before = self.lines()
        for way, person in self.people.items():
            self._goes(way, person)
        run_jobs(kernel, tenant=self.tenant, ahead=timedelta(minutes=11))
        with kernel.db.transaction(self.tenant) as session:
            self.left_while_they_run = credits.balance(session)
        if not runs:
            self.end(utc_now() - timedelta(minutes=1))

    def _goes(self, way: str, person: Employee) -> None:
        if "withdrew" in way:
            with self.kernel.db.transaction(self.tenant) as session:
                give_consent(session, self.kernel, person)
            if "photos" in way:
                make_photos(self.kernel, person)
            if "headshots" in way:
                make_headshots(self.kernel, person)
        with self.kernel.db.transaction(self.tenant) as session:
            if "withdrew" in way:
                attending.withdraw(session, person.id, utc_now())
            elif way == "declined":
                consents.decline(session, person.id, utc_now())
            elif "opened" in way:
                session.execute(
                    text("update invitation set opened_at = now() where employee_id = :id"), {"id": person.id}
                )

    def end(self, moment: datetime) -> None:
        """All their invitations run out at a moment."""
        with self.kernel.db.transaction(self.tenant) as session:
            session.execute(text("update invitation set expires_at = :at"), {"at": moment})
        reminders.run_out(self.kernel, utc_now())

    def lines(self) -> dict[str, UUID]:
        """What HR calls each of them by."""
        with self.kernel.db.transaction(self.tenant) as session:
            rows = session.exec(select(Employee).where(Employee.tenant_id == self.tenant)).all()
            return {str(row.email_index): row.roster_id for row in rows}


@pytest.fixture(scope="module")
def world(kernel: Kernel) -> World:
    return World(kernel)


@pytest.fixture
def hr(kernel: Kernel, app: Litestar, world: World) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        sign_in_member(client, kernel, world.tenant)
        yield client


def of_each(world: World) -> dict[str, str]:
    return {way: str(world.people[way].roster_id) for way in WAYS}


def plain(answer: Any, person: str, *, moments: bool = False) -> tuple[int, str]:
    """An answer without the id and the address that are the person's own, nor when they came on the list."""
    text = re.sub(r"\w+@zebra\.example", "a@z", answer.text.replace(person, "ID"))
    return answer.status_code, MOMENT.sub("T", text) if moments else text


def test_hrs_ids_of_people_stay_whatever_they_do(world: World) -> None:
    assert world.lines() == world.before
    with world.kernel.db.transaction(world.tenant) as session:
        now = {row.roster_id: row.id for row in session.exec(select(Employee)).all() if row.tenant_id == world.tenant}
        for way, person in world.people.items():
            assert (now[person.roster_id] == person.id) == ("withdrew" not in way), way
            assert person.roster_id != person.id
        # What hung under a withdrawn consent is gone as well, so an address that is corrected is asked about for nobody.
        assert session.exec(select(Consent)).all() == []


def test_no_credit_comes_back_before_the_invitations_end(world: World) -> None:
    assert world.left_while_they_run == 1000 - len(WAYS)
    with world.kernel.db.transaction(world.tenant) as session:
        assert credits.balance(session) == 1000


def test_every_list_and_export_says_the_same(world: World, hr: TestClient[Any]) -> None:
    people = hr.get(f"{API}/batches/{world.batch}/people").json()
    own = ("id", "email")
    shapes = {str({name: value for name, value in line.items() if name not in own}) for line in people}
    assert len(people) == len(WAYS)
    assert len(shapes) == 1, shapes
    assert people[0]["stage"] == "opted out"
    assert people[0]["since"] is None
    book = openpyxl.load_workbook(io.BytesIO(hr.get(f"{API}/batches/{world.batch}/status").content))
    rows = [tuple(cell.value for cell in row) for row in book.worksheets[0]][1:]
    assert len({row[:2] + row[3:] for row in rows}) == 1
    page = hr.get(f"/desk/batches/{world.batch}", headers={"accept": "text/html"}).text
    shown = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page, re.S)
    tried = hr.get(f"{API}/batches/{world.batch}/pilot").json()
    assert [one["stage"] for one in tried["people"]] == ["opted out"] * len(WAYS)
    assert (tried["handed_in"], tried["ready"]) == (0, 0)
    assert len(shown) == len(WAYS)
    assert len({re.sub(r"\w+@zebra\.example|[0-9a-f-]{36}", "X", row) for row in shown}) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "employees/{}"),
        ("GET", "employees/{}/history"),
        ("GET", "employees/{}/credit"),
        ("POST", "employees/{}/copies-deleted"),
        ("GET", "people/{}/photos"),
        ("POST", "people/{}/photos/wave-through"),
        ("POST", "employees/{}/resend"),
        ("POST", "employees/{}/invite"),
    ],
)
def test_whatever_hr_tries_is_answered_alike(world: World, hr: TestClient[Any], method: str, path: str) -> None:
    answers = {
        way: plain(hr.request(method, f"{API}/{path.format(person)}"), person, moments="history" in path)
        for way, person in of_each(world).items()
    }
    assert len(set(answers.values())) == 1, answers


def test_it_takes_the_same_time(world: World, hr: TestClient[Any]) -> None:
    """What an answer costs when nothing else runs: on a busy machine it takes more tries until each way has met such a
    moment, and what really takes longer takes longer in all of them."""
    least, end = dict.fromkeys(WAYS, math.inf), time.monotonic() + 2 * PATIENCE
    for tries in count():
        for way, person in of_each(world).items():
            started = time.perf_counter()
            hr.get(f"{API}/employees/{person}")
            least[way] = min(least[way], time.perf_counter() - started)
        if tries >= 15 and (max(least.values()) < 1.5 * min(least.values()) or time.monotonic() > end):
            break
    assert max(least.values()) < 1.5 * min(least.values()), least


def test_a_workbook_does_the_same_to_each(world: World, hr: TestClient[Any]) -> None:
    lines = hr.get(f"{API}/batches/{world.batch}/people").json()
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Full name", "Email", "Department"])
    for line in lines:
        sheet.append([line["name"], line["email"], "Sales"])
    out = io.BytesIO()
    book.save(out)
    files = {"workbook": ("p.xlsx", out.getvalue())}
    reading = hr.post(f"{API}/batches", files=files, data={"name": "Again"}).json()
    assert (reading["reading"]["good_rows"], reading["reading"]["problems"]) == (len(WAYS), [])
    page = hr.get(f"/desk/batches/{reading['batch']['id']}/preview", headers={"accept": "text/html"}).text
    assert page.count("Sales") == len(WAYS)
    assert "asked at their old address" not in page


def test_a_correction_by_hand_does_the_same_to_each(world: World, hr: TestClient[Any]) -> None:
    """In small, as somebody else, and at another address, which is asked about for nobody."""
    wishes: list[dict[str, str]] = [
        {"name": "Nadia Berg", "department": "Design"}, {"name": "Nadia Berg", "department": "Design"},
        {"name": "Somebody Else"}, {"name": "Nadia Berg", "email": "new"}, {"name": "Somebody Else", "email": "newer"},
    ]  # fmt: skip
    emails = {one["id"]: one["email"] for one in hr.get(f"{API}/batches/{world.batch}/people").json()}
    for number, wish in enumerate(wishes):
        answers = set()
        for way, person in of_each(world).items():
            if "email" in wish:
                emails[person] = f"{wish['email']}-{WAYS.index(way)}@zebra.example"
            answer = hr.patch(f"{API}/employees/{person}", json=wish | {"email": emails[person]})
            answers.add(re.sub(r"[\w-]+@zebra", "a@zebra", str(plain(answer, person))))
        assert len(answers) == 1, (number, answers)
    run_jobs(world.kernel, tenant=world.tenant)
    shown = {str({**line, "id": "", "email": ""}) for line in hr.get(f"{API}/batches/{world.batch}/people").json()}
    assert len(shown) == 1, shown


def test_the_directory_is_told_the_same_of_each(kernel: Kernel, world: World, hr: TestClient[Any]) -> None:
    lines = {one["id"]: one for one in hr.get(f"{API}/batches/{world.batch}/people").json()}
    with directory_of(kernel, hr.app, world.tenant) as scim:
        seen = set()
        for person in of_each(world).values():
            mail = [{"value": lines[person]["email"], "type": "work", "primary": True}]
            made = scim.post("/Users", json=user(lines[person]["name"], emails=mail, userName=person), headers=KIND)
            put = scim.put(f"/Users/{person}", json=user("Some Body", emails=mail, userName=person), headers=KIND)
            seen.add(MOMENT.sub("T", re.sub(r"[\w-]+@zebra", "a@zebra", str((plain(made, person), plain(put, person))))))
    assert len(seen) == 1, seen


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?|\d\d:\d\d")
SUMS = (
    "batches", "batches/{batch}", "batches/{batch}/funnel", "batches/{batch}/attention", "batches/{batch}/people",
    "batches/{batch}/headshots", "batches/{batch}/pilot", "headshots", "headshots/approval", "downloads", "forecast",
    "employees", "employees?q=nadia", "employees?stage=opted%20out", "credits", "credits/days", "credits/batches",
    "credits/people", "employees/{person}", "employees/{person}/history", "employees/{person}/credit",
    "webhooks",
)  # fmt: skip
COSTS = (f"{API}/credits", f"{API}/credits/days", "/desk", "/desk/credits")
"""Sums of a whole company that say what the cluster made for it (decision 0008)."""
PAGES = ("/desk", "/desk/people", "/desk/batches/{batch}", "/desk/credits", "/desk/headshots", "/desk/people/{person}",
         "/retention/{tenant}")  # fmt: skip


def test_whatever_is_summed_up_says_the_same_in_a_company_of_one(kernel: Kernel, app: Litestar) -> None:
    """Counts, forecasts, statements, searches and pages: what one person does shows in all of them there."""
    said: dict[str, dict[str, str]] = {}
    for way in ("declined", "did not answer", "withdrew", "withdrew after headshots"):
        one = World(kernel, (way,))
        with TestClient(app) as client:
            sign_in_member(client, kernel, one.tenant)
            person = str(one.people[way].roster_id)
            for path in (*(f"{API}/{name}" for name in SUMS), *PAGES):
                kind = {"accept": "text/html"} if path in PAGES else {}
                answer = client.get(path.format(batch=one.batch, person=person, tenant=one.tenant), headers=kind)
                text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{20,}", "ID", answer.text)
                text = MOMENT.sub("T", re.sub(r"\w+@zebra\.example", "a@z", text))
                said.setdefault(path, {})[way] = f"{answer.status_code} {text}"
    for path in COSTS:
        assert "999" in said[path].pop("withdrew after headshots"), "what was made is paid for"
    told = {path: texts for path, texts in said.items() if len(set(texts.values())) > 1}
    assert not told, {path: different(texts) for path, texts in told.items()}


def test_the_file_that_somebody_came_from_stays_its_day_whatever_they_do(kernel: Kernel, app: Litestar) -> None:
    """HR may look at it again for 24 hours; a file that is gone before would say that somebody withdrew."""
    told, left = {}, {}
    for way in ("declined", "withdrew"):
        one = World.__new__(World)
        one.kernel, one.tenant, one.people = kernel, make_tenant(kernel), {}
        with TestClient(app) as hr:
            sign_in_member(hr, kernel, one.tenant)
            files = {"workbook": ("p.csv", b"Full name;E-mail\nNadia Berg;nadia@zebra.example")}
            made = hr.post(f"{API}/batches", files=files, data={"name": "Spring"}).json()
            batch = made["batch"]["id"]
            wish = {"digest": made["reading"]["digest"], "invite": True}
            assert hr.post(f"{API}/batches/{batch}/commit", json=wish).status_code == 200
            run_jobs(kernel, tenant=one.tenant)
            with kernel.db.transaction(one.tenant) as session:
                person = session.exec(select(Employee).where(Employee.tenant_id == one.tenant)).one()
            one._goes(way, person)
            run_jobs(kernel, tenant=one.tenant, ahead=timedelta(minutes=11))
            paths = (f"{API}/batches/{batch}/problems", f"{API}/batches/{batch}/changes", f"/desk/batches/{batch}/preview")
            told[way] = [(path.replace(batch, ""), hr.get(path).status_code) for path in paths]
        with kernel.db.transaction(one.tenant) as session:
            mine = select(Certificate).where(Certificate.tenant_id == one.tenant)
            left[way] = [certificate.document["residuals"] for certificate in session.exec(mine)]
    assert told["withdrew"] == told["declined"]
    assert 410 not in dict(told["declined"]).values()
    (residuals,) = left["withdrew"]
    assert "raw workbooks of the company's list, sealed" in {one["what"] for one in residuals}, "the certificate says so"


def test_what_somebody_wrote_to_hr_stays_there_whatever_they_do(kernel: Kernel, app: Litestar) -> None:
    """HR would see a message vanish of who withdrew, whose line stays; its words go on under the line's new key."""
    said: dict[str, list[str]] = {}
    for way in ("declined", "withdrew"):
        one = World.__new__(World)
        one.kernel, one.tenant, one.people = kernel, make_tenant(kernel), {}
        with kernel.db.transaction(one.tenant) as session:
            person = make_employee(session, kernel, full_name="Nadia")
            invitations.invite_all(session, [person.id], utc_now())
        with TestClient(app) as hr:
            member = sign_in_member(hr, kernel, one.tenant)
            with kernel.db.transaction(one.tenant) as session:
                first, second = (
                    concerns.write(session, kernel.keys, person.id, "hr", "/visit/photos", words, "http://x", utc_now())
                    for words in ("My desk is dark", "And so is the hall")
                )
                concerns.answer(session, kernel.keys, first.id, "hr", member.id, "Take a lamp", utc_now())
            before = hr.get(f"{API}/concerns").json()
            one._goes(way, person)
            run_jobs(kernel, tenant=one.tenant, ahead=timedelta(minutes=11))
            assert hr.get(f"{API}/concerns").json() == before, way
            assert [each["concern"]["words"] for each in before] == ["And so is the hall", "My desk is dark"]
            answer = hr.post(f"{API}/concerns/{second.id}/answer", json={"words": "It will be lit"})
            said[way] = [str(answer.status_code), *(each["concern"]["answer"] for each in hr.get(f"{API}/concerns").json())]
        with kernel.db.transaction(one.tenant) as session:
            line = session.exec(select(Employee).where(Employee.tenant_id == one.tenant)).one()
            assert len(concerns.of(session, kernel.keys, line.id)) == 2, "and they read it on their own page"
            assert not [entry for entry in ledger.entries(session) if {str(first.id), str(second.id)} & set(entry.objects)]
    assert said["withdrew"] == said["declined"]
    assert "It will be lit" in said["withdrew"]


def together(both: Sequence[str]) -> str:
    one, other = both
    return one[: next((at for at, signs in enumerate(zip(one, other, strict=False)) if len(set(signs)) > 1), len(one))]


def different(texts: dict[str, str]) -> dict[str, str]:
    """Each text from where it leaves the first."""
    first, *_ = texts.values()
    start = max(0, min(len(together([first, said])) for said in texts.values()) - 60)
    return {way: said[start : start + 220] for way, said in texts.items()}


def test_a_hold_changes_nothing_of_it(kernel: Kernel, app: Litestar) -> None:
    """What a court keeps of somebody who withdrew is not told by counts of photos or by another refusal."""
    world = World.__new__(World)
    world.kernel, world.tenant, world.people = kernel, make_tenant(kernel), {}
    with kernel.db.transaction(world.tenant) as session:
        batch: Batch = make_batch(session)
        world.batch = batch.id
        for way in ("declined", "withdrew after photos"):
            world.people[way] = make_employee(session, kernel, batch=batch, full_name="Nadia")
        invitations.invite_all(session, [one.id for one in world.people.values()], utc_now())
    held = world.people["withdrew after photos"]
    with kernel.db.transaction(world.tenant) as session:
        give_consent(session, kernel, held)
    make_photos(kernel, held)
    with kernel.db.transaction(world.tenant) as session:
        session.execute(
            text("insert into hold (id, tenant_id, employee_id, basis, classes, placed_by, placed_at,"
                 " confirmed_by, confirmed_at, expires_at) values (gen_random_uuid(), :tenant, :person, 'warrant', '[]',"
                 " gen_random_uuid(), now(), gen_random_uuid(), now(), now() + interval '9 days')"),
            {"tenant": world.tenant, "person": held.id},
        )  # fmt: skip
        assert held.id in holds.held(session, utc_now())
    for way, person in world.people.items():
        world._goes(way, person)
    run_jobs(kernel, tenant=world.tenant)
    with TestClient(app) as client:
        sign_in_member(client, kernel, world.tenant)
        for number, person in enumerate(world.people.values()):
            moved = {"name": "Nadia", "email": f"moved-{number}@zebra.example"}
            assert client.patch(f"{API}/employees/{person.roster_id}", json=moved).json() == {"waits_for_their_word": False}
    run_jobs(kernel, tenant=world.tenant)
    with kernel.db.transaction(world.tenant) as session:
        # Of whoever said no nothing is asked, and the old address is told of the correction.
        templates = {one.template for one in mail.mailbox(session)}
        assert not templates & {"address-asked", "address-announced"}
        assert "address-corrected" in templates
    world.end(utc_now() - timedelta(minutes=1))
    with TestClient(app) as client:
        sign_in_member(client, kernel, world.tenant)
        for method, path in (("GET", "employees/{}"), ("GET", "people/{}/photos"),
                             ("POST", "people/{}/photos/wave-through"), ("POST", "employees/{}/resend"),
                             ("POST", "employees/{}/invite")):  # fmt: skip
            answers = {
                plain(client.request(method, f"{API}/{path.format(person.roster_id)}"), str(person.roster_id))
                for person in world.people.values()
            }
            assert len(answers) == 1, (path, answers)


def test_a_full_erasure_takes_the_line_away_without_reason_or_moment(kernel: Kernel, app: Litestar) -> None:
    world = World.__new__(World)
    world.kernel, world.tenant = kernel, make_tenant(kernel)
    with kernel.db.transaction(world.tenant) as session:
        batch = make_batch(session)
        leaver, stays = (make_employee(session, kernel, batch=batch, full_name=name) for name in ("Leaver", "Stays"))
        invitations.invite_all(session, [leaver.id, stays.id], utc_now())
    with kernel.db.transaction(world.tenant) as session:
        erasures.request(session, leaver.id, trigger=Trigger.PERSON, requested_by="employee:x", now=utc_now())
    run_jobs(kernel, tenant=world.tenant, ahead=timedelta(minutes=11))
    with TestClient(app) as client:
        sign_in_member(client, kernel, world.tenant)
        (line,) = client.get(f"{API}/batches/{batch.id}/people").json()
        assert line["name"] == "Stays"
        never = client.get(f"{API}/employees/{UUID(int=7)}")
        gone = client.get(f"{API}/employees/{leaver.roster_id}")
        assert (gone.status_code, gone.content) == (never.status_code, never.content) == (404, gone.content)
        page = client.get(f"/desk/batches/{batch.id}", headers={"accept": "text/html"}).text
        assert "deleted person" not in page
        assert "Leaver" not in page
