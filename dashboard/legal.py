"""Legal's pages: what was erased and what proves it, the ledger, and holds. Everything here names people by opaque ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream
from sqlmodel import Session, col, select

from compliance import erasures, holds
from dashboard.erasing import certificate_file
from dashboard.pages import page
from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.identity import Kind
from likeness.ledger import LedgerEntry
from likeness.web import kernel_of, only, signed_in
from tenants import access
from tenants.models import Member, Role

DESK = [only(Kind.MEMBER)]
NEWEST = 200


def _legal(request: Request[Any, Any, Any], session: Session) -> Member:
    return access.require(session, signed_in(request), Role.LEGAL)


@get("/legal", sync_to_thread=True, guards=DESK)
def show_erasures(request: Request[Any, Any, Any]) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = _legal(request, session)
        found = erasures.all_erasures(session)[:NEWEST]
        newest = erasures.certificates_by_erasure(session)
        placed = holds.all_holds(session)
    context = {"roles": member.roles, "problem": None, "erasures": found, "certificates": newest, "holds": placed}
    return page(request, "legal/erasures.html", context)


@get("/legal/certificates/{certificate_id:uuid}", sync_to_thread=True, guards=DESK)
def download_certificate(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        _legal(request, session)
        return certificate_file(erasures.certificate(session, certificate_id))


@get("/legal/ledger", sync_to_thread=True, guards=DESK)
def show_ledger(request: Request[Any, Any, Any]) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = _legal(request, session)
        entries = session.exec(
            select(LedgerEntry)
            .where(col(LedgerEntry.tenant_id) == tenant_of(session))
            .order_by(col(LedgerEntry.sequence).desc())
            .limit(NEWEST)
        ).all()
    context = {"roles": member.roles, "problem": None, "entries": entries, "checked": None}
    return page(request, "legal/ledger.html", context)


@get("/legal/ledger/check", sync_to_thread=True, guards=DESK)
def check_ledger(request: Request[Any, Any, Any]) -> Response[str]:
    """Walks the whole chain. Raises `LedgerBroken`."""
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = _legal(request, session)
        checked = ledger.verify(session)
        head = ledger.head(session)
    context = {"roles": member.roles, "problem": None, "entries": [head] if head else [], "checked": checked}
    return page(request, "legal/ledger.html", context)


@get("/legal/ledger.jsonl", sync_to_thread=True, guards=DESK)
def export_ledger(request: Request[Any, Any, Any]) -> Stream:
    """The ledger, one entry a line, sent while it is read."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        _legal(request, session)
        ledger.record(session, "ledger.exported", caller=str(caller))

    def lines() -> Iterator[bytes]:
        with kernel.db.transaction(caller.tenant) as session:
            for entry in ledger.entries(session):
                yield (
                    entry.canonical()[:-1]
                    + f',"hash":"{entry.hash.hex()}","previous":"{entry.previous.hex()}"}}\n'.encode()
                )

    name = f"ledger-{utc_now():%Y-%m-%d}.jsonl"
    return Stream(
        lines(),
        media_type="application/jsonl",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"},
    )


routes: list[Any] = [show_erasures, download_certificate, show_ledger, check_ledger, export_ledger]
