"""Whose name signs, one purpose taken back alone, what the database refuses, terms that become shorter, receipts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from batch.models import Employee, Headshot, Photo, Purpose, Sitting, SittingState
from batch.photos import decisions, intake, photos
from batch.sittings import headshots, narrowing
from batch.sittings.runs import Weights
from batch.visit import consents, notices
from compliance import repeating
from compliance.models import Hold
from compliance.proof import checkpointing, signing, verifier
from compliance.retention import retention
from compliance.rights import attending, consent_receipts
from likeness import ledger
from likeness.cli.main import main
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Mail, read
from tenants import tenants
from tenants.models import CUTOUT
from tests.compliance.people import full_person, make_weights, root_of
from tests.dashboard.markup import get, to_sign
from tests.factories import give_consent, make_employee, run_jobs, sign_in_employee
from tests.handed_in import keep, make_headshots, make_person, make_photos

BOTH = ["portrait-small", CUTOUT]


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        client.headers["accept"] = "text/html"
        yield client


@pytest.mark.parametrize(
    ("typed", "name", "theirs"),
    [
        ("Nadia Ümit", "Nadia Ümit", True), ("umit  NADIA", "Nadia Ümit", True), ("Nadia", "Nadia Ümit", False),
        (".", "Nadia Ümit", False), ("Bo Linde", "Nadia Ümit", False), ("Nadia Linde", "Nadia Ümit", False),
        ("Madonna", "Madonna", True), ("李 小龙", "李小龙", True),
        ("Anna Grünewald", "Anna-Lena Grünewald", True), ("", "Nadia Ümit", False),
        ("नादिया", "नादिया वर्मा", False), ("नादिया वर्मा", "नादिया वर्मा", True),
    ],
)  # fmt: skip
def test_a_signature_is_the_persons_own_name(typed: str, name: str, theirs: bool) -> None:
    assert consents.is_name(typed, name) == theirs


def test_another_name_signs_only_when_the_person_says_that_it_is_theirs(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        notice = notices.current(session, "en")
    answer = {"notice_id": str(notice.id), "headshots": "yes", "biometric": "yes", "typed_name": "Nadja Uemit"}
    page = to_sign(client, headshots="yes", biometric="yes")
    assert "named_otherwise" not in page
    assert "calls you Nadia Ümit" in page
    refused = client.post("/visit/consent", data=answer)
    assert refused.status_code == 422
    assert "not the name on the list" in refused.text
    assert 'name="named_otherwise"' in refused.text
    with kernel.db.transaction(alice.tenant_id) as session:
        assert consents.of(session, alice.id) == []
    assert client.post("/visit/consent", data=answer | {"named_otherwise": "yes"}).status_code == 200
    with kernel.db.transaction(alice.tenant_id) as session:
        given = consents.of(session, alice.id)
    assert {one.named_otherwise for one in given} == {True}
    assert {consents.signature(kernel.keys, one) for one in given} == {"Nadja Uemit"}
    program = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, program)
    notice_id = client.get("/api/v1/visit/notice").json()["id"]
    body = {"purposes": ["headshots", "biometric"], "notice_id": notice_id, "typed_name": "Bo Linde"}
    assert client.post("/api/v1/visit/consent", json=body).json()["type"].endswith("not-their-name")
    assert client.post("/api/v1/visit/consent", json=body | {"named_otherwise": True}).status_code == 201


def test_one_purpose_is_taken_back_alone_and_what_was_made_for_it_goes(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice, bob = make_person(kernel, recipes=BOTH), make_person(kernel, recipes=BOTH)
    for person in (alice, bob):
        make_headshots(kernel, person, 2)
        make_weights(kernel, person)
    with kernel.db.transaction(alice.tenant_id) as session:
        portrait = Sitting(tenant_id=alice.tenant_id, employee_id=alice.id, seed=1, state=SittingState.RENDERING)
        session.add(portrait)
        session.flush()
        own = keep(session, kernel, portrait)
        portrait.state = SittingState.DONE
        headshots.release(session, alice.id, [headshots.of(session, alice.id, utc_now())[-1].id, own.id], utc_now())
    sign_in_employee(client, kernel, alice)
    page = " ".join(get(client, "/visit/face").split())
    said = {"The model of you is deleted.": 1, "1 picture that was made for this is deleted.": 2,
            "1 of them is with your employer": 2, "Your photos stay for the other thing": 2,
            "Nothing can be made without this, so that your whole consent ends with it": 1}  # fmt: skip
    assert {sentence: page.count(sentence) for sentence in said} == said
    done = client.post("/visit/withdraw/headshots", follow_redirects=False)
    assert done.headers["location"] == "/visit/face"
    with kernel.db.transaction(alice.tenant_id) as session:
        assert consents.standing(session, alice.id) == {Purpose.PORTRAIT, Purpose.BIOMETRIC}
        standing = {one.id for one in consents.of(session, alice.id) if one.withdrawn_at is None}
        assert {one.consent_id for one in photos.of(session, alice.id)} <= standing
        assert {one.headshot_id for one in headshots.releases(session, alice.id)} == {own.id}
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.id for one in session.exec(select(Headshot).where(col(Headshot.employee_id) == alice.id))] == [own.id]
        assert session.exec(select(Weights).where(col(Weights.employee_id) == alice.id)).all() == []
        assert len(photos.of(session, alice.id)) == 6
    with kernel.db.transaction(bob.tenant_id) as session:
        assert len(consents.standing(session, bob.id)) == 3
    act = next(one for one in kernel.db.outside.acts(alice.tenant_id) if one.event == "consent.narrowed")
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update consent set withdrawn_at = null"))
    with kernel.db.transaction(alice.tenant_id) as session:
        repeating.REPEAT[act.event](session, kernel, act)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert consents.standing(session, alice.id) == {Purpose.PORTRAIT, Purpose.BIOMETRIC}
    last = client.post("/visit/withdraw/portrait", follow_redirects=False)
    assert last.headers["location"] == "/visit/declined", "without another way everything is withdrawn"
    assert client.post("/visit/withdraw/marketing").status_code == 422
    sign_in_employee(client, kernel, bob)
    assert client.delete("/api/v1/visit/consent/marketing").status_code == 422
    measures = client.delete("/api/v1/visit/consent/biometric")
    assert measures.json() == {"rest_goes_on": False}, "nothing is made without a check"
    with kernel.db.transaction(bob.tenant_id) as session:
        assert consents.standing(session, bob.id) == set()


def test_the_database_refuses_a_photo_without_a_consent_that_stands_and_a_day_past_the_terms(kernel: Kernel) -> None:
    alice = make_person(kernel, source_days=5)
    now = utc_now()

    def photo(consent: Any, **changes: Any) -> Photo:
        values = {"tenant_id": alice.tenant_id, "employee_id": alice.id, "consent_id": consent, "path": "x",
                  "digest": uuid4().hex, "created_at": now, "due_at": now + timedelta(days=5)} | changes  # fmt: skip
        return Photo(**values)

    with kernel.db.transaction(alice.tenant_id) as session:
        standing, other = consents.of(session, alice.id)
        session.execute(text("update consent set withdrawn_at = now() where id = :id"), {"id": other.id})
        session.add(photo(standing.id))
    for wrong in (photo(other.id), photo(standing.id, due_at=now + timedelta(days=6))):
        with pytest.raises(IntegrityError), kernel.db.transaction(alice.tenant_id) as session:
            session.add(wrong)
            session.flush()
    for change in ("consent_id = :other", "due_at = created_at + interval '6 days'"):
        with pytest.raises(IntegrityError), kernel.db.transaction(alice.tenant_id) as session:
            session.execute(text(f"update photo set {change}"), {"other": other.id} if ":" in change else {})
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update photo set due_at = due_at - interval '1 day'"))
    stranger = make_person(kernel)
    with pytest.raises(IntegrityError), kernel.db.transaction(alice.tenant_id) as session:
        with kernel.db.transaction(stranger.tenant_id) as theirs:
            wrong = photo(consents.of(theirs, stranger.id)[0].id)
        session.add(wrong)
        session.flush()


def test_a_photo_is_kept_neither_after_withdrawal_nor_past_the_limit(kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    for person in (alice, bob):
        made = make_photos(kernel, person, intake.MOST if person is bob else 2)
        with kernel.db.transaction(person.tenant_id) as session:
            for one in made:
                decisions.remove_soon(session, kernel.objects, person.id, one.id, utc_now())
            if person is alice:
                session.add(Hold(tenant_id=person.tenant_id, employee_id=person.id, placed_by=uuid4(), confirmed_by=uuid4(),
                                 unsealed_reference="7 C 9/26", unsealed_reason="x", confirmed_at=utc_now(),
                                 expires_at=utc_now() + timedelta(days=40)))  # fmt: skip
                attending.withdraw(session, person.id, utc_now())
        if person is bob:
            make_photos(kernel, bob, intake.MOST)
        with kernel.db.transaction(person.tenant_id) as session, pytest.raises(decisions.TooLateToKeep):
            decisions.keep(session, person.id, made[0].id, utc_now())
        with kernel.db.transaction(person.tenant_id) as session:
            assert made[0].id not in {one.id for one in photos.of(session, person.id)}


def test_what_was_drawn_before_drawing_was_asked_about_goes_with_headshots(kernel: Kernel) -> None:
    alice = make_person(kernel, recipes=["portrait-small", CUTOUT])
    with kernel.db.transaction(alice.tenant_id) as session:
        sitting = Sitting(tenant_id=alice.tenant_id, employee_id=alice.id, seed=1, state=SittingState.RENDERING,
                          recipe="flux2-klein-4b-reference")  # fmt: skip
        session.add(sitting)
        session.flush()
        drawn = keep(session, kernel, sitting)
        sitting.state = SittingState.DONE
        headshots.release(session, alice.id, [drawn.id], utc_now())
        assert narrowing.follows(session, alice.id, utc_now())[Purpose.HEADSHOTS].headshots == 1
        assert narrowing.withdraw_one(session, alice.id, Purpose.HEADSHOTS, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert headshots.releases(session, alice.id) == []


def test_a_receipt_names_a_model_for_the_purpose_alone_that_makes_one(kernel: Kernel) -> None:
    alice = make_person(kernel, recipes=["portrait-small", CUTOUT])
    with kernel.db.transaction(alice.tenant_id) as session:
        company, kept = tenants.get(session), dict[str, str]()
        for one in consents.of(session, alice.id):
            notice = notices.get(session, one.notice_id)
            kept[one.purpose] = json.dumps(consent_receipts.document(one, notice, company, kernel.settings))
    assert {purpose for purpose, said in kept.items() if "a model of them" in said} == {Purpose.HEADSHOTS}
    assert "in memory alone, for the seconds" in kept[Purpose.BIOMETRIC]


def test_a_photo_that_arrives_while_its_consent_is_withdrawn_waits_and_is_refused(kernel: Kernel) -> None:
    alice = make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        given = consents.of(session, alice.id)[0].id

    def arrive() -> None:
        with kernel.db.transaction(alice.tenant_id) as session:
            session.add(Photo(tenant_id=alice.tenant_id, employee_id=alice.id, consent_id=given, path="x", digest="y",
                              due_at=utc_now()))  # fmt: skip

    with ThreadPoolExecutor(1) as other:
        with kernel.db.transaction(alice.tenant_id) as session:
            session.execute(text("update consent set withdrawn_at = now() where id = :id"), {"id": given})
            arriving = other.submit(arrive)
            with kernel.db.engine.connect() as looking:
                while not looking.execute(text("select 1 from pg_stat_activity where wait_event_type = 'Lock'")).all():
                    assert not arriving.done(), "it did not wait"
                    looking.rollback()
        with pytest.raises(IntegrityError):
            arriving.result(timeout=90)


def test_shorter_terms_reach_what_is_stored(kernel: Kernel) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change(session, caller="test", source_days=2, headshot_days=3)
    assert retention.shorten(kernel, alice.tenant_id, utc_now()) == 6 + 1 + 2
    assert retention.shorten(kernel, alice.tenant_id, utc_now()) == 0
    soon = timedelta(days=1)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update headshot set created_at = created_at - interval '9 days'"))
        tenants.change(session, caller="test", headshot_days=1)
    now = utc_now()
    assert retention.shorten(kernel, alice.tenant_id, now) == 2
    with kernel.db.transaction(alice.tenant_id) as session:
        for one in headshots.of(session, alice.id, utc_now()):
            assert one.due_at == now + soon, "its person is warned first"
    retention.warn(kernel, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.owner_id for one in mail.mailbox(session) if one.template == "expiry"] == [alice.id]
    for person, left in ((alice, 0), (bob, 6)):
        with kernel.db.transaction(person.tenant_id) as session:
            session.execute(text("update photo set created_at = created_at - interval '2 days',"
                                 " due_at = due_at - interval '2 days'"))  # fmt: skip
        retention.delete_due(kernel, person.tenant_id, utc_now())
        with kernel.db.transaction(person.tenant_id) as session:
            assert len(photos.of(session, person.id)) == left
            assert len(headshots.of(session, person.id, utc_now())) == 2


def test_each_answer_has_a_signed_receipt_that_names_nobody(
    kernel: Kernel, client: TestClient[Any], tmp_path: Path
) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    consent_receipts.ask(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        given = consents.of(session, alice.id)
        notice = notices.get(session, given[0].notice_id)
        give_consent(session, kernel, alice)
    sign_in_employee(client, kernel, alice)
    pin, form = verifier.Pin(signing.published(kernel)), client.get(consent_receipts.PATH).json()
    for consent in given:
        answer = client.get(f"/visit/consents/{consent.id}/receipt")
        assert client.get(f"/api/v1/visit/consents/{consent.id}/receipt").text == answer.text
        said = verifier.certificate(answer.text, pin, verifier.RECEIPT)
        jsonschema.Draft202012Validator(form).validate(said)
        with pytest.raises(verifier.Invalid):
            verifier.certificate(answer.text, pin)
        assert said["record_metadata"]["pii_principal_id"] == str(alice.id)
        (purpose,) = said["pii_processing"]["purposes"]
        assert purpose["purpose"] == consent.purpose
        assert said["pii_processing"]["privacy_notice"]["sha256"] == notice.digest
        assert said["events"][0]["event_time"]
        assert "Nadia" not in str(said)
        assert json.loads(said["ledger"]["entry"])["event"] == "consent.given"
    assert "Signed receipt" in get(client, "/visit/face")
    file, key = tmp_path / "receipt.jws", tmp_path / "key.json"
    file.write_text(answer.text)
    key.write_text(json.dumps(signing.published(kernel)))
    _witnessed(kernel, client, alice, file, ["--key", str(key)])
    good = CliRunner().invoke(main, ["verify", str(file), "--key", str(key)])
    assert (good.exit_code, "consent receipt is unchanged" in good.output) == (0, True)
    head, body, tail = answer.text.split(".")
    file.write_text(f"{head}.{body[:-4]}AAAA.{tail}")
    assert CliRunner().invoke(main, ["verify", str(file), "--key", str(key)]).exit_code == 1
    with kernel.db.transaction(alice.tenant_id) as session:
        consents.withdraw(session, alice.id, utc_now())
    consent_receipts.ask(kernel, utc_now() + timedelta(minutes=1))
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        again = {str(one.id): one.signed_receipt or "" for one in consents.of(session, alice.id)}
    for token in again.values():
        said = verifier.certificate(token, pin, verifier.RECEIPT)
        jsonschema.Draft202012Validator(form).validate(said)
        assert [one["event_state"] for one in said["events"]] == ["consent given", "consent withdrawn"]
        assert json.loads(said["ledger"]["entry"])["event"] == "consent.withdrawn"
    sign_in_employee(client, kernel, bob)
    for start in ("", "/api/v1"):
        assert client.get(f"{start}/visit/consents/{given[0].id}/receipt").status_code == 404


def _witnessed(kernel: Kernel, client: TestClient[Any], person: Employee, receipt: Path, pinned: list[str]) -> None:
    """Whoever keeps a receipt, or the mail that came with it, notices a log that was cut or made anew."""
    checkpointing.ask_for(kernel, person.tenant_id, utc_now() + timedelta(hours=2))
    run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, make_employee(session, kernel))
    with kernel.db.transaction(person.tenant_id) as session:
        lines = [one.data() for one in ledger.entries(session)]
        letters = [read(kernel.keys, one) for one in session.exec(select(Mail).where(col(Mail.template) == "receipt"))]
    letter = EmailMessage()
    letter.set_content(next(one.text for one in letters if one and "sequence" in one.text), cte="quoted-printable")
    (saved := receipt.with_name("mail.eml")).write_bytes(bytes(letter))
    log, forged = receipt.with_name("log.jsonl"), [lines[0].replace(b'"caller":"', b'"caller":"x'), *lines[1:]]
    for kept in (receipt, saved):
        for there, status in ((lines, 0), (forged, 1), (lines[:3], 1)):
            log.write_bytes(b"\n".join(there) + b"\n")
            assert verifier.main(["log", str(log), *pinned, "--checkpoint", str(kept)]) == status
    point = verifier.kept(receipt.read_bytes(), verifier.Pin(signing.published(kernel)))
    grown = client.get(f"/api/v1/logs/{point['tenant']}/{point['epoch']}/{point['size']}", params={"root": root_of(point)})
    (answer := receipt.with_name("answer.json")).write_text(grown.text)
    assert verifier.main(["extends", str(receipt), str(answer), *pinned]) == 0
    answer.write_text(json.dumps(grown.json() | {"consistency": ["00" * 32]}))
    assert verifier.main(["extends", str(receipt), str(answer), *pinned]) == 1
