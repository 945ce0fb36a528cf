"""A certificate is one person's: they can show it, and nobody else can make it theirs."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient
from pyhanko.pdf_utils.reader import PdfFileReader
from sqlalchemy import update
from sqlmodel import col

from batch.models import Employee
from batch.people import employees
from batch.photos import decisions, photos
from compliance.erasure import certifying, erasures, scheduled
from compliance.models import Certificate
from compliance.proof import certificates, signing, verifier
from compliance.proof.paper import sealing, typeset
from compliance.retention import retention
from compliance.rights import attending, packages
from likeness import ledger
from likeness.cli.main import main
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.compliance.people import colleague_of, erase, full_person, root_of
from tests.factories import give_consent, make_employee, run_jobs, sign_in_employee
from tests.handed_in import make_photos

API = "/api/v1"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def erased(kernel: Kernel, client: TestClient[Any], person: Employee) -> tuple[str, dict[str, Any]]:
    """The receipt, and what it leads to in the end."""
    sign_in_employee(client, kernel, person)
    receipt = client.post(f"{API}/visit/erasure").json()["receipt"]
    run_jobs(kernel, tenant=person.tenant_id)
    client.cookies.clear()
    return receipt, client.get(f"{API}/receipts/{receipt}").json()


def address_of(kernel: Kernel, person: Employee) -> str:
    return employees.profile(kernel.keys, person).email


def test_one_persons_certificate_is_refused_as_anothers(kernel: Kernel, client: TestClient[Any], tmp_path: Path) -> None:
    alice = full_person(kernel)
    bob = colleague_of(kernel, alice)
    hers, his = address_of(kernel, alice), address_of(kernel, bob)
    with kernel.db.transaction(alice.tenant_id) as session:
        employees.choose_language(session, kernel.keys, alice.id, "ja")
    receipt, shown = erased(kernel, client, alice)
    _, other = erased(kernel, client, bob)
    pin = verifier.Pin(signing.published(kernel))
    document = verifier.certificate(shown["certificate"], pin)
    verifier.check_subject(document, "Nadia Ümit", hers, shown["proof_code"])
    for name, email, code in (
        ("Bo Linde", his, other["proof_code"]),
        ("Bo Linde", his, shown["proof_code"]),
        ("Nadia Ümit", hers, other["proof_code"]),
        ("Nadia Ümit", his, shown["proof_code"]),
    ):
        with pytest.raises(verifier.Invalid):
            verifier.check_subject(document, name, email, code)
    page = client.get(f"/gone/{receipt}")
    assert shown["proof_code"] in page.text
    paper = client.get(f"/gone/{receipt}/certificate.pdf")
    assert paper.headers["content-type"] == "application/pdf"
    sealing.check(paper.content, document["paper"]["sealed_by"])
    written_in = PdfFileReader(io.BytesIO(paper.content)).root["/Lang"]
    assert written_in == ("ja" if typeset.writes("ja") else "en"), "what she chose herself, not what the list says"
    assert verifier.out_of_pdf(paper.content) == shown["certificate"]
    for secret in (b"Nadia", hers.encode(), shown["proof_code"].encode()):
        assert secret not in paper.content
        assert secret not in json.dumps(document).encode()

    (tmp_path / "one.pdf").write_bytes(paper.content)
    (tmp_path / "broken.pdf").write_bytes(paper.content + b"\n%\n")
    (tmp_path / "key.json").write_text(json.dumps(signing.published(kernel)))
    pinned = ["--fingerprint", str(certificates.kid_of(shown["certificate"]))]
    mine = ["--name", "Nadia Ümit", "--email", hers, "--code", shown["proof_code"].lower()]
    theirs = ["--name", "Bo Linde", "--email", his, "--code", other["proof_code"]]
    run = CliRunner()
    file = str(tmp_path / "one.pdf")
    assert run.invoke(main, ["verify", file, *pinned, *mine]).exit_code == 0
    assert run.invoke(main, ["verify", file, "--key", str(tmp_path / "key.json")]).exit_code == 0
    refused = run.invoke(main, ["verify", file, *pinned, *theirs])
    assert (refused.exit_code, "not about this person" in refused.output) == (1, True)
    assert run.invoke(main, ["verify", str(tmp_path / "broken.pdf"), *pinned]).exit_code == 1
    assert run.invoke(main, ["verify", file, "--fingerprint", "A" * 43]).exit_code == 1
    assert run.invoke(main, ["verify", file]).exit_code != 0


def test_the_certificate_proves_its_own_place_in_the_log(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    _, shown = erased(kernel, client, alice)
    logged = shown["document"]["ledger"]
    entry = json.loads(logged["entry"])
    assert entry["objects"] == [shown["document"]["request_ref"], shown["document"]["id"]]
    assert str(alice.id) not in json.dumps(shown["document"])
    point = verifier.checkpoint(logged["checkpoint"], verifier.Pin(signing.published(kernel)))
    at = f"{API}/logs/{point['tenant']}/{point['epoch']}/{point['size']}"
    answer = client.get(at, params={"root": root_of(point)}).json()
    assert verifier.check_extends(point, answer, verifier.Pin(signing.published(kernel)))
    for guess in ({}, {"root": ""}, {"root": b64encode(bytes(32)).decode()}):
        told = client.get(at, params=guess)
        assert (told.status_code, told.json()["type"]) == (404, "urn:likeness:checkpoint-missing"), "no size is guessed"
    for unknown in (point["size"] - 1, point["size"] + 1000, 137_682_357_207, -1):
        assert client.get(f"{API}/logs/{point['tenant']}/{point['epoch']}/{unknown}").status_code == 404
    assert client.get(f"{API}/logs/{point['tenant']}/-16432555/{point['size']}").status_code == 404


def test_a_second_certificate_follows_when_the_last_backup_has_run_out(kernel: Kernel) -> None:
    alice = full_person(kernel)
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    erasure = erase(stated, alice)
    run_jobs(stated, tenant=alice.tenant_id)
    tenant = alice.tenant_id

    def issued(later: timedelta = timedelta(), days: int = 3) -> list[int]:
        said = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": days}))
        certifying.begin_second(said, utc_now() + later)
        run_jobs(stated, tenant=tenant)
        with kernel.db.transaction(tenant) as session:
            return [one.stage for one in certifying.certificates_of(session, erasure.id)]

    assert issued() == [1]
    assert issued(timedelta(days=2), days=1) == [1], "the first one promised a later day"
    assert issued(timedelta(days=4), days=10) == [1], "by now backups are kept for longer"
    assert issued(timedelta(days=3, minutes=1)) == [1, 2]
    assert issued(timedelta(days=3, minutes=1)) == [1, 2]
    with kernel.db.transaction(tenant) as session:
        one, two = certifying.certificates_of(session, erasure.id)
        newest = erasures.certificate_of(session, erasure.id)
        ledger.verify(session)
    assert newest.id == two.id
    assert one.document["residuals"]
    assert (two.document["residuals"], two.document["first"]) == ([], str(one.id))
    promised = one.document["residuals"][0]["until"]
    assert {"promised": promised, "ran_out": promised}.items() <= two.document["backups"].items()
    assert "backups" in two.document["claims"]["attested"], "what the operator says is marked so again"
    assert "backups" not in two.document["claims"]["measured"]
    assert two.document["verification"]["finished_at"] > one.document["verification"]["finished_at"]
    assert verifier.certificate(two.jws, verifier.Pin(signing.published(kernel))) == two.document
    sealing.check(two.paper or b"", two.document["paper"]["sealed_by"])


def test_changed_certificates_keep_no_turn_of_those_behind_them(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a sweep looks at in one go."""
    monkeypatch.setattr(certifying, "MOST", 1)
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    alice = full_person(kernel)
    people = [alice, colleague_of(kernel, alice), colleague_of(kernel, alice)]
    asked = []
    for person in people:
        asked.append(erase(stated, person))
        run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        for one in asked[:2]:
            mine = (col(Certificate.tenant_id) == alice.tenant_id, col(Certificate.erasure_id) == one.id)
            session.execute(update(Certificate).where(*mine).values(jws="changed"))
    certifying.begin_second(stated, utc_now() + timedelta(days=4))
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        stages = [[it.stage for it in certifying.certificates_of(session, one.id)] for one in asked]
    assert stages == [[1], [1], [1, 2]]


def test_no_second_certificate_while_something_is_left_or_nothing_was_stated(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = full_person(kernel)
    bob = colleague_of(kernel, alice)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    month = utc_now() + timedelta(days=30)
    certifying.begin_second(kernel, month)  # The operator has stated nothing.
    run_jobs(kernel, tenant=alice.tenant_id)
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    with kernel.db.transaction(alice.tenant_id) as session:  # The very id comes back.
        back = make_employee(session, kernel)
        session.execute(update(Employee).where(col(Employee.id) == back.id).values(id=alice.id))
    certifying.begin_second(stated, month)
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.stage for one in certifying.certificates_of(session, erasure.id)] == [1]
    # Nor does it keep others waiting, however few are begun at a time.
    monkeypatch.setattr(certifying, "MOST", 1)
    later = erase(kernel, bob)
    run_jobs(kernel, tenant=bob.tenant_id)
    certifying.begin_second(stated, month)
    run_jobs(stated, tenant=bob.tenant_id)
    with kernel.db.transaction(bob.tenant_id) as session:
        assert [one.stage for one in certifying.certificates_of(session, later.id)] == [1, 2]


def test_a_deletion_on_its_day_is_looked_for_again_and_certified(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        bob = make_employee(session, kernel, full_name="Bo Linde")
        give_consent(session, kernel, bob)
    stranger = full_person(kernel)
    email = address_of(kernel, alice)
    later = utc_now() + timedelta(days=7, hours=2)
    for tenant in (alice.tenant_id, stranger.tenant_id):
        retention.delete_due(kernel, tenant, later)
        retention.retire_keys(kernel, tenant, later)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        mine = scheduled.of(session, kernel.keys, alice)
        assert erasures.open_of(session, alice.id) is None
    assert {one.scope for one in mine} == {"source", "model"}
    for one in mine:
        document = verifier.certificate(one.certificate.jws, verifier.Pin(signing.published(kernel)))
        assert (document["scope"], document["trigger"]) == (one.scope, "retention")
        asked = {name for name, answer in document["verification"]["stores"].items() if answer["result"] == "clean"}
        assert {f"objects:{one.scope}", f"key:{one.scope}"} <= asked
        assert list(document["classes"]) == [one.scope]
        verifier.check_subject(document, "Nadia Ümit", email, one.code)
        with pytest.raises(verifier.Invalid):
            verifier.check_subject(document, "Bo Linde", email, one.code)
        sealing.check(one.certificate.paper or b"", document["paper"]["sealed_by"])
    packed = b"".join(packages.pieces(kernel, alice.tenant_id, alice.id, utc_now(), caller=f"employee:{alice.id}"))
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        assert json.loads(opened.read("4-model.json"))["records"]["weights"] == []
        log = json.loads(opened.read("6-what-happened.json"))["records"]["ledger_entry"]
        assert [one["at"] for one in log if one["event"] == "weights.expired"], "the package says when the model went"
        for one in mine:
            assert opened.read(f"8-requests/certificate-{one.certificate.id}.jws").decode() == one.certificate.jws
    # The person goes on as before, sees them on a page of their own, and nobody else does.
    sign_in_employee(client, kernel, alice)
    page = client.get("/visit/certificates")
    assert all(one.code in page.text for one in mine)
    file = f"/visit/certificates/{mine[0].certificate.id}"
    assert client.get(f"{file}/pdf").content == mine[0].certificate.paper
    assert client.get(f"{file}/jws").text.strip() == mine[0].certificate.jws
    told = client.get("/api/v1/visit/certificates").json()
    assert [(one["certificate"], one["proof_code"]) for one in told] == [(one.certificate.jws, one.code) for one in mine]
    assert client.get(f"/api/v1{file}/pdf").content == mine[0].certificate.paper
    sign_in_employee(client, kernel, bob)
    assert client.get(f"{file}/pdf").status_code == client.get(f"/api/v1{file}/pdf").status_code == 404
    assert mine[0].code not in client.get("/visit/certificates").text
    assert client.get("/api/v1/visit/certificates").json() == []
    # Everything else can still be erased, and takes the codes along.
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert erasures.get(session, erasure.id).state == "certified"


def test_who_hands_in_again_before_the_look_gets_a_certificate_on_the_next_day_that_comes(kernel: Kernel) -> None:
    alice = full_person(kernel)
    later = utc_now() + timedelta(days=7, hours=2)
    retention.delete_due(kernel, alice.tenant_id, later)
    retention.retire_keys(kernel, alice.tenant_id, later)
    make_photos(kernel, alice, 1)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.scope for one in scheduled.of(session, kernel.keys, alice)] == ["model"]
        assert [one.scope for one in erasures.all_erasures(session)] == ["model"]


def test_what_the_person_deleted_themselves_is_not_called_a_deletion_on_its_day(kernel: Kernel) -> None:
    alice = full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        for one in photos.of(session, alice.id):
            decisions.remove(session, kernel.objects, alice.id, one.id)
    retention.delete_due(kernel, alice.tenant_id, utc_now() + timedelta(hours=2))
    retention.retire_keys(kernel, alice.tenant_id, utc_now() + timedelta(hours=2))
    with kernel.db.transaction(alice.tenant_id) as session:
        assert "source" not in {one.scope for one in erasures.all_erasures(session)}

