"""HR's pages for a workbook: drop it, say what its columns are, look at what it would change, import it.

Nothing is written of anybody before the last step, and that step imports what the page before it showed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from batch import batches, employees, imports, workbook
from batch.api_imports import LARGEST_WORKBOOK
from batch.delimited import ENCODINGS
from batch.excel import LAST_ROW
from batch.headings import FIELDS
from batch.imports import WorkbookRefused
from batch.merging import Judged, Verdict
from batch.models import Employee
from batch.uploads import Form as Upload
from batch.uploads import form_in
from batch.workbook import How
from dashboard.desk import DESK, Form, batches_page, excel, hr, show, to_batch
from likeness.db import utc_now
from likeness.errors import Gone, LikenessError, Unprocessable
from likeness.kernel import Kernel
from likeness.web import kernel_of, signed_in
from tenants import credits

# What the address of a preview says about reading, beside the letters of columns.
HOW = ("sheet", "header_row", "hidden_rows", "encoding")
MOST_SHOWN = 100
LETTER = re.compile("[A-Z]{1,2}")
CHOICES = {
    "employee_key": "Employee number",
    "full_name": "Full name",
    "full_name_reversed": "Full name, last name first",
    "given_name": "First name",
    "middle_name": "Middle name",
    "name_particle": "Prefix of the last name",
    "family_name": "Last name",
    "second_family_name": "Second last name",
    "email": "E-mail",
    "department": "Department",
    "site": "Site",
    "manager_email": "Manager e-mail",
    "language": "Language",
}


class DateUnreadable(Unprocessable):
    """The day is not written as year-month-day."""


@post("/desk/batches", guards=DESK)
async def drop(request: Request[Any, Any, Any]) -> Response[Any]:
    """Keeps the file and shows what it says; nobody is written down yet."""
    await asyncio.to_thread(_must_be_hr, request)
    return await asyncio.to_thread(_dropped, request, await form_in(request, "workbook", LARGEST_WORKBOOK))


def _must_be_hr(request: Request[Any, Any, Any]) -> None:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        hr(request, session)


def _dropped(request: Request[Any, Any, Any], form: Upload) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        due_on = _day(form.values.get("due_on", ""))
        with kernel.db.transaction(caller.tenant) as session:
            batch, _ = imports.drop(
                session, kernel.keys, kernel.objects, form.data, form.filename,
                form.values.get("name", ""), due_on, caller.id, utc_now(),
            )  # fmt: skip
    except Unprocessable as problem:
        return batches_page(request, problem)
    return Redirect(f"/desk/batches/{batch.id}/preview", status_code=303)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise DateUnreadable("Write the day as year-month-day, for example 2026-12-01.") from None


@post("/desk/batches/{batch_id:uuid}/workbook", guards=DESK)
async def drop_again(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[Any]:
    """A corrected file for a batch that exists; its rows are merged once it is imported."""
    await asyncio.to_thread(_must_be_hr, request)
    form = await form_in(request, "workbook", LARGEST_WORKBOOK)
    return await asyncio.to_thread(_dropped_again, request, batch_id, form)


def _dropped_again(request: Request[Any, Any, Any], batch_id: UUID, form: Upload) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        imports.drop_again(
            session, kernel.keys, kernel.objects, batch_id, form.data, form.filename, str(caller), utc_now()
        )
    return Redirect(f"/desk/batches/{batch_id}/preview", status_code=303)


@get("/desk/template", sync_to_thread=True, guards=DESK)
def download_template(request: Request[Any, Any, Any], language: FromQuery[str] = "en") -> Response[bytes]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        hr(request, session)
    return excel(workbook.template(language), "likeness-template.xlsx")


@get("/desk/batches/{batch_id:uuid}/preview", sync_to_thread=True, guards=DESK)
def show_preview(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    return _preview_page(request, batch_id, dict(request.query_params))


def _preview_page(
    request: Request[Any, Any, Any], batch_id: UUID, asked: Mapping[str, str], problem: LikenessError | None = None
) -> Response[str]:
    """What the import would do; while a column is in question, the page asks which one is what."""
    kernel = kernel_of(request)
    with kernel.db.transaction(signed_in(request).tenant) as session:
        member = hr(request, session)
        batch = batches.get(session, batch_id)
        try:
            shown = imports.preview(session, kernel.keys, kernel.objects, batch_id, _how(asked))
        except WorkbookRefused as refused:
            # What was chosen cannot be read so: the choice is made anew, with the sentence that says why.
            problem, asked = refused, {}
            shown = imports.preview(session, kernel.keys, kernel.objects, batch_id)
        balance = credits.balance(session)
        missing = [_name(kernel, employee) for employee in shown.missing[:MOST_SHOWN]]
    reading = shown.reading
    unclear = bool(reading.questions) or any(one.code == "missing_column" for one in reading.problems)
    context = {
        "batch": batch,
        "shown": shown,
        "reading": reading,
        "balance": balance,
        "new": shown.of(Verdict.NEW),
        "corrected": [(one, _changes(one)) for one in shown.of(Verdict.CORRECTED, Verdict.ADDRESS_ASKED)],
        "unchanged": shown.of(Verdict.UNCHANGED),
        "missing": missing,
        "warnings": [one for one in reading.problems if one.severity == "warning"],
        "most_shown": MOST_SHOWN,
        "problem": problem,
        "doubted": {label for question in reading.questions if question.suggested for label in question.columns},
        "choices": CHOICES,
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
    if judged.before is None or judged.after is None:
        return []
    pairs = [(field, getattr(judged.before, field), getattr(judged.after, field)) for field in FIELDS]
    return [(CHOICES[field], old or "(nothing)", new or "(nothing)") for field, old, new in pairs if old != new]


def _how(asked: Mapping[str, str]) -> How:
    """What the address or the form says about reading: `sheet`, `header_row`, and what each column letter holds."""
    letters = {name: value for name, value in asked.items() if LETTER.fullmatch(name)}
    chosen = {value: f"column {name}" for name, value in letters.items() if value in CHOICES}
    if len(chosen) < sum(value in CHOICES for value in letters.values()):
        raise WorkbookRefused("Two columns were chosen for the same thing. Choose one of them.")
    row = asked.get("header_row", "")
    return How(
        sheet=asked.get("sheet") or None,
        header_row=int(row) if row.isdecimal() and 0 < int(row) <= LAST_ROW else None,
        # A form names every column, so what it leaves out was meant to be left out.
        mapping={name: chosen.get(name, "") for name in CHOICES} if letters else {},
        hidden_rows=asked.get("hidden_rows") == "yes",
        encoding=asked.get("encoding") or None,
    )


@get("/desk/batches/{batch_id:uuid}/bad-rows", sync_to_thread=True, guards=DESK)
def download_bad_rows(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    kernel = kernel_of(request)
    with kernel.db.transaction(signed_in(request).tenant) as session:
        hr(request, session)
        how = _how(dict(request.query_params))
        data = imports.problem_rows(session, kernel.keys, kernel.objects, batch_id, how)
    return excel(data, "rows-to-correct.xlsx")


@post("/desk/batches/{batch_id:uuid}/commit", sync_to_thread=True, guards=DESK)
def commit(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Form) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        with kernel.db.transaction(caller.tenant) as session:
            hr(request, session)
            result = imports.commit(
                session, kernel.keys, kernel.objects, batch_id, digest=data.get("digest", ""),
                invite=data.get("invite") == "now", caller=str(caller), now=utc_now(), how=_how(data),
            )  # fmt: skip
    except LikenessError as problem:
        if problem.status not in (409, 422):
            raise
        return _preview_page(request, batch_id, data, problem)
    counted = {"created": result.created, "updated": result.updated, "asked": result.asked, "invited": result.invited}
    return to_batch(batch_id, **counted)


routes: list[Any] = [drop, drop_again, download_template, show_preview, download_bad_rows, commit]
