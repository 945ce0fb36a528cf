"""What happens to one's face: all of it on one page, a company's public terms, and the way to have everything deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.params import FromPath, FromQuery

from batch.photos import rejections
from batch.sittings import approvals, narrowing
from batch.visit import consents, notices
from compliance.rights import consent_receipts
from dashboard.pages import page
from dashboard.reader import reader
from dashboard.visit.around.frame import EMPLOYEE, PUBLIC, me_of, show
from dashboard.visit.around.standing import standing
from dashboard.visit.around.story import story
from likeness.ground.db import utc_now
from likeness.locale.languages import known
from likeness.locale.words import words
from likeness.web.guards import kernel_of, signed_in
from likeness.web.streaming import PRIVATE
from tenants import tenants


@get("/visit/face", sync_to_thread=True, guards=EMPLOYEE)
def show_face(request: Request[Any, Any, Any]) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        given = consents.of(session, caller.id)
        notice = notices.current(session, me.language)
        told = story(session, caller.id)
        follows = narrowing.follows(session, caller.id, utc_now())
    # One answer a purpose has the button: the last, where somebody agreed under several notices.
    last = {one.purpose: one.id for one in given if one.withdrawn_at is None}
    ends = {last[purpose]: then for purpose, then in follows.items()}
    context = {"consents": given, "notice": notice, "story": told, "ends": ends}
    return show(request, "visit/face.html", me, 0, context)


@get("/retention/{tenant_id:uuid}", sync_to_thread=True, opt=PUBLIC)
def show_retention(
    request: Request[Any, Any, Any], tenant_id: FromPath[UUID], language: FromQuery[str] = ""
) -> Response[Any]:
    """How long a company keeps what, for everybody to read: the very notice, from the terms as they are now."""
    with kernel_of(request).db.transaction(tenant_id) as session:
        tenant = tenants.get(session)
        tally = rejections.of_company(session, utc_now())
    reads = words(known(language) or reader(request).language, tenant.time_zone)
    context = {"tenant": tenant, "text": notices.text(tenant, reads.language), "version": notices.version(tenant)}
    context |= {"tally": tally, "kinds": rejections.KINDS, "reasons": approvals.REASONS}
    return page(request, "visit/retention.html", context | {"reads": reads})


@get("/visit/fates", sync_to_thread=True, guards=EMPLOYEE)
def show_fates(request: Request[Any, Any, Any]) -> Response[Any]:
    """Only what happens to one's face, fetched anew whenever something of it came or went."""
    return show(request, "visit/strip.html", me_of(request)[2], 0, {"request_is_part": True})


@get("/visit/delete", sync_to_thread=True, guards=EMPLOYEE)
def ask_before_deleting(request: Request[Any, Any, Any]) -> Response[Any]:
    return show(request, "visit/delete.html", me_of(request)[2], 0, {})


@get("/visit/consents/{consent_id:uuid}/receipt", sync_to_thread=True, guards=EMPLOYEE)
def download_receipt(request: Request[Any, Any, Any], consent_id: FromPath[UUID]) -> Response[str]:
    """The signed receipt of one answer, as `verifier.py certificate` reads it."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        receipt = consent_receipts.get(session, kernel_of(request), caller.id, consent_id)
    headers = PRIVATE | {"content-disposition": f'attachment; filename="consent-{str(consent_id)[:8]}.jws"'}
    return Response(f"{receipt}\n", media_type="application/jose", headers=headers)


routes: list[Any] = [download_receipt, show_face, show_retention, show_fates, ask_before_deleting]
