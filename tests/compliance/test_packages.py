from __future__ import annotations

import io
import json
import re
import zipfile
from hashlib import sha256
from typing import Any

import pytest
from litestar.testing import TestClient

from batch import corrections, employees, headshots, photos, workbook
from batch.employees import EmployeeMissing
from batch.models import Employee
from compliance import packages
from likeness.app import create_app
from likeness.db import utc_now
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from tests.compliance.people import colleague_of, full_person
from tests.factories import make_tenant, sign_in_employee, sign_in_member
from tests.handed_in import make_person


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


def package(kernel: Kernel, person: Employee) -> dict[str, bytes]:
    packed = packages.build(kernel, person.tenant_id, person.id, utc_now(), caller=f"employee:{person.id}")
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def parsed(files: dict[str, bytes], name: str) -> Any:
    return json.loads(files[name])


def test_it_holds_faithful_copies_and_a_manifest_of_every_file(kernel: Kernel, alice: Employee) -> None:
    files = package(kernel, alice)
    manifest = parsed(files, "manifest.json")["files"]
    assert {one["path"]: one["sha256"] for one in manifest} == {
        name: sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }
    with kernel.db.transaction(alice.tenant_id) as session:
        selfies, pictures = photos.of(session, alice.id), headshots.of(session, alice.id, utc_now())
    source = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE))
    copies = {name.split(".")[0]: data for name, data in files.items()}
    for selfie in selfies:
        assert copies[f"2-photos-you-sent/{selfie.id}"] == kernel.objects.get(selfie.path, source)
    for picture in pictures:
        assert copies[f"3-your-headshots/{picture.id}"] == headshots.opened(kernel, picture)
    assert parsed(files, "omissions.json") == []
    assert parsed(files, "1-about-you.json")["profile"]["full_name"] == "Nadia Ümit"
    assert len(parsed(files, "4-model.json")["models_of_you"]) == 1
    assert {one["purpose"] for one in parsed(files, "5-consent.json")} == {"headshots", "biometric"}


def test_every_item_of_article_15_is_answered_and_nothing_is_loaded_from_anywhere(
    kernel: Kernel, alice: Employee
) -> None:
    page = package(kernel, alice)["START-HERE.html"].decode()
    for letter in "abcdefgh":
        assert re.search(rf'id="article-15\(1\)\({letter}\)">.*<p>[^<]{{20,}}</p>', page)
    assert not re.search(r"https?://|<script|<img|<link", page)


def test_what_is_gone_is_listed_and_never_left_out_silently(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        missing = photos.of(session, alice.id)[0]
    kernel.objects.delete(missing.path)
    (omission,) = parsed(package(kernel, alice), "omissions.json")
    assert omission["file"] == f"2-photos-you-sent/{missing.id}"


def test_nothing_of_anybody_else_is_in_it(kernel: Kernel, alice: Employee) -> None:
    bob = colleague_of(kernel, alice)
    everything = b"".join(package(kernel, alice).values())
    assert b"Bo Linde" not in everything
    assert str(bob.id).encode() not in everything


def test_somebody_with_no_data_gets_one_too_and_a_stranger_none(kernel: Kernel, alice: Employee) -> None:
    nobody = make_person(kernel, consented=False)
    files = package(kernel, nobody)
    assert not any("/" in name for name in files)
    with pytest.raises(EmployeeMissing):
        packages.build(kernel, nobody.tenant_id, alice.id, utc_now(), caller="system")


def test_what_an_import_corrected_is_in_it_as_long_as_it_is_kept(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    headings = ("Employee ID", "Full name", "E-mail", "Department")
    with TestClient(create_app(kernel)) as client:
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
    about = parsed(everything, "1-about-you.json")
    (before,) = about["before_it_was_corrected"]
    assert (about["profile"]["department"], before["profile_before"]["department"]) == ("Legal", "Design")
    assert b"Otto Fern" not in b"".join(everything.values())
    corrections.forget(kernel, utc_now() + corrections.KEPT_FOR)
    assert parsed(package(kernel, eva), "1-about-you.json")["before_it_was_corrected"] == []
