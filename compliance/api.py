"""The JSON edge: a person's own rights, the public receipt and keys, and the legal role's part of the desk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from litestar import MediaType, Request, Response, Router, delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from sqlmodel import Session

from compliance import attending as attending
from compliance import certificates, erasures, exports, holds, packages, requests
from compliance import retention as retention
from compliance.erasures import CertificateMissing, ReceiptUnknown
from compliance.models import Certificate, Erasure, Hold, Trigger
from likeness.db import utc_now
from likeness.identity import Caller, Kind, tenant_in
from likeness.streaming import PRIVATE, download
from likeness.web import kernel_of, only, signed_in
from tenants.access import require
from tenants.models import Member, Role
from tenants.tries import counted

EMPLOYEE = [only(Kind.EMPLOYEE)]
DESK = [only(Kind.MEMBER)]
PUBLIC = {"public": True}
T = TypeVar("T")


# The person


@dataclass
class ErasureBegun:
    """`receipt` is shown once: with it the certificate is fetched when the session is gone."""

    id: UUID
    state: str
    receipt: str
    requested_at: datetime
    answer_due_at: datetime


@post("/visit/erasure", guards=EMPLOYEE, status_code=202, sync_to_thread=True)
def ask_for_erasure(request: Request[Any, Any, Any]) -> ErasureBegun:
    """Deletes everything of the person who asks. It begins at once."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        erasure = erasures.request(session, caller.id, trigger=Trigger.PERSON, requested_by=str(caller), now=utc_now())
        receipt = erasures.issue_receipt(session, erasure)
    return ErasureBegun(
        id=erasure.id,
        state=erasure.state,
        receipt=receipt,
        requested_at=erasure.requested_at,
        answer_due_at=requests.a_month_after(erasure.requested_at),
    )


@get("/visit/export", guards=EMPLOYEE, sync_to_thread=True)
def export(request: Request[Any, Any, Any]) -> Stream:
    """Everything that is held about the person who asks, as a ZIP."""
    kernel, caller = kernel_of(request), signed_in(request)
    return download(
        lambda: iter([packages.build(kernel, caller.tenant, caller.id, utc_now(), caller=str(caller))]),
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
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return [
            HoldSeen(one.basis, one.confirmed_at is not None, one.placed_at, one.expires_at, one.lifted_at)
            for one in holds.of(session, caller.id)
        ]


# Everybody


@dataclass
class Receipt:
    """`certificate` is the signed text that `likeness verify` reads; None until the deletion was verified."""

    id: UUID
    state: str
    requested_at: datetime
    certificate: str | None
    document: dict[str, Any] | None


@get("/receipts/{token:str}", opt=PUBLIC, sync_to_thread=True)
def show_receipt(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Receipt]:
    with counted(request), kernel_of(request).db.transaction(_receipts_tenant(token)) as session:
        erasure = erasures.by_receipt(session, token)
        found = _certificate_or_none(session, erasure)
    shown = Receipt(
        id=erasure.id,
        state=erasure.state,
        requested_at=erasure.requested_at,
        certificate=found.jws if found else None,
        document=found.document if found else None,
    )
    return Response(shown, headers=PRIVATE)


def _receipts_tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise ReceiptUnknown("There is no such receipt.")
    return tenant


@get("/.well-known/likeness-certificates.jwks.json", opt=PUBLIC, sync_to_thread=True)
def show_keys(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The public key that certificates are signed with, to be pinned."""
    keys = certificates.jwks(kernel_of(request).settings.keys_path())
    return Response(json.dumps(keys).encode(), media_type="application/jwk-set+json")


# Legal


@dataclass
class ErasureShown:
    id: UUID
    state: str
    trigger: str
    requested_at: datetime
    deleted_at: datetime | None
    verified_at: datetime | None
    failures: int
    certificate_id: UUID | None


@get("/erasures", guards=DESK, sync_to_thread=True)
def list_erasures(request: Request[Any, Any, Any]) -> list[ErasureShown]:
    def shown(session: Session, member: Member) -> list[ErasureShown]:
        issued = erasures.certificates_by_erasure(session)
        return [
            ErasureShown(
                id=one.id,
                state=one.state,
                trigger=one.trigger,
                requested_at=one.requested_at,
                deleted_at=one.deleted_at,
                verified_at=one.verified_at,
                failures=one.failures,
                certificate_id=issued[one.id].id if one.id in issued else None,
            )
            for one in erasures.all_erasures(session)
        ]

    return _as_legal(request, shown)


@get("/certificates/{certificate_id:uuid}", guards=DESK, sync_to_thread=True)
def show_certificate(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> dict[str, Any]:
    return _as_legal(request, lambda session, _: erasures.certificate(session, certificate_id).document)


@get("/certificates/{certificate_id:uuid}/jws", guards=DESK, media_type=MediaType.TEXT, sync_to_thread=True)
def show_signed(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> str:
    return _as_legal(request, lambda session, _: erasures.certificate(session, certificate_id).jws)


@get("/ledger", guards=DESK, sync_to_thread=True)
def export_ledger(request: Request[Any, Any, Any]) -> Stream:
    """The whole audit log, one JSON line an entry, with the hashes that chain them."""
    caller = _as_legal(request, lambda session, _: signed_in(request))
    return download(
        lambda: exports.jsonl(kernel_of(request), caller.tenant),
        tenant=caller.tenant,
        filename="ledger.jsonl",
        media_type="application/x-ndjson",
    )


@dataclass
class HoldWish:
    employee_id: UUID
    expires_at: datetime
    basis: str = ""
    reference: str = ""
    reason: str = ""


@dataclass
class HoldShown:
    id: UUID
    employee_id: UUID
    basis: str
    reference: str
    reason: str
    placed_by: UUID
    confirmed_by: UUID | None
    placed_at: datetime
    expires_at: datetime
    lift_asked_by: UUID | None
    lifted_at: datetime | None


def hold_shown(hold: Hold) -> HoldShown:
    return HoldShown(
        id=hold.id,
        employee_id=hold.employee_id,
        basis=hold.basis,
        reference=hold.reference,
        reason=hold.reason,
        placed_by=hold.placed_by,
        confirmed_by=hold.confirmed_by,
        placed_at=hold.placed_at,
        expires_at=hold.expires_at,
        lift_asked_by=hold.lift_asked_by,
        lifted_at=hold.lifted_at,
    )


@get("/holds", guards=DESK, sync_to_thread=True)
def list_holds(request: Request[Any, Any, Any]) -> list[HoldShown]:
    return _as_legal(request, lambda session, _: [hold_shown(one) for one in holds.all_holds(session)])


@post("/holds", guards=DESK, status_code=201, sync_to_thread=True)
def place_hold(request: Request[Any, Any, Any], data: JSONBody[HoldWish]) -> HoldShown:
    """It keeps nothing until a second person confirms it."""
    return _as_legal(
        request,
        lambda session, member: hold_shown(
            holds.place(
                session,
                data.employee_id,
                basis=data.basis,
                reference=data.reference,
                reason=data.reason,
                expires_at=data.expires_at,
                placed_by=member.id,
                now=utc_now(),
            )
        ),
    )


@post("/holds/{hold_id:uuid}/confirm", guards=DESK, status_code=200, sync_to_thread=True)
def confirm_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID]) -> HoldShown:
    return _as_legal(
        request,
        lambda session, member: hold_shown(holds.confirm(session, hold_id, confirmed_by=member.id, now=utc_now())),
    )


@delete("/holds/{hold_id:uuid}", guards=DESK, status_code=200, sync_to_thread=True)
def lift_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID]) -> HoldShown:
    """Asks for a confirmed hold to be lifted; it stands until a second member of legal asks too."""
    return _as_legal(
        request,
        lambda session, member: hold_shown(holds.lift(session, hold_id, lifted_by=member.id, now=utc_now())),
    )


def _as_legal(request: Request[Any, Any, Any], act: Callable[[Session, Member], T]) -> T:
    caller: Caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return act(session, require(session, caller, Role.LEGAL))


def _certificate_or_none(session: Session, erasure: Erasure) -> Certificate | None:
    try:
        return erasures.certificate_of(session, erasure.id)
    except CertificateMissing:
        return None


_routes = Router(
    path="/api/v1",
    route_handlers=[
        ask_for_erasure, export, list_own_holds, show_receipt, list_erasures, show_certificate, show_signed,
        export_ledger, list_holds, place_hold, confirm_hold, lift_hold,
    ],
)  # fmt: skip
# The address of the keys is fixed by RFC 8615 and lies beside the API, not in it.
router = Router(path="/", route_handlers=[_routes, show_keys], tags=["compliance"])
