"""The JSON edge of the company's logo, which stands above its mails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, delete, get, put

from batch.vision import logos as pictures
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import NotFound
from likeness.identity import Kind
from likeness.mail import logos
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import only, signed_in
from likeness.web.threads import PAGES, PHOTOS
from likeness.web.uploads import form_in, in_flight
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]


class LogoMissing(NotFound):
    """The company has none."""

    title = "There is no logo"


@dataclass
class LogoShown:
    width: int
    height: int


@get("/tenant/logo", guards=DESK, sync_to_thread=True)
def show_logo(request: Request[Any, Any, Any]) -> Response[bytes]:
    """As mails carry it, as a PNG."""
    with desk(request, Permission.COMPANY_READ) as (session, _):
        logo = logos.of(session)
        if logo is None:
            raise LogoMissing("Your company has no logo here.")
        picture = logo.picture
    return Response(picture, media_type="image/png", headers={"cache-control": "no-store"})


@put("/tenant/logo", guards=DESK, opt=FOR_PEOPLE, request_max_body_size=WITH_FILE,
     summary="Hand in a logo (multipart: `logo`)")  # fmt: skip
async def give_logo(request: Request[Any, Any, Any]) -> LogoShown:
    """A PNG, JPEG or WebP; what is kept is made anew from its pixels, small enough for a mail."""
    return await threads.run(PHOTOS, kept, request, await handed_in(request))


async def handed_in(request: Request[Any, Any, Any]) -> bytes:
    """The file of a form, for whoever may change the company's terms."""
    await threads.run(PAGES, _may_change, request)
    caller = signed_in(request)
    with in_flight(caller.tenant, caller.id, request, pictures.LARGEST):
        return (await form_in(request, "logo", pictures.LARGEST)).data


def _may_change(request: Request[Any, Any, Any]) -> None:
    """Before a byte of an upload is read."""
    with desk(request, Permission.COMPANY_CHANGE):
        pass


def kept(request: Request[Any, Any, Any], data: bytes) -> LogoShown:
    """Raises `LogoRefused` and `LogoUnread`."""
    picture, width, height = pictures.small(data)
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        logos.give(session, picture, width, height, utc_now())
        ledger.record(session, "logo.changed", caller=str(signed_in(request)))
    return LogoShown(width, height)


@delete("/tenant/logo", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def remove_logo(request: Request[Any, Any, Any]) -> None:
    removed(request)


def removed(request: Request[Any, Any, Any]) -> None:
    """Mails that have left keep theirs. Raises `LogoMissing`."""
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        if not logos.take_away(session):
            raise LogoMissing("Your company has no logo here.")
        ledger.record(session, "logo.removed", caller=str(signed_in(request)))


routes: list[Any] = [show_logo, give_logo, remove_logo]
