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
from dashboard.reader import reader
from likeness.ground.db import utc_now
from likeness.locale.marks import N_, NN_
from likeness.locale.words import Words
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
            "todo": _to_do(session, reader(request), may, known, names, tallies, now),
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
    said: Words,
    may: Collection[Permission],
    known: list[Batch],
    names: Mapping[UUID, str],
    tallies: list[StageTally],
    now: datetime,
) -> list[ToDo]:
    found: list[ToDo] = []
    if Permission.LOOKS_READ in may and (away := tenants.get(session).away):
        found.append(ToDo(
            len(away), said.ngettext("way of making headshots is not available any more",
                                     "ways of making headshots are not available any more", len(away)),
            said.gettext("This installation was changed. People are offered what it still makes, until the owner chooses."),
            "/desk/looks", said.gettext("See what is offered"),
        ))  # fmt: skip
    if Permission.CONCERNS_ANSWER in may and (waiting := concerns.open_for(session, "hr")):
        found.append(ToDo(
            waiting, said.ngettext("person waits for an answer", "people wait for an answer", waiting),
            said.gettext("They wrote that something is wrong, and were promised an answer by a day."), "/questions",
            said.gettext("Answer"),
        ))  # fmt: skip
    if Permission.PEOPLE_CHANGE in may:
        for stage, (one_of, many), why in PEOPLE_TO_DO:
            people = sum(one.people for one in tallies if one.stage == stage)
            if people:
                what, where = said.ngettext(one_of, many, people), f"/desk/people?stage={stage}"
                found.append(ToDo(people, what, said.gettext(why), where, said.gettext("See who")))
        if short := sum(len(one.needy) for one in tallies if one.stage == Stage.UPLOADING):
            found.append(ToDo(
                short, said.ngettext("person is short of photos", "people are short of photos", short), said.gettext(
                    "For three days or more. A fresh link brings them back; on their page you see whether you can help."),
                f"/desk/people?stage=uploading&days={funnel.SLOW.days}", said.gettext("Who is handing in"),
            ))  # fmt: skip
    if Permission.PEOPLE_IMPORT in may:
        found += [
            ToDo(1, said.gettext("list waits to be checked: {name}", name=names[batch.id]),
                 said.gettext("Nobody of it was added yet, and nobody was written to."),
                 f"/desk/batches/{batch.id}/preview", said.gettext("Check the list"))
            for batch in known if batch.workbook_id and batch.imported_at is None
        ]  # fmt: skip
    return found + _with_headshots(session, said, may, now)


def _with_headshots(session: Session, said: Words, may: Collection[Permission], now: datetime) -> list[ToDo]:
    found = list[ToDo]()
    if Permission.HEADSHOTS_APPROVE in may and (waits := approvals.count(session, now)):
        found.append(ToDo(
            waits, said.ngettext("headshot waits for approval", "headshots wait for approval", waits),
            said.gettext("Nobody can download them before."), "/desk/headshots/approval", said.gettext("Look at them"),
        ))  # fmt: skip
    if Permission.HEADSHOTS_READ in may:
        fetch = headshots.not_fetched(session, now)
        if fetch.headshots:
            days = max(0, (fetch.first_gone - now).days) if fetch.first_gone else 0
            what = said.ngettext(
                "released headshot was not downloaded yet", "released headshots were not downloaded yet", fetch.headshots
            )
            goes = said.gettext("Here they are deleted on their day, the first today.") if not days else said.ngettext(
                "Here they are deleted on their day, the first in {n} day.",
                "Here they are deleted on their day, the first in {n} days.", days,
            )  # fmt: skip
            why = f"{goes} {said.gettext('What you have downloaded stays with you.')}"
            found.append(ToDo(fetch.headshots, what, why, "/desk/headshots", said.gettext("Open headshots")))
        for batch_id, asked in copies.waiting_by_batch(session).items():
            found.append(ToDo(
                asked, said.ngettext("copy to delete", "copies to delete", asked),
                said.gettext("Somebody took back a headshot that you had downloaded. They see what you answer."),
                f"/desk/batches/{batch_id}/headshots", said.gettext("See which"),
            ))  # fmt: skip
    return found


PEOPLE_TO_DO = (
    (Stage.BOUNCED, NN_("mail came back", "mails came back"),
     N_("They got nothing. Correct the address, or send again.")),
    (Stage.FAILED, NN_("person has no headshot that passed the check", "people have no headshot that passed the check"),
     N_("They can try again with other photos. A fresh link brings them back.")),
    (Stage.STUCK, NN_("person's headshots do not move on", "people's headshots do not move on"),
     N_("The operator sees the same and what it is. Nothing is lost.")),
    (Stage.ADDED, NN_("person was not invited yet", "people were not invited yet"),
     N_("They are on the list, and nobody has written to them.")),
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
