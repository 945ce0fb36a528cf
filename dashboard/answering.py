"""Where a person says yes or no: to the notice, later on, and to another address that their employer entered."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch import addresses, consents, employees, notices, texts, ways
from batch.models import Purpose
from compliance import attending, erasures
from compliance.models import Certificate, Erasure, ErasureState, Trigger
from dashboard import words
from dashboard.pages import back, page
from dashboard.standing import Me, standing
from dashboard.visit import EMPLOYEE, PUBLIC, Form, _show
from likeness.db import utc_now
from likeness.errors import LikenessError
from likeness.identity import tenant_in
from likeness.web import kernel_of, signed_in
from tenants import tenants
from tenants.tries import counted


@get("/visit/consent", sync_to_thread=True, guards=EMPLOYEE)
def show_consent(request: Request[Any, Any, Any]) -> Response[Any]:
    return _consent_page(request, {})


def _consent_page(
    request: Request[Any, Any, Any],
    typed: dict[str, str],
    *,
    problem: LikenessError | None = None,
    note: LikenessError | None = None,
) -> Response[Any]:
    """`typed` is what the person has typed and ticked already: an answer that is not complete loses none of it."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        notice = notices.current(session, me.language)
        purposes, kind = consents.words(session, notice.language), ways.kind(me.tenant)
        deleting = _erasure(session, me) if me.employee.opted_out_at else None
    if problem is None and deleting is not None and deleting.state != ErasureState.CERTIFIED:
        return back(request, "/visit/declined")
    context = {"notice": notice, "purposes": purposes, "kind": kind, "typed": typed}
    context |= {"problem": problem, "note": note}
    return _show(request, "visit/consent.html", me, 1, context, status=problem.status if problem else 200)


@post("/visit/consent", sync_to_thread=True, guards=EMPLOYEE)
def give_consent(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """Each box stands for one purpose and counts by itself; photos are taken once both are given."""
    kernel, caller = kernel_of(request), signed_in(request)
    purposes = [purpose for purpose in Purpose if data.get(purpose.value) == "yes"]
    try:
        notice_id = UUID(data.get("notice_id", ""))
    except ValueError:
        notice_id = UUID(int=0)
    try:
        with kernel.db.transaction(caller.tenant) as session:
            consents.give(session, kernel.keys, caller.id, purposes, notice_id, data.get("typed_name", ""), utc_now())
            complete = consents.is_current(session, caller.id)
    except LikenessError as problem:
        return _consent_page(request, data, problem=problem)
    if not complete:
        return _consent_page(request, data, note=HalfAnswer(
            "Your answer is recorded. Headshots need one way of making them and the face measurements that go with it."
        ))  # fmt: skip
    return Redirect("/visit/photos", status_code=303)


class HalfAnswer(LikenessError):
    """What was agreed to is a whole answer but makes no headshots."""

    status, title = 200, "Something that headshots need is not ticked"


@post("/visit/decline", sync_to_thread=True, guards=EMPLOYEE)
def decline(request: Request[Any, Any, Any]) -> Response[Any]:
    return _say_no(request)


@post("/visit/withdraw", sync_to_thread=True, guards=EMPLOYEE)
def withdraw(request: Request[Any, Any, Any]) -> Response[Any]:
    return _say_no(request)


def _say_no(request: Request[Any, Any, Any]) -> Response[Any]:
    """The same step at every time: what there is goes, whether it was asked for with one word or the other."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
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
        erasure = _erasure(session, me)
        certificate = _certificate(session, erasure)
    if me.employee.opted_out_at is None:
        return back(request, "/visit")
    receipt = me.profile.receipt
    context = {"erasure": erasure, "certificate": certificate, "receipt": f"/gone/{receipt}" if receipt else ""}
    return _show(request, "visit/declined.html", me, 0, context)


def _erasure(session: Session, me: Me) -> Erasure | None:
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
        who = employees.profile(kernel.keys, employees.get(session, change.employee_id))
        language = texts.language_for(who.language)
        context = {
            "company": tenants.get(session).name,
            "address": addresses.new_address(kernel.keys, change),
            "until": change.until,
            "answered": None,
        }
    return page(request, "visit/address.html", context | {"language": language, "_": words.translator(language)})


@post("/a/{token:str}/{answer:str}", sync_to_thread=True, status_code=200, opt=PUBLIC)
def answer_about_address(request: Request[Any, Any, Any], token: FromPath[str], answer: FromPath[str]) -> Response[Any]:
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        change = addresses.look_up(session, token)
        who = employees.profile(kernel.keys, employees.get(session, change.employee_id))
        language = texts.language_for(who.language)
        context = {
            "company": tenants.get(session).name,
            "address": addresses.new_address(kernel.keys, change),
            "until": change.until,
            "answered": _answered(request, session, change.employee_id, answer),
        }
    return page(request, "visit/address.html", context | {"language": language, "_": words.translator(language)})


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
        raise addresses.AddressLinkUnknown("This link is not complete. Copy the whole address from the mail and try again.")
    return tenant


routes: list[Any] = [
    show_consent,
    give_consent,
    decline,
    withdraw,
    show_declined,
    ask_about_address,
    answer_about_address,
    answer_in_visit,
]
