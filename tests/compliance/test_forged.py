"""Certificates that somebody who writes to the database put in the place of others: none leaves by any door."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785
from click.testing import CliRunner
from joserfc import jws
from joserfc.jwk import OKPKey
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from batch.models import Consent, Employee
from batch.visit import consents
from compliance.erasure import erasures, replay, scheduled
from compliance.models import Certificate, Erasure
from compliance.proof import certificates, signing, verifier
from compliance.retention import retention
from compliance.rights import attending, consent_receipts, packages
from likeness.cli.main import main
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.compliance.forging import ENDLESS, SEALLESS, forgeries
from tests.compliance.people import colleague_of, full_person
from tests.factories import run_jobs, sign_in_employee, sign_in_member
from tests.handed_in import make_person
from tests.metrics import figure

API = "/api/v1"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def a_week_later(kernel: Kernel, *people: Employee) -> None:
    """Their selfies and models went on their announced day, and are certified."""
    later = utc_now() + timedelta(days=7, hours=2)
    companies = {person.tenant_id for person in people}
    for tenant in companies:
        retention.delete_due(kernel, tenant, later)
        retention.retire_keys(kernel, tenant, later)
    attending.attend(kernel, utc_now())
    for tenant in companies:
        run_jobs(kernel, tenant=tenant)


def certified(kernel: Kernel, person: Employee, scope: str = "source") -> Certificate:
    with kernel.db.transaction(person.tenant_id) as session:
        mine = [one.certificate for one in scheduled.of(session, kernel.keys, person) if one.scope == scope]
    assert len(mine) == 1
    return mine[0]


def forged(kernel: Kernel, true: Certificate, header: str) -> str:
    """Other words in the place of hers, signed by somebody's own key under the house's name."""
    ours, theirs = signing.published(kernel)["keys"][0], OKPKey.generate_key("Ed25519")
    bare = {name: ours[name] for name in ("crv", "kty", "x")}
    shown = {
        "its key and name": {"jwk": bare, "kid": certificates.fingerprint(ours)},
        "its name": {"jwk": theirs.as_dict(private=False), "kid": certificates.fingerprint(ours)},
        "their own name": {"jwk": theirs.as_dict(private=False), "kid": theirs.thumbprint()},
    }[header]
    words = rfc8785.dumps({**true.document, "controller": "Somebody Else Ltd."})
    said = {"alg": certificates.ALGORITHM, "typ": certificates.TYPE, **shown}
    return jws.serialize_compact(said, words, theirs, algorithms=[certificates.ALGORITHM])


def change(session: Session, row: Certificate, **said: Any) -> None:
    mine = (col(Certificate.tenant_id) == row.tenant_id, col(Certificate.id) == row.id)
    session.execute(update(Certificate).where(*mine).values(**said))


def moved_in(kernel: Kernel, stranger: Employee, alice: Employee) -> None:
    """Another company's certificate with its deletion, as if both had always been of this company and this person."""
    theirs = certified(kernel, stranger)
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert theirs.erasure_id is not None
        facts = erasures.get(session, theirs.erasure_id).model_dump()
        for table, id in ((Certificate, theirs.id), (Erasure, theirs.erasure_id)):
            session.execute(delete(table).where(col(table.tenant_id) == stranger.tenant_id, col(table.id) == id))
    with kernel.db.transaction(alice.tenant_id) as session:
        here = {"tenant_id": alice.tenant_id}
        session.execute(insert(Erasure).values(**facts | here | {"employee_id": alice.id, "receipt_hash": None}))
        session.execute(insert(Certificate).values(**theirs.model_dump() | here))


def pasted(kernel: Kernel, what: str, alice: Employee, bob: Employee, stranger: Employee) -> str:
    """Does it to the certificate of her selfies, and returns the signed text that must not leave as hers."""
    mine, his = certified(kernel, alice), certified(kernel, bob)
    if what == "another company's, with its deletion":
        theirs = certified(kernel, stranger)
        moved_in(kernel, stranger, alice)
        return theirs.jws
    others = {"a colleague's": his, "another company's": certified(kernel, stranger),
              "another of hers": certified(kernel, alice, "model")}  # fmt: skip
    with kernel.db.transaction(alice.tenant_id) as session:
        if what == "a colleague's, with its deletion":
            deletion = (col(Erasure.tenant_id) == bob.tenant_id, col(Erasure.id) == his.erasure_id)
            session.execute(update(Erasure).where(*deletion).values(employee_id=alice.id))
            return his.jws
        if what == "a colleague's, under its number":
            session.execute(
                delete(Certificate).where(col(Certificate.tenant_id) == his.tenant_id, col(Certificate.id) == his.id)
            )
            change(session, mine, id=his.id, jws=his.jws, document=his.document, paper=his.paper)
            return his.jws
        if what in others:
            other = others[what]
            change(session, mine, jws=other.jws, document=other.document, paper=other.paper)
            return other.jws
        token = forged(kernel, mine, what)
        change(session, mine, jws=token, document={**mine.document, "controller": "Somebody Else Ltd."})
        return token


@contextmanager
def put_back_afterwards(kernel: Kernel, *people: Employee) -> Iterator[None]:
    companies = {person.tenant_id for person in people}
    known: list[tuple[type[Erasure | Certificate], UUID, dict[str, Any]]] = []
    for tenant in companies:
        with kernel.db.transaction(tenant) as session:
            for table in (Erasure, Certificate):
                rows = session.exec(select(table).where(col(table.tenant_id) == tenant))
                known += [(table, tenant, row.model_dump()) for row in rows]
    yield
    for tenant in companies:
        with kernel.db.transaction(tenant) as session:
            for table in (Certificate, Erasure):
                session.execute(delete(table).where(col(table.tenant_id) == tenant))
    for table, tenant, facts in known:
        with kernel.db.transaction(tenant) as session:
            session.execute(insert(table).values(**facts))


def package(kernel: Kernel, person: Employee) -> dict[str, bytes]:
    packed = b"".join(packages.pieces(kernel, person.tenant_id, person.id, utc_now(), caller=f"employee:{person.id}"))
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


FORGERIES = (
    "its key and name", "its name", "their own name", "a colleague's", "a colleague's, under its number",
    "a colleague's, with its deletion", "another company's", "another company's, with its deletion", "another of hers",
)  # fmt: skip


def test_what_was_put_in_the_place_of_somebodys_certificate_reaches_them_by_no_door(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice, stranger = full_person(kernel), full_person(kernel)
    bob = colleague_of(kernel, alice)
    a_week_later(kernel, alice, bob, stranger)
    sign_in_employee(client, kernel, alice)
    model = certified(kernel, alice, "model").jws
    before = figure(client, "likeness_certificates_changed")
    for what in FORGERIES:
        with put_back_afterwards(kernel, alice, stranger):
            token = pasted(kernel, what, alice, bob, stranger)
            page = client.get("/visit/certificates")
            assert (page.status_code, page.text.count("was changed in the database")) == (200, 1), what
            listed = client.get(f"{API}/visit/certificates").json()
            (changed,) = [one["id"] for one in listed if one["certificate"] is None]
            assert f"{changed}/" not in page.text, what
            assert f"/visit/certificates/{certified(kernel, alice, 'model').id}/jws" in page.text, "the other one is there"
            handed = [one["certificate"] for one in listed if one["certificate"] is not None]
            assert model in handed, what
            assert what == "another of hers" or token not in handed, what
            for path in (f"/visit/certificates/{changed}/jws", f"/visit/certificates/{changed}/pdf",
                         f"{API}/visit/certificates/{changed}/pdf"):  # fmt: skip
                answer = client.get(path)
                assert (answer.status_code, token.split(".")[1] in answer.text) == (422, False), (what, path)
            files = package(kernel, alice)
            packed = {files[name].decode() for name in files if name.startswith("8-requests/certificate-")}
            assert packed == set(handed), what
            omitted = {one["what"]: one["reason"] for one in json.loads(files["omissions.json"])}
            assert "changed in the database" in omitted[f"8-requests/certificate-{changed}.jws"], what
    assert figure(client, "likeness_certificates_changed") > before
    assert client.get("/visit/certificates").text.count("was changed in the database") == 0


def test_nor_do_they_reach_legal(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, stranger = full_person(kernel), full_person(kernel)
    bob = colleague_of(kernel, alice)
    a_week_later(kernel, alice, bob, stranger)
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    signed = {one.id: one.jws for one in (certified(kernel, alice), certified(kernel, bob))}
    asked = [*signed, certified(kernel, stranger).id]
    for what in FORGERIES:
        with put_back_afterwards(kernel, alice, stranger):
            pasted(kernel, what, alice, bob, stranger)
            answers = {one: client.get(f"{API}/certificates/{one}/jws") for one in asked}
            for one, answer in answers.items():
                told = (answer.status_code, answer.text.strip())
                assert told == (200, signed.get(one)) or answer.status_code in (404, 422), (what, one)
                if answer.status_code != 200:
                    assert client.get(f"{API}/certificates/{one}/pdf").status_code == answer.status_code, (what, one)
            # A colleague's deletion that was given to her stays what was signed, and no address names its person.
            refused = [answer for answer in answers.values() if answer.status_code == 422]
            assert bool(refused) == (what != "a colleague's, with its deletion"), what
    assert {client.get(f"{API}/certificates/{one}/jws").text.strip() for one in signed} == set(signed.values())


def test_what_the_alarm_advises_brings_the_signed_one_back(kernel: Kernel, client: TestClient[Any]) -> None:
    """Delete the changed row and start: it comes from beside the database (`docs/operating/alarms.md`)."""
    alice, stranger = full_person(kernel), full_person(kernel)
    a_week_later(kernel, alice, stranger)
    mine = certified(kernel, alice)
    sign_in_employee(client, kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        change(session, mine, jws=certified(kernel, stranger).jws)
    assert client.get(f"/visit/certificates/{mine.id}/jws").status_code == 422
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(
            delete(Certificate).where(col(Certificate.tenant_id) == alice.tenant_id, col(Certificate.id) == mine.id)
        )
    assert client.get(f"/visit/certificates/{mine.id}/jws").status_code == 404
    assert replay.after_restore(kernel).certificates == 1
    answer = client.get(f"/visit/certificates/{mine.id}/jws")
    assert (answer.status_code, answer.text.strip()) == (200, mine.jws)


def test_what_somebody_without_the_key_makes_of_one_verifies_nowhere(kernel: Kernel, tmp_path: Path) -> None:
    alice = full_person(kernel)
    a_week_later(kernel, alice)
    mine, keys = certified(kernel, alice), signing.published(kernel)
    (tmp_path / "key.json").write_text(json.dumps(keys))
    files = {f"{number}.jws": data for number, data in enumerate(forgeries(mine.jws, keys["keys"][0]).values())}
    files |= {f"{header}.jws": forged(kernel, mine, header).encode() for header in HEADERS}
    for name, data in {"true.jws": mine.jws.encode(), "true.pdf": mine.paper or b"", **files}.items():
        (tmp_path / name).write_bytes(data)
        for pinned in (["--key", str(tmp_path / "key.json")], ["--fingerprint", str(certificates.kid_of(mine.jws))]):
            true = name.startswith("true")
            ended = CliRunner().invoke(main, ["verify", str(tmp_path / name), *pinned])
            assert ended.exit_code == (0 if true else 1), (name, ended.output)
            # The one file has no means to look at a page's seal, and says so.
            plain = verifier.main(["certificate", str(tmp_path / name), *pinned])
            assert (plain == 0) == (true or data.startswith(SEALLESS)), name


def test_a_page_whose_file_never_ends_is_not_read_to_its_end() -> None:
    endless = ENDLESS + zlib.compress(b"A" * 150_000_000, 9) + b"\nendstream"
    tracemalloc.start()
    with pytest.raises(verifier.Invalid):
        verifier.out_of_pdf(endless)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000_000


HEADERS = ("its key and name", "its name", "their own name")


def test_a_page_says_that_something_was_deleted_for_a_signed_certificate_alone(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    """Whoever writes a row for a deletion that has not ended would otherwise have the house say that all is gone."""
    alice, stranger = full_person(kernel), full_person(kernel)
    a_week_later(kernel, stranger)
    theirs = certified(kernel, stranger)
    with kernel.db.transaction(alice.tenant_id) as session:
        asked, receipt = erasures.ask(session, kernel, alice.id, utc_now())
        facts = theirs.model_dump() | {"id": uuid4(), "tenant_id": alice.tenant_id, "erasure_id": asked.id}
        session.execute(insert(Certificate).values(**facts))
    page = client.get(f"/gone/{receipt}")
    assert (page.status_code, "Deleted and checked" in page.text) == (200, False)
    assert "was changed in the database" in page.text
    assert client.get(f"{API}/receipts/{receipt}").status_code == 422


def test_nor_does_another_receipt_of_consent(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, stranger = make_person(kernel), make_person(kernel)
    consent_receipts.ask(kernel, utc_now())
    for person in (alice, stranger):
        run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(stranger.tenant_id) as session:
        theirs = consents.of(session, stranger.id)[0].signed_receipt or ""
    with kernel.db.transaction(alice.tenant_id) as session:
        first, second = consents.of(session, alice.id)[:2]
    sign_in_employee(client, kernel, alice)
    head, body, tail = (first.signed_receipt or "").split(".")
    before = figure(client, "likeness_certificates_changed")
    for token in (theirs, second.signed_receipt or "", f"{head}.{body}.{tail[:-4]}AAAA"):
        with kernel.db.transaction(alice.tenant_id) as session:
            row = update(Consent).where(col(Consent.tenant_id) == alice.tenant_id, col(Consent.id) == first.id)
            session.execute(row.values(signed_receipt=token))
        for start in ("", API):
            answer = client.get(f"{start}/visit/consents/{first.id}/receipt")
            assert (answer.status_code, token in answer.text) == (422, False)
            assert client.get(f"{start}/visit/consents/{second.id}/receipt").text.strip() == second.signed_receipt
        files = package(kernel, alice)
        shown = [one["signed_receipt"] for one in json.loads(files["5-consent.json"])["records"]["consent"]]
        assert sorted(one for one in shown if one) == [second.signed_receipt]
        omitted = {one["what"]: one["reason"] for one in json.loads(files["omissions.json"])}
        assert "changed in the database" in omitted["consent.signed_receipt"]
    assert figure(client, "likeness_certificates_changed") > before


def test_a_page_that_nobody_sealed_for_a_text_is_told_as_changed(kernel: Kernel, client: TestClient[Any]) -> None:
    """Also beside a certificate from before there were pages, whose text names no seal."""
    alice = full_person(kernel)
    a_week_later(kernel, alice)
    mine = certified(kernel, alice)
    sign_in_employee(client, kernel, alice)
    without = {name: value for name, value in mine.document.items() if name != "paper"}
    signed = certificates.sign(without, signing.key(kernel, utc_now()))
    for text, paper in ((mine.jws, b"%PDF-1.7 nothing"), (mine.jws, (mine.paper or b"")[:-400]), (signed, mine.paper)):
        with kernel.db.transaction(alice.tenant_id) as session:
            change(session, mine, jws=text, paper=paper)
        answer = client.get(f"/visit/certificates/{mine.id}/pdf")
        assert (answer.status_code, "was changed in the database" in answer.text) == (422, True), text == signed
