"""The first page of the desk: what somebody can do today, and whether everybody will be through in time. Counts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from sqlmodel import Session

from batch.models import Batch
from batch.people import funnel, pace
from batch.people.funnel import Stage, StageTally
from batch.people.pace import BatchProgress
from batch.roster import batches, naming
from batch.sittings import approvals, copies, forecast, headshots
from batch.visit import concerns
from dashboard.desk.desk import DESK, FILLS, UNDER_WAY, show
from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.web.guards import kernel_of
from tenants import credits, tenants
from tenants.members import members, permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission

WIDE, HIGH = 640, 200


@dataclass(frozen=True)
class ToDo:
    """One thing that somebody can do now, and where."""

    count: int
    what: str
    why: str
    where: str
    act: str


@dataclass(frozen=True)
class HomeLine:
    batch: Batch
    people: int
    progress: BatchProgress
    late: int | None
    """Days after the due day at the present pace; below zero before it, None without a day or a forecast."""


@dataclass(frozen=True)
class Chart:
    """A burn-up in units of the drawing: what is done, what is left at the present pace, and the due day."""

    line: HomeLine
    done: str
    ahead: str
    due: float | None
    first: date
    last: date


@get("/desk", sync_to_thread=True, guards=DESK)
def show_home(request: Request[Any, Any, Any]) -> Response[str]:
    now = utc_now()
    with desk(request, Permission.BATCHES_READ) as (session, member):
        may = permissions.of(member.roles)
        known = batches.list_batches(session)
        names = {batch.id: naming.of(kernel_of(request).keys, batch) for batch in known}
        tallies = funnel.tallies(session, now)
        lines = _lines(session, known, tallies, now)
        waiting = sum(one.people for one in tallies if one.stage in UNDER_WAY)
        context = {
            "tenant": tenants.get(session),
            "balance": credits.balance(session) if Permission.CREDITS_READ in may else None,
            "lines": lines,
            "names": names,
            "todo": _to_do(session, may, known, names, tallies, now),
            "counts": {stage: sum(one.people for one in tallies if one.stage == stage) for stage in Stage},
            "people": sum(one.people for one in tallies),
            "done": sum(line.progress.done for line in lines),
            "wanted": sum(line.progress.wanted for line in lines),
            "eta": forecast.of_line(session, now),
            "waiting": waiting,
            "chart": _chart(lines, now.date()),
            "fills": FILLS,
            "wide": WIDE,
            "high": HIGH,
        }
    return show(request, member, "desk/home.html", context)


def _lines(session: Session, known: list[Batch], tallies: list[StageTally], now: datetime) -> list[HomeLine]:
    """Batches that hold anybody: those that are not through first, by their day; then the rest, newest first."""
    progress, people = pace.of_batches(session, tallies, now), Counter[UUID]()
    for one in tallies:
        people[one.batch_id] += one.people
    lines = []
    for batch in known:
        if (went := progress.get(batch.id)) is not None:
            late = (went.expected - batch.due_on).days if went.expected and batch.due_on else None
            lines.append(HomeLine(batch, people[batch.id], went, late))
    return sorted(lines, key=lambda line: (line.progress.whole, line.batch.due_on or date.max))


def _to_do(
    session: Session,
    may: Collection[Permission],
    known: list[Batch],
    names: Mapping[UUID, str],
    tallies: list[StageTally],
    now: datetime,
) -> list[ToDo]:
    found: list[ToDo] = []
    if Permission.LOOKS_READ in may and (away := tenants.get(session).away):
        found.append(ToDo(
            len(away), "way of making headshots is not available any more",
            "This installation was changed. People are offered what it still makes, until the owner chooses.",
            "/desk/looks", "See what is offered",
        ))  # fmt: skip
    if Permission.CONCERNS_ANSWER in may and (waiting := concerns.open_for(session, "hr")):
        found.append(ToDo(
            waiting, "people wait for an answer" if waiting > 1 else "person waits for an answer",
            "They wrote that something is wrong, and were promised an answer by a day.", "/questions", "Answer",
        ))  # fmt: skip
    if Permission.PEOPLE_CHANGE in may:
        for stage, (one_of, many), why in PEOPLE_TO_DO:
            people = sum(one.people for one in tallies if one.stage == stage)
            if people:
                found.append(ToDo(people, one_of if people == 1 else many, why, f"/desk/people?stage={stage}", "See who"))
        if short := sum(one.stage == Stage.UPLOADING for one in funnel.in_need(session, now)):
            found.append(ToDo(
                short, "people are short of photos" if short > 1 else "person is short of photos",
                "For three days or more. A fresh link brings them back; on their page you see whether you can help.",
                f"/desk/people?stage=uploading&days={funnel.SLOW.days}", "Who is handing in",
            ))  # fmt: skip
    if Permission.PEOPLE_IMPORT in may:
        filled = {one.batch_id for one in tallies}
        found += [
            ToDo(1, f"list waits to be checked: {names[batch.id]}",
                 "Nobody of it was added yet, and nobody was written to.", f"/desk/batches/{batch.id}/preview",
                 "Check the list")
            for batch in known if batch.workbook_id and batch.id not in filled
        ]  # fmt: skip
    return found + _with_headshots(session, may, now)


def _with_headshots(session: Session, may: Collection[Permission], now: datetime) -> list[ToDo]:
    found = list[ToDo]()
    if Permission.HEADSHOTS_APPROVE in may and (waits := approvals.count(session, now)):
        found.append(ToDo(
            waits, "headshots wait for approval" if waits > 1 else "headshot waits for approval",
            "Nobody can download them before.", "/desk/headshots/approval", "Look at them",
        ))  # fmt: skip
    if Permission.HEADSHOTS_READ in may:
        fetch = headshots.not_fetched(session, now)
        if fetch.headshots:
            days = max(0, (fetch.first_gone - now).days) if fetch.first_gone else 0
            found.append(ToDo(
                fetch.headshots, "released headshots were not downloaded yet" if fetch.headshots > 1 else
                "released headshot was not downloaded yet",
                f"Here they are deleted on their day, the first {'today' if not days else f'in {days} days'}. What you"
                " have downloaded stays with you.", "/desk/headshots", "Open headshots",
            ))  # fmt: skip
        for batch_id, asked in copies.waiting_by_batch(session).items():
            found.append(ToDo(
                asked, "copies to delete" if asked > 1 else "copy to delete",
                "Somebody took back a headshot that you had downloaded. They see what you answer.",
                f"/desk/batches/{batch_id}/headshots", "See which",
            ))  # fmt: skip
    return found


PEOPLE_TO_DO = (
    (Stage.BOUNCED, ("mail came back", "mails came back"), "They got nothing. Correct the address, or send again."),
    (Stage.FAILED, ("person has no headshot that passed the check", "people have no headshot that passed the check"),
     "They can try again with other photos. A fresh link brings them back."),
    (Stage.STUCK, ("person's headshots do not move on", "people's headshots do not move on"),
     "The operator sees the same and what it is. Nothing is lost."),
    (Stage.ADDED, ("person was not invited yet", "people were not invited yet"),
     "They are on the list, and nobody has written to them."),
)  # fmt: skip


def _chart(lines: list[HomeLine], today: date) -> Chart | None:
    """Of the batch that is due first among those that are not through and in which somebody has released something."""
    line = next((one for one in lines if one.progress.days and not one.progress.whole), None)
    if line is None:
        return None
    days, went = line.progress.days, line.progress
    first = min(days[0][0], today) - timedelta(days=1)
    last = max(day for day in (today + timedelta(days=1), line.batch.due_on, went.expected) if day is not None)
    # A due day long past or an end far away would press everything else into one edge.
    last = min(last, today + timedelta(days=120))

    def across(day: date) -> float:
        return round(WIDE * (day - first).days / (last - first).days, 1)

    def up(count: float) -> float:
        return round(HIGH - HIGH * count / went.wanted, 1)

    steps, before = [f"0,{HIGH}"], 0
    for day, count in days:
        steps += [f"{across(day)},{up(before)}", f"{across(day)},{up(count)}"]
        before = count
    steps.append(f"{across(today)},{up(before)}")
    ahead = ""
    if went.expected and went.expected > today:
        end = min(went.expected, last)
        share = (end - today).days / (went.expected - today).days
        ahead = f"{across(today)},{up(went.done)} {across(end)},{up(went.done + (went.wanted - went.done) * share)}"
    due = line.batch.due_on
    return Chart(line, " ".join(steps), ahead, across(due) if due and first <= due <= last else None, first, last)


@get("/help", sync_to_thread=True, guards=DESK)
def show_help(request: Request[Any, Any, Any]) -> Response[str]:
    """What the words on the pages mean, who sees what, and whom to ask."""
    kernel = kernel_of(request)
    with desk(request, Permission.MEMBERS_READ) as (session, me):
        owners = [members.profile(kernel.keys, one).name for one in members.all(session)
                  if "owner" in one.roles and one.joined_at and not one.disabled_at]  # fmt: skip
    return page(request, "desk/help.html", {"roles": me.roles, "problem": None, "owners": owners, "stages": list(Stage)})


routes: list[Any] = [show_home, show_help]
