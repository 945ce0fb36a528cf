"""Where a person says no, takes back a yes, and answers about another address that their employer entered."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch.models import AddressChange
from batch.people import employees
from batch.visit import addresses, consents
from compliance import holds
from compliance.erasure import erasures
from compliance.models import Certificate, Erasure, Trigger
from compliance.proof import stored
from compliance.rights import attending
from dashboard.pages import back, page
from dashboard.reader import chosen
from dashboard.visit.around.frame import EMPLOYEE, PUBLIC, show
from dashboard.visit.around.standing import Me, standing
from likeness.ground.db import utc_now
from likeness.identity import tenant_in
from likeness.web.guards import kernel_of, signed_in
from tenants import tenants
from tenants.tries import counted


@post("/visit/decline", sync_to_thread=True, guards=EMPLOYEE)
def decline(request: Request[Any, Any, Any]) -> Response[Any]:
    return _say_no(request)


@post("/visit/withdraw", sync_to_thread=True, guards=EMPLOYEE)
def withdraw(request: Request[Any, Any, Any]) -> Response[Any]:
    return _say_no(request)


@post("/visit/withdraw/{purpose:str}", sync_to_thread=True, guards=EMPLOYEE)
def withdraw_one(request: Request[Any, Any, Any], purpose: FromPath[str]) -> Response[Any]:
    """One purpose alone; where no other way is left, everything, as the page says beside the button."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        gone_on = attending.withdraw_one(session, caller.id, purpose, now)
    return Redirect("/visit/face" if gone_on else "/visit/declined", status_code=303)


def _say_no(request: Request[Any, Any, Any]) -> Response[Any]:
    """The same step at every time: what there is goes, whether it was asked for with one word or the other."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        if consents.of(session, caller.id):
            attending.withdraw(session, caller.id, now)
        else:
            consents.decline(session, caller.id, now)
    return Redirect("/visit/declined", status_code=303)


@get("/visit/declined", sync_to_thread=True, guards=EMPLOYEE)
def show_declined(request: Request[Any, Any, Any]) -> Response[Any]:
    """What became of the answer: what is being deleted, the certificate, and what the employer sees."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        erasure = deletion(session, me)
        found = _certificate(session, erasure)
        barred = not holds.told_at(session, caller.id, utc_now())
    if me.employee.opted_out_at is None:
        return back(request, "/visit")
    receipt, certificate = me.profile.receipt, stored.shown(kernel, found) if found else None
    context = {"erasure": erasure, "certificate": certificate, "receipt": f"/gone/{receipt}" if receipt else "",
               "barred": barred}  # fmt: skip
    return show(request, "visit/declined.html", me, 0, context)


def deletion(session: Session, me: Me) -> Erasure | None:
    """The deletion that followed the person's no: under way, or over and found by the receipt."""
    under_way = erasures.open_of(session, me.employee.id)
    if under_way is not None or me.profile.receipt is None:
        return under_way
    with suppress(erasures.ReceiptUnknown):
        return erasures.by_receipt(session, me.profile.receipt)
    return None


def _certificate(session: Session, erasure: Erasure | None) -> Certificate | None:
    with suppress(erasures.CertificateMissing):
        return erasures.certificate_of(session, erasure.id) if erasure else None
    return None


# Another address


@get("/a/{token:str}", sync_to_thread=True, opt=PUBLIC)
def ask_about_address(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Changes nothing, because mail scanners open links. After the silence it leads to what was deleted."""
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        try:
            change = addresses.look_up(session, token)
        except addresses.ChangeUnknown:
            if not _is_receipt(session, token):
                raise
            return Redirect(f"/gone/{token}", status_code=303)
        context = _about(request, session, change) | {"answered": None}
    return page(request, "visit/address.html", context)


@post("/a/{token:str}/{answer:str}", sync_to_thread=True, status_code=200, opt=PUBLIC)
def answer_about_address(request: Request[Any, Any, Any], token: FromPath[str], answer: FromPath[str]) -> Response[Any]:
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        change = addresses.look_up(session, token)
        # Its address is used up with the answer, so no other language can be asked for there.
        context = _about(request, session, change) | {"switch": ""}
        context["answered"] = _answered(request, session, change.employee_id, answer)
    return page(request, "visit/address.html", context)


def _about(request: Request[Any, Any, Any], session: Session, change: AddressChange) -> dict[str, Any]:
    kernel, tenant = kernel_of(request), tenants.get(session)
    person = employees.words(kernel.keys, employees.get(session, change.employee_id), tenant)
    return {
        "company": tenant.name,
        "address": addresses.new_address(kernel.keys, change),
        "until": change.until,
        "reads": chosen(request, person),
    }


@post("/visit/address/{answer:str}", sync_to_thread=True, guards=EMPLOYEE)
def answer_in_visit(request: Request[Any, Any, Any], answer: FromPath[str]) -> Response[Any]:
    """For somebody who is signed in and whose old mailbox is dead."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        _answered(request, session, caller.id, answer, keep=caller.session)
    return Redirect("/visit/face", status_code=303)


def _answered(
    request: Request[Any, Any, Any], session: Session, employee_id: UUID, answer: str, keep: UUID | None = None
) -> str:
    change = addresses.pending_of(session, employee_id)
    if change is None or answer not in ("confirm", "refuse"):
        raise addresses.ChangeUnknown("This change of address was answered or taken back. Nothing more is needed.")
    if answer == "confirm":
        addresses.confirm(session, kernel_of(request).keys, change, utc_now(), keep=keep)
    else:
        addresses.refuse(session, change, utc_now())
    return answer


def _is_receipt(session: Session, token: str) -> bool:
    try:
        return erasures.by_receipt(session, token).trigger == Trigger.ADDRESS
    except erasures.ReceiptUnknown:
        return False


def _tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise addresses.AddressLinkUnknown(
            "This link is not complete. Copy the whole address from the mail and try again."
        )
    return tenant


routes: list[Any] = [
    decline,
    withdraw,
    withdraw_one,
    show_declined,
    ask_about_address,
    answer_about_address,
    answer_in_visit,
]
