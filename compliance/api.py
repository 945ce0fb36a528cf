"""The JSON edge: the public receipt and keys, and the legal role's part of the desk. It assembles the floor's router."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import MediaType, Request, Response, Router, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream
from sqlmodel import Session

from compliance import clear_text as clear_text
from compliance import holds
from compliance.desk import api as desk_api
from compliance.desk import leaving as leaving
from compliance.desk import leaving_api, operators_api, person_api, telling
from compliance.desk import letters as letters
from compliance.erasure import certifying, erasures
from compliance.erasure import replay as replay
from compliance.erasure.erasures import CertificateMissing, ReceiptUnknown
from compliance.models import Certificate, Erasure, Hold
from compliance.proof import checkpointing as checkpointing
from compliance.proof import exports, signing, stored, whose
from compliance.records import api as records_api
from compliance.records import auditing
from compliance.records import processors as processors
from compliance.records import reviewing as reviewing
from compliance.retention import retention as retention
from compliance.rights import attending as attending
from compliance.rights import consent_receipts, schema
from compliance.rights import lasting as lasting
from compliance.rights import leavers as leavers
from likeness import checkpoints
from likeness.ground.db import utc_now
from likeness.identity import Kind, tenant_in
from likeness.keys.keys import KeyFolder
from likeness.web.described import FOR_PEOPLE
from likeness.web.files import saved
from likeness.web.guards import fresh, kernel_of, only, signed_in
from likeness.web.paging import After, Mark, Most, Page
from likeness.web.streaming import PRIVATE, download
from tenants.members import access, permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Member
from tenants.tries import counted

DESK = [only(Kind.MEMBER)]
PUBLIC = {"public": True}


# Everybody


@dataclass
class Receipt:
    """`certificate` is the signed text that `likeness verify` reads; None until the deletion was verified.

    `proof_code` shows, with name and address, that the certificate is about its holder.
    """

    id: UUID
    state: str
    requested_at: datetime
    certificate: str | None
    document: dict[str, Any] | None
    proof_code: str | None


@get("/receipts/{token:str}", opt=PUBLIC, sync_to_thread=True)
def show_receipt(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Receipt]:
    with counted(request), kernel_of(request).db.transaction(_receipts_tenant(token)) as session:
        erasure = erasures.by_receipt(session, token)
        found, state = _certificate_or_none(session, erasure), holds.state_told(session, erasure.employee_id, erasure.state)
    shown = Receipt(
        id=erasure.id,
        state=state,
        requested_at=erasure.requested_at,
        certificate=found.jws if found else None,
        document=stored.document(kernel_of(request), found) if found else None,
        proof_code=whose.code_of(token) if erasure.subject_commitment else None,
    )
    return Response(shown, headers=PRIVATE)


def _receipts_tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise ReceiptUnknown("There is no such receipt.")
    return tenant


@dataclass
class Witness:
    """What somebody who kept a checkpoint is answered: a later one, and the proof that its log begins with theirs."""

    checkpoint: str
    consistency: list[str]


@get("/logs/{tenant_id:uuid}/{epoch:int}/{size:int}", opt=PUBLIC, sync_to_thread=True)
def show_growth(
    request: Request[Any, Any, Any],
    tenant_id: FromPath[UUID],
    epoch: FromPath[int],
    size: FromPath[int],
    root: FromQuery[str] = "",
) -> Witness:
    """`root` is the third line of the checkpoint. Raises `CheckpointMissing` for one that this log does not know any more:
    that is how a restored log is found out."""
    with kernel_of(request).db.transaction(tenant_id) as session:
        found = checkpoints.grown(session, epoch, size, root)
    return Witness(found.newest.note, [one.hex() for one in found.proof])


@get("/.well-known/likeness-certificates.jwks.json", opt=PUBLIC, sync_to_thread=True)
def show_keys(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The public key that certificates and checkpoints are signed with, to be pinned; then those that signed before it."""
    keys = signing.published(kernel_of(request))
    return Response(json.dumps(keys).encode(), media_type="application/jwk-set+json")


@get(schema.PATH, opt=PUBLIC, sync_to_thread=True)
def show_schema(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The form of the JSON files in an access package (JSON Schema 2020-12)."""
    return schema.build(kernel_of(request).settings.public_url)


@get(consent_receipts.PATH, opt=PUBLIC, sync_to_thread=True)
def show_receipt_form(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The form of a signed consent receipt (JSON Schema 2020-12): our profile of ISO/IEC TS 27560."""
    return consent_receipts.form(kernel_of(request).settings.public_url)


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
def list_erasures(request: Request[Any, Any, Any], most: Most = 500, after: After = "") -> Response[list[ErasureShown]]:
    """Newest first. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.ACTS_READ) as (session, _):
        found = erasures.all_erasures(session, page.lines, before=page.after)
        issued = certifying.by_erasure(session, [one.id for one in found])

        def shown(one: Erasure) -> ErasureShown:
            return ErasureShown(
                id=one.id,
                state=one.state,
                trigger=one.trigger,
                requested_at=one.requested_at,
                deleted_at=one.deleted_at,
                verified_at=one.verified_at,
                failures=one.failures,
                certificate_id=issued[one.id].id if one.id in issued else None,
            )

        def mark(one: Erasure) -> Mark:
            return Mark(one.requested_at, one.id)

        return page.answer(request, found, mark, shown)


@get("/certificates/{certificate_id:uuid}", guards=DESK, sync_to_thread=True)
def show_certificate(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> dict[str, Any]:
    with desk(request, Permission.ACTS_READ) as (session, _):
        return stored.document(kernel_of(request), erasures.certificate(session, certificate_id))


@get("/certificates/{certificate_id:uuid}/jws", guards=DESK, media_type=MediaType.TEXT, sync_to_thread=True)
def show_signed(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> str:
    with desk(request, Permission.ACTS_READ) as (session, _):
        return stored.text(kernel_of(request), erasures.certificate(session, certificate_id))


@get("/certificates/{certificate_id:uuid}/pdf", guards=DESK, sync_to_thread=True)
def show_paper(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[bytes]:
    """The certificate as a sealed page. Raises `CertificateMissing` for one from before there were pages."""
    with desk(request, Permission.ACTS_READ) as (session, _):
        found = erasures.certificate(session, certificate_id)
    paper = stored.paper(kernel_of(request), found)
    if paper is None:
        raise CertificateMissing("This certificate was issued before there were pages; its signed text is there.")
    return saved(paper, f"certificate-{str(certificate_id)[:8]}.pdf", "application/pdf")


@get("/ledger/checkpoint", guards=DESK, media_type=MediaType.TEXT, sync_to_thread=True)
def show_checkpoint(request: Request[Any, Any, Any]) -> str:
    """The newest signed checkpoint of the company's log: keep it somewhere else. Raises `CheckpointMissing`."""
    with desk(request, Permission.ACTS_READ) as (session, _):
        point = checkpoints.shown(session)
    if point is None:
        raise checkpoints.CheckpointMissing("Nothing of this log was signed yet. Please come back in a minute.")
    return point.note


@get("/ledger", guards=[*DESK, fresh], sync_to_thread=True)
def export_ledger(request: Request[Any, Any, Any]) -> Stream:
    """The whole audit log, one JSON line an entry, as `verifier.py log` reads it."""
    access.check(request, Permission.ACTS_READ)
    caller = signed_in(request)
    return download(
        lambda: exports.jsonl(kernel_of(request), caller.tenant),
        tenant=caller.tenant,
        filename="ledger.jsonl",
        media_type="application/x-ndjson",
    )


@get("/ledger/export", guards=[*DESK, fresh], sync_to_thread=True)
def export_part(
    request: Request[Any, Any, Any],
    form: FromQuery[str] = "jsonl",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    person: FromQuery[str] = "",
) -> Stream:
    """The log of some days (`since` and `until`, both included), of one person by their id, or all of it, as `jsonl` with
    proofs, `csv` with proofs, `xlsx`, or `ocsf` for a SIEM."""
    access.check(request, Permission.ACTS_READ)
    kernel, caller = kernel_of(request), signed_in(request)
    wanted = auditing.wanted(since, until, person)
    chosen = auditing.form(form)
    return download(
        lambda: auditing.pieces(kernel, caller.tenant, wanted, form, caller=str(caller)),
        tenant=caller.tenant,
        filename=auditing.filename(form),
        media_type=chosen.media_type,
    )


@dataclass
class HoldWish:
    employee_id: UUID
    expires_at: datetime
    basis: str = ""
    reference: str = ""
    reason: str = ""
    classes: list[str] = field(default_factory=list)
    """Of `source`, `model`, `headshot`; everything where none is named."""
    made_from: datetime | None = None
    made_until: datetime | None = None
    barred: bool = False
    """Whoever issued it forbids telling the person."""


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
    classes: list[str]
    made_from: datetime | None
    made_until: datetime | None
    barred: bool


def may_read(member: Member) -> bool:
    """Whether somebody is shown what legal wrote about a hold; auditors see that it is there."""
    return Permission.HOLDS_CHANGE in permissions.of(member.roles)


def hold_shown(keys: KeyFolder, hold: Hold, member: Member) -> HoldShown:
    words = holds.words(keys, hold) if may_read(member) else holds.FOR_LEGAL
    return HoldShown(
        id=hold.id,
        employee_id=hold.employee_id,
        basis=hold.basis,
        reference=words.reference,
        reason=words.reason,
        placed_by=hold.placed_by,
        confirmed_by=hold.confirmed_by,
        placed_at=hold.placed_at,
        expires_at=hold.expires_at,
        lift_asked_by=hold.lift_asked_by,
        lifted_at=hold.lifted_at,
        classes=hold.classes,
        made_from=hold.made_from,
        made_until=hold.made_until,
        barred=hold.barred,
    )


@get("/holds", guards=DESK, sync_to_thread=True)
def list_holds(request: Request[Any, Any, Any], most: Most = 500, after: After = "") -> Response[list[HoldShown]]:
    """Newest first. While there are more, the header `Link` names the next page."""
    page, keys = Page(Mark, most, after), kernel_of(request).keys

    def mark(one: Hold) -> Mark:
        return Mark(one.placed_at, one.id)

    with desk(request, Permission.ACTS_READ) as (session, member):
        found = holds.all_holds(session, page.lines, before=page.after)
        return page.answer(request, found, mark, lambda one: hold_shown(keys, one, member))


@post("/holds", guards=DESK, opt=FOR_PEOPLE, status_code=201, sync_to_thread=True)
def place_hold(request: Request[Any, Any, Any], data: JSONBody[HoldWish]) -> HoldShown:
    """It keeps nothing until a second person confirms it."""
    keys = kernel_of(request).keys
    with desk(request, Permission.HOLDS_CHANGE) as (session, member):
        hold = holds.place(
            session,
            keys,
            data.employee_id,
            basis=data.basis,
            reference=data.reference,
            reason=data.reason,
            expires_at=data.expires_at,
            placed_by=member.id,
            now=utc_now(),
            classes=data.classes,
            made_from=data.made_from,
            made_until=data.made_until,
            barred=data.barred,
        )
        return hold_shown(keys, hold, member)


@post("/holds/{hold_id:uuid}/confirm", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def confirm_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID]) -> HoldShown:
    with desk(request, Permission.HOLDS_CHANGE) as (session, member):
        hold = telling.confirm(session, kernel_of(request), hold_id, confirmed_by=member.id, now=utc_now())
        return hold_shown(kernel_of(request).keys, hold, member)


@delete("/holds/{hold_id:uuid}", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def lift_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID]) -> HoldShown:
    """Asks for a confirmed hold to be lifted; it stands until a second member of legal asks too."""
    with desk(request, Permission.HOLDS_CHANGE) as (session, member):
        hold = holds.lift(session, hold_id, lifted_by=member.id, now=utc_now())
        return hold_shown(kernel_of(request).keys, hold, member)


def _certificate_or_none(session: Session, erasure: Erasure) -> Certificate | None:
    try:
        return erasures.certificate_of(session, erasure.id)
    except CertificateMissing:
        return None


_routes = Router(
    path="/api/v1",
    route_handlers=[
        *person_api.routes, show_receipt, show_growth, show_checkpoint, show_paper,
        list_erasures, show_certificate, show_signed,
        export_ledger, export_part, list_holds, place_hold, confirm_hold, lift_hold, *desk_api.handlers,
        *leaving_api.handlers, *records_api.handlers, *operators_api.routes,
    ],
)  # fmt: skip
# The address of the keys is fixed by RFC 8615 and lies beside the API, not in it.
router = Router(path="/", route_handlers=[_routes, show_keys, show_receipt_form, show_schema], tags=["compliance"])
