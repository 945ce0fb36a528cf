"""SCIM 2.0: the edge at which a company's directory tells who joins, changes and leaves. It is called with a key alone.

It speaks as RFC 7644 says, errors too, so that no directory has to learn anything of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID, uuid4

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath
from scim2_models import (
    Context,
    InvalidSyntaxException,
    ListResponse,
    Meta,
    NotFoundException,
    NotImplementedException,
)
from sqlmodel import Session

from batch.directory import answers, groups, people
from batch.directory.answers import Asked
from batch.directory.bulk import BulkRequest
from batch.directory.groups import DirectoryGroup
from batch.directory.resources import (
    DESCRIBES,
    POLICY,
    DirectoryUser,
    Group,
    GroupMember,
    User,
    described,
)
from batch.models import Employee
from batch.people import lines
from batch.roster import listings
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web import threads
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.threads import PAGES
from tenants.members.access import desk
from tenants.members.permissions import Permission

DIRECTORY = [only(Kind.MACHINE)]
ONE = re.compile(r'\s*(userName|externalId)\s+eq\s+"([^"\\]*)"\s*', re.IGNORECASE)
"""The questions that directories ask before every change, which are answered without opening everybody's line."""
Said = dict[str, Any]
Act = Callable[[Asked, str, Said], Response[Any] | None]


async def _payload(request: Asked) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
        # JSON can write half of a pair of UTF-16, which no text that is kept or compared can hold.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidSyntaxException(detail="The body is not JSON, or holds what is no text.") from None
    if not isinstance(body, dict):
        raise InvalidSyntaxException(detail="The body is not an object.")
    return body


@contextmanager
def _directory(request: Asked) -> Iterator[Session]:
    with desk(request, Permission.PEOPLE_PROVISION) as (session, member):
        session.info["maker"] = member.id
        yield session


# Users


def _user(request: Asked, employee: Employee) -> User[Any]:
    user = people.shown(kernel_of(request).keys, employee)
    user.meta = Meta(
        resource_type="User", created=employee.created_at, location=f"{answers.base(request)}/Users/{employee.roster_id}"
    )
    return user


def _read(request: Asked, session: Session, employee: Employee) -> User[Any]:
    """What is answered of one person, who can learn that it was."""
    listings.note_rows(session, [employee.roster_id], utc_now(), caller=str(signed_in(request)))
    return _user(request, employee)


def _said_user(payload: dict[str, Any], context: Context) -> User[Any]:
    """A directory whose user names are addresses need not send these twice."""
    keys = {key.casefold(): key for key in payload}
    name = payload.get(keys.get("username", ""), "")
    if not payload.get(keys.get("emails", "")) and isinstance(name, str) and "@" in name:
        payload = {key: value for key, value in payload.items() if key.casefold() != "emails"}
        payload["emails"] = [{"value": name, "type": "work", "primary": True}]
    user: User[Any] = DirectoryUser.model_validate(payload, scim_ctx=context, scim_policy=POLICY)
    return user


@get("/Users", guards=DIRECTORY, sync_to_thread=True)
def list_users(request: Asked) -> Response[Any]:
    kernel, asked = kernel_of(request), answers.asked_of(request, DirectoryUser)
    with _directory(request) as session:
        narrow: dict[str, bytes] = {}
        if asked.filter is not None and (one := ONE.fullmatch(str(asked.filter))):
            tenant = signed_in(request).tenant
            if one[1].lower() == "username":
                narrow["user_name"] = people.user_name_index(kernel.keys, tenant, one[2])
            else:
                narrow["external"] = people.external_index(kernel.keys, tenant, one[2])
        found = answers.page(people.listed(session, **narrow), asked, lambda one: _user(request, one), DirectoryUser)
        lines = [UUID(str(one.id)) for one in found.resources or []]
        listings.note_rows(session, lines, utc_now(), caller=str(signed_in(request)))
    return answers.listed(found, asked)


@post("/Users", guards=DIRECTORY, status_code=201)
async def create_user(request: Asked) -> Response[Any]:
    return await threads.run(PAGES, _create_user, request, "", await _payload(request))


def _create_user(request: Asked, _: str, payload: Said) -> Response[Any]:
    user = _said_user(payload, Context.RESOURCE_CREATION_REQUEST)
    with _refusals_kept(request), _directory(request) as session:
        employee = people.join(
            session, kernel_of(request).keys, user, utc_now(),
            caller=str(signed_in(request)), maker=session.info["maker"],
        )  # fmt: skip
        made = _read(request, session, employee)
    return answers.one(request, made, Context.RESOURCE_CREATION_RESPONSE, 201)


@get("/Users/{resource_id:str}", guards=DIRECTORY, sync_to_thread=True)
def show_user(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    with _directory(request) as session:
        user = _read(request, session, people.get(session, resource_id))
    return answers.one(request, user, Context.RESOURCE_QUERY_RESPONSE)


@put("/Users/{resource_id:str}", guards=DIRECTORY)
async def replace_user(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    return await threads.run(PAGES, _replace_user, request, resource_id, await _payload(request))


def _replace_user(request: Asked, resource_id: str, payload: Said) -> Response[Any]:
    def said(before: User[Any]) -> User[Any]:
        user = _said_user(payload, Context.RESOURCE_REPLACEMENT_REQUEST)
        user.replace(before)
        return user

    return _changed_user(request, resource_id, said, Context.RESOURCE_REPLACEMENT_RESPONSE)


@patch("/Users/{resource_id:str}", guards=DIRECTORY)
async def patch_user(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    return await threads.run(PAGES, _patch_user, request, resource_id, await _payload(request))


def _patch_user(request: Asked, resource_id: str, payload: Said) -> Response[Any]:
    def said(before: User[Any]) -> User[Any]:
        answers.patched(DirectoryUser, payload, before)
        return before

    return _changed_user(request, resource_id, said, Context.RESOURCE_PATCH_RESPONSE)


def _refusals_kept(request: Asked) -> AbstractContextManager[None]:
    caller = signed_in(request)
    return lines.on_record(kernel_of(request).db, caller.tenant, caller=str(caller))


def _changed_user(
    request: Asked, resource_id: str, said: Callable[[User[Any]], User[Any]], context: Context
) -> Response[Any]:
    keys = kernel_of(request).keys
    with _refusals_kept(request), _directory(request) as session:
        employee = people.get(session, resource_id)
        user = said(people.shown(keys, employee))
        employee = people.change(session, keys, employee, user, utc_now(), caller=str(signed_in(request)))
        changed = _read(request, session, employee)
    return answers.one(request, changed, context)


@delete("/Users/{resource_id:str}", guards=DIRECTORY, status_code=204, sync_to_thread=True)
def delete_user(request: Asked, resource_id: FromPath[str]) -> None:
    """They left: the company's rule begins, and the directory's hold on the line ends at once."""
    _delete_user(request, resource_id)


def _delete_user(request: Asked, resource_id: str, _: Said | None = None) -> None:
    with _directory(request) as session:
        employee = people.get(session, resource_id)
        people.remove(session, kernel_of(request).keys, employee, utc_now(), caller=str(signed_in(request)))


# Groups


def _group(request: Asked, group: DirectoryGroup) -> Group:
    base = answers.base(request)
    return Group(
        id=str(group.id),
        external_id=group.external_id,
        display_name=group.name,
        members=[GroupMember(value=one, ref=f"{base}/Users/{one}", type="User") for one in group.people] or None,
        meta=Meta(resource_type="Group", created=group.created_at, location=f"{base}/Groups/{group.id}"),
    )


def _kept_group(request: Asked, session: Session, row: DirectoryGroup, said: Group) -> Group:
    people_of = [member.value for member in said.members or [] if member.value]
    moved = groups.write(session, row, str(said.display_name), said.external_id, people_of)
    people.settle_departments(session, kernel_of(request).keys, moved)
    return _group(request, row)


@get("/Groups", guards=DIRECTORY, sync_to_thread=True)
def list_groups(request: Asked) -> Response[Any]:
    asked = answers.asked_of(request, Group)
    with _directory(request) as session:
        return answers.listed(answers.page(groups.listed(session), asked, lambda one: _group(request, one), Group), asked)


@post("/Groups", guards=DIRECTORY, status_code=201)
async def create_group(request: Asked) -> Response[Any]:
    return await threads.run(PAGES, _create_group, request, "", await _payload(request))


def _create_group(request: Asked, _: str, payload: Said) -> Response[Any]:
    said = Group.model_validate(payload, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_policy=POLICY)
    with _directory(request) as session:
        row = DirectoryGroup(id=uuid4(), tenant_id=signed_in(request).tenant, name="", created_at=utc_now())
        made = _kept_group(request, session, row, said)
    return answers.one(request, made, Context.RESOURCE_CREATION_RESPONSE, 201)


@get("/Groups/{resource_id:str}", guards=DIRECTORY, sync_to_thread=True)
def show_group(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    with _directory(request) as session:
        return answers.one(request, _group(request, groups.get(session, resource_id)), Context.RESOURCE_QUERY_RESPONSE)


@put("/Groups/{resource_id:str}", guards=DIRECTORY)
async def replace_group(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    return await threads.run(PAGES, _replace_group, request, resource_id, await _payload(request))


def _replace_group(request: Asked, resource_id: str, payload: Said) -> Response[Any]:
    def said(before: Group) -> Group:
        group = Group.model_validate(payload, scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST, scim_policy=POLICY)
        group.replace(before)
        return group

    return _changed_group(request, resource_id, said, Context.RESOURCE_REPLACEMENT_RESPONSE)


@patch("/Groups/{resource_id:str}", guards=DIRECTORY)
async def patch_group(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    return await threads.run(PAGES, _patch_group, request, resource_id, await _payload(request))


def _patch_group(request: Asked, resource_id: str, payload: Said) -> Response[Any]:
    def said(before: Group) -> Group:
        answers.patched(Group, payload, before)
        return before

    return _changed_group(request, resource_id, said, Context.RESOURCE_PATCH_RESPONSE)


def _changed_group(request: Asked, resource_id: str, said: Callable[[Group], Group], context: Context) -> Response[Any]:
    with _directory(request) as session:
        row = groups.get(session, resource_id)
        changed = _kept_group(request, session, row, said(_group(request, row)))
    return answers.one(request, changed, context)


@delete("/Groups/{resource_id:str}", guards=DIRECTORY, status_code=204, sync_to_thread=True)
def delete_group(request: Asked, resource_id: FromPath[str]) -> None:
    _delete_group(request, resource_id)


def _delete_group(request: Asked, resource_id: str, _: Said | None = None) -> None:
    with _directory(request) as session:
        row = groups.get(session, resource_id)
        lines = list(row.people)
        session.delete(row)
        session.flush()
        people.settle_departments(session, kernel_of(request).keys, lines)


# Several in one request

ACTS: Mapping[tuple[str, str], Act] = {
    ("POST", "Users"): _create_user, ("PUT", "Users"): _replace_user, ("PATCH", "Users"): _patch_user,
    ("DELETE", "Users"): _delete_user,
    ("POST", "Groups"): _create_group, ("PUT", "Groups"): _replace_group, ("PATCH", "Groups"): _patch_group,
    ("DELETE", "Groups"): _delete_group,
}  # fmt: skip


@post("/Bulk", guards=DIRECTORY, status_code=200)
async def carry_out_several(request: Asked) -> Response[Any]:
    return await threads.run(PAGES, _carry_out_several, request, await _payload(request))


def _carry_out_several(request: Asked, payload: Said) -> Response[Any]:
    with _directory(request):
        pass  # Whoever may do none of it is told so once.
    job = BulkRequest.read(payload, answers.base(request))

    def act(method: str, kind: str, resource_id: str, data: Said) -> str:
        answer = ACTS[method, kind](request, resource_id, data)
        return answer.headers["location"] if answer is not None else ""

    return answers.answer(job.carry_out(act, answers.error_of))


# What the service says of itself, and everything else


@get(["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"], guards=DIRECTORY, sync_to_thread=False)
def describe(request: Asked) -> Response[Any]:
    name = request.url.path.rsplit("/", 1)[1]
    found = described(answers.base(request))[name]
    if name == "ServiceProviderConfig":
        return answers.answer(found[0].model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))
    listing: Any = ListResponse  # Which kind it lists is known at run time alone.
    whole = listing[DESCRIBES[name]](
        total_results=len(found), start_index=1, items_per_page=len(found), resources=found
    )
    return answers.answer(whole.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))


@get(["/ResourceTypes/{resource_id:str}", "/Schemas/{resource_id:str}"], guards=DIRECTORY, sync_to_thread=False)
def describe_one(request: Asked, resource_id: FromPath[str]) -> Response[Any]:
    name = request.url.path.split("/scim/v2/", 1)[1].partition("/")[0]
    found = next((one for one in described(answers.base(request))[name] if str(one.id) == resource_id), None)
    if found is None:
        raise NotFoundException(detail="There is no such thing.")
    return answers.answer(found.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE))


@post(["/.search", "/Users/.search", "/Groups/.search"], guards=DIRECTORY, status_code=200, sync_to_thread=False)
def search(request: Asked) -> None:
    raise NotImplementedException(detail="Searching is done with GET and a filter.")


@get("/{rest:path}", guards=DIRECTORY, sync_to_thread=False)
def nowhere(request: Asked, rest: FromPath[str]) -> None:
    raise NotFoundException(detail="There is nothing at this address.")


router = Router(
    path="/scim/v2",
    route_handlers=[
        list_users,
        create_user,
        show_user,
        replace_user,
        patch_user,
        delete_user,
        list_groups,
        create_group,
        show_group,
        replace_group,
        patch_group,
        delete_group,
        carry_out_several,
        describe,
        describe_one,
        search,
        nowhere,
    ],
    exception_handlers={Exception: answers.answer_error},
    include_in_schema=False,
)
