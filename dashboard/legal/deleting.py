"""HR deletes a person or a batch: a page that counts what goes, and a button for just that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch.people import employees
from batch.roster import batches, listings, naming, undoing
from compliance.desk import deleting
from dashboard.pages import page
from dashboard.reader import reader
from likeness.ground.db import utc_now
from likeness.ground.errors import Gone
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web.guards import fresh, kernel_of, only, signed_in
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
Ticks = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
NAMED = 3
"""Of those who are ticked, by name; how many more there are is said."""
Who = Callable[[Session, Kernel], tuple[list[UUID], str]]
"""The people, and what the page calls them."""


def _person(request: Request[Any, Any, Any], person_id: UUID) -> Who:
    says = reader(request)

    def who(session: Session, kernel: Kernel) -> tuple[list[UUID], str]:
        person = employees.on_roster(session, person_id)
        name = says.gettext("this person")
        with suppress(Gone):
            name = employees.profile(kernel.keys, person).full_name
        listings.note(session, [person.roster_id], utc_now(), caller=str(signed_in(request)))
        return [person.id], name

    return who


def _ticked(request: Request[Any, Any, Any], data: Mapping[str, Any]) -> Who:
    says = reader(request)

    def who(session: Session, kernel: Kernel) -> tuple[list[UUID], str]:
        people = undoing.ticked(session, data.get("person"))
        names = list[str]()
        for one in people[:NAMED]:
            with suppress(Gone):
                names.append(employees.profile(kernel.keys, one).full_name)
        listings.note(session, [one.roster_id for one in people[:NAMED]], utc_now(), caller=str(signed_in(request)))
        more = len(people) - len(names)
        listed = [says.enumerated(names)] if names else []
        return [one.id for one in people], " ".join([*listed, *([says.gettext("and {n} more", n=more)] if more else [])])

    return who


def _batch(batch_id: UUID) -> Who:
    def who(session: Session, kernel: Kernel) -> tuple[list[UUID], str]:
        return deleting.people_of(session, batch_id), naming.of(kernel.keys, batches.get(session, batch_id))

    return who


def _ask(
    request: Request[Any, Any, Any], who: Who, back: str, problem: deleting.NotAsCounted | None = None,
    ticked: object = (),
) -> Response[str]:  # fmt: skip
    kernel = kernel_of(request)
    with desk(request, Permission.PEOPLE_ERASE) as (session, member):
        people, name = who(session, kernel)
        going = deleting.whom(session, people, utc_now())
    context = {
        "roles": member.roles, "problem": problem, "name": name, "counted": deleting.preview(kernel, going), "back": back,
        "action": request.url.path.replace("/preview-deletion", "/delete"),
        "ticked": ticked if isinstance(ticked, list) else [ticked] if ticked else [],
    }  # fmt: skip
    return page(request, "desk/delete.html", context, status=problem.status if problem else 200)


def _delete(request: Request[Any, Any, Any], who: Who, back: str, data: Mapping[str, Any]) -> Response[Any]:
    kernel = kernel_of(request)
    people, objects = (whole_number(str(data.get(name, "")), 10**9) for name in ("people", "objects"))
    now = utc_now()
    try:
        with desk(request, Permission.PEOPLE_ERASE) as (session, _):
            ids, _name = who(session, kernel)
            going = deleting.whom(session, ids, now)
        said = deleting.counted(kernel, going, people, objects)
        with desk(request, Permission.PEOPLE_ERASE) as (session, _):
            act = deleting.ask(session, going.people, utc_now(), caller=str(signed_in(request)))
    except deleting.NotAsCounted as problem:
        return _ask(request, who, back, problem, data.get("person", ()))
    return Redirect(f"/desk/people?deleted={said.people - said.held}&held={said.held}&act={act}", status_code=303)


@get("/desk/people/{person_id:uuid}/delete", sync_to_thread=True, guards=DESK)
def ask_about_person(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> Response[str]:
    return _ask(request, _person(request, person_id), f"/desk/people/{person_id}")


@post("/desk/people/{person_id:uuid}/delete", sync_to_thread=True, guards=[*DESK, fresh])
def delete_person(request: Request[Any, Any, Any], person_id: FromPath[UUID], data: Form) -> Response[Any]:
    return _delete(request, _person(request, person_id), f"/desk/people/{person_id}", data)


@post("/desk/people/preview-deletion", sync_to_thread=True, guards=DESK, status_code=200)
def ask_about_ticked(request: Request[Any, Any, Any], data: Ticks) -> Response[str]:
    """A form, because a hundred ids are too long for an address; nothing is changed."""
    return _ask(request, _ticked(request, data), "/desk/people", ticked=data.get("person", ()))


@post("/desk/people/delete", sync_to_thread=True, guards=[*DESK, fresh])
def delete_ticked(request: Request[Any, Any, Any], data: Ticks) -> Response[Any]:
    return _delete(request, _ticked(request, data), "/desk/people", data)


@get("/desk/batches/{batch_id:uuid}/delete", sync_to_thread=True, guards=DESK)
def ask_about_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    return _ask(request, _batch(batch_id), f"/desk/batches/{batch_id}")


@post("/desk/batches/{batch_id:uuid}/delete", sync_to_thread=True, guards=[*DESK, fresh])
def delete_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Everybody of the batch whom the caller may see."""
    return _delete(request, _batch(batch_id), f"/desk/batches/{batch_id}", data)


routes: list[Any] = [ask_about_person, delete_person, ask_about_ticked, delete_ticked, ask_about_batch, delete_batch]
