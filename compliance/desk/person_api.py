"""The JSON edge of a person's own rights: what they take back, what they have deleted, and what they take with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath
from litestar.response import Stream

from batch.people import employees
from compliance import clocks, holds
from compliance.erasure import erasures, scheduled
from compliance.erasure.erasures import CertificateMissing
from compliance.models import RequestKind
from compliance.proof import stored
from compliance.rights import attending, consent_receipts, packages
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only, own, signed_in
from likeness.web.streaming import PRIVATE, download
from tenants import tenants

EMPLOYEE = [only(Kind.EMPLOYEE)]


@dataclass
class ErasureBegun:
    """`receipt` is shown once: with it the certificate is fetched when the session is gone."""

    id: UUID
    state: str
    receipt: str
    requested_at: datetime
    answer_due_at: datetime


@dataclass
class TakenBack:
    """`rest_goes_on` is false where nothing can be made without what was taken back: then everything is."""

    rest_goes_on: bool


@delete("/visit/consent/{purpose:str}", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def take_purpose_back(request: Request[Any, Any, Any], purpose: FromPath[str]) -> TakenBack:
    """One purpose of the consent alone."""
    with own(request) as (session, caller):
        employees.speaking(session, caller)
        return TakenBack(attending.withdraw_one(session, caller.id, purpose, utc_now()))


@post("/visit/erasure", guards=EMPLOYEE, status_code=202, sync_to_thread=True)
def ask_for_erasure(request: Request[Any, Any, Any]) -> ErasureBegun:
    """Deletes everything of the person who asks. It begins at once."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        erasure, receipt = erasures.ask(session, kernel, caller.id, utc_now())
        state = holds.state_told(session, caller.id, erasure.state)
        due = clocks.due(RequestKind.ERASURE, erasure.requested_at, tenants.get(session).time_zone)
    return ErasureBegun(
        id=erasure.id,
        state=state,
        receipt=receipt,
        requested_at=erasure.requested_at,
        answer_due_at=due,
    )


@get("/visit/export", guards=[*EMPLOYEE, fresh], sync_to_thread=True)
def export(request: Request[Any, Any, Any]) -> Stream:
    """Everything that is held about the person who asks, as a ZIP."""
    kernel, caller = kernel_of(request), signed_in(request)
    return download(
        lambda: packages.pieces(kernel, caller.tenant, caller.id, utc_now(), caller=str(caller)),
        tenant=caller.tenant,
        filename="your-data.zip",
        media_type="application/zip",
    )


@dataclass
class HoldSeen:
    """A legal hold, as the person whom it concerns sees it."""

    basis: str
    confirmed: bool
    placed_at: datetime
    expires_at: datetime
    lifted_at: datetime | None


@get("/visit/holds", guards=EMPLOYEE, sync_to_thread=True)
def list_own_holds(request: Request[Any, Any, Any]) -> list[HoldSeen]:
    with own(request) as (session, caller):
        return [
            HoldSeen(one.basis, one.confirmed_at is not None, one.placed_at, one.expires_at, one.lifted_at)
            for one in holds.told(session, caller.id)
        ]


@get("/visit/consents/{consent_id:uuid}/receipt", guards=EMPLOYEE, sync_to_thread=True)
def show_consent_receipt(request: Request[Any, Any, Any], consent_id: FromPath[UUID]) -> Response[bytes]:
    """The signed receipt of one answer, as `verifier.py certificate` reads it."""
    with own(request) as (session, caller):
        receipt = consent_receipts.get(session, kernel_of(request), caller.id, consent_id)
    return Response(f"{receipt}\n".encode(), media_type="application/jose", headers=PRIVATE)


@dataclass
class OwnCertificate:
    """What was deleted on its announced day. `proof_code` shows, with name and address, that it is about its holder; empty
    when it cannot be read any more."""

    id: UUID
    scope: str
    issued_at: datetime | None
    certificate: str | None
    """The signed text that `likeness verify` reads; None, like the moment above, for one that was changed in the
    database."""
    has_page: bool
    proof_code: str


@get("/visit/certificates", guards=EMPLOYEE, sync_to_thread=True)
def list_own_certificates(request: Request[Any, Any, Any]) -> list[OwnCertificate]:
    """Newest first."""
    return [
        OwnCertificate(one.certificate.id, one.scope, said.issued_at, said.text, said.has_page, one.code)
        for one in _own(request)
        if (said := stored.shown(kernel_of(request), one.certificate, signed_in(request).id))
    ]


@get("/visit/certificates/{certificate_id:uuid}/pdf", guards=EMPLOYEE, sync_to_thread=True)
def show_own_paper(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[bytes]:
    """The same as a sealed page. Raises `CertificateMissing`, also for another person's, and `CertificateChanged`."""
    mine = next((one.certificate for one in _own(request) if one.certificate.id == certificate_id), None)
    paper = stored.paper(kernel_of(request), mine, signed_in(request).id) if mine else None
    if paper is None:
        raise CertificateMissing("There is no such certificate yet.")
    return Response(paper, media_type="application/pdf", headers=PRIVATE)


def _own(request: Request[Any, Any, Any]) -> list[scheduled.Mine]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return scheduled.of(session, kernel.keys, employees.get(session, caller.id))


routes: list[Any] = [
    take_purpose_back,
    ask_for_erasure,
    export,
    list_own_holds,
    show_consent_receipt,
    list_own_certificates,
    show_own_paper,
]
