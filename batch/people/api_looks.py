"""The JSON edge of what of looks is about people: for which departments one is, and pictures of the company's own that
stand behind them, which `wall` of a look names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from sqlmodel import Session

from batch.people import department_looks, employees
from batch.people.department_looks import Effect, LookGroup
from batch.people.departments import Grouping
from batch.vision import backdrops as pictures
from likeness.identity import Kind
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.streaming import PRIVATE
from likeness.web.threads import PAGES, PHOTOS
from likeness.web.uploads import form_in, in_flight
from tenants import backdrops, packs
from tenants.members import permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import LookPack, Member

DESK = [only(Kind.MEMBER)]


class LookDepartments(Struct, forbid_unknown_fields=True):
    """As the workbook calls them; null: everybody whose department has no look of its own."""

    departments: list[str] | None


@dataclass
class EffectShown:
    """Whose looks change. `begun` of these people have handed in and keep the looks they began with; null for who sees no
    stages."""

    groups: list[LookGroup]
    begun: int | None


@dataclass
class DepartmentShown:
    name: str
    """Empty: people of whom the list names none."""
    people: int


@dataclass
class BackdropShown:
    """`wall` is what a new look says to stand before it. A picture that no look names goes after 24 hours."""

    id: UUID
    wall: str


class PackWords(Struct, forbid_unknown_fields=True):
    name: str
    looks: list[UUID]


@dataclass
class PackShown:
    id: UUID
    name: str
    looks: list[UUID]
    """Those in use."""


@post("/looks/backdrops", guards=DESK, request_max_body_size=WITH_FILE, summary="Hand in a backdrop (multipart: `picture`)")
async def give_backdrop(request: Request[Any, Any, Any]) -> BackdropShown:
    """A PNG, JPEG or WebP of a wall or a lobby; what is kept is made anew from its pixels."""
    await threads.run(PAGES, _may_change, request)
    caller = signed_in(request)
    with in_flight(caller.tenant, caller.id, request, pictures.LARGEST):
        data = (await form_in(request, "picture", pictures.LARGEST)).data
        return await threads.run(PHOTOS, _kept, request, data)


def _may_change(request: Request[Any, Any, Any]) -> None:
    """Before a byte of an upload is read."""
    with desk(request, Permission.LOOKS_CHANGE):
        pass


def _kept(request: Request[Any, Any, Any], data: bytes) -> BackdropShown:
    picture = pictures.square(data)
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        made = backdrops.add(session, picture).id
    return BackdropShown(made, f"{backdrops.PREFIX}{made}")


@get("/looks/backdrops/{backdrop_id:uuid}", guards=DESK, sync_to_thread=True)
def show_backdrop(request: Request[Any, Any, Any], backdrop_id: FromPath[UUID]) -> Response[bytes]:
    """As it is kept, as a JPEG."""
    with desk(request, Permission.LOOKS_READ) as (session, _):
        picture = backdrops.get(session, backdrop_id).picture
    return Response(picture, media_type="image/jpeg", headers=PRIVATE)


@get("/looks/departments", guards=DESK, sync_to_thread=True)
def list_departments(request: Request[Any, Any, Any]) -> list[DepartmentShown]:
    """The departments on the list of people, by name."""
    with desk(request, Permission.LOOKS_BIND) as (session, _):
        found = employees.groups(session, kernel_of(request).keys, Grouping.DEPARTMENT)
    return [DepartmentShown(one.name, one.people) for one in found]


@post("/looks/{look_id:uuid}/departments/preview", guards=DESK, status_code=200, sync_to_thread=True)
def preview_departments(
    request: Request[Any, Any, Any], look_id: FromPath[UUID], data: JSONBody[LookDepartments]
) -> EffectShown:
    """Whose looks would change; nothing is kept."""
    keys, caller = kernel_of(request).keys, str(signed_in(request))
    with desk(request, Permission.LOOKS_BIND) as (session, member):
        return _shown(department_looks.preview(session, keys, [look_id], data.departments, caller=caller), member)


@put("/looks/{look_id:uuid}/departments", guards=DESK, sync_to_thread=True)
def give_look_to(
    request: Request[Any, Any, Any], look_id: FromPath[UUID], data: JSONBody[LookDepartments]
) -> EffectShown:
    """Counts for headshots that are begun from now on."""
    keys, caller = kernel_of(request).keys, str(signed_in(request))
    with desk(request, Permission.LOOKS_BIND) as (session, member):
        return _shown(department_looks.give_to(session, keys, [look_id], data.departments, caller=caller), member)


@get("/packs", guards=DESK, sync_to_thread=True)
def list_packs(request: Request[Any, Any, Any]) -> list[PackShown]:
    """At most a hundred, oldest first."""
    with desk(request, Permission.LOOKS_READ) as (session, _):
        return [_pack_shown(session, pack) for pack in packs.listed(session)]


@post("/packs", guards=DESK, sync_to_thread=True)
def add_pack(request: Request[Any, Any, Any], data: JSONBody[PackWords]) -> PackShown:
    """`PATCH /batches/{id}` gives it to the people of a batch."""
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        return _pack_shown(session, packs.add(session, data.name, data.looks, caller=str(signed_in(request))))


@put("/packs/{pack_id:uuid}", guards=DESK, sync_to_thread=True)
def change_pack(request: Request[Any, Any, Any], pack_id: FromPath[UUID], data: JSONBody[PackWords]) -> PackShown:
    caller = str(signed_in(request))
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        return _pack_shown(session, packs.change(session, pack_id, data.name, data.looks, caller=caller))


@delete("/packs/{pack_id:uuid}", guards=DESK, sync_to_thread=True)
def remove_pack(request: Request[Any, Any, Any], pack_id: FromPath[UUID]) -> None:
    """Its looks stay."""
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        packs.remove(session, pack_id, caller=str(signed_in(request)))


@post("/packs/{pack_id:uuid}/departments/preview", guards=DESK, status_code=200, sync_to_thread=True)
def preview_pack_departments(
    request: Request[Any, Any, Any], pack_id: FromPath[UUID], data: JSONBody[LookDepartments]
) -> EffectShown:
    """Whose looks would change; nothing is kept."""
    keys, caller = kernel_of(request).keys, str(signed_in(request))
    with desk(request, Permission.LOOKS_BIND) as (session, member):
        ids = [look.id for look in packs.looks_in(session, packs.get(session, pack_id))]
        return _shown(department_looks.preview(session, keys, ids, data.departments, caller=caller), member)


@put("/packs/{pack_id:uuid}/departments", guards=DESK, sync_to_thread=True)
def give_pack_to(
    request: Request[Any, Any, Any], pack_id: FromPath[UUID], data: JSONBody[LookDepartments]
) -> EffectShown:
    """Each look that the pack has now is for these departments, for headshots that are begun from now on."""
    keys, caller = kernel_of(request).keys, str(signed_in(request))
    with desk(request, Permission.LOOKS_BIND) as (session, member):
        ids = [look.id for look in packs.looks_in(session, packs.get(session, pack_id))]
        return _shown(department_looks.give_to(session, keys, ids, data.departments, caller=caller), member)


def _pack_shown(session: Session, pack: LookPack) -> PackShown:
    return PackShown(pack.id, pack.name, [look.id for look in packs.looks_in(session, pack)])


def _shown(effect: Effect, member: Member) -> EffectShown:
    return EffectShown(list(effect.groups), told(effect, member))


def told(effect: Effect, member: Member) -> int | None:
    """An owner sees nobody's act, and in a small department a count would be one."""
    return effect.begun if Permission.BATCHES_READ in permissions.of(member.roles) else None


routes: list[Any] = [
    give_backdrop,
    show_backdrop,
    list_departments,
    preview_departments,
    give_look_to,
    list_packs,
    add_pack,
    change_pack,
    remove_pack,
    preview_pack_departments,
    give_pack_to,
]
