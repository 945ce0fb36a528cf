"""The employee's pages: read and decide, hand in photos, wait, choose; and at every moment what happens to one's face."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect
from sqlmodel import Session, col, select

from batch import (
    consents,
    decisions,
    employees,
    headshots,
    intake,
    invitations,
    notices,
    photos,
    sets,
    sittings,
    texts,
)
from batch.api_visit import enter
from batch.models import ACTIVE, Headshot, Photo, Sitting, SittingState
from batch.uploads import photo_in
from compliance import erasures, holds
from compliance.models import Trigger
from dashboard import words
from dashboard.pages import back, page, signed
from dashboard.standing import Me, standing
from gpu_cluster.cutout.limits import LIMITS
from gpu_cluster.models import Run, RunState
from likeness.db import tenant_of, utc_now
from likeness.errors import LikenessError
from likeness.identity import Caller, Kind, tenant_in
from likeness.kernel import Kernel
from likeness.web import kernel_of, only, signed_in
from tenants import looks, tenants
from tenants.models import Look
from tenants.tries import counted

PUBLIC = {"public": True}
EMPLOYEE = [only(Kind.EMPLOYEE)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
MaybeForm = Annotated[dict[str, str] | None, Body(media_type=RequestEncodingType.URL_ENCODED)]

# How much of the whole each state is, when its own steps are not counted: training takes most of the time.
SHARE = {SittingState.READY: (0, 0), SittingState.TRAINING: (5, 75), SittingState.RENDERING: (75, 92),
         SittingState.JUDGING: (92, 99)}  # fmt: skip


# What the person is asked to look at in a studio portrait, as the self-check names it.
QUESTIONS = {name: limit.sentence for name, limit in LIMITS.items()}


def _me(request: Request[Any, Any, Any]) -> tuple[Kernel, Caller, Me]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return kernel, caller, standing(session, kernel, caller.id, utc_now())


def _show(
    request: Request[Any, Any, Any], name: str, me: Me, step: int, context: Mapping[str, Any], status: int = 200
) -> Response[str]:
    around = {"me": me, "step": step, "problem": None, "note": None}
    around |= {"language": me.language, "_": words.translator(me.language)}
    return page(request, name, around | dict(context), status=status)


@get("/i/{token:str}", sync_to_thread=True, opt=PUBLIC)
def open_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Consumes nothing, because mail scanners open links. Raises `LinkUnknown`."""
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        found = invitations.look_up(session, token, utc_now())
        return _link(request, session, kernel, found.employee_id, found.state)


def _link(
    request: Request[Any, Any, Any], session: Session, kernel: Kernel, employee_id: UUID, state: str
) -> Response[str]:
    who = employees.profile(kernel.keys, employees.get(session, employee_id))
    language = texts.language_for(who.language)
    about = {"state": state, "company": tenants.get(session).name, "path": request.url.path.removesuffix("/renew")}
    return page(request, "visit/link.html", about | {"language": language, "_": words.translator(language)})


@post("/i/{token:str}", sync_to_thread=True, opt=PUBLIC)
def come_in(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Consumes the link. One that was used or ran out shows its page again, which offers a fresh one."""
    try:
        with counted(request):
            cookie = enter(kernel_of(request), token, utc_now())
    except (invitations.LinkUsed, invitations.LinkExpired):
        return Redirect(request.url.path, status_code=303)
    return signed(request, cookie, "/visit")


@post("/i/{token:str}/renew", sync_to_thread=True, status_code=200, opt=PUBLIC)
def renew_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        invitations.renew(session, token, utc_now())
        found = invitations.look_up(session, token, utc_now())
        return _link(request, session, kernel, found.employee_id, "sent")


def _tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise invitations.LinkUnknown("This link is not complete. Copy the whole address from the mail and try again.")
    return tenant


@get("/visit", sync_to_thread=True, guards=EMPLOYEE)
def where_now(request: Request[Any, Any, Any]) -> Response[Any]:
    """On to the step that the person is at."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        erasure = erasures.open_of(session, caller.id)
    if erasure is not None and erasure.trigger != Trigger.WITHDRAWAL:
        return Redirect("/visit/erasure", status_code=303)
    me = _me(request)[2]
    return Redirect(_next_step(me), status_code=303)


def _next_step(me: Me) -> str:
    if me.employee.opted_out_at:
        return "/visit/declined"
    if me.active or (me.sitting and me.sitting.state == SittingState.FAILED and not me.headshots):
        return "/visit/making"
    if me.headshots:
        return "/visit/headshots"
    return "/visit/photos" if me.consented else "/visit/consent"


@get("/visit/photos", sync_to_thread=True, guards=EMPLOYEE)
def show_photos(request: Request[Any, Any, Any]) -> Response[Any]:
    return _photos_page(request)


def _photos_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        progress = photos.progress(session, caller.id)
        mine: list[Photo] = photos.of(session, caller.id)
        who = sets.unclear(mine)
    if not me.consented:
        return back(request, "/visit/consent")
    context = {
        "photos": list(reversed(mine)),
        "progress": progress,
        "who": who,
        "hint": words.meter(progress.hint, me.language),
        "checking": progress.checking,
        "largest": intake.LARGEST,
        "problem": problem,
    }
    return _show(request, "visit/photos.html", me, 2, context, status=problem.status if problem else 200)


@post("/visit/photos", guards=EMPLOYEE)
async def add_photo(request: Request[Any, Any, Any]) -> Response[Any]:
    """One photo from a plain form; scripts send theirs to the API, one by one."""
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        data = await photo_in(request, kernel, caller)
        await asyncio.to_thread(intake.add, kernel, caller.tenant, caller.id, data, utc_now())
    except consents.ConsentMissing:
        raise
    except LikenessError as problem:
        return await asyncio.to_thread(_photos_page, request, problem)
    return Redirect("/visit/photos", status_code=303)


@post("/visit/photos/{photo_id:uuid}/use-anyway", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def use_anyway(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[Any]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.use_anyway(session, caller.id, photo_id)
    return _photos_again(request)


@post("/visit/photos/who", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def say_who(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """One tap on "this is me": the photos it stands beside are the person's, and those of the others shown are not."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.say_who(session, caller.id, _ids(data.get("mine", "")), _ids(data.get("not_mine", "")))
    return _photos_again(request)


def _ids(listed: str) -> list[UUID]:
    """Raises `PhotoMissing` for what is no id."""
    try:
        return [UUID(one) for one in listed.split()]
    except ValueError:
        raise photos.PhotoMissing("There is no such photo.") from None


@post("/visit/photos/{photo_id:uuid}/face", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def choose_face(request: Request[Any, Any, Any], photo_id: FromPath[UUID], data: Form) -> Response[Any]:
    caller = signed_in(request)
    tapped = data.get("face", "")
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.choose_face(session, caller.id, photo_id, int(tapped) if tapped.isdecimal() else -1)
    return _photos_again(request)


@post("/visit/photos/{photo_id:uuid}/remove", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def remove_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        decisions.remove(session, kernel.objects, caller.id, photo_id)
    return _photos_again(request)


def _photos_again(request: Request[Any, Any, Any]) -> Response[Any]:
    if not request.headers.get("hx-request"):
        return Redirect("/visit/photos", status_code=303)
    return _with_fates(_photos_page(request))


def _with_fates(response: Response[Any]) -> Response[Any]:
    """Tells the page that what happens to the face has changed as well."""
    response.headers["hx-trigger"] = "fates-changed"
    return response


@post("/visit/sitting", sync_to_thread=True, guards=EMPLOYEE)
def submit(request: Request[Any, Any, Any], data: MaybeForm = None) -> Response[Any]:
    caller, recipe = signed_in(request), (data or {}).get("recipe") or None
    try:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            sittings.submit(session, caller.id, utc_now(), recipe)
    except (sittings.TooFewPhotos, sittings.RecipeNotOffered) as problem:
        return _photos_page(request, problem)
    return Redirect("/visit/making", status_code=303)


@get("/visit/making", sync_to_thread=True, guards=EMPLOYEE)
def show_making(request: Request[Any, Any, Any]) -> Response[Any]:
    now = utc_now()
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        run = _run(session, me.sitting) if me.sitting else None
        usual = usual_seconds(session)
    if me.sitting is None:
        return back(request, "/visit")
    if me.sitting.state == SittingState.DONE and request.headers.get("hx-request"):
        return back(request, "/visit/headshots")
    percent = _percent(me.sitting, run)
    context = {
        "sitting": me.sitting,
        "active": me.active,
        "percent": percent,
        "eta": _eta(me.sitting, run, usual, now),
    }
    return _show(request, "visit/waiting.html", me, 3, context)


def _run(session: Session, sitting: Sitting) -> Run | None:
    return session.exec(
        select(Run)
        .where(
            col(Run.tenant_id) == tenant_of(session),
            col(Run.sitting_id) == sitting.id,
            col(Run.fence) == sitting.fence,
        )
        .limit(1)
    ).first()


def usual_seconds(session: Session) -> float | None:
    """The median duration of the company's last runs that worked; None before the first one."""
    runs = session.exec(
        select(Run)
        .where(col(Run.tenant_id) == tenant_of(session), col(Run.state) == RunState.SUCCEEDED)
        .order_by(col(Run.started_at).desc())
        .limit(20)
    ).all()
    took = [(run.finished_at - run.started_at).total_seconds() for run in runs if run.finished_at]
    return median(took) if took else None


def _percent(sitting: Sitting, run: Run | None) -> int:
    start, end = SHARE.get(SittingState(sitting.state), (100, 100))
    done = run.step / run.steps if run and run.steps and sitting.state == SittingState.TRAINING else 0.0
    return round(start + (end - start) * min(1.0, done))


def _eta(sitting: Sitting, run: Run | None, usual: float | None, now: datetime) -> float | None:
    """Seconds left by the company's own experience; None where there is none to go by or it is used up."""
    if usual is None or sitting.state not in ACTIVE:
        return None
    gone = (now - run.started_at).total_seconds() if run else 0.0
    return max(60.0, usual - gone) if gone < 2 * usual else None


@get("/visit/headshots", sync_to_thread=True, guards=EMPLOYEE)
def show_headshots(request: Request[Any, Any, Any]) -> Response[Any]:
    return _headshots_page(request)


def _headshots_page(request: Request[Any, Any, Any], *, refunded: bool = False) -> Response[Any]:
    me, made, given, named = _made(request)
    context = {"headshots": made, "given": given, "looks": named, "alone": False, "refunded": refunded}
    context["questions"] = QUESTIONS
    return _show(request, "visit/headshots.html", me, 4, context)


def _made(request: Request[Any, Any, Any]) -> tuple[Me, list[Headshot], set[UUID], dict[UUID, str]]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        made = headshots.of(session, caller.id, utc_now())
        given = {release.headshot_id for release in headshots.releases(session, caller.id)}
        named = {look_id: _named(looks.get(session, look_id)) for look_id in {one.look_id for one in made}}
    return me, made, given, named


def _named(look: Look) -> str:
    return look.name


@get("/visit/headshots/{headshot_id:uuid}", sync_to_thread=True, guards=EMPLOYEE)
def show_headshot(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> Response[Any]:
    """One headshot, large. Raises `HeadshotMissing`."""
    me, made, given, named = _made(request)
    at = next((index for index, one in enumerate(made) if one.id == headshot_id), None)
    if at is None:
        raise headshots.HeadshotMissing("There is no such headshot.")
    context = {
        "headshot": made[at],
        "before": made[at - 1].id if at else None,
        "after": made[at + 1].id if at + 1 < len(made) else None,
        "given": given,
        "looks": named,
        "alone": True,
        "questions": QUESTIONS,
    }
    return _show(request, "visit/headshot.html", me, 4, context)


@post("/visit/headshots/{headshot_id:uuid}/{act:str}", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def decide(
    request: Request[Any, Any, Any], headshot_id: FromPath[UUID], act: FromPath[str], data: MaybeForm = None
) -> Response[Any]:
    """Releases, takes back, or marks one headshot. Raises `HeadshotMissing`."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        match act:
            case "release":
                headshots.release(session, caller.id, [headshot_id], now)
            case "unrelease":
                headshots.unrelease(session, caller.id, headshot_id, now)
            case "favourite":
                marked = headshots.get(session, caller.id, headshot_id, now).favourite_at is not None
                headshots.favourite(session, caller.id, headshot_id, now, chosen=not marked)
            case _:
                raise headshots.HeadshotMissing("There is nothing like that to do with a headshot.")
    if request.headers.get("hx-request"):
        return _with_fates(_headshots_page(request))
    alone = (data or {}).get("alone") == "yes"
    return Redirect(f"/visit/headshots/{headshot_id}" if alone else "/visit/headshots", status_code=303)


@post("/visit/reshoot", sync_to_thread=True, guards=EMPLOYEE)
def reshoot(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        sitting = sittings.reshoot(session, caller.id, data.get("reason", ""), utc_now())
    if sitting is None:
        return _headshots_page(request, refunded=True)
    return Redirect("/visit/making", status_code=303)


@get("/visit/face", sync_to_thread=True, guards=EMPLOYEE)
def show_face(request: Request[Any, Any, Any]) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        given = consents.of(session, caller.id)
        notice = notices.current(session, me.language)
        held = [hold for hold in holds.of(session, caller.id) if hold.lifted_at is None and hold.confirmed_at]
    return _show(request, "visit/face.html", me, 0, {"consents": given, "notice": notice, "holds": held})


@get("/retention/{tenant_id:uuid}", sync_to_thread=True, opt=PUBLIC)
def show_retention(
    request: Request[Any, Any, Any], tenant_id: FromPath[UUID], language: FromQuery[str] = "en"
) -> Response[Any]:
    """How long a company keeps what, for everybody to read: the very notice, from the terms as they are now."""
    with kernel_of(request).db.transaction(tenant_id) as session:
        tenant = tenants.get(session)
    language = texts.language_for(language)
    context = {"tenant": tenant, "text": notices.text(tenant, language), "version": notices.version(tenant)}
    return page(request, "visit/retention.html", context | {"language": language, "_": words.translator(language)})


@get("/visit/fates", sync_to_thread=True, guards=EMPLOYEE)
def show_fates(request: Request[Any, Any, Any]) -> Response[Any]:
    """Only what happens to one's face, fetched anew whenever something of it came or went."""
    return _show(request, "visit/face_clock.html", _me(request)[2], 0, {})


@get("/visit/delete", sync_to_thread=True, guards=EMPLOYEE)
def ask_before_deleting(request: Request[Any, Any, Any]) -> Response[Any]:
    return _show(request, "visit/delete.html", _me(request)[2], 0, {})


routes: list[Any] = [
    open_link,
    come_in,
    renew_link,
    where_now,
    show_photos,
    add_photo,
    use_anyway,
    say_who,
    choose_face,
    remove_photo,
    submit,
    show_making,
    show_headshots,
    show_headshot,
    decide,
    reshoot,
    show_face,
    show_retention,
    show_fates,
    ask_before_deleting,
]
