"""The desk of requests over HTTP: the person asks, HR and legal enter, legal decides, and letters say so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import col, select

from batch.models import Employee
from batch.people import employees
from compliance import clocks, requests
from compliance.desk import answering, informing, letters
from compliance.models import BY_ERASURE, BY_PACKAGE, Erasure, Request, RequestKind
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail.mail import Letter, Mail, read
from tenants import tenants
from tenants.members import members
from tenants.models import Role
from tests.compliance.people import full_person
from tests.dashboard.markup import get
from tests.factories import (
    begin_held,
    give_consent,
    make_employee,
    make_member,
    make_tenant,
    run_jobs,
    sign_in_employee,
    sign_in_member,
)
from tests.handed_in import make_person

API = "/api/v1"
HOSTILE = "=cmd|'/c calc'!A1 <script>alert(1)</script> {0.__class__} Ünal"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


def named(kernel: Kernel, **profile: str) -> Employee:
    with kernel.db.transaction(make_tenant(kernel)) as session:
        person = make_employee(session, kernel, **profile)
        give_consent(session, kernel, person)
    return person


def plain(letter: Letter) -> str:
    return " ".join(letter.text.split())


def legal(client: TestClient[Any], kernel: Kernel, person: Employee) -> TestClient[Any]:
    sign_in_member(client, kernel, person.tenant_id, Role.LEGAL)
    return client


def entered(client: TestClient[Any], kernel: Kernel, person: Employee, kind: str = "objection") -> str:
    wish = {"employee_id": str(person.id), "kind": kind, "method": "letter"}
    answer = legal(client, kernel, person).post(f"{API}/requests", json=wish)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def act(client: TestClient[Any], case: str, what: str, **body: Any) -> Any:
    return client.post(f"{API}/requests/{case}/{what}", json=body or None)


def written(kernel: Kernel, person: Employee, template: str) -> list[Letter]:
    with kernel.db.transaction(person.tenant_id) as session:
        mine = select(Mail).where(col(Mail.owner_id) == person.id, col(Mail.template) == template)
        return [letter for one in session.exec(mine).all() if (letter := read(kernel.keys, one))]


def released(kernel: Kernel, person: Employee) -> None:
    """Somebody downloaded a headshot of theirs."""
    with kernel.db.transaction(person.tenant_id) as session:
        ledger.record(session, "release.downloaded", caller=f"member:{uuid4()}", subject=person.id, objects=[uuid4()])


@pytest.mark.parametrize("kind", list(RequestKind))
def test_each_kind_comes_to_an_end(kernel: Kernel, client: TestClient[Any], alice: Employee, kind: RequestKind) -> None:
    sign_in_employee(client, kernel, alice)
    asked = client.post(f"{API}/visit/requests", json={"kind": kind})
    assert asked.status_code == 202, asked.text
    case = asked.json()["id"]
    if kind in BY_PACKAGE:
        assert client.get(f"{API}/visit/export").status_code == 200
    elif kind in BY_ERASURE:
        run_jobs(kernel, tenant=alice.tenant_id)
    else:
        assert act(legal(client, kernel, alice), case, "answer").status_code == 200
    ended = legal(client, kernel, alice).get(f"{API}/requests/{case}").json()
    assert ended["done_at"] is not None
    assert ended["refusal"] is None
    stages = [ended[one] for one in ("received_at", "verified_at", "dispatched_at", "done_at")]
    assert stages == sorted(stages)


def test_a_mail_confirms_the_receipt_with_number_and_day(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    first = client.post(f"{API}/visit/requests", json={"kind": "access"}).json()
    letters.confirm_receipts(kernel, utc_now())
    assert client.post(f"{API}/visit/requests", json={"kind": "access"}).json()["id"] == first["id"]
    letters.confirm_receipts(kernel, utc_now())
    letters.confirm_receipts(kernel, utc_now())
    mails = written(kernel, alice, "request-received")
    assert len(mails) == 2, "each asking is acknowledged, once"
    due = words("en").day(datetime.fromisoformat(first["due_at"]))
    assert all(first["number"] in one.text and due in one.text for one in mails)
    assert all("your own page" in one.text for one in mails)


def test_a_request_to_delete_is_one_case_and_one_mail(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    sign_in_employee(client, kernel, alice)
    asked = client.post(f"{API}/visit/requests", json={"kind": "delete"}).json()
    with kernel.db.transaction(alice.tenant_id) as session:
        cases = requests.of(session, alice.id)
        mail = session.exec(select(Mail).where(col(Mail.template) == "erased")).one()
        letter = read(kernel.keys, mail)
    assert [one.kind for one in cases] == ["delete"]
    assert letter is not None
    said = plain(letter)
    due = words("en").day(datetime.fromisoformat(asked["due_at"]))
    assert all(one in said for one in (asked["number"], due, "You were signed in, so it is known that it is you.")), said
    assert "has begun" not in said, "a hold may keep it, and the person may not be told of that"
    letters.confirm_receipts(kernel, utc_now())
    assert written(kernel, alice, "request-received") == [], "one mail confirms it"
    with kernel.db.transaction(alice.tenant_id) as session:
        assert requests.of(session, alice.id)[0].acknowledged_at is None, "no mail server took it yet"
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert requests.of(session, alice.id)[0].acknowledged_at is not None
    assert client.get(f"{API}/receipts/{asked['receipt']}").json()["certificate"]


def test_the_mail_of_an_erasure_says_how_it_is_known_who_asks(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    bob = named(kernel)
    case = entered(client, kernel, alice, "erasure")
    act(client, case, "verify", reason="called-back")
    act(client, case, "approve")
    assert act(client, case, "carry-out").status_code == 200
    # Somebody asks on their own page for what had come by letter and was not verified: now it is known who asks.
    waiting = entered(client, kernel, bob, "erasure")
    sign_in_employee(client, kernel, bob)
    assert client.post(f"{API}/visit/erasure").status_code == 202
    for person, recognised in ((alice, "You were called at a number that is on file"), (bob, "You were signed in")):
        with kernel.db.transaction(person.tenant_id) as session:
            (case_now,) = requests.of(session, person.id)
            letter = read(kernel.keys, session.exec(select(Mail).where(col(Mail.template) == "erased")).one())
        assert letter is not None
        assert recognised in plain(letter)
        assert case_now.number in letter.text
    assert (str(case_now.id), case_now.verification) == (waiting, "signed-in")


def test_recipients_hear_by_mail_of_a_correction_and_of_a_stop(
    kernel: Kernel, client: TestClient[Any], alice: Employee, bob: Employee
) -> None:
    hr, gone = make_member(kernel, alice.tenant_id), make_member(kernel, alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        for _ in range(2):
            ledger.record(session, "release.downloaded", caller=f"member:{hr.id}", subject=alice.id, objects=[uuid4()])

    def copies(template: str) -> list[Letter]:
        with kernel.db.transaction(alice.tenant_id) as session:
            found = session.exec(select(Mail).where(col(Mail.template) == template)).all()
            assert {one.owner_id for one in found} <= {hr.id}
            return [letter for one in found if (letter := read(kernel.keys, one))]

    sign_in_employee(client, kernel, alice)
    corrected = client.post(f"{API}/visit/requests", json={"kind": "rectification"}).json()["id"]
    assert copies("copies-corrected") == [], "it is not corrected yet"
    stopped = client.post(f"{API}/visit/requests", json={"kind": "restriction"}).json()["id"]
    (stop,) = copies("copies-stopped")
    assert "You downloaded 2 of their headshots" in plain(stop)
    asked = act(legal(client, kernel, alice), corrected, "answer")
    assert asked.status_code == 200, "nobody is left to inform by hand"
    (letter,) = copies("copies-corrected")
    assert "Nadia Ümit" in letter.text
    answering.send_answers(kernel, utc_now())
    assert asked.json()["answer_asked_at"]
    still = client.get(f"{API}/requests/{corrected}").json()
    assert (still["done_at"], written(kernel, alice, "request-answered")) == (None, []), "a queued mail informs nobody"
    run_jobs(kernel, tenant=alice.tenant_id)
    informing.note_informed(kernel, utc_now())
    answering.send_answers(kernel, utc_now())
    assert client.get(f"{API}/requests/{corrected}").json()["done_at"]
    assert "Who had received headshots of you is informed of it." in plain(written(kernel, alice, "request-answered")[0])
    for case in (corrected, stopped):
        shown = client.get(f"{API}/requests/{case}").json()["recipients"]
        assert len(shown) == 2
        assert all(one["informed_at"] and one["mail"] for one in shown)
    # Somebody who works here no longer is not reached: legal says what is done about them.
    with kernel.db.transaction(alice.tenant_id) as session:
        ledger.record(session, "release.downloaded", caller=f"member:{gone.id}", subject=alice.id, objects=[uuid4()])
        members.disable(session, gone.id, utc_now(), caller="test")
    assert act(client, stopped, "answer").status_code == 409
    assert act(client, stopped, "recipients", excuse="impossible").status_code == 200
    assert act(client, stopped, "answer").status_code == 200
    with kernel.db.transaction(bob.tenant_id) as session:
        assert session.exec(select(Mail.id).where(col(Mail.template).like("copies-%"))).all() == []


@pytest.mark.parametrize("outcome", ["refused", "unknown"])
def test_an_answer_waits_for_a_recipient_whose_mail_fails(
    kernel: Kernel, client: TestClient[Any], alice: Employee, bob: Employee, outcome: str
) -> None:
    hr = make_member(kernel, bob.tenant_id)
    with kernel.db.transaction(bob.tenant_id) as session:
        ledger.record(session, "release.downloaded", caller=f"member:{hr.id}", subject=bob.id, objects=[uuid4()])
    sign_in_employee(client, kernel, bob)
    case = client.post(f"{API}/visit/requests", json={"kind": "rectification"}).json()["id"]
    assert act(legal(client, kernel, bob), case, "answer").json()["done_at"] is None
    page = f"/legal/requests/{case}"
    assert "a mail is on its way to them" in get(client, page)
    with kernel.db.transaction(bob.tenant_id) as session:
        mail = session.exec(select(Mail).where(col(Mail.template) == "copies-corrected")).one()
        mail.outcome, mail.failed_at = outcome, utc_now() if outcome == "refused" else None
    informing.note_informed(kernel, utc_now())
    answering.send_answers(kernel, utc_now())
    shown = get(client, page)
    assert "neither informed nor excused" in shown
    assert f"{page}/inform" in shown
    assert client.get(f"{API}/requests/{case}").json()["done_at"] is None
    assert act(legal(client, kernel, alice), case, "recipients", how="by-telephone").status_code == 404
    assert act(legal(client, kernel, bob), case, "recipients", how="").status_code == 422, "it says by which means"
    assert act(client, case, "recipients", how="by-telephone").status_code == 200
    answering.send_answers(kernel, utc_now())
    (told,) = client.get(f"{API}/requests/{case}").json()["recipients"]
    assert (told["how"], told["excuse"]) == ("by-telephone", None)
    assert told["informed_at"]
    assert client.get(f"{API}/requests/{case}").json()["done_at"]
    assert client.post(f"{API}/requests/{case}/recipients", json={"how": "in-person"}).status_code == 409
    with kernel.db.transaction(bob.tenant_id) as session:
        said = [one for one in ledger.entries(session, subject=bob.id) if one.event == "request.recipients-informed"]
    assert [one.objects for one in said] == [[case, "by-telephone"]]


@pytest.mark.parametrize("by_hand", [{"how": "in-person"}, {"excuse": "impossible"}])
def test_a_request_to_delete_ends_when_everybody_with_copies_is_told(
    kernel: Kernel, client: TestClient[Any], alice: Employee, bob: Employee, by_hand: dict[str, str]
) -> None:
    reached, gone = make_member(kernel, alice.tenant_id), uuid4()
    with kernel.db.transaction(alice.tenant_id) as session:
        for member in (reached.id, gone):
            ledger.record(session, "release.downloaded", caller=f"member:{member}", subject=alice.id, objects=[uuid4()])
    sign_in_employee(client, kernel, alice)
    case = client.post(f"{API}/visit/requests", json={"kind": "erasure"}).json()["id"]
    run_jobs(kernel, tenant=alice.tenant_id)
    begin_held(kernel, alice.tenant_id)
    informing.note_informed(kernel, utc_now())
    (left,) = legal(client, kernel, alice).get(f"{API}/erasures/recipients").json()
    assert client.get(f"{API}/requests/{case}").json()["done_at"] is None, "somebody with copies was not told"
    assert [bool(one.get("informed_at")) for one in left["recipients"]] == [True, False]
    page = get(client, "/legal")
    assert f"/legal/erasures/{left['id']}/inform" in page
    assert "tell them, or say why that cannot be" in get(client, f"/legal/requests/{case}")
    settle = f"{API}/erasures/{left['id']}/recipients"
    assert legal(client, kernel, bob).post(settle, json=by_hand).status_code == 404
    assert legal(client, kernel, alice).post(settle, json={}).status_code == 422
    assert client.post(settle, json=by_hand).status_code == 200
    assert client.get(f"{API}/requests/{case}").json()["done_at"]
    assert client.get(f"{API}/erasures/recipients").json() == []
    assert client.post(settle, json=by_hand).status_code == 409
    with kernel.db.transaction(alice.tenant_id) as session:
        said = [one for one in ledger.entries(session, subject=alice.id) if one.event.startswith("erasure.recipients-")]
    assert [one.objects[1] for one in said] == list(by_hand.values())


def test_a_request_to_delete_waits_for_a_mail_that_is_on_its_way(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    hr = make_member(kernel, alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        ledger.record(session, "release.downloaded", caller=f"member:{hr.id}", subject=alice.id, objects=[uuid4()])
    sign_in_employee(client, kernel, alice)
    case = client.post(f"{API}/visit/requests", json={"kind": "delete"}).json()["id"]
    run_jobs(kernel, tenant=alice.tenant_id)
    begin_held(kernel, alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        mail = session.exec(select(Mail).where(col(Mail.template) == "copies")).one()
        erasure = session.exec(select(Erasure).where(col(Erasure.employee_id) == alice.id)).one()
        erasure.recipients_settled_at, mail.sent_at = None, None  # As where the mail server is away.
        erasure.recipients = [one | {"informed_at": None} for one in erasure.recipients]
        session.execute(text("update request set done_at = null, delivered_at = null where id = :id"), {"id": case})
    informing.note_informed(kernel, utc_now())
    assert legal(client, kernel, alice).get(f"{API}/requests/{case}").json()["done_at"] is None
    assert client.get(f"{API}/erasures/recipients").json() == [], "nothing is to be done by hand yet"
    with kernel.db.transaction(alice.tenant_id) as session:
        session.exec(select(Mail).where(col(Mail.template) == "copies")).one().sent_at = utc_now()
    informing.note_informed(kernel, utc_now())
    assert client.get(f"{API}/requests/{case}").json()["done_at"]


def test_a_receipt_is_confirmed_when_the_mail_server_took_the_mail_or_by_other_means(
    kernel: Kernel, client: TestClient[Any], alice: Employee, bob: Employee
) -> None:
    cases = {}
    for person in (alice, bob):
        sign_in_employee(client, kernel, person)
        cases[person.id] = client.post(f"{API}/visit/requests", json={"kind": "access"}).json()["id"]
        letters.confirm_receipts(kernel, utc_now())
        letters.note_delivered(kernel, utc_now())
        shown = legal(client, kernel, person).get(f"{API}/requests/{cases[person.id]}").json()
        assert shown["acknowledged_at"] is None, "it waits in the queue"
    run_jobs(kernel, tenant=alice.tenant_id)
    letters.note_delivered(kernel, utc_now())
    shown = legal(client, kernel, alice).get(f"{API}/requests/{cases[alice.id]}").json()
    assert shown["acknowledged_at"]
    assert act(client, cases[bob.id], "confirm-receipt", reason="by-telephone").status_code == 404
    assert act(legal(client, kernel, bob), cases[bob.id], "confirm-receipt", reason="somehow").status_code == 422
    assert "The mail server has not taken the mail" in get(client, f"/legal/requests/{cases[bob.id]}")
    assert act(client, cases[bob.id], "confirm-receipt", reason="by-telephone").json()["acknowledged_at"]


def test_what_came_by_letter_waits_for_identity_and_review(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    case = entered(client, kernel, alice)
    assert act(client, case, "answer").status_code == 409
    assert act(client, case, "approve").status_code == 409, "nobody knows yet who asks"
    assert act(client, case, "verify", reason="passport").status_code == 422, "no identity card is asked for"
    assert act(client, case, "verify", reason="called-back").status_code == 200
    assert act(client, case, "answer").status_code == 409, "nobody of legal has approved it"
    assert act(client, case, "approve").status_code == 200
    assert act(client, case, "answer").status_code == 200
    assert act(client, case, "answer").status_code == 409
    (letter,) = written(kernel, alice, "request-answered")
    assert "Nobody had received headshots" in letter.text
    with kernel.db.transaction(alice.tenant_id) as session:
        assert employees.get(session, alice.id).restricted_at is not None
        events = [one.event for one in requests.timeline(session, requests.get(session, UUID(case)))]
    assert events == [
        "request.received", "request.verified", "request.approved", "request.dispatched", "request.answered",
    ]  # fmt: skip
    run_jobs(kernel, tenant=alice.tenant_id)
    letters.note_delivered(kernel, utc_now())
    assert client.get(f"{API}/requests/{case}").json()["delivered_at"] is not None


def test_more_time_only_before_the_day_with_a_reason_and_once(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    case = entered(client, kernel, alice, "access")
    before = datetime.fromisoformat(client.get(f"{API}/requests/{case}").json()["due_at"])
    assert act(client, case, "extend", reason="").status_code == 422
    assert act(client, case, "extend", reason="complex").status_code == 200
    assert datetime.fromisoformat(client.get(f"{API}/requests/{case}").json()["due_at"]) > before + timedelta(days=55)
    assert act(client, case, "extend", reason="complex").status_code == 409
    assert "because it is complex" in plain(written(kernel, alice, "request-extended")[0])
    late = entered(client, kernel, alice, "know")
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update request set due_at = now() - interval '1 minute' where id = :id"), {"id": late})
    assert act(client, late, "extend", reason="complex").status_code == 409
    assert act(client, entered(client, kernel, alice, "opt-out"), "extend", reason="complex").status_code == 409


@pytest.mark.parametrize(
    ("language", "court", "authority"),
    [("en", "go to court", "data protection supervisory authority"), ("ja", "裁判所", "データ保護監督機関")],
)
def test_a_refusal_has_a_code_and_says_where_to_complain(
    kernel: Kernel, client: TestClient[Any], language: str, court: str, authority: str
) -> None:
    alice = named(kernel, language=language, full_name=HOSTILE)
    case = entered(client, kernel, alice, "access")
    assert act(client, case, "refuse", reason="because").status_code == 422
    assert act(client, case, "refuse", reason="too_many_requests").status_code == 200
    (letter,) = written(kernel, alice, "request-refused")
    assert all(one in plain(letter) for one in (court, authority, "too_many_requests", HOSTILE))
    record = client.get(f"{API}/requests/record")
    assert record.text.splitlines()[0] == ",".join(answering.FIELDS)
    assert ",access,letter," in record.text
    assert record.text.rstrip().endswith(",refused,too_many_requests")
    assert "Ünal" not in record.text


def test_a_case_does_not_close_while_a_recipient_is_neither_informed_nor_excused(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    released(kernel, alice)
    sign_in_employee(client, kernel, alice)
    case = client.post(f"{API}/visit/requests", json={"kind": "rectification"}).json()["id"]
    legal(client, kernel, alice)
    assert act(client, case, "answer").status_code == 409
    assert client.post(f"{API}/requests/{case}/recipients", json={"excuse": "no time"}).status_code == 422
    assert client.post(f"{API}/requests/{case}/recipients", json={"how": "in-person"}).status_code == 200
    released(kernel, alice)
    assert act(client, case, "answer").status_code == 409, "somebody else downloaded meanwhile"
    assert client.post(f"{API}/requests/{case}/recipients", json={"excuse": "impossible"}).status_code == 200
    assert act(client, case, "answer").status_code == 200
    assert "as far as that is possible" in plain(written(kernel, alice, "request-answered")[0])


def test_hr_enters_for_a_line_of_its_list_and_decides_nothing(
    kernel: Kernel, client: TestClient[Any], alice: Employee, bob: Employee
) -> None:
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    wish = {"kind": "access", "method": "phone"}
    answer = client.post(f"{API}/people/{alice.roster_id}/requests", json=wish)
    assert answer.status_code == 201
    assert "employee_id" not in answer.json()
    assert client.post(f"{API}/people/{bob.roster_id}/requests", json=wish).status_code == 404
    signed_in = wish | {"method": "signed-in"}
    assert client.post(f"{API}/people/{alice.roster_id}/requests", json=signed_in).status_code == 422
    case = answer.json()["id"]
    assert act(client, case, "refuse", reason="no_match").status_code == 403
    legal(client, kernel, bob)
    for what in ("approve", "answer", "carry-out"):
        assert act(client, case, what).status_code == 404
    assert client.get(f"{API}/requests/{case}").status_code == 404
    assert case in [one["id"] for one in legal(client, kernel, alice).get(f"{API}/requests").json()]


def sought(name: str, why: str = "request-by-letter") -> dict[str, str]:
    return {"name": name, "why": why}


def test_legal_finds_a_person_by_name_and_the_person_reads_it(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = named(kernel, full_name="Nadja Müller-Ünal")
    named(kernel, full_name="Nadja Müller-Ünal")
    case = entered(client, kernel, alice, "access")
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update request set due_at = now() - interval '1 day'"))
    assert client.post(f"{API}/people/search", json=sought("nä")).status_code == 422
    for why in ("", "curiosity"):
        refused = client.post(f"{API}/people/search", json=sought("muller nadja", why))
        assert refused.status_code == 422
        assert "Müller" not in client.post("/legal/people", data=sought("muller nadja", why)).text
    (found,) = client.post(f"{API}/people/search", json=sought("muller nadja")).json()
    assert found["id"] == str(alice.id)
    assert found["late"]
    assert not found["held"]
    assert [one["id"] for one in found["requests"]] == [case]
    assert client.post(f"{API}/people/search", json=sought("nobody")).json() == []
    with kernel.db.transaction(alice.tenant_id) as session:
        mine = [one.event for one in ledger.entries(session, subject=alice.id)]
        everything = [one for one in ledger.entries(session) if one.event == "person.searched"]
    assert mine.count("person.found") == 1, "nobody is shown without a reason"
    assert [one.objects for one in everything] == [[str(alice.id), "request-by-letter"], ["request-by-letter"]]
    assert not any("nadja" in one.data().decode().casefold() for one in everything), "what was typed is kept nowhere"
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    assert client.post(f"{API}/people/search", json=sought("Nadja")).status_code == 403


def test_who_objected_may_let_it_go_on(kernel: Kernel, client: TestClient[Any], alice: Employee) -> None:
    sign_in_employee(client, kernel, alice)
    assert client.post(f"{API}/visit/requests", json={"kind": "restriction"}).status_code == 202
    with kernel.db.transaction(alice.tenant_id) as session:
        assert employees.get(session, alice.id).restricted_at is not None
    assert client.post(f"{API}/visit/processing/resume").status_code == 204
    with kernel.db.transaction(alice.tenant_id) as session:
        assert employees.get(session, alice.id).restricted_at is None
    assert client.post(f"{API}/visit/requests", json={"kind": "everything"}).status_code == 422


def test_the_record_goes_after_its_time_and_not_before(kernel: Kernel, alice: Employee) -> None:
    long_ago = utc_now() - timedelta(days=900)
    with kernel.db.transaction(alice.tenant_id) as session:
        requests.receive(session, alice.id, RequestKind.ACCESS, long_ago, caller="system")
        requests.close(session, alice.id, RequestKind.ACCESS, long_ago)
        requests.receive(session, alice.id, RequestKind.KNOW, long_ago, caller="system")
    last = clocks.forgotten_at(long_ago)
    requests.forget_old(kernel, last - timedelta(minutes=1))
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(requests.of(session, alice.id)) == 2
        assert [one.kind for one in requests.unconfirmed(session, utc_now())] == ["know"]
    with kernel.db.transaction(alice.tenant_id) as session:  # Also where the company left meanwhile.
        tenants.get(session).left_at = long_ago
    requests.forget_old(kernel, last)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.kind for one in requests.of(session, alice.id)] == ["know"]


def test_the_database_keeps_the_order_of_the_stages(kernel: Kernel, alice: Employee) -> None:
    now = utc_now()
    with kernel.db.transaction(alice.tenant_id) as session:
        case, _ = answering.ask(session, kernel, alice.id, "access", now)
    with pytest.raises(Exception, match="request_stages"), kernel.db.transaction(alice.tenant_id) as session:
        kept = session.exec(select(Request).where(col(Request.id) == case.id)).one()
        kept.done_at = now - timedelta(days=1)
        session.add(kept)


def test_legal_works_a_case_on_its_pages_with_a_hostile_name(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = named(kernel, full_name=HOSTILE)
    legal(client, kernel, alice)
    found = client.post("/legal/people", data=sought("ünal"))
    assert found.status_code == 200
    assert "<script>alert(1)" not in found.text
    assert "&lt;script&gt;alert(1)" in found.text
    wish = {"employee_id": str(alice.id), "kind": "correct", "method": "letter"}
    entered_at = client.post("/legal/requests", data=wish, follow_redirects=False)
    assert entered_at.status_code == 303
    where = entered_at.headers["location"]
    assert client.post(f"{where}/answer", data={}).status_code == 409
    for step, reason in (("verify", "known-in-person"), ("approve", ""), ("answer", "")):
        assert client.post(f"{where}/{step}", data={"reason": reason}, follow_redirects=False).status_code == 303, step
    assert "answered on" in client.get(where).text
    assert client.post(f"{where}/nothing", data={}).status_code == 404
    listed = client.get("/legal/requests").text
    assert "Answered" in listed
    assert "Ünal" not in listed, "names stand under a search alone"
