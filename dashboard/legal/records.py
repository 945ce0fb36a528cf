"""Legal's page of what it hands to others: the log by days or by person, documents made from live rows, breaches."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from compliance.records import article30, auditing, breaches, reviewing
from compliance.records.api import DOCUMENTS, made
from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only
from tenants.members.access import desk, member_behind
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]


@get("/legal/records", sync_to_thread=True, guards=DESK)
def show_records(request: Request[Any, Any, Any]) -> Response[str]:
    others = article30.of_operators(kernel_of(request))
    with desk(request, Permission.ACTS_READ) as (session, member):
        told, review = breaches.of(session), reviewing.state(session, others, utc_now())
    context = {
        "roles": member.roles, "problem": None, "documents": {name: words for name, (words, _) in DOCUMENTS.items()},
        "forms": list(auditing.FORMS), "breaches": told, "within": breaches.WITHIN, "names": breaches.NAMES,
        "today": utc_now().date(), "review": review,
    }  # fmt: skip
    return page(request, "legal/records.html", context)


@get("/legal/records/{name:str}", sync_to_thread=True, guards=[*DESK, fresh])
def show_document(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[str]:
    """Raises `DocumentMissing`."""
    found = made(request, name)
    member = member_behind(request)
    called, _ = DOCUMENTS[name]
    context = {"roles": member.roles if member else [], "problem": None, "document": found, "called": called}
    return page(request, "legal/document.html", context)


routes: list[Any] = [show_records, show_document]
