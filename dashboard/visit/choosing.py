"""Headshots, as their owner chooses among them: by look, beside a selfie, and handed over in one step.

What follows is said before the step is taken; nothing leaves before it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from sqlmodel import Session

from batch.models import Headshot, Photo, Release, SittingState
from batch.people import employees
from batch.photos import photos
from batch.sittings import approvals, copies, edits, headshots, resemblance, retakes, sittings
from batch.sittings.retakes import Retake
from dashboard.pages import back
from dashboard.visit.around.frame import EMPLOYEE, Form, MaybeForm, me_of, show
from dashboard.visit.around.standing import Me, standing
from dashboard.visit.photos import with_fates
from dashboard.visit.waiting import missed_looks, unused_photos
from gpu_cluster.cutout.limits import LIMITS
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, NotFound
from likeness.locale.marks import N_
from likeness.web.guards import kernel_of, signed_in
from tenants import looks

# What the person is asked to look at in a studio portrait, as the self-check names it.
QUESTIONS = {name: limit.sentence for name, limit in LIMITS.items()}


class ChosenGone(NotFound):
    """What was ticked was deleted meanwhile, on another page or because its time was up."""

    title = "Nothing was handed over"


@get("/visit/headshots", sync_to_thread=True, guards=EMPLOYEE)
def show_headshots(request: Request[Any, Any, Any]) -> Response[Any]:
    """Where there is nothing to choose from, and nothing that could be made again, on to where the person is."""
    me = me_of(request)[2]
    made = me.headshots or (me.sitting is not None and me.sitting.state == SittingState.DONE)
    if me.employee.opted_out_at or not made:
        return back(request, "/visit")
    return _headshots_page(request)


def _headshots_page(request: Request[Any, Any, Any], *, problem: LikenessError | None = None) -> Response[Any]:
    me, made, given, named = _made(request)
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        # Of the sitting that these headshots are of, and not of one that is still being made.
        missed = missed_looks(session, me.sitting) if me.sitting and me.sitting.state == SittingState.DONE else []
        unused = unused_photos(session, me.sitting) if me.sitting and me.sitting.state == SittingState.DONE else []
        again = retakes.of(session, caller.id)
        rejected = resemblance.told(session, caller.id)
        waits = edits.standing(session, caller.id, utc_now())
        leaving = resemblance.leaving(session, caller.id, now)
        asked = approvals.asked_of(session, caller.id, utc_now())
    say = me.words
    free = sum(one.id not in given for one in made)
    context = {
        "headshots": made,
        "by_look": {look_id: [one for one in made if one.look_id == look_id] for look_id in named},
        "given": given,
        "looks": named,
        "retakes": again,
        "rejected": rejected,
        "waits": waits,
        "asked": asked,
        "again": again.state != Retake.REFUNDED,
        "editable": edits.editable,
        "leaving": leaving,
        "missed": missed,
        "unused": unused,
        "questions": QUESTIONS,
        # What the button says while so many are ticked.
        "labels": [say.gettext("Hand over what is ticked")]
        + [say.ngettext("Look once more at this one", "Look once more at these {n}", n) for n in range(1, free + 1)],
        "problem": problem,
    }
    return show(request, "visit/headshots.html", me, 4, context, status=problem.status if problem else 200)


def _made(request: Request[Any, Any, Any]) -> tuple[Me, list[Headshot], set[UUID], dict[UUID, str]]:
    """What they are shown: without what they said is not them, although that waits for ten seconds."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        hidden = resemblance.hidden(session, caller.id, now)
        made = [one for one in headshots.of(session, caller.id, now) if one.id not in hidden]
        given = {release.headshot_id for release in headshots.releases(session, caller.id)} - hidden
        # In the order in which the likest of each look comes.
        named = {look_id: looks.get(session, look_id).name for look_id in dict.fromkeys(one.look_id for one in made)}
    return me, made, given, named


@get("/visit/headshots/{headshot_id:uuid}", sync_to_thread=True, guards=EMPLOYEE)
def show_headshot(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> Response[Any]:
    """One headshot, large, beside a selfie. Raises `HeadshotMissing`."""
    me, made, given, named = _made(request)
    at = next((index for index, one in enumerate(made) if one.id == headshot_id), None)
    if at is None:
        raise headshots.HeadshotMissing("There is no such headshot.")
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        follows = resemblance.follows(session, made[at], utc_now())
    context = {
        "headshot": made[at],
        "follows": follows,
        "selfie": _selfie(request),
        "before": made[at - 1].id if at else None,
        "after": made[at + 1].id if at + 1 < len(made) else None,
        "given": given,
        "looks": named,
        "questions": QUESTIONS,
        "editable": edits.editable,
    }
    return show(request, "visit/headshot.html", me, 4, context)


def _selfie(request: Request[Any, Any, Any]) -> Photo | None:
    """The person's own photo from the front, to compare with, as long as there is one."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        mine = [photo for photo in photos.accepted(session, caller.id) if photo.due_at > now]
    return min(mine, key=lambda photo: (photo.pose != "front", photo.created_at), default=None)


@post("/visit/headshots/{headshot_id:uuid}/{act:str}", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def decide(
    request: Request[Any, Any, Any], headshot_id: FromPath[UUID], act: FromPath[str], data: MaybeForm = None
) -> Response[Any]:
    """Hands over, takes back, marks, rejects, keeps or deletes one headshot. Raises `HeadshotMissing` and
    `TooLateToKeep`."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        match act:
            case "release":
                headshots.release(session, caller.id, [headshot_id], now)
            case "keep-released":
                approvals.keep(session, caller.id, headshot_id, now)
            case "unrelease":
                headshots.unrelease(session, caller.id, headshot_id, now)
            case "favourite":
                marked = headshots.get(session, caller.id, headshot_id, now).favourite_at is not None
                headshots.favourite(session, caller.id, headshot_id, now, chosen=not marked)
            case "not-me":
                resemblance.reject_soon(session, caller.id, headshot_id, now)
            case "keep":
                resemblance.keep(session, caller.id, headshot_id, now)
            case "delete":
                headshots.discard(session, kernel.objects, caller.id, headshot_id, now)
            case _:
                raise headshots.HeadshotMissing("There is nothing like that to do with a headshot.")
    if request.headers.get("hx-request"):
        return with_fates(_headshots_page(request))
    alone = f"/visit/headshots/{headshot_id}"
    return Redirect(alone if (data or {}).get("back") == "alone" else "/visit/headshots", status_code=303)


@get("/visit/hand-over", sync_to_thread=True, guards=EMPLOYEE)
def look_once_more(request: Request[Any, Any, Any], headshot: FromQuery[list[UUID] | None] = None) -> Response[Any]:
    """What is ticked, side by side with a selfie, and what follows from handing it over. Nothing is stored yet. Raises
    `ConsentMissing`."""
    me, made, given, named = _made(request)
    chosen = [one for one in made if one.id in set(headshot or [])]
    if not chosen:
        return _headshots_page(request, problem=headshots.NothingToRelease(N_("Tick at least one headshot first.")))
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        headshots.check_agreed(session, caller.id)
        asked = approvals.asked_of(session, caller.id, utc_now())
    edited = {one.edit_of for one in chosen}
    context = {
        "chosen": chosen,
        # An edit of it takes its place in another way, which is said by itself.
        "asked": [one for one in asked if one.headshot not in chosen and one.headshot.id not in edited],
        "reasons": approvals.REASONS,
        "given": given,
        "looks": named,
        "selfie": _selfie(request),
        "until": min(one.due_at for one in chosen),
        "questions": QUESTIONS,
    }
    return show(request, "visit/hand_over.html", me, 4, context)


@post("/visit/hand-over", sync_to_thread=True, guards=EMPLOYEE)
def hand_over(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """Raises `ConsentMissing`; what is wrong with the choice itself is said on the page, where another can be made."""
    caller, now = signed_in(request), utc_now()
    chosen, first = _ids(data.get("headshots", "")), _ids(data.get("first", ""))
    try:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            employees.speaking(session, caller)
            headshots.release(session, caller.id, chosen, now, first=first)
            _mark(session, caller.id, chosen, first, now)
    except headshots.HeadshotMissing:
        return _headshots_page(request, problem=ChosenGone(N_("One that you had ticked is not here any more.")))
    except headshots.NothingToRelease as problem:
        return _headshots_page(request, problem=problem)
    return Redirect("/visit/done", status_code=303)


def _mark(session: Session, employee_id: UUID, chosen: Sequence[UUID], first: Collection[UUID], now: datetime) -> None:
    """The one that the person wants to stand first is their favourite, and no other of those handed over with it."""
    for one in chosen if first else ():
        headshots.favourite(session, employee_id, one, now, chosen=one in first)


def _ids(listed: str) -> list[UUID]:
    """Raises `HeadshotMissing` for what is no id."""
    try:
        return [UUID(one) for one in listed.split()]
    except ValueError:
        raise headshots.HeadshotMissing("There is no such headshot.") from None


@get("/visit/done", sync_to_thread=True, guards=EMPLOYEE)
def show_done(request: Request[Any, Any, Any]) -> Response[Any]:
    """What was handed over, what happens by itself from here on, and when."""
    me, made, given, named = _made(request)
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        mine: list[Release] = headshots.releases(session, caller.id)
        asked = approvals.asked_of(session, caller.id, utc_now())
        free = retakes.of(session, caller.id).free
    out = [one for one in made if one.id in given]
    if made and not out:
        return Redirect("/visit/headshots", status_code=303)
    if not made and not (me.sitting and me.sitting.state == SittingState.DONE):
        return Redirect("/visit", status_code=303)
    context = {"out": out, "looks": named, "releases": {one.headshot_id: one for one in mine}, "asked": asked,
               "again": free, "editable": edits.editable}  # fmt: skip
    return show(request, "visit/done.html", me, 4, context)


@post("/visit/take-back", sync_to_thread=True, guards=EMPLOYEE)
def take_back(request: Request[Any, Any, Any]) -> Response[Any]:
    """Everything that was handed over; the employer is asked to delete what it has downloaded."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        photos.hold(session, caller.id)
        copies.take_all_back(session, caller.id, now)
    return Redirect("/visit/headshots", status_code=303)


@post("/visit/reshoot", sync_to_thread=True, guards=EMPLOYEE)
def reshoot(request: Request[Any, Any, Any]) -> Response[Any]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        sitting = sittings.reshoot(session, caller.id, utc_now())
    if sitting is None:
        return Redirect("/visit/headshots", status_code=303)
    return Redirect("/visit/making", status_code=303)


routes: list[Any] = [
    show_headshots,
    show_headshot,
    decide,
    look_once_more,
    hand_over,
    show_done,
    take_back,
    reshoot,
]
