"""HR deletes people after a preview, and a company leaves with everything."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient
from pyhanko.pdf_utils.reader import PdfFileReader
from sqlalchemy import text
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.roster import listings
from batch.sittings import sittings
from compliance import departed, holds, repeating
from compliance.desk import leaving
from compliance.erasure import certifying, erasures, replay
from compliance.models import Certificate, Erasure, ErasureState, Trigger
from compliance.proof import certificates, signing, verifier
from compliance.proof.paper import sealing
from compliance.rights import attending
from likeness import ledger
from likeness.cli.main import main
from likeness.ground.db import utc_now
from likeness.identity import new_token
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail.mail import Mail, read
from tenants import tenants
from tenants.models import Role
from tests.compliance.people import colleague_of, company_leaves, full_person, gone_on, readable
from tests.factories import make_member, run_jobs, sign_in_member

API = "/api/v1"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company, who stays."""
    return full_person(kernel)


def in_db(kernel: Kernel, person: Employee) -> list[Erasure]:
    with kernel.db.transaction(person.tenant_id) as session:
        return erasures.all_erasures(session)


def held(kernel: Kernel, person: Employee, *, barred: bool = False) -> holds.Hold:
    first, second = (make_member(kernel, person.tenant_id, Role.LEGAL).id for _ in range(2))
    with kernel.db.transaction(person.tenant_id) as session:
        hold = holds.place(
            session, kernel.keys, person.id, basis="warrant", reference="1", reason="x",
            expires_at=utc_now() + timedelta(days=9), placed_by=first, now=utc_now(), barred=barred,
        )  # fmt: skip
    with kernel.db.transaction(person.tenant_id) as session:
        return holds.confirm(session, hold.id, confirmed_by=second, now=utc_now())


def lift(kernel: Kernel, hold: holds.Hold) -> None:
    with kernel.db.transaction(hold.tenant_id) as session:
        # The program's estimate of the database's time may be some milliseconds behind it.
        session.execute(text("update hold set expires_at = now() - interval '1 second'"))


def test_hr_deletes_a_person_as_counted_and_nobody_else(kernel: Kernel, client: TestClient[Any], bob: Employee) -> None:
    alice = full_person(kernel)
    colleague = colleague_of(kernel, alice)
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    where = f"{API}/people/{alice.roster_id}/erasure"
    said = client.get(where).json()
    assert said["people"] == 1
    assert said["by_class"] == {"source": 6, "model": 1, "headshot": 2}
    assert client.post(where, json={"people": 1, "objects": 8}).status_code == 409, "that is not what is there"
    assert in_db(kernel, alice) == []
    assert client.post(f"{API}/people/{bob.roster_id}/erasure", json={"people": 1, "objects": 9}).status_code == 404
    assert client.post(where, json={"people": said["people"], "objects": said["objects"]}).status_code == 202
    run_jobs(kernel, tenant=alice.tenant_id, most=1)
    with kernel.db.transaction(alice.tenant_id) as session:
        letter = read(kernel.keys, session.exec(select(Mail).where(col(Mail.template) == "removed")).one())
    assert letter is not None
    assert "you asked" not in letter.text
    run_jobs(kernel, tenant=alice.tenant_id)
    (erasure,) = in_db(kernel, alice)
    assert erasure.state == ErasureState.CERTIFIED
    counted = {name: found["objects"] for name, found in erasure.counts.items() if name != "records"}
    assert counted == said["by_class"], "what was shown is what was deleted"
    assert readable(kernel, colleague)
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    assert client.get(where).status_code == 403


def test_hr_does_not_see_that_somebody_withdrew_and_deletes_their_line_too(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    silent = colleague_of(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
        erasures.request(session, alice.id, trigger=Trigger.WITHDRAWAL, requested_by="test", now=utc_now(), begin=False)
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    where = f"{API}/people/{alice.roster_id}/erasure"
    said = client.get(where).json()
    assert (said["people"], said["under_way"], said["objects"]) == (1, 0, 0), "as somebody who never answered"
    assert client.post(where, json={"people": 1, "objects": 0}).status_code == 202
    assert client.get(where).json()["under_way"] == 1, "now it is HR's own"
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.id for one in session.exec(select(Employee))] == [silent.id], "no line of theirs is left"


def test_hr_deletes_a_batch_and_a_hold_keeps_its_person_until_it_ends(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    hold = held(kernel, alice)
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    where = f"{API}/batches/{alice.batch_id}/erasure"
    said = client.get(where).json()
    assert (said["people"], said["held"]) == (1, 1)
    assert client.post(where, json={"people": 1, "objects": said["objects"]}).status_code == 202
    run_jobs(kernel, tenant=alice.tenant_id)
    assert [one.state for one in in_db(kernel, alice)] == [ErasureState.HELD]
    assert client.get(where).json()["under_way"] == 1
    lift(kernel, hold)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert [one.state for one in in_db(kernel, alice)] == [ErasureState.CERTIFIED]


def test_a_company_leaves_with_everything_and_a_certificate(
    kernel: Kernel, client: TestClient[Any], bob: Employee, tmp_path: Path
) -> None:
    alice = full_person(kernel)
    tenant = alice.tenant_id
    colleague_of(kernel, alice)
    hold = held(kernel, alice, barred=True)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    said = client.get(f"{API}/leaving").json()
    assert said["held"] == 1, "an owner learns why the departure does not end"
    wish = {"name": "Zebra Works", "people": said["people"], "hand_back": True}
    assert client.post(f"{API}/leaving", json=wish | {"name": "Zebra"}).status_code == 422
    assert client.post(f"{API}/leaving", json=wish | {"people": 1}).status_code == 409
    asked = client.post(f"{API}/leaving", json=wish)
    assert asked.status_code == 202, asked.text
    assert client.post(f"{API}/leaving", json=wish).status_code == 409
    receipt = asked.json()["receipt"]
    lift(kernel, hold)
    gone_on(kernel, alice, timedelta())
    assert in_db(kernel, alice) == [], "a day passes first"
    gone_on(kernel, alice)
    assert in_db(kernel, alice) == [], "it waits for what is handed back"
    with kernel.db.transaction(tenant) as session:
        bound = sign_in_member(client, kernel, tenant, Role.HR)
        session.execute(text("update member set departments = '[]' where id = :id"), {"id": bound.id})
    assert client.get(f"{API}/leaving/package").status_code == 403, "it holds people of every department"
    sign_in_member(client, kernel, tenant, Role.HR)
    packed = client.get(f"{API}/leaving/package")
    assert packed.status_code == 200
    with kernel.db.transaction(tenant) as session:
        assert len(listings.of(session, alice.id)) == 1, "it holds a list with their name"
    with zipfile.ZipFile(io.BytesIO(packed.content)) as opened:
        assert {one["full_name"] for one in json.loads(opened.read("people.json"))} == {"Nadia Ümit", "Bo Linde"}
        inner = [name for name in opened.namelist() if name.startswith("headshots/")]
        with zipfile.ZipFile(io.BytesIO(opened.read(inner[0]))) as batch:
            assert any(name.endswith((".png", ".jpg")) for name in batch.namelist())
        # The acts are legal's: beside names they would tell HR who withdrew.
        assert not any("ledger" in name for name in opened.namelist())
    assert client.get(f"{API}/ledger/export").status_code == 403
    gone_on(kernel, alice)

    shown = client.get(f"{API}/departures/{receipt}").json()
    document = certificates.verify(shown["certificate"], signing.published(kernel))
    assert document["people_erased"] == 2
    assert document["handed_back_at"]
    assert (document["holds"], document["counted_when_asked"]["held"]) == ([], 0), "nobody may learn of that hold"
    assert document["verification"]["rights"]["process"] == "its own"
    assert document["residuals"][0] == certificates.backups(utc_now(), None)
    pin = verifier.Pin(signing.published(kernel))
    assert verifier.certificate(shown["certificate"], pin)["id"] == document["id"]
    (tmp_path / "left.jws").write_text(shown["certificate"])
    (tmp_path / "changed.jws").write_text(shown["certificate"][:-9] + "AAAAAAAAA")
    pinned = ["--fingerprint", str(certificates.kid_of(shown["certificate"]))]
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "left.jws"), *pinned]).exit_code == 0
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "changed.jws"), *pinned]).exit_code == 1
    root = Path(unquote(kernel.settings.objects_address().removeprefix("file://")))
    for planted in (f"tenants/{tenant}/employees/{alice.id}/source/{uuid4()}.part", f"elsewhere/{tenant}.bin"):
        (root / planted).parent.mkdir(parents=True, exist_ok=True)
        (root / planted).write_bytes(b"left over")
        assert departed.scan(kernel, tenant).problems() == ["objects"], planted
        (root / planted).unlink()
    shutil.rmtree(root / "elsewhere")
    assert not kernel.keys.opens(tenant)
    assert kernel.keys.state(KeyRef(tenant, alice.id, KeyClass.SOURCE)) == "destroyed"
    assert kernel.objects.list(f"tenants/{tenant}") == []
    assert tenant not in tenants.all_ids(kernel)
    with kernel.db.transaction(tenant) as session:
        with pytest.raises(tenants.TenantMissing):
            tenants.get(session)
        left = session.execute(text("select left_at, contact from tenant where id = :id"), {"id": tenant}).one()
        assert left.left_at is not None
        assert left.contact == ""
        assert session.execute(text("select count(*) from member")).scalar_one() == 0
        assert ledger.verify(session) > 10
        assert [one.event for one in ledger.entries(session)][-1] == "tenant.left"
    assert client.get(f"{API}/batches").status_code in (401, 403), "nobody signs in any more"
    assert readable(kernel, bob), "the other company is untouched"
    assert client.get(f"{API}/departures/{receipt[:-4]}AAAA").status_code == 404


def test_a_company_that_left_and_its_people_get_their_second_certificates(
    kernel: Kernel, client: TestClient[Any], bob: Employee, tmp_path: Path
) -> None:
    alice = full_person(kernel)
    owner = make_member(kernel, alice.tenant_id, Role.OWNER)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update tenant set language = 'fr'"))
    _, receipt = company_leaves(kernel, alice.tenant_id, owner.id)
    waiting = client.get(f"/left/{receipt}")
    assert "Nothing is deleted yet" in waiting.text
    assert client.get(f"/left/{receipt}/certificate/1").status_code == 404
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    gone_on(stated, alice)
    papers = [client.get(f"/left/{receipt}/certificate/1/pdf").content]
    assert "A second certificate follows after" in client.get(f"/left/{receipt}").text
    for days in (2, 4):
        certifying.begin_second(stated, utc_now() + timedelta(days=days))
        leaving.begin_second_of_companies(stated, utc_now() + timedelta(days=days))
        run_jobs(stated, tenant=alice.tenant_id)
        assert client.get(f"/left/{receipt}/certificate/2").status_code == (404 if days == 2 else 200)
    (erasure,) = in_db(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.stage for one in certifying.certificates_of(session, erasure.id)] == [1, 2]
        assert leaving.open_of(session) is not None
    papers.append(client.get(f"/left/{receipt}/certificate/2/pdf").content)
    pin = verifier.Pin(signing.published(kernel))
    first, second = (verifier.certificate(verifier.out_of_pdf(one), pin) for one in papers)
    assert (first["stage"], second["stage"], second["first"], second["residuals"]) == (1, 2, first["id"], [])
    assert second["backups"]["promised"] == first["residuals"][0]["until"] == second["backups"]["ran_out"]
    assert first["paper"]["sealed_by"] == second["paper"]["sealed_by"] == signing.sealed_by(kernel, utc_now())
    for number, paper in enumerate(papers, 1):
        sealing.check(paper, first["paper"]["sealed_by"])
        assert PdfFileReader(io.BytesIO(paper)).root["/Lang"] == "fr"
        (tmp_path / f"{number}.pdf").write_bytes(paper)
        (tmp_path / f"appended-{number}.pdf").write_bytes(paper + b"\n%")
        pinned = ["--fingerprint", str(certificates.kid_of(verifier.out_of_pdf(paper)))]
        assert CliRunner().invoke(main, ["verify", str(tmp_path / f"{number}.pdf"), *pinned]).exit_code == 0
        assert CliRunner().invoke(main, ["verify", str(tmp_path / f"appended-{number}.pdf"), *pinned]).exit_code == 1
    shown = client.get(f"{API}/departures/{receipt}").json()
    assert [shown["first_certificate"], shown["certificate"]] == [verifier.out_of_pdf(one) for one in papers]
    assert "Second certificate" in client.get(f"/left/{receipt}").text
    assert client.get(f"/left/{new_token(bob.tenant_id)}").status_code == 404, "another company's guess leads nowhere"
    _lost_and_given_back(kernel, alice.tenant_id, client, receipt, shown)


def _lost_and_given_back(
    kernel: Kernel, tenant: UUID, client: TestClient[Any], receipt: str, shown: dict[str, Any]
) -> None:
    """A database that lacks departure and certificates gets them from the folder that no backup restores."""
    with kernel.db.transaction(tenant) as session:
        session.execute(text("delete from certificate"))
        session.execute(text("delete from departure"))
    assert client.get(f"/left/{receipt}").status_code == 404
    assert replay.after_restore(kernel).certificates >= 4
    assert client.get(f"{API}/departures/{receipt}").json()["certificate"] == shown["certificate"]
    assert client.get(f"/left/{receipt}/certificate/2/pdf").content.startswith(b"%PDF")


def test_a_process_that_dies_while_it_stores_a_companys_certificate_leaves_nothing_undone(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept outside the database already, and the next start has the company gone by it."""

    class Killed(BaseException):
        pass

    def keep_and_die(session: Session, kernel: Kernel, made: Certificate, about: dict[str, Any]) -> None:
        kept(session, kernel, made, about)
        if "departure" in about:
            raise Killed

    alice, kept = full_person(kernel), certifying.keep
    tenant = alice.tenant_id
    owner = make_member(kernel, tenant, Role.OWNER)
    company_leaves(kernel, tenant, owner.id)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(certifying, "keep", keep_and_die)
        gone_on(kernel, alice)
    with kernel.db.transaction(tenant) as session:
        assert tenants.get(session).left_at is None
    assert replay.after_restore(kernel).certificates >= 1
    with kernel.db.transaction(tenant) as session, pytest.raises(tenants.TenantMissing):
        tenants.get(session)
    gone_on(kernel, alice)
    with kernel.db.transaction(tenant) as session:
        assert len(session.exec(select(Certificate.id).where(col(Certificate.departure_id).is_not(None))).all()) == 1


def test_a_hold_keeps_the_company_and_an_owner_may_call_it_off(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    sign_in_member(client, kernel, alice.tenant_id, Role.OWNER)
    wish = {"name": "Zebra Works", "people": 1, "hand_back": False}
    assert client.post(f"{API}/leaving", json=wish).status_code == 202
    assert client.post(f"{API}/leaving/call-off").status_code == 200
    gone_on(kernel, alice)
    assert in_db(kernel, alice) == []
    held(kernel, alice)
    assert client.post(f"{API}/leaving", json=wish).status_code == 202
    gone_on(kernel, alice)
    assert [one.state for one in in_db(kernel, alice)] == [ErasureState.HELD]
    assert kernel.keys.opens(alice.tenant_id)
    assert client.post(f"{API}/leaving/call-off").status_code == 409, "the deletion has begun"
    assert client.get(f"{API}/tenant").status_code == 200, "the company is still there while anybody of it is"


def test_a_restored_backup_does_not_bring_the_company_back(kernel: Kernel) -> None:
    alice = full_person(kernel)
    tenant = alice.tenant_id
    owner = make_member(kernel, tenant, Role.OWNER)
    company_leaves(kernel, tenant, owner.id)
    gone_on(kernel, alice)
    (act,) = [one for one in kernel.db.outside.acts(tenant) if one.event == "tenant.left"]
    with kernel.db.transaction(tenant) as session:
        # As a backup from before would have it: the company is there, its certificate is not.
        session.execute(text("update tenant set left_at = null where id = :id"), {"id": tenant})
        jws = session.execute(text("select jws from certificate where departure_id is not null")).scalar_one()
        session.execute(text("delete from certificate where departure_id is not null"))
        session.execute(text("update departure set ended_at = null"))
    # An act of an earlier version carries the certificate itself.
    for facts in (act.facts, {**act.facts, "jws": jws}):
        with kernel.db.transaction(tenant) as session:
            session.execute(text("update tenant set left_at = null where id = :id"), {"id": tenant})
            repeating.REPEAT[act.event](session, kernel, replace(act, facts=facts))
    with kernel.db.transaction(tenant) as session:
        assert session.execute(text("select left_at from tenant where id = :id"), {"id": tenant}).scalar_one()
        assert session.execute(text("select ended_at from departure")).scalar_one() is not None
        assert session.execute(text("select jws from certificate where departure_id is not null")).scalar_one() == jws
