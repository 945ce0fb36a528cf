"""An owner has the company leave: a page that counts, asks for the company's name, and calls off until it begins. Whoever
holds the receipt reads afterwards what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from compliance.desk import deleting, leaving, leaving_api
from compliance.erasure.erasures import CertificateMissing
from compliance.models import Certificate
from compliance.proof import stored
from dashboard.legal.erasing import certificate_file, paper_file
from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only
from tenants import tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

PUBLIC = {"public": True}
DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/settings/leaving", sync_to_thread=True, guards=DESK)
def show_leaving(request: Request[Any, Any, Any]) -> Response[str]:
    return _page(request)


def _page(request: Request[Any, Any, Any], problem: LikenessError | None = None, *, receipt: str = "") -> Response[str]:
    """`receipt` is shown once: with it the certificate is fetched when nobody can sign in any more."""
    kernel = kernel_of(request)
    with desk(request, Permission.COMPANY_LEAVE) as (session, member):
        company, departure = tenants.get(session), leaving.open_of(session)
        going = leaving.everybody(session, utc_now())
    link = leaving.receipt_link(kernel, receipt) if receipt else ""
    context = {"roles": member.roles, "problem": problem, "company": company, "departure": departure,
               "counted": deleting.preview(kernel, going), "link": link}  # fmt: skip
    return page(request, "desk/leaving.html", context, status=problem.status if problem else 200)


@post("/settings/leaving", sync_to_thread=True, guards=[*DESK, fresh], status_code=200)
def leave(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    people = whole_number(data.get("people", ""), 10**9)
    try:
        with desk(request, Permission.COMPANY_LEAVE) as (session, _):
            going = leaving.everybody(session, utc_now())
        said = deleting.preview(kernel_of(request), going)
        with desk(request, Permission.COMPANY_LEAVE) as (session, member):
            _, receipt = leaving.ask(
                session, kernel_of(request), member.id, utc_now(), name=data.get("name", ""),
                counted=-1 if people is None else people, said=said, hand_back=data.get("hand_back") == "yes",
            )  # fmt: skip
    except (Conflict, Unprocessable) as problem:
        return _page(request, problem)
    return _page(request, receipt=receipt)


@post("/settings/leaving/call-off", sync_to_thread=True, guards=DESK)
def call_off(request: Request[Any, Any, Any]) -> Response[Any]:
    try:
        with desk(request, Permission.COMPANY_LEAVE) as (session, member):
            leaving.call_off(session, member.id, utc_now())
    except Conflict as problem:
        return _page(request, problem)
    return Redirect("/settings/leaving", status_code=303)


# Afterwards, when nobody can sign in any more: the receipt leads here.


@get("/left/{receipt:str}", sync_to_thread=True, opt=PUBLIC)
def show_left(request: Request[Any, Any, Any], receipt: FromPath[str]) -> Response[str]:
    departure, found = leaving_api.behind(request, receipt)
    issued = [stored.shown(kernel_of(request), one) for one in found]
    first = issued[0] if [one.stage for one in issued] == [1] else None
    until = first.document["residuals"][0]["until"] if first and first.text else None
    context = {"departure": departure, "issued": issued, "download": f"/left/{receipt}/certificate",
               "until": datetime.fromisoformat(until) if until else None}  # fmt: skip
    return page(request, "legal/left.html", context)


@get("/left/{receipt:str}/certificate/{stage:int}", sync_to_thread=True, opt=PUBLIC)
def download_departure(request: Request[Any, Any, Any], receipt: FromPath[str], stage: FromPath[int]) -> Response[str]:
    """The signed certificate as a file that `likeness verify` reads. Raises `CertificateMissing` until it is signed."""
    return certificate_file(kernel_of(request), _issued(request, receipt, stage))


@get("/left/{receipt:str}/certificate/{stage:int}/pdf", sync_to_thread=True, opt=PUBLIC)
def download_departure_paper(
    request: Request[Any, Any, Any], receipt: FromPath[str], stage: FromPath[int]
) -> Response[bytes]:
    """The certificate as a sealed page. Raises `CertificateMissing` until it is signed."""
    return paper_file(kernel_of(request), _issued(request, receipt, stage))


def _issued(request: Request[Any, Any, Any], receipt: str, stage: int) -> Certificate:
    _, issued = leaving_api.behind(request, receipt)
    for one in issued:
        if one.stage == stage:
            return one
    raise CertificateMissing("There is no such certificate yet.")


routes: list[Any] = [show_leaving, leave, call_off, show_left, download_departure, download_departure_paper]
