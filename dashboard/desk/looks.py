"""The page of looks: what stands behind people, for which departments, in which ways headshots are made, and a base's words
for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch.models import Purpose
from batch.people import department_looks, employees, ways
from batch.people.api_looks import told
from batch.people.departments import Grouping
from batch.vision import backdrops as pictures
from dashboard.desk.desk import DESK, Form, Ticks, show
from dashboard.reader import reader
from dashboard.walls import Wall, wall
from gpu_cluster.bases.words import PromptWords, offered
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.locale.marks import N_
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.guards import kernel_of, signed_in
from likeness.web.threads import PAGES, PHOTOS
from likeness.web.uploads import Form as Upload
from likeness.web.uploads import form_in, in_flight
from tenants import backdrops, bounds, looks, packs, tenants
from tenants.members import members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import CUTOUT, Look, Tenant

WAYS = {
    Purpose.PORTRAIT: (
        N_("Studio portraits of one's own photos"),
        N_("About three photos; cut out and set on your wall. Nothing is generated and nothing is trained."),
    ),
    Purpose.DRAWN: (
        N_("Headshots drawn after one's own photos"),
        N_("About three selfies; a model that exists already looks at them and draws headshots in all looks. Nothing is"
           " trained."),
    ),
    Purpose.HEADSHOTS: (
        N_("A model of each person"),
        N_("About eight selfies; a small model of that person alone draws headshots in all looks. It is deleted with the"
           " selfies."),
    ),
}  # fmt: skip
WORDS = ("name", "backdrop", "dress", "framing", "light")
SOME = "some"
PLAIN = "#c3cad2"
SKETCH = "look_sketch"
PICTURE = backdrops.PREFIX
"""One that is only chosen yet."""
HEX = re.compile(r"#?[0-9a-fA-F]{6}")
NOTHING: Mapping[str, Any] = {}


@get("/desk/looks", sync_to_thread=True, guards=DESK)
def show_looks(request: Request[Any, Any, Any]) -> Response[str]:
    if request.headers.get("hx-request") and request.headers.get("hx-target") == SKETCH:
        return _sketch_alone(request)
    return _looks_page(request)


def _sketch_alone(request: Request[Any, Any, Any]) -> Response[str]:
    """What the form would make as it is filled in now; nothing as long as a colour is only half typed."""
    with desk(request, Permission.LOOKS_CHANGE) as (session, member):
        tenant = tenants.get(session)
    sketch = _sketch(tenant, request.query_params, offered(kernel_of(request).settings.recipe))
    if sketch is None:
        return Response("", status_code=204)
    return show(request, member, "desk/looks.html", _makes(tenant) | {"sketch": sketch})


def _makes(tenant: Tenant) -> dict[str, bool]:
    return {"models": any(way != CUTOUT for way in tenant.offered), "portraits": CUTOUT in tenant.offered}


def _sketch(tenant: Tenant, typed: Mapping[str, str], words: PromptWords) -> Swatch | None:
    """A look that is not added yet; None if its colour is none."""
    kind, colour = typed.get("wall") or "gradient", _hex(typed.get("colour") or PLAIN)
    if kind in ("colour", "gradient") and not HEX.fullmatch(colour):
        return None
    backdrop, dress, framing, light = (
        said if (said := typed.get(field, "")) in choices else choices[0] for field, _, choices in shown_choices(words)
    )
    behind = _wall(kind, colour) or PICTURE
    look = Look(
        tenant_id=tenant.id, name="", backdrop=backdrop, dress=dress, framing=framing, light=light, wall=behind
    )
    return swatch(look, words)


def _wall(kind: str, colour: str) -> str:
    """As a look keeps it; empty for a picture, which has an id of its own."""
    return {"colour": colour, "gradient": f"gradient:{colour}", "office": "office"}.get(kind, "")


def _looks_page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: Mapping[str, str] | None = None
) -> Response[str]:
    kernel = kernel_of(request)
    base = kernel.settings.recipe
    with desk(request, Permission.LOOKS_READ) as (session, member):
        known, tenant = looks.list_looks(session), tenants.get(session)
        own = {look.id for look in known if looks.own(session, look)}
        together = [(pack, [look.id for look in packs.looks_in(session, pack)]) for pack in packs.listed(session)]
    words = offered(base)
    context = {
        "looks": [swatch(look, words) for look in known],
        "for_some": {look.id: named for look in known if (named := looks.departments_of(kernel.keys, look)) is not None},
        "own": own,
        "packs": together,
        "packed": {one for _, held in together for one in held},
        "bound": member.departments is not None,
        "saved": "given" in request.query_params,
        "choices": shown_choices(words),
        "ways": [(way, *WAYS[ways.purpose_of(way)], way in tenant.offered) for way in tenants.offers(base)],
        "away": [reader(request).gettext(WAYS[ways.purpose_of(way)][0]) for way in tenant.away],
        "free_crops": tenant.free_crops,
        "typed": typed or {},
        "sketch": _sketch(tenant, typed or {}, words) or _sketch(tenant, {}, words),
        "problem": problem,
    } | _makes(tenant)
    return show(request, member, "desk/looks.html", context, problem.status if problem else 200)


@post("/desk/looks", guards=DESK, request_max_body_size=WITH_FILE)
async def add_look(request: Request[Any, Any, Any]) -> Response[Any]:
    caller = signed_in(request)
    await threads.run(PAGES, _may_change, request)
    with in_flight(caller.tenant, caller.id, request, pictures.LARGEST):
        form = await form_in(request, "picture", pictures.LARGEST)
        return await threads.run(PHOTOS, _added, request, form)


def _may_change(request: Request[Any, Any, Any]) -> None:
    """Before a byte of an upload is read."""
    with desk(request, Permission.LOOKS_CHANGE):
        pass


def _hex(typed: str) -> str:
    """A colour as brand guides write it, such as ` 0B5D4C`, as `#0b5d4c`; anything else as it was typed."""
    typed = typed.strip()
    return f"#{typed.removeprefix('#').lower()}" if HEX.fullmatch(typed) else typed


def _added(request: Request[Any, Any, Any], form: Upload) -> Response[Any]:
    caller, words = signed_in(request), {word: form.values.get(word, "") for word in WORDS}
    kind, colour = form.values.get("wall", ""), _hex(form.values.get("colour", ""))
    try:
        picture = pictures.square(form.data) if kind == "picture" else b""
        with desk(request, Permission.LOOKS_CHANGE) as (session, _):
            wall = _wall(kind, colour)
            if picture:
                wall = f"{backdrops.PREFIX}{backdrops.add(session, picture).id}"
            some = form.values.get("who") == SOME
            look = looks.add(session, *words.values(), wall=wall, for_nobody=some, caller=str(caller))
    except LikenessError as problem:
        if problem.status not in (409, 422, 503):
            raise
        typed = words | {"wall": kind, "colour": colour, "who": form.values.get("who", "")}
        return _looks_page(request, problem, typed)
    return Redirect(f"/desk/looks/{look.id}/departments" if some else "/desk/looks", status_code=303)


@post("/desk/looks/{look_id:uuid}/retire", sync_to_thread=True, guards=DESK)
def retire_look(request: Request[Any, Any, Any], look_id: FromPath[UUID]) -> Response[Any]:
    caller = signed_in(request)
    try:
        with desk(request, Permission.LOOKS_CHANGE) as (session, _):
            looks.retire(session, look_id, caller=str(caller))
    except looks.LastLook as problem:
        return _looks_page(request, problem)
    return Redirect("/desk/looks", status_code=303)


@post("/desk/looks/ways", sync_to_thread=True, guards=DESK)
def choose_ways(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """In which ways headshots are made from now on; it changes the notice, so whoever is not done is asked anew."""
    caller = signed_in(request)
    chosen = [way for way in tenants.offers(kernel_of(request).settings.recipe) if data.get(f"way-{way}")]
    try:
        with desk(request, Permission.COMPANY_CHANGE) as (session, _):
            tenants.change(session, recipes=chosen, caller=str(caller))
    except tenants.TermsRefused as problem:
        return _looks_page(request, problem)
    return Redirect("/desk/looks", status_code=303)


@dataclass(frozen=True)
class Given:
    """A look, or all those of a pack, on its way to departments."""

    name: str
    path: str
    looks: Sequence[Look]


def _look(session: Session, look_id: UUID) -> Given:
    look = looks.get(session, look_id)
    return Given(look.name, f"/desk/looks/{look_id}/departments", [look])


def _pack(session: Session, pack_id: UUID) -> Given:
    pack = packs.get(session, pack_id)
    return Given(pack.name, f"/desk/packs/{pack_id}/departments", packs.looks_in(session, pack))


@get("/desk/looks/{look_id:uuid}/departments", sync_to_thread=True, guards=DESK)
def show_departments(request: Request[Any, Any, Any], look_id: FromPath[UUID]) -> Response[str]:
    return _departments(request, _look, look_id)


@post("/desk/looks/{look_id:uuid}/departments", sync_to_thread=True, guards=DESK)
def give_to_departments(request: Request[Any, Any, Any], look_id: FromPath[UUID], data: Ticks) -> Response[Any]:
    """First whose looks change, then, from a button beside that, the change itself."""
    return _give(request, _look, look_id, data)


@get("/desk/packs/{pack_id:uuid}/departments", sync_to_thread=True, guards=DESK)
def show_pack_departments(request: Request[Any, Any, Any], pack_id: FromPath[UUID]) -> Response[str]:
    return _departments(request, _pack, pack_id)


@post("/desk/packs/{pack_id:uuid}/departments", sync_to_thread=True, guards=DESK)
def give_pack_to_departments(request: Request[Any, Any, Any], pack_id: FromPath[UUID], data: Ticks) -> Response[Any]:
    """The same with every look of a pack."""
    return _give(request, _pack, pack_id, data)


def _departments(request: Request[Any, Any, Any], of: Callable[[Session, UUID], Given], one: UUID) -> Response[str]:
    with desk(request, Permission.LOOKS_BIND) as (session, _):
        each = [looks.departments_of(kernel_of(request).keys, look) for look in of(session, one).looks]
    # Of a pack those departments are ticked that have each of its looks.
    chosen = None if not each or None in each else [name for name in each[0] or [] if all(name in (x or []) for x in each)]
    return _departments_page(request, of, one, chosen)


def _give(
    request: Request[Any, Any, Any], of: Callable[[Session, UUID], Given], one: UUID, data: Mapping[str, Any]
) -> Response[Any]:
    keys, caller, named = kernel_of(request).keys, str(signed_in(request)), _named(data)
    act = department_looks.give_to if data.get("step") == "save" else department_looks.preview
    try:
        with desk(request, Permission.LOOKS_BIND) as (session, member):
            effect = act(session, keys, [look.id for look in of(session, one).looks], named, caller=caller)
    except (Conflict, Unprocessable, looks.LookOfOthers) as problem:
        return _departments_page(request, of, one, named, problem=problem)
    if data.get("step") == "save":
        return Redirect("/desk/looks?given=1", status_code=303)
    return _departments_page(request, of, one, named, {"effect": effect, "begun": told(effect, member)})


def _named(data: Mapping[str, Any]) -> list[str] | None:
    """What the form names: the ticks, and the lines below them."""
    if data.get("who") != SOME:
        return None
    ticked = data.get("department", [])
    return bounds.names("\n".join([*([ticked] if isinstance(ticked, str) else ticked), str(data.get("others", ""))]))


def _departments_page(
    request: Request[Any, Any, Any], of: Callable[[Session, UUID], Given], one: UUID, chosen: list[str] | None,
    shown: Mapping[str, Any] = NOTHING,
    *, problem: LikenessError | None = None,
) -> Response[str]:  # fmt: skip
    keys = kernel_of(request).keys
    with desk(request, Permission.LOOKS_BIND) as (session, member):
        given = of(session, one)
        key = keys.index_key(tenant_of(session))
        known = [some for some in employees.groups(session, keys, Grouping.DEPARTMENT) if some.name]
        mine = members.profile(keys, member).departments
    listed = {some.index for some in known}
    others = {bounds.index(key, name): name for name in (*mine, *(chosen or []))}
    context = {
        "given": given,
        "for_everybody": chosen is None,
        "chosen": {bounds.index(key, name) for name in chosen or []},
        "named": chosen,
        "departments": [*((some.index, some.name, some.people) for some in known),
                        *((digest, name, 0) for digest, name in others.items() if digest not in listed)],
        "bound": member.departments is not None,
        "effect": None,
        "problem": problem,
        **shown,
    }  # fmt: skip
    return show(request, member, "desk/look_departments.html", context, problem.status if problem else 200)


# Packs


@post("/desk/packs", sync_to_thread=True, guards=DESK)
def add_pack(request: Request[Any, Any, Any], data: Ticks) -> Response[Any]:
    return _keep_pack(request, data, None)


@post("/desk/packs/{pack_id:uuid}", sync_to_thread=True, guards=DESK)
def change_pack(request: Request[Any, Any, Any], pack_id: FromPath[UUID], data: Ticks) -> Response[Any]:
    return _keep_pack(request, data, pack_id)


def _keep_pack(request: Request[Any, Any, Any], data: Mapping[str, Any], pack_id: UUID | None) -> Response[Any]:
    ticked, name, caller = data.get("look", []), str(data.get("pack_name", "")), str(signed_in(request))
    try:
        ids = [UUID(one) for one in ([ticked] if isinstance(ticked, str) else ticked)]
    except ValueError:
        raise looks.LookMissing from None
    try:
        with desk(request, Permission.LOOKS_CHANGE) as (session, _):
            if pack_id is None:
                packs.add(session, name, ids, caller=caller)
            else:
                packs.change(session, pack_id, name, ids, caller=caller)
    except (Conflict, Unprocessable, looks.LookOfOthers) as problem:
        return _looks_page(request, problem, {"pack_name": name} if pack_id is None else {})
    return Redirect("/desk/looks#packs", status_code=303)


@post("/desk/packs/{pack_id:uuid}/remove", sync_to_thread=True, guards=DESK)
def remove_pack(request: Request[Any, Any, Any], pack_id: FromPath[UUID]) -> Redirect:
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        packs.remove(session, pack_id, caller=str(signed_in(request)))
    return Redirect("/desk/looks#packs", status_code=303)


@post("/desk/looks/crops", sync_to_thread=True, guards=DESK)
def choose_crops(request: Request[Any, Any, Any], data: Form) -> Redirect:
    """How far people may move the crop of a finished studio portrait."""
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        tenants.change(session, free_crops=data.get("crops") == "free", caller=str(signed_in(request)))
    return Redirect("/desk/looks", status_code=303)


# What a look will look like: the wall of studio portraits as it is, a base's words roughly as colours.

UNKNOWN = "#9ea1a6"


@dataclass(frozen=True)
class Swatch:
    """A look; the colours of what a base's words say as `#rrggbb`."""

    row: Look
    wall: Wall
    bright: str
    dim: str
    cloth: str


def shown_choices(words: PromptWords) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Field, label and the words to choose from."""
    return (
        ("backdrop", N_("Backdrop"), tuple(words.backdrops)),
        ("dress", N_("Dress"), tuple(words.dresses)),
        ("framing", N_("Framing"), words.framings),
        ("light", N_("Light"), words.lights),
    )


def swatch(look: Look, words: PromptWords) -> Swatch:
    """Words that the base does not know are shown in grey."""
    bright, dim = words.backdrops.get(look.backdrop, (UNKNOWN, UNKNOWN))
    return Swatch(look, wall(look.wall), bright, dim, words.dresses.get(look.dress, UNKNOWN))


routes: list[Any] = [
    show_looks, add_look, retire_look, choose_ways, choose_crops, show_departments, give_to_departments,
    show_pack_departments, give_pack_to_departments, add_pack, change_pack, remove_pack,
]  # fmt: skip
