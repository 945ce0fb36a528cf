"""What a company's directory is handed: pictures by address, a list, a script, and nothing that runs by itself."""

from __future__ import annotations

import csv
import io
import os
import zipfile

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image

from batch.delivery import directories
from batch.delivery.directories import DIRECTORIES
from batch.marks import claim, credential, iptc, watermark
from batch.sittings import headshots
from batch.vision import presets
from batch.vision.presets import PRESETS
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.factories import give_consent, make_batch, make_employee, make_tenant, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots

HOSTILE = "=cmd|'/c calc'!a1@company.example"


def rows(data: bytes, encoding: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(encoding), newline="")))


def test_a_directory_is_handed_one_released_picture_of_each_account(kernel: Kernel, app: Litestar) -> None:
    tenant, stranger = make_tenant(kernel), make_tenant(kernel)
    addresses = ["Nadia.O'Neil@company.example", "jörg#x@company.example", HOSTILE, "zoe@company.example"]
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch, full_name=f"=Person {row}", email=one)
                  for row, one in enumerate(addresses)]  # fmt: skip
        for row, person in enumerate(people):
            person.row = row
            give_consent(session, kernel, person)
    made = {person.id: make_headshots(kernel, person, 3) for person in people[:3]}
    nadia, jorg = people[:2]
    with kernel.db.transaction(tenant) as session:
        for person in people[1:3]:
            headshots.release(session, person.id, [one.id for one in made[person.id][:2]], utc_now())
    with TestClient(app) as client:
        sign_in_employee(client, kernel, nadia)
        first, hearted = (one.id for one in made[nadia.id][:2])
        client.post("/visit/hand-over", data={"headshots": f"{first} {hearted}", "first": str(first)})
        # A heart is for their own eyes: nothing that HR gets tells it.
        assert client.post(f"/api/v1/visit/headshots/{hearted}/favourite").status_code < 300
        sign_in_employee(client, kernel, jorg)
        assert client.post(f"/api/v1/visit/headshots/{made[jorg.id][0].id}/favourite").status_code < 300
        sign_in_member(client, kernel, tenant)
        sent = client.get("/api/v1/headshots/archive?preset=entra")
        assert 'filename="headshots-entra.zip"' in sent.headers["content-disposition"]
        packed = zipfile.ZipFile(io.BytesIO(sent.content))
        assert packed.testzip() is None
        assert packed.namelist() == [
            "photos/Nadia.O-Neil@company.example.jpg", "photos/jörg-x@company.example.jpg", "users.csv", "Set-Photos.ps1",
            "README.txt", "left-out.csv",
        ]  # fmt: skip
        assert rows(packed.read("users.csv"), "utf-8-sig") == [
            ["UserPrincipalName", "File"],
            ["Nadia.O'Neil@company.example", "photos/Nadia.O-Neil@company.example.jpg"],
            ["jörg#x@company.example", "photos/jörg-x@company.example.jpg"],
        ]
        (_, left) = rows(packed.read("left-out.csv"), "utf-8-sig")
        assert left[:2] == ["'=Person 2", "'" + HOSTILE], "nothing that a spreadsheet would run"
        with Image.open(packed.open("photos/Nadia.O-Neil@company.example.jpg")) as shown:
            assert shown.format == "JPEG"
            assert shown.size[0] == shown.size[1] <= 648
        assert iptc.read(packed.read("photos/Nadia.O-Neil@company.example.jpg")) == iptc.GENERATED
        with kernel.db.transaction(tenant) as session:
            given = {
                one.headshot_id for person in (nadia, jorg) for one in headshots.releases(session, person.id)
                if one.downloaded_at
            }  # fmt: skip
            assert given == {first, made[jorg.id][1].id}, "one picture each, and only what left is on record as downloaded"
            events = [one for one in ledger.entries(session, subject=people[2].id) if one.event == "release.downloaded"]
            assert events == [], "nobody who is left out was handed over"
        (told,) = client.get("/api/v1/downloads").json()
        assert (told["preset"], told["people"], told["headshots"]) == ("entra", 2, 2)

        # A download that broke goes on with the same bytes.
        rest = client.get("/api/v1/headshots/archive?preset=entra",
                          headers={"range": "bytes=100-", "if-range": sent.headers["etag"]})  # fmt: skip
        assert (rest.status_code, rest.content) == (206, sent.content[100:])

        client.headers["accept"] = "text/html"
        page = client.get("/desk/headshots").text
        assert 'value="entra"' in page
        assert 'value="google"' in page
        assert "for Entra ID" in page
        ticked = f"/desk/headshots/archive?which=ticked&preset=google&person={nadia.roster_id}"
        packed = zipfile.ZipFile(io.BytesIO(client.get(ticked).content))
        assert packed.namelist() == ["photos/Nadia.O-Neil@company.example.jpg", "photos.csv", "README.txt"]
        assert packed.read("photos.csv").startswith(b'"primaryEmail","file"'), "GAM reads no mark of an encoding"
        assert rows(packed.read("photos.csv"), "utf-8")[1] == [
            "Nadia.O'Neil@company.example", "photos/Nadia.O-Neil@company.example.jpg"
        ]
        sign_in_member(client, kernel, stranger)
        packed = zipfile.ZipFile(io.BytesIO(client.get("/api/v1/headshots/archive?preset=entra").content))
        assert packed.namelist() == ["users.csv", "Set-Photos.ps1", "README.txt"]
        sign_in_member(client, kernel, tenant, Role.LEGAL)
        assert client.get("/api/v1/headshots/archive?preset=entra").status_code == 403


@pytest.mark.parametrize("address", [
    HOSTILE, "+1@company.example", "-2@company.example", "@company.example", "a@b@company.example", 'a"b@company.example',
    "a b@company.example", "a,b@company.example", "$(calc)@company.example", "`calc`@company.example",
    "a;b@company.example", "../x@company.example", "a\u202eb@company.example", "",
])  # fmt: skip
def test_what_no_account_can_be_called_is_in_no_list(address: str) -> None:
    assert not directories.takes(address)


def test_names_of_files_are_harmless_and_the_script_runs_nothing_of_the_list() -> None:
    assert directories.stem("#user#~~x!'@company.example") == "photos/-user---x--@company.example"
    assert len(directories.stem("x" * 200 + "@company.example")) <= len("photos/") + directories.LONGEST_STEM
    for directory in DIRECTORIES.values():
        texts = [text for name, text in directory.further if name.endswith(".ps1")]
        for text in texts:
            assert not any(word in text for word in ("Invoke-Expression", "iex ", "& $", "ScriptBlock"))
            assert "-LiteralPath" in text
            assert text.isascii(), "Windows PowerShell 5.1 reads anything else as the computer's own encoding"
        assert any(name == "README.txt" for name, _ in directory.further)


def test_a_picture_for_directories_is_648_pixels_and_at_most_100_kb() -> None:
    """Of pure noise, which no portrait is."""
    limit = PRESETS["directory"].most_bytes
    assert limit == 100_000
    noise = Image.frombytes("RGB", (1024, 1024), os.urandom(1024 * 1024 * 3))
    picture = presets.trimmed(noise, PRESETS["directory"])
    own = credential.derived(bytes(32))
    data, ending = presets.encoded(watermark.laid(picture), limit - iptc.ROOM - claim.room(own))
    assert (picture.size, ending) == ((648, 648), "jpg")
    named = iptc.marked(data, iptc.GENERATED)
    signed = claim.signed(named, iptc.GENERATED, own, watermarked=True)
    assert len(signed) <= limit
    assert len(named) - len(data) <= iptc.ROOM
    assert len(signed) - len(named) <= claim.room(own)
    plain = Image.new("RGB", (648, 648), "#c8ccd0")
    assert presets.encoded(plain, limit)[0] == presets.encoded(plain)[0], "what fits is as fine as ever"
