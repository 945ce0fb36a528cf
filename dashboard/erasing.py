"""Deleting everything of one's own, and the page that is left afterwards.

That page is public, because its owner's session goes with everything else. Its address holds the receipt, a secret that
is shown to the person alone and stored hashed only; what it shows names nobody.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from compliance import erasures
from compliance.models import Certificate, Erasure, Trigger
from dashboard.pages import page
from likeness.db import utc_now
from likeness.identity import Kind, tenant_in
from likeness.web import kernel_of, only, signed_in
from tenants.tries import counted

PUBLIC = {"public": True}
EMPLOYEE = [only(Kind.EMPLOYEE)]


@post("/visit/erasure", sync_to_thread=True, guards=EMPLOYEE)
def erase(request: Request[Any, Any, Any]) -> Response[Any]:
    """Deletes everything of the person and signs them out everywhere; the receipt leads to the certificate."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        erasure = erasures.request(session, caller.id, trigger=Trigger.PERSON, requested_by=str(caller), now=utc_now())
        receipt = erasures.issue_receipt(session, erasure)
    return Redirect(f"/gone/{receipt}", status_code=303)


@get("/visit/erasure", sync_to_thread=True, guards=EMPLOYEE)
def show_own_erasure(request: Request[Any, Any, Any]) -> Response[Any]:
    """For somebody who is still signed in: before it begins, or while a hold stands."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        erasure = erasures.open_of(session, caller.id)
    if erasure is None:
        return Redirect("/visit", status_code=303)
    return page(request, "visit/gone.html", {"erasure": erasure, "certificate": None, "download": ""})


@get("/gone/{receipt:str}", sync_to_thread=True, opt=PUBLIC)
def show_erasure(request: Request[Any, Any, Any], receipt: FromPath[str]) -> Response[str]:
    with counted(request), kernel_of(request).db.transaction(_tenant(receipt)) as session:
        erasure = erasures.by_receipt(session, receipt)
        certificate = _certificate(session, erasure)
    context = {"erasure": erasure, "certificate": certificate, "download": f"/gone/{receipt}/certificate"}
    return page(request, "visit/gone.html", context)


@get("/gone/{receipt:str}/certificate", sync_to_thread=True, opt=PUBLIC)
def download_certificate(request: Request[Any, Any, Any], receipt: FromPath[str]) -> Response[str]:
    """The signed certificate as a file that `likeness verify` reads. Raises `CertificateMissing` until it is signed."""
    with counted(request), kernel_of(request).db.transaction(_tenant(receipt)) as session:
        erasure = erasures.by_receipt(session, receipt)
    with kernel_of(request).db.transaction(erasure.tenant_id) as session:
        return certificate_file(erasures.certificate_of(session, erasure.id))


def certificate_file(certificate: Certificate) -> Response[str]:
    return Response(
        certificate.jws + "\n",
        media_type="application/jose",
        headers={
            "content-disposition": f'attachment; filename="certificate-{str(certificate.id)[:8]}.jws"',
            "cache-control": "private, no-store",
        },
    )


def _certificate(session: Session, erasure: Erasure) -> Certificate | None:
    with suppress(erasures.CertificateMissing):
        return erasures.certificate_of(session, erasure.id)
    return None


def _tenant(receipt: str) -> UUID:
    tenant = tenant_in(receipt)
    if tenant is None:
        raise erasures.ReceiptUnknown("There is no such receipt.")
    return tenant


routes: list[Any] = [erase, show_own_erasure, show_erasure, download_certificate]
