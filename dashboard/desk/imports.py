"""HR's pages for a workbook: drop it, say what its columns are, look at what it would change, import it.

Nothing is written of anybody before the last step, and that step imports what the page before it showed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from sqlmodel import Session

from batch.models import Employee
from batch.people import employees, funnel, notes
from batch.pilots import pilots
from batch.reading import workbook
from batch.reading.delimited import ENCODINGS
from batch.reading.excel import LAST_ROW
from batch.reading.headings import FIELDS
from batch.reading.workbook import ReadingChoices
from batch.roster import batches, imports, listings, merging, naming, raw_workbooks
from batch.roster.api_imports import LARGEST_WORKBOOK, READS, WORKBOOKS_AT_ONCE
from batch.roster.imports import ReadFile, Source, WorkbookRefused
from batch.roster.merging import Judged, RowVerdict
from batch.visit import letters
from dashboard.desk.desk import DESK, Form, batch_page, batches_page, show, to_batch
from dashboard.reader import reader
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import Gone, LikenessError, Unprocessable
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.files import saved
from likeness.web.guards import kernel_of, signed_in
from likeness.web.threads import PAGES, READINGS
from likeness.web.uploads import Form as Upload
from likeness.web.uploads import form_in, in_flight
from tenants import credits, packs, tenants
from tenants.members import access
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

# What the address of a preview says about reading, beside the letters of columns.
HOW = ("sheet", "header_row", "hidden_rows", "encoding")
MOST_SHOWN = 100
LETTER = re.compile("[A-Z]{1,2}")
SHOWN = ("employee_key", "department", "site", "language")
"""Of the new people, as far as the file says it of anybody."""
CHOICES = {
    "employee_key": N_("Employee number"),
    "full_name": N_("Full name"),
    "full_name_reversed": N_("Full name, last name first"),
    "given_name": N_("First name"),
    "middle_name": N_("Middle name"),
    "name_particle": N_("Prefix of the last name"),
    "family_name": N_("Last name"),
    "second_family_name": N_("Second last name"),
    "email": N_("E-mail"),
    "department": N_("Department"),
    "site": N_("Site"),
    "manager_email": N_("Manager e-mail"),
    "language": N_("Language"),
}


class DateUnreadable(Unprocessable):
    """The day is not written as year-month-day."""

    title = "This day cannot be read"


class ChosenTwice(WorkbookRefused):
    title = "Two columns for one thing"


@post("/desk/batches", guards=DESK, request_max_body_size=WITH_FILE)
async def drop(request: Request[Any, Any, Any]) -> Response[Any]:
    """Keeps the file and shows what it says; nobody is written down yet."""
    source, caller = await threads.run(PAGES, _source, request), signed_in(request)
    with in_flight(caller.tenant, caller.id, request, LARGEST_WORKBOOK, WORKBOOKS_AT_ONCE):
        form = await form_in(request, "workbook", LARGEST_WORKBOOK)
        return await threads.run(READINGS, _dropped, request, source, form)


def _source(request: Request[Any, Any, Any], batch_id: UUID | None = None) -> Source:
    """Before a byte of an upload or of a kept file is read: whoever asks may import."""
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        return imports.source(session, batch_id)


def _read(request: Request[Any, Any, Any], batch_id: UUID, how: ReadingChoices) -> ReadFile:
    kernel = kernel_of(request)
    return imports.read_kept(kernel.keys, kernel.objects, _source(request, batch_id), how)


def _dropped(request: Request[Any, Any, Any], source: Source, form: Upload) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        due_on = _day(form.values.get("due_on", ""))
        read = imports.read_new(source, form.data, form.filename)
        with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
            batch, _ = imports.drop(
                session, kernel.keys, kernel.objects, form.data, form.filename,
                form.values.get("name", ""), due_on, caller.id, utc_now(), read,
            )  # fmt: skip
    except Unprocessable as problem:
        return batches_page(request, problem)
    return Redirect(f"/desk/batches/{batch.id}/preview", status_code=303)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise DateUnreadable("Write the day as year-month-day, for example 2026-12-01.") from None


@post("/desk/batches/{batch_id:uuid}/workbook", guards=DESK, request_max_body_size=WITH_FILE)
async def drop_again(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[Any]:
    """A corrected file for a batch that exists; its rows are merged once it is imported."""
    source, caller = await threads.run(PAGES, _source, request), signed_in(request)
    with in_flight(caller.tenant, caller.id, request, LARGEST_WORKBOOK, WORKBOOKS_AT_ONCE):
        form = await form_in(request, "workbook", LARGEST_WORKBOOK)
        return await threads.run(READINGS, _dropped_again, request, batch_id, source, form)


def _dropped_again(request: Request[Any, Any, Any], batch_id: UUID, source: Source, form: Upload) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    read = imports.read_new(source, form.data, form.filename)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        imports.drop_again(
            session, kernel.keys, kernel.objects, batch_id, form.data, form.filename, str(caller), utc_now(), read
        )
    return Redirect(f"/desk/batches/{batch_id}/preview", status_code=303)


@get("/desk/template", sync_to_thread=True, guards=DESK)
def download_template(request: Request[Any, Any, Any], language: FromQuery[str] = "") -> Response[bytes]:
    access.check(request, Permission.PEOPLE_IMPORT)
    return saved(workbook.template(language or reader(request).language), "likeness-template.xlsx")


@get("/desk/batches/{batch_id:uuid}/preview", sync_to_thread=True, guards=DESK, opt=READS)
def show_preview(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    return _preview_page(request, batch_id, dict(request.query_params))


def _preview_page(
    request: Request[Any, Any, Any], batch_id: UUID, asked: Mapping[str, str], problem: LikenessError | None = None
) -> Response[str]:
    """What the import would do; while a column is in question, the page asks which one is what."""
    kernel, chosen = kernel_of(request), dict[str, str]()
    try:
        read = _read(request, batch_id, _how(asked))
    except WorkbookRefused as refused:
        # What was chosen cannot be read so: the choice stands where it was made, with the sentence that says why.
        chosen = {name: value for name, value in asked.items() if LETTER.fullmatch(name)}
        problem, asked = refused, {"step": "columns"}
        read = _read(request, batch_id, ReadingChoices())
    with desk(request, Permission.PEOPLE_IMPORT) as (session, member):
        batch = batches.get(session, batch_id)
        shown = imports.preview(session, kernel.keys, kernel.objects, batch_id, read=read)
        balance = credits.balance(session)
        tenant = tenants.get(session)
        tried = bool(pilots.tried(session, batch_id, utc_now()))
        invitation = letters.sample(session, notes.of(kernel.keys, batch), utc_now() + funnel.LIFETIME)
        together = packs.listed(session)
        missing = [(one.roster_id, _name(kernel, one)) for one in shown.missing[:MOST_SHOWN]]
        listings.note(session, [line for line, _ in missing], utc_now(), caller=str(signed_in(request)))
    reading = shown.reading
    unclear = bool(reading.questions) or any(one.code == "missing_column" for one in reading.problems)
    context = {
        "batch": batch,
        "batch_name": naming.of(kernel.keys, batch),
        "shown": shown,
        "reading": reading,
        "balance": balance,
        "zone": tenant.time_zone.replace("_", " "),
        "note": typed if (typed := asked.get("note")) is not None else notes.of(kernel.keys, batch),
        "longest_note": notes.LONGEST,
        "packs": together,
        "pack": asked.get("pack", str(batch.pack_id or "")),
        "invitation": invitation,
        "invited_in": tenant.language,
        "pilot_size": pilots.SIZE,
        "triable": not tried and len(shown.of(RowVerdict.NEW)) > pilots.SIZE,
        "new": (new := shown.of(RowVerdict.NEW)),
        "filled": [one for one in SHOWN if any(getattr(line.row, one) for line in new[:MOST_SHOWN])],
        "corrected": [(one, _changes(one)) for one in shown.of(RowVerdict.CORRECTED, RowVerdict.ADDRESS_ASKED)],
        "unchanged": shown.of(RowVerdict.UNCHANGED),
        "missing": missing,
        "warnings": [one for one in reading.problems if one.severity == "warning"],
        "most_shown": MOST_SHOWN,
        "problem": problem,
        "doubted": {label for question in reading.questions if question.suggested for label in question.columns},
        "choices": CHOICES,
        "chosen": chosen,
        "encodings": ENCODINGS,
        "asked": [(name, value) for name, value in asked.items() if name in HOW or LETTER.fullmatch(name)],
    }
    template = "desk/columns.html" if unclear or asked.get("step") == "columns" else "desk/preview.html"
    return show(request, member, template, context, problem.status if problem else 200)


def _name(kernel: Kernel, employee: Employee) -> str:
    with suppress(Gone):
        return employees.profile(kernel.keys, employee).full_name
    return ""


def _changes(judged: Judged) -> list[tuple[str, str, str]]:
    """What would change about a person: the field in words, the old value, the new one."""
    return judged.differences([CHOICES[field] for field in FIELDS])


def _how(asked: Mapping[str, str]) -> ReadingChoices:
    """What the address or the form says about reading: `sheet`, `header_row`, and what each column letter holds."""
    letters = {name: value for name, value in asked.items() if LETTER.fullmatch(name)}
    chosen = {value: f"column {name}" for name, value in letters.items() if value in CHOICES}
    if len(chosen) < sum(value in CHOICES for value in letters.values()):
        raise ChosenTwice("Two columns were chosen for the same thing. Choose one of them.")
    return ReadingChoices(
        sheet=asked.get("sheet") or None,
        header_row=whole_number(asked.get("header_row", ""), LAST_ROW) or None,
        # A form names every column, so what it leaves out was meant to be left out.
        mapping={name: chosen.get(name, "") for name in CHOICES} if letters else {},
        hidden_rows=asked.get("hidden_rows") == "yes",
        encoding=asked.get("encoding") or None,
    )


@get("/desk/batches/{batch_id:uuid}/bad-rows", sync_to_thread=True, guards=DESK, opt=READS)
def download_bad_rows(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    kernel, how = kernel_of(request), _how(dict(request.query_params))
    read = _read(request, batch_id, how)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        found = imports.preview(session, kernel.keys, kernel.objects, batch_id, read=read)
    return saved(imports.problem_rows(found, read, how, told=reader(request).told), "rows-to-correct.xlsx")


@get("/desk/batches/{batch_id:uuid}/changes", sync_to_thread=True, guards=DESK, opt=READS)
def download_changes(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """All that the preview says, where the page ends after a hundred lines."""
    kernel, caller = kernel_of(request), str(signed_in(request))
    read = _read(request, batch_id, _how(dict(request.query_params)))
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        found = imports.preview(session, kernel.keys, kernel.objects, batch_id, read=read)
        rows = merging.change_rows(
            session, kernel.keys, found.judged, found.missing, found.reading.problems, utc_now(), caller=caller,
            told=reader(request).told,
        )  # fmt: skip
    return saved(rows, "changes.xlsx")


@post("/desk/batches/{batch_id:uuid}/commit", sync_to_thread=True, guards=DESK, opt=READS)
def commit(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Form) -> Response[Any]:
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    try:
        how = _how(data)
        read = _read(request, batch_id, how)
        with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
            if "note" in data:
                notes.give(session, kernel.keys, batches.locked(session, batch_id), data["note"])
            _choose_pack(request, session, batch_id, data)
            result = imports.commit(
                session, kernel.keys, kernel.objects, batch_id, digest=data.get("digest", ""),
                invite=data.get("invite") in ("now", "nine"), caller=str(caller), now=now, how=how, read=read,
                send_at=_at_nine(session, now) if data.get("invite") == "nine" else None, own_hour=True,
            )  # fmt: skip
    except LikenessError as problem:
        if problem.status not in (409, 422) and not isinstance(problem, packs.PackMissing):
            raise
        return _preview_page(request, batch_id, data, problem)
    if data.get("invite") == "pilot":
        return Redirect(f"/desk/batches/{batch_id}/pilot?created={result.created}", status_code=303)
    counted = {"created": result.created, "updated": result.updated, "asked": result.asked, "invited": result.invited}
    return to_batch(batch_id, **counted)


def _at_nine(session: Session, now: datetime) -> datetime:
    return employees.nine(now, tenants.get(session).time_zone)


@post("/desk/batches/{batch_id:uuid}/note", sync_to_thread=True, guards=DESK)
def write_note(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Keeps the note and shows the invitation with it; nothing is imported or sent."""
    how = urlencode([(name, value) for name, value in data.items() if name in HOW or LETTER.fullmatch(name)])
    try:
        with desk(request, Permission.BATCHES_CHANGE) as (session, _):
            keys, batch = kernel_of(request).keys, batches.locked(session, batch_id)
            _choose_pack(request, session, batch_id, data)
            if notes.give(session, keys, batch, data.get("note", "")):
                ledger.record(session, "batch.changed", caller=str(signed_in(request)), objects=[batch.id])
    except (Unprocessable, packs.PackMissing) as problem:
        return _preview_page(request, batch_id, data, problem)
    return Redirect(f"/desk/batches/{batch_id}/preview?{how}#invitation", status_code=303)


@post("/desk/batches/{batch_id:uuid}/discard", sync_to_thread=True, guards=DESK)
def discard(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[Any]:
    """The file goes without being imported."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        batch = batches.locked(session, batch_id)
        gone = raw_workbooks.discard(session, kernel.keys, kernel.objects, batch, utc_now(), caller=str(caller))
    return Redirect("/desk/batches?discarded=1" if gone else f"/desk/batches/{batch_id}?discarded=1", status_code=303)


@post("/desk/batches/{batch_id:uuid}/change", sync_to_thread=True, guards=DESK)
def change(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Another name or due day, which reminders follow, another note to everybody, or another pack of looks."""
    caller = signed_in(request)
    try:
        due_on = _day(data.get("due_on", ""))
        with desk(request, Permission.BATCHES_CHANGE) as (session, _):
            keys = kernel_of(request).keys
            batches.change(
                session, keys, batch_id, name=data.get("name", ""), due_on=due_on, note=data.get("note"), caller=str(caller)
            )
            _choose_pack(request, session, batch_id, data)
    except (Unprocessable, packs.PackMissing) as problem:
        return batch_page(request, batch_id, problem=problem)
    return to_batch(batch_id, changed=1)


def _choose_pack(request: Request[Any, Any, Any], session: Session, batch_id: UUID, data: Mapping[str, str]) -> None:
    """The looks of this batch, where the form names any. Raises `PackMissing`."""
    if "pack" not in data:
        return
    access.permit(session, signed_in(request), Permission.BATCHES_CHANGE)
    try:
        pack_id = UUID(data["pack"]) if data["pack"] else None
    except ValueError:
        raise packs.PackMissing("There is no such pack.") from None
    batches.choose_pack(session, batch_id, pack_id, caller=str(signed_in(request)))


routes: list[Any] = [
    drop,
    drop_again,
    download_template,
    show_preview,
    download_bad_rows,
    download_changes,
    commit,
    write_note,
    discard,
    change,
]
