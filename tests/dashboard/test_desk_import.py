"""The pages of an import: which column is what, what will change, and what an undo did."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pytest
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.models import Employee
from batch.reading import workbook
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.members import members, programs
from tenants.members.permissions import Permission
from tests.dashboard.markup import check
from tests.factories import make_tenant, sign_in_member

CASES = Path(__file__).parents[1] / "cases"
HEADINGS = ("Employee ID", "Full name", "E-mail", "Department")
EVA = ("1", "Eva Neu", "eva@acme.example", "Design")
PIA = ("4", "Pia Ohne", "pia@acme.example", "")


@pytest.fixture
def tenant(kernel: Kernel, client: TestClient[Any]) -> UUID:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    return tenant


def dropped(client: TestClient[Any], data: bytes) -> str:
    """The address of the preview."""
    answer = client.post("/desk/batches", files={"workbook": ("people.xlsx", data)}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def page_at(client: TestClient[Any], path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    check(path, answer.text, dict(answer.headers))
    return answer.text


def hidden(page: str) -> dict[str, str]:
    """What the form of the import sends along without being asked."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))


def test_new_people_are_shown_with_what_the_file_says_of_them(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    """Columns that it has, and none that is empty for everybody."""
    heads = {"Site": "Standort", "Language": "Sprache", "Employee number": "Personal-Nr."}
    shown = dict[str, str]()
    for called, head in heads.items():
        rows = [("Eva Neu", "eva@acme.example", {"Sprache": "de"}.get(head, "Kiel")), ("Hans Alt", "hans@acme.example", "")]
        page = page_at(client, dropped(client, workbook.export(("Name", "E-Mail", head), rows)))
        shown[called] = page[page.index('id="new"') :].partition("</table>")[0]
    for called, table in shown.items():
        assert {one for one in heads if f'scope="col">{one}<' in table} == {called}
    assert "Kiel" in shown["Site"]
    sign_in_member(client, kernel, make_tenant(kernel))
    assert "Kiel" not in page_at(client, dropped(client, workbook.export(HEADINGS, [EVA])))


def test_the_sheet_that_was_chosen_is_imported(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    preview = dropped(client, (CASES / "06_two_sheets.xlsx").read_bytes())
    assert "Hamburg" in words(page_at(client, preview))
    shown = page_at(client, f"{preview}?sheet=Hamburg&header_row=1")
    assert "Import 6 new" in words(shown)
    commit = preview.replace("/preview", "/commit")
    other = client.post(commit, data={"invite": "later", "digest": hidden(shown)["digest"]})
    assert other.status_code == 409
    assert "Nothing was imported" in other.text
    assert "try it with three people first" in shown
    done = client.post(commit, data={"invite": "pilot", **hidden(shown)})
    assert "6 people added. Nobody is invited yet." in done.text
    assert done.text.count(" checked") == 3
    done = client.get(preview.replace("/preview", ""))
    assert "Hamburg Person 6" in done.text
    assert "Berlin" not in done.text


def test_headings_that_nobody_knows_are_asked_about_with_samples(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    data = workbook.export(("Wer", "Wohin", "Gehalt"), [("Eva Neu", "eva@acme.example", "E13")])
    preview = dropped(client, data)
    page = page_at(client, preview)
    assert "Which column is what?" in page
    for sample in ("Eva Neu", "eva@acme.example", "E13"):
        assert sample in page
    assert "Import 1 new" not in words(page)
    twice = page_at(client, f"{preview}?A=full_name&B=email&C=email", 422)
    assert "Choose one of them" in twice
    chosen = page_at(client, f"{preview}?A=full_name&B=email&C=-")
    assert "Import 1 new" in words(chosen)
    done = client.post(preview.replace("/preview", "/commit"), data={"invite": "later", **hidden(chosen)})
    assert "1 person added" in done.text
    again = workbook.export(("Wer", "Wohin", "Gehalt"), [("Hans Alt", "hans@acme.example", "E13")])
    assert "as you said for an earlier file with the same headings" in page_at(client, dropped(client, again))


def test_a_name_that_is_put_together_of_two_columns_is_shown_before_it_is_imported(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    data = workbook.export(("Eins", "Zwei", "Drei"), [("García Pérez", "María José", "mj@acme.example")])
    preview = dropped(client, data)
    assert "Which column is what?" in page_at(client, preview)
    shown = words(page_at(client, f"{preview}?A=family_name&B=given_name&C=email"))
    assert "María José García Pérez" in shown
    assert "García Pérez María José" not in shown


def test_two_columns_that_could_be_meant_are_asked_about(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    data = workbook.export(("Name", "E-Mail 1", "E-Mail 2"), [("Eva Neu", "a@acme.example", "b@acme.example")])
    page = page_at(client, dropped(client, data))
    assert "Several columns could hold the e-mail addresses" in page
    assert page.count("please check") == 2


def test_a_choice_that_cannot_be_stands_where_it_was_made(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    path = dropped(client, workbook.export(HEADINGS, [EVA]))
    answered = page_at(client, f"{path}?A=email&B=full_name&C=email&D=-", 422)
    assert "Two columns for one thing" in answered
    assert "Which column is what?" in words(answered)
    chosen = dict(re.findall(r'name="([A-D])">.*?<option value="([^"]+)" selected', answered, re.DOTALL))
    assert {"A": "email", "B": "full_name", "C": "email"}.items() <= chosen.items()
    assert "This is what will change" in page_at(client, f"{path}?A=employee_key&B=full_name&C=email&D=-")


def test_the_preview_says_what_will_change_and_undo_says_what_it_did(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    lines = [EVA, ("2", "Hans Alt", "hans@acme.example", "Sales"), ("3", "Ina Klar", "ina@acme.example", "Sales")]
    first = page_at(client, preview := dropped(client, workbook.export(HEADINGS, lines)))
    client.post(preview.replace("/preview", "/commit"), data={"invite": "later", **hidden(first)})
    lines = [("1", "Eva Neu", "eva@acme.example", "Legal"), lines[1], ("4", "Uli Fern", "uli@acme.example", ""),
             ("5", "Nowhere", "nowhere", "")]  # fmt: skip
    preview = dropped(client, workbook.export(HEADINGS, lines))
    page = page_at(client, preview)
    said = words(page)
    for sentence in ("1 person is new", "1 person is corrected", "1 person is unchanged", "1 row is left out",
                     "1 person of your list is not among these rows", "Ina Klar", "Import 1 new, correct 1"):  # fmt: skip
        assert sentence in said, sentence
    assert "Department: Design → Legal" in re.sub(" +", " ", said)
    (left,) = re.findall(r'name="person" value="([^"]+)"><bdi>Ina Klar', page)
    look = client.post("/desk/people/preview-deletion", data={"person": left}).text
    assert "Delete everything of <bdi>Ina Klar</bdi>?" in look, "who left is deleted from there, after a look"
    done = client.post(preview.replace("/preview", "/commit"), data={"invite": "later", **hidden(page)})
    assert "1 person added, 1 corrected." in done.text
    undone = client.post(preview.replace("/preview", "/undo"))
    assert "1 person removed again. 1 correction taken back." in undone.text
    again = client.post(preview.replace("/preview", "/undo"))
    assert again.status_code == 409 or "nothing left to undo" in again.text


@pytest.mark.parametrize("door", ["/desk/batches", "/api/v1/batches"])
def test_the_whole_time_of_an_undo_is_there_for_whoever_imported(
    kernel: Kernel, client: TestClient[Any], tenant: UUID, door: str
) -> None:
    """Undo withdraws what was just sent: the sign-in that sufficed for the import suffices for it."""
    preview = dropped(client, workbook.export(HEADINGS, [EVA]))
    form = {"invite": "now", **hidden(page_at(client, preview))}
    batch = client.post(preview.replace("/preview", "/commit"), data=form, follow_redirects=False).headers["location"]
    batch_id = batch.split("/")[3].split("?")[0]
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update web_session set authenticated_at = authenticated_at - interval '1 hour'"))
        session.execute(text("update batch set imported_at = imported_at - interval '14 minutes'"))
    # What has no such end still asks who sits there.
    assert client.post(f"{door}/{batch_id}/revoke").status_code == 403
    assert client.post(f"{door}/{batch_id}/undo").status_code == 200
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Employee.id).where(Employee.tenant_id == tenant)).all() == []


def test_no_key_of_a_program_undoes_an_import(kernel: Kernel, client: TestClient[Any]) -> None:
    maker = sign_in_member(client, kernel, tenant := make_tenant(kernel))
    preview = dropped(client, workbook.export(HEADINGS, [EVA]))
    client.post(preview.replace("/preview", "/commit"), data={"invite": "later", **hidden(page_at(client, preview))})
    with kernel.db.transaction(tenant) as session:
        _, key = programs.make(session, members.get(session, maker.id), "HRIS", [Permission.PEOPLE_IMPORT], utc_now())
    client.cookies.clear()
    undo = f"/api/v1{preview.removeprefix('/desk').partition('/preview')[0]}/undo"
    refused = client.post(undo, headers={"authorization": f"Bearer {key}", "accept": "application/json"})
    assert refused.status_code == 403
    assert "No key opens this" in refused.json()["detail"]
    with kernel.db.transaction(tenant) as session:
        assert len(session.exec(select(Employee.id).where(Employee.tenant_id == tenant)).all()) == 1


def test_a_line_that_stands_twice_is_not_said_to_be_imported_all_the_same(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    page = words(page_at(client, dropped(client, workbook.export(HEADINGS, [EVA, EVA]))))
    assert "The same as row 2; left out." in page
    assert "None of these keeps anybody out of the import." in page
    assert "imported all the same" not in page


def test_what_the_preview_leaves_out_is_in_a_file(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    lines = [EVA, ("2", "Hans Alt", "hans@acme.example", "Sales"), ("3", "Ina Klar", "ina@acme.example", "Sales"), PIA]
    first = page_at(client, preview := dropped(client, workbook.export(HEADINGS, lines)))
    client.post(preview.replace("/preview", "/commit"), data={"invite": "later", **hidden(first)})
    many = [(str(number), f"Person {number}", f"p{number}@gmial.com", "Sales") for number in range(100, 203)]
    preview = dropped(client, workbook.export(HEADINGS, [(*EVA[:3], "Legal"), lines[1], (*PIA[:3], "(nothing)"), *many]))
    page = page_at(client, preview)
    batch = preview.removesuffix("/preview")
    assert f'<a href="{batch}/changes">Download all new people</a>: the other 3 are in the file too.' in page
    assert f'<a href="{batch}/changes">Download all warnings</a>' in page
    for path in (f"{batch}/changes", f"/api/v1{batch.removeprefix('/desk')}/changes"):
        book = openpyxl.load_workbook(io.BytesIO(client.get(path).content))
        rows = {sheet.title: [[cell.value for cell in row] for row in sheet][1:] for sheet in book}
        assert len(rows["New"]) == len(rows["Warnings"]) == len(many)
        assert rows["Corrected"] == [
            [2, "Eva Neu", "Department", "Design", "Legal", None],
            [4, "Pia Ohne", "Department", "(nothing)", "(nothing)", None],
        ]
        assert rows["Unchanged"] == [[3, "Hans Alt"]]
        assert rows["Not in the file"] == [["Ina Klar", "ina@acme.example"]]
    german = openpyxl.load_workbook(io.BytesIO(client.get(f"{batch}/changes", headers={"accept-language": "de"}).content))
    assert german.sheetnames == ["Neu", "Korrigiert", "Unverändert", "Hinweise", "Nicht in der Datei"]
    assert [cell.value for cell in german["Korrigiert"][2]][2:5] == ["Abteilung", "Design", "Legal"]
    assert [cell.value for cell in german["Korrigiert"][3]][2:5] == ["Abteilung", "(nichts)", "(nothing)"]
    shown = client.get(preview, headers={"accept-language": "de"}).text
    assert "<del><bdi>(nichts)</bdi></del>" in shown
    assert "<ins><bdi>(nothing)</bdi></ins>" in shown, "as somebody wrote it"
    sign_in_member(client, kernel, make_tenant(kernel))
    assert client.get(f"{batch}/changes").status_code == 404


def test_hidden_rows_are_read_when_they_are_asked_for(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    preview = dropped(client, (CASES / "07_filtered_hidden_rows.xlsx").read_bytes())
    page = page_at(client, preview)
    assert "4 hidden or filtered rows were left out." in page
    assert "Import 8 new" in words(page)
    with_them = page_at(client, f"{preview}?hidden_rows=yes")
    assert "Import 12 new" in words(with_them)
    assert hidden(with_them)["hidden_rows"] == "yes"


def test_the_choices_of_another_company_and_of_strangers(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    preview = dropped(client, workbook.export(HEADINGS, [EVA]))
    sign_in_member(client, kernel, make_tenant(kernel))
    for path in (preview, f"{preview}?A=full_name&B=email", preview.replace("/preview", "/bad-rows")):
        assert client.get(path).status_code == 404
    for odd in ("header_row=0", "header_row=99999999999", "header_row=x", "sheet=%00", "encoding=ebcdic", "AA=email"):
        ours = dropped(client, workbook.export(HEADINGS, [EVA]))
        assert client.get(f"{ours}?{odd}").status_code in (200, 422), odd


def test_a_file_is_discarded_before_anything_of_it_counts(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    data = workbook.export(HEADINGS, [EVA])
    preview = dropped(client, data)
    sign_in_member(client, kernel, make_tenant(kernel))
    assert client.post(preview.replace("/preview", "/discard")).status_code == 404
    sign_in_member(client, kernel, tenant)
    said = client.post(preview.replace("/preview", "/discard"))
    assert "The file is deleted, and nothing of it was imported." in said.text
    assert "No batch yet" in said.text
    assert client.get(preview).status_code == 404
    # The same bytes may come again, and by the API as well.
    again = dropped(client, data)
    address = f"/api/v1/batches/{again.split('/')[3]}"
    assert client.delete(f"{address}/workbook").status_code == 204
    assert client.get(address).status_code == 404


def test_a_batch_with_people_outlives_a_file_that_is_discarded(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    preview = dropped(client, workbook.export(HEADINGS, [EVA]))
    form = hidden(page_at(client, preview)) | {"invite": "later"}
    assert client.post(preview.replace("/preview", "/commit"), data=form).status_code == 200
    batch = preview.removesuffix("/preview")
    more = workbook.export(HEADINGS, [EVA, ("2", "Max Frei", "max@acme.example", "Sales")])
    client.post(f"{batch}/workbook", files={"workbook": ("more.xlsx", more)})
    said = client.post(f"{batch}/discard")
    assert "nothing of it was imported" in said.text
    assert "1 person" in words(said.text)
    assert client.get(preview).status_code == 410


def test_name_and_day_of_a_batch_are_changed_later(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    preview = dropped(client, workbook.export(HEADINGS, [EVA]))
    batch = preview.removesuffix("/preview")
    changed = client.post(f"{batch}/change", data={"name": "Autumn", "due_on": "2031-02-03"}).text
    assert "Name and day are changed." in changed
    assert "wanted by 3 Feb 2031" in words(changed)
    assert client.post(f"{batch}/change", data={"name": "Autumn", "due_on": "soon"}).status_code == 422
    assert client.post(f"{batch}/change", data={"name": " ", "due_on": ""}).status_code == 422


def test_the_pack_of_looks_is_chosen_where_the_import_is_sent(client: TestClient[Any], kernel: Kernel) -> None:
    """The same choice as on the batch's page; another company's pack is none."""
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    lines = [("Ada Lovelace", "ada@packs.example"), ("Bea Bee", "bea@packs.example")]
    sign_in_member(client, kernel, other)
    foreign = client.post("/api/v1/packs", json={"name": "Theirs", "looks": [looks_of(client)[0]]}).json()["id"]
    sign_in_member(client, kernel, tenant)
    preview = dropped(client, workbook.export(("Full name", "Email"), lines))
    assert 'name="pack"' not in page_at(client, preview), "there is no choice"
    mine = client.post("/api/v1/packs", json={"name": "Workshop", "looks": [looks_of(client)[0]]}).json()["id"]
    page = page_at(client, preview)
    assert f'<option value="{mine}">Workshop' in page
    assert "Theirs" not in page
    batch, commit = preview.replace("/desk/", "/api/v1/").replace("/preview", ""), preview.replace("/preview", "/commit")
    sent = {"invite": "now", **hidden(page)}
    for wrong in (foreign, "x", str(uuid4())):
        answer = client.post(commit, data=sent | {"pack": wrong})
        assert answer.status_code == 404, wrong
        assert "There is no such pack" in answer.text
    assert client.get(f"{batch}/funnel").json()["roster"] == 0
    # What was chosen stays when the invitation is looked at first.
    shown = client.post(preview.replace("/preview", "/note"), data=sent | {"pack": mine, "note": "Hello"}).text
    assert f'<option value="{mine}" selected>' in shown
    client.post(commit, data=sent | {"pack": mine})
    assert client.get(batch).json()["pack"] == mine
    assert client.get(f"{batch}/funnel").json()["roster"] == 2
    # The API has it alike, and leaves it where nothing is said.
    preview = dropped(client, workbook.export(("Full name", "Email"), [("Cleo Sea", "cleo@packs.example")]))
    second = preview.replace("/desk/", "/api/v1/").replace("/preview", "")
    digest = hidden(page_at(client, preview))["digest"]
    assert client.post(f"{second}/commit", json={"digest": digest, "pack": foreign}).status_code == 404
    assert client.post(f"{second}/commit", json={"digest": digest, "pack": mine}).status_code == 200
    assert client.get(second).json()["pack"] == mine
    assert client.post(f"{second}/commit", json={"digest": digest}).status_code == 200
    assert client.get(second).json()["pack"] == mine


def looks_of(client: TestClient[Any]) -> list[str]:
    return [one["id"] for one in client.get("/api/v1/looks").json()]
