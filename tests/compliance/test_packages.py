from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pypdf
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image
from sqlmodel import col, delete, select

from batch.marks import iptc
from batch.models import Employee
from batch.people import employees
from batch.people.employees import EmployeeMissing
from batch.photos import intake, photos
from batch.reading import workbook
from batch.roster import corrections
from batch.sittings import framing, headshots
from batch.vision import inspection
from compliance import requests, stores
from compliance.models import Erasure, Package, RequestKind, SubProcessor
from compliance.proof import certificates, signing
from compliance.rights import handing, packages, schema
from compliance.rights.contents import CONTENTS, OUTSIDE, REASONS, PackageSection
from compliance.rights.labels import LABELS
from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.locale.languages import LANGUAGES
from tests.compliance.people import colleague_of, full_person
from tests.factories import make_tenant, run_jobs, sign_in_employee, sign_in_member
from tests.handed_in import make_person

MB = 2**20


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


def package(kernel: Kernel, person: Employee) -> dict[str, bytes]:
    packed = b"".join(packages.pieces(kernel, person.tenant_id, person.id, utc_now(), caller=f"employee:{person.id}"))
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def parsed(files: dict[str, bytes], name: str) -> Any:
    return json.loads(files[name])


def records(files: dict[str, bytes], section: str) -> Any:
    return parsed(files, f"{section}.json")["records"]


def test_what_the_employers_own_program_did_was_done_by_the_employer(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        ledger.record(session, "release.downloaded", caller=f"machine:{uuid4()}", subject=alice.id, objects=[uuid4()])
    log = records(package(kernel, alice), "7-who-received-it")["ledger_entry"]
    assert [one["caller"] for one in log if one["event"] == "release.downloaded"] == ["your employer"]


def test_it_holds_faithful_copies_and_a_manifest_of_every_file(kernel: Kernel, alice: Employee) -> None:
    files = package(kernel, alice)
    manifest = parsed(files, "manifest.json")["files"]
    assert {one["path"]: one["sha256"] for one in manifest} == {
        name: sha256(data).hexdigest() for name, data in files.items() if not name.startswith("manifest.")
    }
    with kernel.db.transaction(alice.tenant_id) as session:
        selfies, pictures = photos.of(session, alice.id), headshots.of(session, alice.id, utc_now())
    source = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE))
    copies = {name.split(".")[0]: data for name, data in files.items()}
    for selfie in selfies:
        assert copies[f"2-photos-you-sent/{selfie.id}"] == kernel.objects.get(selfie.path, source)
    for picture in pictures:
        kept, given = headshots.opened(kernel, picture), copies[f"3-your-headshots/{picture.id}"]
        assert (iptc.read(kept), iptc.read(given)) == (None, framing.source_of(picture))
        with Image.open(io.BytesIO(kept)) as before, Image.open(io.BytesIO(given)) as after:
            assert before.tobytes() == after.tobytes(), "every pixel as it is kept"
    assert packages.GONE not in {one["reason"] for one in parsed(files, "omissions.json")}
    you, photo = records(files, "1-about-you"), records(files, "2-photos-you-sent")["photo"][0]
    assert you["employee"][0]["profile"]["full_name"] == "Nadia Ümit"
    assert (len(you["web_session"]), len(you["link"]) + len(you["sign_in_link"])) == (1, 1)
    assert {"pose", "faces", "dress", "findings", "due_at"} < set(photo)
    assert records(files, "3-your-headshots")["headshot"][0]["likeness_ratio"] is not None
    assert len(records(files, "4-model")["weights"]) == 1
    assert {one["purpose"] for one in records(files, "5-consent")["consent"]} == {"headshots", "biometric"}
    assert records(files, "5-consent")["consent"][0]["notice_id"]["text"]
    log = records(files, "6-what-happened")["ledger_entry"]
    assert {one["caller"] for one in log} <= {"you", "your employer", "the program", "the operator"}


def test_each_column_about_a_person_is_in_the_package_or_has_a_reason() -> None:
    """A column that somebody adds to the registry, and forgets here, fails this."""
    known = {name: table for name, table in stores.TABLES.items() if table.person}
    assert set(CONTENTS) == set(known)
    for name, contents in CONTENTS.items():
        assert sorted([*contents.shown, *contents.withheld]) == sorted(known[name].columns), name
        assert set(contents.withheld.values()) <= set(REASONS), name
        assert set(contents.portable) <= set(contents.shown), name
        assert set(contents.shown) <= set(LABELS), name
    files = {stores.OBJECTS[KeyClass.SOURCE].name, stores.OBJECTS[KeyClass.HEADSHOT].name}
    assert set(OUTSIDE) == {place.name for place in stores.PLACES} - files


def test_it_says_for_each_column_that_is_not_shown_why(kernel: Kernel, alice: Employee) -> None:
    files = package(kernel, alice)
    why = {one["what"]: one["reason"] for one in parsed(files, "omissions.json")}
    for section in PackageSection:
        for table, rows in records(files, section).items() if section != PackageSection.RECEIVED else ():
            for column in CONTENTS[table].withheld if rows else ():
                assert why[f"{table}.{column}"]
            for row in rows:
                assert set(row) == set(CONTENTS[table].shown)
    assert why["weights.path"] == REASONS["model"]


def test_it_names_who_received_something_and_who_else_works_on_it(kernel: Kernel, alice: Employee) -> None:
    now = utc_now()
    rows = [
        SubProcessor(
            tenant_id=PLATFORM,
            name=name,
            purpose="mails",
            country="US",
            safeguards="clauses",
            announced_at=now,
            begins_at=at,
        )
        for name, at in (("Post & Co", now), ("Later Ltd", now + timedelta(days=30)))
    ]
    with kernel.db.transaction(PLATFORM) as session:
        session.add_all(rows)
    try:
        files = package(kernel, alice)
    finally:
        with kernel.db.transaction(PLATFORM) as session:
            session.execute(delete(SubProcessor).where(col(SubProcessor.name).in_(["Post & Co", "Later Ltd"])))
    assert [one["name"] for one in records(files, "7-who-received-it")["sub_processor"]] == ["Post & Co"]
    page = files["START-HERE.html"].decode()
    assert "Post &amp; Co" in page
    assert "Later Ltd" not in page
    assert "Nothing is transferred" not in page
    assert "Nothing is transferred" in package(kernel, alice)["START-HERE.html"].decode()


def test_its_files_have_the_published_form_and_say_what_may_be_taken_elsewhere(
    kernel: Kernel, app: Litestar, alice: Employee
) -> None:
    files = package(kernel, alice)
    with TestClient(app) as client:
        published = client.get(schema.PATH).json()
    assert parsed(files, "verify/schema.json") == published
    for section in PackageSection:
        jsonschema.Draft202012Validator(published).validate(parsed(files, f"{section}.json"))
    rows = published["properties"]["records"]["properties"]
    for table, contents in CONTENTS.items():
        marked = {one for one, said in rows[table]["items"]["properties"].items() if said["x-portable"]}
        assert marked == set(contents.portable)
    portable = {one["path"]: one["portable"] for one in parsed(files, "manifest.json")["files"]}
    assert {said for path, said in portable.items() if path.startswith("2-photos-you-sent/")} == {True}
    assert portable["4-model.json"] is False


def test_it_is_signed_and_checked_by_the_program_inside(kernel: Kernel, alice: Employee, tmp_path: Path) -> None:
    for name, data in package(kernel, alice).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    fingerprint = certificates.fingerprint(signing.history(kernel)[-1]["jwk"])
    picture = next((tmp_path / "3-your-headshots").iterdir())
    whole = picture.read_bytes()

    def checked(*pinned: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", tmp_path / "verify/verify_package.py", tmp_path, *pinned],
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    assert checked("--fingerprint", fingerprint)[0] == 0
    assert "No key was pinned" in checked()[1]
    status, said = checked("--fingerprint", "-" + "x" * 42)
    assert (status, "another key" in said) == (1, True)
    picture.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    status, said = checked("--fingerprint", fingerprint)
    assert (status, f"3-your-headshots/{picture.name}" in said) == (1, True)
    picture.write_bytes(whole)
    (tmp_path / "more.txt").write_text("x")
    assert "more.txt" in checked("--fingerprint", fingerprint)[1]


def test_a_web_server_without_a_signer_has_it_signed_by_a_worker(kernel: Kernel, alice: Employee) -> None:
    web = replace(kernel, settings=kernel.settings.model_copy(update={"profile": "production"}))
    assert web.settings.signer_path() is None
    signing.key(kernel, utc_now())
    with ThreadPoolExecutor(1) as apart:
        made = apart.submit(package, web, alice)
        while not made.done():
            run_jobs(kernel, tenant=alice.tenant_id)
    assert made.result()["manifest.jws"]
    with kernel.db.transaction(alice.tenant_id) as session:
        (row,) = session.exec(select(Package).where(col(Package.employee_id) == alice.id)).all()
    handing.forget(kernel, row.due_at)
    assert records(package(kernel, alice), "8-requests")["package"] == []


def test_the_page_shows_the_data_in_the_persons_language_and_no_markup_of_theirs(kernel: Kernel) -> None:
    name = "<img src=x onerror=alert(1)>\N{RIGHT-TO-LEFT OVERRIDE}"
    person = make_person(kernel, profile={"full_name": name, "language": "de"})
    page = package(kernel, person)["START-HERE.html"].decode()
    assert '<html lang="de" dir="ltr">' in page
    for words in (
        "Ihre Daten bei Zebra Works",
        "Fotos, die Sie geschickt haben",
        "Was nicht in diesem Paket ist, und warum",
    ):
        assert words in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page


CODE = re.compile(r"[a-z]+([-_.:][a-z]+)+")
LATIN = re.compile(r"(?<![\w-])[A-Za-z]{3,}(?![\w-])")
TEXT_OF_OTHERS = re.compile(r"@|https?:|[\w-]{60,}")
"""Addresses, letters and signed texts, which are shown as they were written."""
OUR_OWN = {"Likeness", "GDPR", "CCPA", "SHA", "UTC", "Zebra", "Works", "Nadia", "JSON", "English", "verify"}


def test_no_code_of_the_program_is_shown_in_any_language(kernel: Kernel) -> None:
    alice = full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        member = f"member:{uuid4()}"
        for event in ("release.downloaded", "person.found", "photo.overruled", "sitting.claimed", "something.new"):
            ledger.record(session, event, caller=member, subject=alice.id, objects=[uuid4(), "request-by-letter"])
        case = requests.receive(session, alice.id, RequestKind.RECTIFICATION, utc_now(), caller=member, method="letter")
        case.recipients = [{"by": member, "at": utc_now().isoformat(), "informed_at": None, "excuse": "impossible"}]
        photos.of(session, alice.id)[0].findings = [asdict(inspection.FINDINGS["blurred"])]
        erasure = {"employee_id": alice.id, "tenant_id": alice.tenant_id, "requested_by": "system", "state": "certified"}
        counts = {"source": {"objects": 3, "bytes": 7, "created": "2026-03-01T09:00:00+00:00", "due": None}}
        scan = {"finished_at": "2026-03-08T09:00:00+00:00", "stores": {"table:photo": {"result": "clean"}}}
        told = [{"recipient": "the employer's desk", "at": "2026-03-02T09:00:00+00:00", "headshots": 2}]
        for trigger, scope in (("retention", "source"), ("leaver", "model")):
            session.add(Erasure(trigger=trigger, scope=scope, counts=counts, scan=scan, recipients=told, **erasure))
    for language in LANGUAGES:
        with kernel.db.transaction(alice.tenant_id) as session:
            employees.choose_language(session, kernel.keys, alice.id, language)
        files = package(kernel, alice)
        page = files["START-HERE.html"].decode()
        said = [html.unescape(one) for one in re.findall(r"<(?:h1|h2|h3|p|dt|dd)>([^<]*)<", page)]
        assert len(said) > 100
        assert [one for one in said if CODE.fullmatch(one) or "{" in one] == [], language
        if language in ("ja", "ar"):  # In which no word of the language is written in these letters.
            strange = [one for one in said if not TEXT_OF_OTHERS.search(one) and set(LATIN.findall(one)) - OUR_OWN]
            assert [one for one in strange if one != "Your answer has been recorded"] == [], language  # A mail, as it was.
        how_to = files["verify/HOW-TO.txt"].decode()
        assert ("can be checked without a network" in how_to) == (language == "en")
        assert "verify_package.py FOLDER --fingerprint FINGERPRINT" in how_to


def test_the_paper_says_word_for_word_what_the_page_says(kernel: Kernel) -> None:
    name = '#read("/etc/passwd") $x$ *b* <c>'
    person = make_person(kernel, profile={"full_name": name, "language": "de"})
    files = package(kernel, person)
    read = pypdf.PdfReader(io.BytesIO(files["report.pdf"]))
    root: Any = read.trailer["/Root"]
    assert (root["/Lang"], bool(root["/MarkInfo"]["/Marked"])) == ("de", True)
    assert b"pdfuaid" in files["report.pdf"], "it says that it is PDF/UA"
    assert "/JavaScript" not in root.get("/Names", {})
    # Lines, pages and places where a long number may break are no words.
    paper = "".join(re.sub(r"Seite\d+/\d+$", "", _solid(one.extract_text())) for one in read.pages)
    page = files["START-HERE.html"].decode()
    said = [html.unescape(one) for one in re.findall(r"<(?:h1|h3|p|dt|dd)>([^<]*)</", page)]
    assert len(said) > 60
    assert [one for one in said if _solid(one) not in paper] == []
    assert _solid(name) in paper


def _solid(text: str) -> str:
    return re.sub(r"[\s\u200b\u00ad]+", "", text)


def test_every_item_of_article_15_is_answered_and_nothing_is_loaded_from_anywhere(
    kernel: Kernel, alice: Employee
) -> None:
    page = package(kernel, alice)["START-HERE.html"].decode()
    for letter in "abcdefgh":
        assert re.search(rf'id="article-15\(1\)\({letter}\)">.*<p>[^<]{{20,}}</p>', page)
    assert not re.search(r"<script|<img|<link|\bsrc=|\bhref=|url\(|@import", page)


def test_what_is_gone_is_listed_and_never_left_out_silently(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        missing = photos.of(session, alice.id)[0]
    kernel.objects.delete(missing.path)
    (gone,) = [
        one["what"] for one in parsed(package(kernel, alice), "omissions.json") if one["reason"] == packages.GONE
    ]
    assert gone == f"2-photos-you-sent/{missing.id}"


def test_nothing_of_anybody_else_is_in_it(kernel: Kernel, alice: Employee) -> None:
    bob = colleague_of(kernel, alice)
    everything = b"".join(package(kernel, alice).values())
    assert b"Bo Linde" not in everything
    assert str(bob.id).encode() not in everything


def test_somebody_with_no_data_gets_one_too_and_a_stranger_none(kernel: Kernel, alice: Employee) -> None:
    nobody = make_person(kernel, consented=False)
    files = package(kernel, nobody)
    assert {name.partition("/")[0] for name in files if "/" in name} == {"verify"}
    with pytest.raises(EmployeeMissing):
        next(packages.pieces(kernel, nobody.tenant_id, alice.id, utc_now(), caller="system"))


def test_without_the_signer_nothing_is_begun_and_the_person_is_told(
    kernel: Kernel, app: Litestar, alice: Employee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(kernel, alice)
    monkeypatch.setattr(kernel.settings, "signer_folder", tmp_path / "empty")
    with TestClient(app) as client:
        sign_in_employee(client, kernel, alice)
        away = client.get("/api/v1/visit/export")
    assert (away.status_code, away.headers["content-type"]) == (503, "application/problem+json"), away.text
    assert int(away.headers["retry-after"]) > 0
    assert away.json()["detail"].startswith("The key to this data is not reachable right now. Nothing was lost")


def test_what_an_import_corrected_is_in_it_as_long_as_it_is_kept(kernel: Kernel, app: Litestar) -> None:
    tenant = make_tenant(kernel)
    headings = ("Employee ID", "Full name", "E-mail", "Department")
    with TestClient(app) as client:
        sign_in_member(client, kernel, tenant)
        for department in ("Design", "Legal"):
            rows = [
                ("1", "Eva Neu", "eva@acme.example", department),
                ("2", "Otto Fern", "otto@acme.example", department),
            ]
            dropped = client.post(
                "/api/v1/batches", files={"workbook": ("people.xlsx", workbook.export(headings, rows))}
            )
            base = f"/api/v1/batches/{dropped.json()['batch']['id']}"
            client.post(f"{base}/commit", json={"digest": dropped.json()["reading"]["digest"]})
        with kernel.db.transaction(tenant) as session:
            eva = employees.find(session, kernel.keys, "eva@acme.example")
        assert eva is not None
        sign_in_employee(client, kernel, eva)
        with zipfile.ZipFile(io.BytesIO(client.get("/api/v1/visit/export").content)) as opened:
            everything = {name: opened.read(name) for name in opened.namelist()}
    about = records(everything, "1-about-you")
    (before,) = about["correction"]
    assert (about["employee"][0]["profile"]["department"], before["before"]["department"]) == ("Legal", "Design")
    assert b"Otto Fern" not in b"".join(everything.values())
    corrections.forget(kernel, utc_now() + corrections.KEPT_FOR)
    assert records(package(kernel, eva), "1-about-you")["correction"] == []


def test_a_large_one_is_made_with_one_picture_in_memory(kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    for _ in range(intake.MOST):
        intake.add(kernel, alice.tenant_id, alice.id, os.urandom(MB), utc_now())
    intake.add(kernel, bob.tenant_id, bob.id, os.urandom(MB), utc_now())
    total, held = 0, []
    tracemalloc.start()
    try:
        for piece in packages.pieces(kernel, alice.tenant_id, alice.id, utc_now(), caller=f"employee:{alice.id}"):
            total += len(piece)
            held.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert total > intake.MOST * MB
    assert max(held) < 8 * MB, f"{max(held) / MB:.0f} MB for a package of {total / MB:.0f}"


def test_a_package_that_is_not_taken_to_its_end_leaves_the_request_open(kernel: Kernel, alice: Employee) -> None:
    def open_requests() -> list[bool]:
        with kernel.db.transaction(alice.tenant_id) as session:
            return [one.done_at is None for one in requests.of(session, alice.id)]

    begun = packages.pieces(kernel, alice.tenant_id, alice.id, utc_now(), caller="system")
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert open_requests() == [True]
    package(kernel, alice)
    assert open_requests() == [False]
