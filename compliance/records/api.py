"""The JSON edge of what legal saves: documents made from live rows, all of them as one file, and the people of a breach."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import MediaType, Request, Response, get
from litestar.params import FromPath
from litestar.types import Guard
from sqlmodel import Session

from batch.reading import workbook
from compliance.desk import finding
from compliance.models import SubProcessor
from compliance.records import article30, breaches, controls, reviewing, training
from compliance.records.documents import Document
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import NotFound
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.web.files import saved
from likeness.web.guards import fresh, kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK: list[Guard] = [only(Kind.MEMBER), fresh]
Maker = Callable[[Session, Kernel, list[SubProcessor]], Document]
DOCUMENTS: Mapping[str, tuple[str, Maker]] = {
    "processing": (N_("Record of processing (article 30)"), lambda s, k, o: article30.record(s, k, o, utc_now())),
    "processors": (N_("Sub-processors"), lambda _s, _k, o: article30.processors_document(o, utc_now())),
    "assessment": (
        N_("Facts for an impact assessment (article 35)"),
        lambda s, k, o: article30.assessment(s, k, o, utc_now()),
    ),
    "models": (N_("Models that there are, each of one person"), lambda s, _k, _o: training.document(s, utc_now())),
    "controls": (N_("Controls and their evidence (ISO 27001, SOC 2)"), lambda s, k, _o: controls.document(s, k, utc_now())),
    "breaches": (N_("Breaches, with a draft of each notice"), lambda s, _k, _o: breaches.document(s, utc_now())),
}
"""By name: what it is called, and how it is made."""


class DocumentMissing(NotFound):
    """There is no document of this name."""

    title = "There is no such document"


def made(request: Request[Any, Any, Any], name: str) -> Document:
    """Raises `DocumentMissing`. That it was read is in the log."""
    kernel = kernel_of(request)
    others = article30.of_operators(kernel)
    with desk(request, Permission.ACTS_READ) as (session, _):
        if name not in DOCUMENTS:
            raise DocumentMissing("There is no document of this name. There are: {names}.", names=", ".join(DOCUMENTS))
        what = reviewing.taken(session) if name == reviewing.NAME else [name]
        ledger.record(session, "document.exported", caller=str(signed_in(request)), objects=what)
        return DOCUMENTS[name][1](session, kernel, others)


@get("/records/{name:str}", guards=DESK, sync_to_thread=True)
def show_document(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[dict[str, Any]]:
    """`processing`, `processors`, `assessment`, `models`, `controls` or `breaches`, made from live rows as they are now."""
    found = made(request, name)
    return saved(found.as_dict(), f"{name}-{found.made_at:%Y-%m-%d}.json", MediaType.JSON)


@get("/records", guards=DESK, sync_to_thread=True)
def show_pack(request: Request[Any, Any, Any]) -> Response[bytes]:
    """All of them in one ZIP."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in DOCUMENTS:
            packed.writestr(f"{name}.json", json.dumps(made(request, name).as_dict(), ensure_ascii=False, indent=1))
    return saved(held.getvalue(), f"records-{utc_now():%Y-%m-%d}.zip", "application/zip")


@dataclass
class BreachShown:
    """`notify_by` is when the company's own 72 hours end; `classes` may have been reached."""

    id: UUID
    told_at: datetime
    notify_by: datetime
    known_at: datetime
    since: datetime
    until: datetime
    classes: list[str]
    people: int


@get("/breaches", guards=DESK, sync_to_thread=True)
def list_breaches(
    request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[BreachShown]]:
    """Breaches that the company was told of, newest first. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.ACTS_READ) as (session, _):
        found = breaches.of(session, page.lines, before=page.after)
    return page.answer(
        request,
        found,
        lambda one: Mark(one.told_at, one.id),
        lambda one: BreachShown(
            one.id, one.told_at, one.told_at + breaches.WITHIN, one.known_at, one.since, one.until, one.classes, one.people
        ),
    )


@get("/breaches/{breach_id:uuid}/people", guards=DESK, sync_to_thread=True)
def show_people(request: Request[Any, Any, Any], breach_id: FromPath[UUID]) -> Response[str]:
    """Whom a breach may have reached, as CSV: random ids, and what of theirs was here. Raises `BreachMissing`."""
    with desk(request, Permission.ACTS_READ) as (session, _):
        found = breaches.affected(session, breaches.get(session, breach_id))
        ledger.record(session, "breach.exported", caller=str(signed_in(request)), objects=[breach_id])
    written = io.StringIO()
    rows = ((person, " ".join(classes)) for person, classes in found.items())
    csv.writer(written).writerows([("person", "may_have_been_reached"), *rows])
    return saved(written.getvalue(), f"breach-{str(breach_id)[:8]}.csv", "text/csv")


@get("/breaches/{breach_id:uuid}/names", guards=DESK, sync_to_thread=True)
def show_names(request: Request[Any, Any, Any], breach_id: FromPath[UUID]) -> Response[bytes]:
    """The same with names and addresses, for who has to tell them (GDPR article 34). The log says who took it, and each
    person reads that they were found. Raises `BreachMissing`."""
    with desk(request, Permission.PERSON_FIND) as (session, _):
        caller = str(signed_in(request))
        found = breaches.affected(session, breaches.get(session, breach_id))
        rows = list(breaches.named(session, kernel_of(request).keys, found))
        named = [person for person, name, *_ in rows if name]
        ledger.record(session, "person.searched", caller=caller, objects=[breach_id, *named, finding.Why.BREACH.value])
        for person in named:
            ledger.record(session, "person.found", caller=caller, subject=person)
    written = workbook.export_csv(("person", "name", "address", "may_have_been_reached"), rows)
    return saved(written, f"breach-{str(breach_id)[:8]}-names.csv", "text/csv")


handlers = [show_document, show_pack, list_breaches, show_people, show_names]
