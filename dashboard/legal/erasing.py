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

from batch.people import employees
from compliance import holds
from compliance.erasure import erasures, scheduled
from compliance.models import Certificate, Erasure
from compliance.proof import stored, whose
from dashboard.pages import page
from dashboard.reader import reader
from likeness.ground.db import utc_now
from likeness.identity import Kind, tenant_in
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.web.files import saved
from likeness.web.guards import kernel_of, only, signed_in
from tenants import tenants
from tenants.tries import counted

PUBLIC = {"public": True}
EMPLOYEE = [only(Kind.EMPLOYEE)]


@post("/visit/erasure", sync_to_thread=True, guards=EMPLOYEE)
def erase(request: Request[Any, Any, Any]) -> Response[Any]:
    """Deletes everything of the person and signs them out everywhere; the receipt leads to the certificate."""
    kernel, caller = kernel_of(request), signed_in(request)
    language = reader(request).language
    with kernel.db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        _, receipt = erasures.ask(session, kernel, caller.id, utc_now())
    # Afterwards nobody knows any more what the person reads: the address keeps it.
    return Redirect(f"/gone/{receipt}?language={language}", status_code=303)


@get("/visit/erasure", sync_to_thread=True, guards=EMPLOYEE)
def show_own_erasure(request: Request[Any, Any, Any]) -> Response[Any]:
    """For somebody who is still signed in: before it begins, or while a hold stands."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        erasure = erasures.open_of(session, caller.id)
        barred = not holds.told_at(session, caller.id, utc_now())
    if erasure is None:
        return Redirect("/visit", status_code=303)
    return page(request, "visit/gone.html", {"erasure": erasure, "certificate": None, "download": "", "code": "",
                                              "barred": barred})


@get("/gone/{receipt:str}", sync_to_thread=True, opt=PUBLIC)
def show_erasure(request: Request[Any, Any, Any], receipt: FromPath[str]) -> Response[str]:
    with counted(request), kernel_of(request).db.transaction(_tenant(receipt)) as session:
        erasure = erasures.by_receipt(session, receipt)
        found, zone = _certificate(session, erasure), _zone(session)
        barred = not holds.told_at(session, erasure.employee_id, utc_now())
    certificate = stored.shown(kernel_of(request), found) if found else None
    code = whose.code_of(receipt) if erasure.subject_commitment else ""
    context = {"erasure": erasure, "certificate": certificate, "download": f"/gone/{receipt}/certificate", "code": code,
               "barred": barred}
    return page(request, "visit/gone.html", context | {"reads": words(reader(request).language, zone)})


@get("/gone/{receipt:str}/certificate", sync_to_thread=True, opt=PUBLIC)
def download_certificate(request: Request[Any, Any, Any], receipt: FromPath[str]) -> Response[str]:
    """The signed certificate as a file that `likeness verify` reads. Raises `CertificateMissing` until it is signed."""
    return certificate_file(kernel_of(request), _certificate_behind(request, receipt))


@get("/gone/{receipt:str}/certificate.pdf", sync_to_thread=True, opt=PUBLIC)
def download_paper(request: Request[Any, Any, Any], receipt: FromPath[str]) -> Response[bytes]:
    """The certificate as a sealed page. Raises `CertificateMissing` until it is signed."""
    return paper_file(kernel_of(request), _certificate_behind(request, receipt))


def _certificate_behind(request: Request[Any, Any, Any], receipt: str) -> Certificate:
    """Only wrong receipts count as tries. Raises `CertificateMissing`."""
    with counted(request), kernel_of(request).db.transaction(_tenant(receipt)) as session:
        erasure = erasures.by_receipt(session, receipt)
    with kernel_of(request).db.transaction(erasure.tenant_id) as session:
        return erasures.certificate_of(session, erasure.id)


def paper_file(kernel: Kernel, certificate: Certificate, person: UUID | None = None) -> Response[bytes]:
    """Raises `CertificateMissing` for one that was issued before there were pages, and `CertificateChanged`."""
    paper = stored.paper(kernel, certificate, person)
    if paper is None:
        raise erasures.CertificateMissing(
            "This certificate was issued before there were pages; its signed text is there."
        )
    return saved(paper, f"certificate-{str(certificate.id)[:8]}.pdf", "application/pdf")


@get("/visit/certificates", sync_to_thread=True, guards=EMPLOYEE)
def show_own_certificates(request: Request[Any, Any, Any]) -> Response[str]:
    """What was deleted on its announced day, each with the code that proves that it is about the reader."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        person = employees.get(session, caller.id)
        mine = scheduled.of(session, kernel.keys, person)
    said = {one.certificate.id: stored.shown(kernel, one.certificate, caller.id) for one in mine}
    return page(request, "visit/certificates.html", {"mine": mine, "said": said})


@get("/visit/certificates/{certificate_id:uuid}/jws", sync_to_thread=True, guards=EMPLOYEE)
def download_own_certificate(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[str]:
    """Raises `CertificateMissing` for another person's, and `CertificateChanged`."""
    return certificate_file(kernel_of(request), _own_certificate(request, certificate_id), signed_in(request).id)


@get("/visit/certificates/{certificate_id:uuid}/pdf", sync_to_thread=True, guards=EMPLOYEE)
def download_own_paper(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[bytes]:
    """Raises `CertificateMissing` for another person's, and for one that was issued before there were pages."""
    return paper_file(kernel_of(request), _own_certificate(request, certificate_id), signed_in(request).id)


def _own_certificate(request: Request[Any, Any, Any], certificate_id: UUID) -> Certificate:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        mine = scheduled.of(session, kernel.keys, employees.get(session, caller.id))
    for one in mine:
        if one.certificate.id == certificate_id:
            return one.certificate
    raise erasures.CertificateMissing("There is no such certificate.")


def certificate_file(kernel: Kernel, certificate: Certificate, person: UUID | None = None) -> Response[str]:
    """Raises `CertificateChanged` for one that was changed in the database."""
    words = stored.text(kernel, certificate, person)
    return saved(words + "\n", f"certificate-{str(certificate.id)[:8]}.jws", "application/jose")


def _zone(session: Session) -> str:
    """The company's, as long as it is there."""
    with suppress(tenants.TenantMissing):
        return tenants.get(session).time_zone
    return "UTC"


def _certificate(session: Session, erasure: Erasure) -> Certificate | None:
    with suppress(erasures.CertificateMissing):
        return erasures.certificate_of(session, erasure.id)
    return None


def _tenant(receipt: str) -> UUID:
    tenant = tenant_in(receipt)
    if tenant is None:
        raise erasures.ReceiptUnknown("There is no such receipt.")
    return tenant


routes: list[Any] = [
    erase,
    show_own_erasure,
    show_erasure,
    download_certificate,
    download_paper,
    show_own_certificates,
    download_own_certificate,
    download_own_paper,
]
