"""Members come in by links that go to themselves, come back when they lost one, and are out at once when they leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import event, text
from sqlmodel import delete, select

from batch.models import Employee, Invitation
from batch.roster import undoing
from compliance.desk import deleting
from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, make_link
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Letter
from tenants import tenants
from tenants.api import enter
from tenants.members import members, programs, wishes
from tenants.members.permissions import Permission
from tenants.members.wishes import SignInWish
from tenants.models import Member, Role
from tenants.tries import WrongTry
from tests.factories import (
    begin_held,
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    run_jobs,
    sign_in,
    sign_in_member,
)


@pytest.fixture
def client(kernel: Kernel, app: Litestar) -> Iterator[TestClient[Any]]:
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(WrongTry))
        session.execute(delete(SignInWish))
    with TestClient(app) as client:
        yield client


def ask(client: TestClient[Any], kernel: Kernel, email: str) -> None:
    assert client.post("/api/v1/sign-in", json={"email": email}).status_code == 202
    run_jobs(kernel, tenant=PLATFORM)


def letters(kernel: Kernel, tenant: UUID) -> list[Letter]:
    """Newest first."""
    with kernel.db.transaction(tenant) as session:
        found = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    return [letter for letter in found if letter]


def token_in(letter: Letter) -> str:
    return letter.text.split("/sign-in/")[1].split()[0]


def events(kernel: Kernel, tenant: UUID) -> list[str]:
    with kernel.db.transaction(tenant) as session:
        return [entry.event for entry in ledger.entries(session)]


def test_a_member_who_lost_every_link_asks_for_one_at_the_front_door(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, other = make_tenant(kernel, name="Zebra Works"), make_tenant(kernel)
    hr = make_member(kernel, tenant, email="Hanna.Reiter@zebra.example")
    make_member(kernel, other)
    assert 'action="/sign-in"' in client.get("/").text
    page = client.post("/sign-in", data={"email": " hanna.reiter@ZEBRA.example "})
    assert "Look into your mailbox" in page.text
    run_jobs(kernel, tenant=PLATFORM)
    (letter,) = letters(kernel, tenant)
    assert letter.to == "Hanna.Reiter@zebra.example", "the address of the member's row, not the one that was typed"
    assert "Zebra Works" in letter.subject
    assert letters(kernel, other) == []
    token = token_in(letter)
    assert "As a member of Zebra Works." in client.get(f"/sign-in/{token}").text
    assert client.post(f"/sign-in/{token}", follow_redirects=False).status_code == 303
    assert client.get("/api/v1/tenant").json()["id"] == str(tenant)
    with kernel.db.transaction(tenant) as session:
        assert members.get(session, hr.id).signed_in_at is not None
    with kernel.db.transaction(PLATFORM) as session:
        assert session.exec(select(SignInWish)).all() == [], "nothing of the wish is kept"
    assert events(kernel, tenant)[-2:] == ["member.link-mailed", "session.started"]


def test_the_answer_tells_nobody_whether_an_address_is_known(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    known = make_member(kernel, tenant, email=f"{uuid4().hex}@zebra.example")
    with kernel.db.transaction(tenant) as session:
        address = members.profile(kernel.keys, members.get(session, known.id)).email
    asked = 0
    for way in ("page", "api"):
        answers, seconds = [], {True: [], False: []}  # type: ignore[var-annotated]
        for number in count():
            # Both do the same work, so the quickest of each lie near each other; a look into a company would show in all
            # of them, and on a busy machine it takes more tries until each has met a quiet moment.
            if number >= 16 and number % 2 == 0:
                apart = min(seconds[True]) / min(seconds[False])
                if 1 / 3 < apart < 3 or number == 160:
                    break
            # Fresh addresses, because one gets five links an hour; each belongs to a member every second time.
            email = f"{uuid4().hex}@zebra.example" if number % 2 else address.replace("@", f"+{way}{number}@")
            if not number % 2:
                make_member(kernel, tenant, email=email)
            started = time.perf_counter()
            if way == "page":
                answer = client.post("/sign-in", data={"email": email})
            else:
                answer = client.post("/api/v1/sign-in", json={"email": email})
            seconds[not number % 2].append(time.perf_counter() - started)
            answers.append((answer.status_code, answer.content, sorted(answer.headers.keys())))
        assert len({str(answer) for answer in answers}) == 1
        assert 1 / 3 < apart < 3, seconds
        asked += len(answers)
    with kernel.db.transaction(PLATFORM) as session:
        rows = session.execute(text("select w::text from sign_in_wish w")).scalars().all()
    assert len(rows) == asked >= 32
    assert not any("zebra" in row or b"zebra".hex() in row for row in rows)
    run_jobs(kernel, tenant=PLATFORM)
    assert len(letters(kernel, tenant)) == asked / 2


def test_an_address_gets_five_an_hour_and_the_answer_stays_the_same(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    email = f"{uuid4().hex}@zebra.example"
    make_member(kernel, tenant, email=email)
    other = f"{uuid4().hex}@zebra.example"
    make_member(kernel, tenant, email=other)
    said = set()
    for number in range(8):
        answer = client.post("/api/v1/sign-in", json={"email": email.upper() if number % 2 else email})
        said.add((answer.status_code, answer.text))
        run_jobs(kernel, tenant=PLATFORM)
    assert len(said) == 1
    assert len(letters(kernel, tenant)) == 5
    ask(client, kernel, other)
    assert letters(kernel, tenant)[0].to == other, "somebody else's mailbox is not shut with it"
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(text("update wrong_try set since = since - interval '61 minutes'"))
    ask(client, kernel, email)
    assert letters(kernel, tenant)[0].to == email


def test_one_address_in_two_companies_and_among_the_operators_gets_a_link_of_each(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice, bob = make_tenant(kernel, name="Alice Ltd"), make_tenant(kernel, name="Bob GmbH")
    email = f"{uuid4().hex}@both.example"
    for tenant in (alice, bob):
        make_member(kernel, tenant, email=email)
    with kernel.db.transaction(PLATFORM) as session:
        members.invite_member(session, kernel.keys, email, "Otto", [Role.OPERATOR])
    ask(client, kernel, email)
    for tenant, name in ((alice, "Alice Ltd"), (bob, "Bob GmbH")):
        (letter,) = letters(kernel, tenant)
        assert name in letter.subject
        assert name in letter.text
        client.cookies.clear()
        client.post(f"/sign-in/{token_in(letter)}")
        assert client.get("/api/v1/tenant").json()["name"] == name
    client.cookies.clear()
    letter = next(one for one in letters(kernel, PLATFORM) if one.to == email)
    assert "the operators of this installation" in letter.subject
    assert client.post(f"/api/v1/sign-in/{token_in(letter)}").json() == {"kind": "operator"}


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@b", "a\0@zebra.example", "x" * 300 + "@zebra.example", "\ud800@a.example"]
)
def test_what_is_no_address_is_said_to_be_none(kernel: Kernel, client: TestClient[Any], email: str) -> None:
    sent = email.encode("utf-8", "surrogatepass")
    assert client.post("/sign-in", data={"email": email.replace("\ud800", "\0")}).status_code == 422
    body, kind = b'{"email": "' + sent.replace(b"\0", b"\\u0000") + b'"}', {"content-type": "application/json"}
    assert client.post("/api/v1/sign-in", content=body, headers=kind).status_code in (400, 422)


def test_a_thousand_wishes_cost_one_look_into_each_company(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    email = f"{uuid4().hex}@zebra.example"
    make_member(kernel, tenant, email=email)
    with kernel.db.transaction(PLATFORM) as session:
        for number in range(100):
            wishes.ask(session, kernel.keys, f"flood{number}@flood.example", utc_now())
        wishes.ask(session, kernel.keys, email, utc_now())
    looks = list[str]()

    def note(*seen: Any) -> None:
        looks.extend([seen[2]] if "member.email_index IN" in seen[2] else [])

    event.listen(kernel.db.engine, "before_cursor_execute", note)
    try:
        run_jobs(kernel, tenant=PLATFORM)
    finally:
        event.remove(kernel.db.engine, "before_cursor_execute", note)
    assert len(letters(kernel, tenant)) == 1
    assert len(looks) == len(tenants.all_ids(kernel)) + 1, "one for each, and one among the operators"


def test_a_company_that_cannot_be_looked_at_keeps_nobody_elses_link(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, broken = make_tenant(kernel), make_tenant(kernel)
    email = f"{uuid4().hex}@zebra.example"
    for one in (tenant, broken):
        make_member(kernel, one, email=email)
    with kernel.db.transaction(broken) as session:
        session.execute(text("update member set profile = 'x'"))
    ask(client, kernel, email)
    run_jobs(kernel, tenant=PLATFORM, ahead=timedelta(hours=1))
    assert len(letters(kernel, tenant)) == 1, "and once only, although the job came again"
    with kernel.db.transaction(broken) as session:
        session.execute(delete(Member))


def test_an_unused_link_that_ran_out_leads_to_the_door(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    hr = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        old = make_link(session, Kind.MEMBER, hr.id, utc_now() - timedelta(hours=1))
    assert "As a member of" not in client.get(f"/sign-in/{old}").text
    page = client.post(f"/sign-in/{old}")
    assert page.status_code == 410
    assert 'action="/sign-in"' in page.text
    assert "has run out" in page.text


def test_an_invitation_lasts_a_week_and_says_who_invited_to_what(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel, name="Zebra Works")
    sign_in_member(client, kernel, tenant, Role.OWNER)
    new = {"name": "Ida Lind", "email": "ida@zebra.example", "roles": ["hr", "brand"]}
    shown = client.post("/api/v1/members", json=new).json()
    assert shown["mailed"] == "ida@zebra.example"
    (letter,) = letters(kernel, tenant)
    assert letter.to == "ida@zebra.example"
    assert "Hanna Reiter invited you to work on Likeness for Zebra Works: brand and HR." in letter.text
    kind, cookie = enter(kernel, token_in(letter), utc_now() + timedelta(days=6))
    assert (kind, bool(cookie)) == (Kind.MEMBER, True)
    everybody = {one["name"]: one for one in client.get("/api/v1/members").json()}
    assert everybody["Ida Lind"]["joined_at"] is not None


@pytest.mark.parametrize("path", ["/api/v1/members", "/api/v1/ledger", "/team", "/legal/ledger", "/desk"])
def test_no_page_of_the_desk_shows_anybodys_link(kernel: Kernel, client: TestClient[Any], path: str) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    client.post("/api/v1/members", json={"name": "Ida", "email": "ida@zebra.example", "roles": ["hr"]})
    token = token_in(letters(kernel, tenant)[0])
    sign_in_member(client, kernel, tenant, *((Role.OWNER, Role.HR) if path == "/desk" else (Role.LEGAL,)))
    answer = client.get(path)
    assert answer.status_code == 200
    assert token not in answer.text
    assert token.split(".")[1] not in answer.text


def test_what_who_is_disabled_has_just_asked_for_does_not_begin(kernel: Kernel, client: TestClient[Any]) -> None:
    """Ten seconds are left of a deletion, by hand or by a program, when its maker goes in anger; another's goes on."""
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    leaver, stays = make_member(kernel, tenant), make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch) for _ in range(4)]
        key, _ = programs.make(session, leaver, "Payroll", [Permission.PEOPLE_READ], utc_now())
        now, ids = utc_now(), [one.id for one in people]
        acts = [deleting.ask(session, ids[:1], now, caller=f"member:{leaver.id}"),
                deleting.ask(session, ids[1:2], now, caller=f"machine:{key.id}"),
                undoing.ask(session, "invite", ids[2:3], now, caller=f"member:{leaver.id}")]  # fmt: skip
        deleting.ask(session, ids[3:], now, caller=f"member:{stays.id}")
    sign_in_member(client, kernel, other, Role.OWNER)
    assert client.delete(f"/api/v1/members/{leaver.id}").status_code == 404
    sign_in_member(client, kernel, tenant, Role.OWNER)
    assert client.delete(f"/api/v1/members/{leaver.id}").status_code == 204
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        mine = select(Employee.id).where(Employee.tenant_id == tenant)
        assert set(session.exec(mine)) == set(ids[:3])
        assert session.exec(select(Invitation.id).where(Invitation.tenant_id == tenant)).all() == []
        (said,) = [one for one in ledger.entries(session) if one.event == "member.disabled"]
    assert set(said.objects) == {str(one) for one in (leaver.id, *acts)}


def test_who_is_disabled_is_out_at_once_and_can_be_let_back(kernel: Kernel, app: Litestar, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    email = f"{uuid4().hex}@zebra.example"
    leaver = make_member(kernel, tenant, email=email)
    with kernel.db.transaction(tenant) as session:
        unused = make_link(session, Kind.MEMBER, leaver.id, utc_now())
    with TestClient(app) as theirs:
        sign_in(theirs, kernel, tenant, Kind.MEMBER, leaver.id)
        assert theirs.get("/api/v1/tenant").status_code == 200
        sign_in_member(client, kernel, tenant, Role.OWNER)
        assert client.delete(f"/api/v1/members/{leaver.id}").status_code == 204
        assert theirs.get("/api/v1/tenant").status_code == 401
        assert theirs.post(f"/api/v1/sign-in/{unused}").status_code == 410
        # A link that was on its way meanwhile opens nothing either.
        with kernel.db.transaction(tenant) as session:
            late = make_link(session, Kind.MEMBER, leaver.id, utc_now())
        assert theirs.post(f"/api/v1/sign-in/{late}").json()["type"] == "urn:likeness:no-longer-member"
        ask(theirs, kernel, email)
        assert letters(kernel, tenant) == []
        again = {"name": "X", "email": email, "roles": ["hr"]}
        assert client.post("/api/v1/members", json=again).status_code == 409
        assert client.post(f"/api/v1/members/{leaver.id}/let-back").json()["disabled"] is False
        ask(theirs, kernel, email)
        assert theirs.post(f"/api/v1/sign-in/{token_in(letters(kernel, tenant)[0])}").status_code == 200
    stranger = make_member(kernel, make_tenant(kernel))
    assert client.post(f"/api/v1/members/{stranger.id}/let-back").status_code == 404


def test_a_sign_in_and_a_disabling_at_the_same_moment_end_signed_out(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    make_member(kernel, tenant)
    for _ in range(12):
        leaver = make_member(kernel, tenant)
        with kernel.db.transaction(tenant) as session:
            link = make_link(session, Kind.MEMBER, leaver.id, utc_now())
        failures: list[str] = []

        def come_in(link: str = link, failures: list[str] = failures) -> None:
            try:
                enter(kernel, link, utc_now())
            except Exception as error:
                failures.append(type(error).__name__)

        thread = threading.Thread(target=come_in)
        thread.start()
        with kernel.db.transaction(tenant) as session:
            members.disable(session, leaver.id, utc_now(), caller="test")
        thread.join()
        assert set(failures) <= {"NoLongerMember", "LinkUnknown", "LinkUsed"}
        with kernel.db.transaction(tenant) as session:
            left = session.execute(text("select count(*) from web_session where subject_id = :id"), {"id": leaver.id})
            assert left.scalar() == 0


def test_the_last_owner_stays(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    make_member(kernel, make_tenant(kernel), Role.OWNER)
    me = sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    refused = client.delete(f"/api/v1/members/{me.id}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:likeness:last-owner")
    assert client.patch(f"/api/v1/members/{me.id}", json={"roles": ["hr"]}).status_code == 409
    assert client.patch(f"/api/v1/members/{me.id}", json={"roles": ["owner"]}).json()["roles"] == ["owner"]
    new = {"name": "Ida", "email": "ida@zebra.example", "roles": ["owner"]}
    ida = client.post("/api/v1/members", json=new).json()["member"]["id"]
    assert client.delete(f"/api/v1/members/{me.id}").status_code == 409, "Ida has not come in yet"
    enter(kernel, token_in(letters(kernel, tenant)[0]), utc_now())
    assert client.delete(f"/api/v1/members/{ida}").status_code == 204
    assert client.post(f"/api/v1/members/{ida}/let-back").status_code == 200
    assert client.delete(f"/api/v1/members/{me.id}").status_code == 204
    assert client.get("/api/v1/tenant").status_code == 401


def test_two_who_disable_each_other_at_once_do_not_both_go(kernel: Kernel) -> None:
    for _ in range(6):
        tenant = make_tenant(kernel)
        pair = [make_member(kernel, tenant, Role.OWNER), make_member(kernel, tenant, Role.OWNER)]

        def go(member: Member, tenant: UUID = tenant) -> None:
            try:
                with kernel.db.transaction(tenant) as session:
                    members.disable(session, member.id, utc_now(), caller="test")
            except members.LastOwner:
                pass

        threads = [threading.Thread(target=go, args=(one,)) for one in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with kernel.db.transaction(tenant) as session:
            assert sum(one.disabled_at is None for one in members.all(session)) == 1


def test_wishes_that_nobody_answered_are_forgotten(kernel: Kernel, client: TestClient[Any]) -> None:
    client.post("/api/v1/sign-in", json={"email": "somebody@zebra.example"})
    wishes.forget(kernel, utc_now())
    with kernel.db.transaction(PLATFORM) as session:
        assert len(session.exec(select(SignInWish)).all()) == 1
    wishes.forget(kernel, utc_now() + timedelta(hours=2))
    with kernel.db.transaction(PLATFORM) as session:
        assert session.exec(select(SignInWish)).all() == []
