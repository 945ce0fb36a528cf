"""What every page of the visit has around it: who is there, the words they read, and what happens to their face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Request, Response
from litestar.enums import RequestEncodingType
from litestar.params import Body

from dashboard.pages import page
from dashboard.visit.around.standing import Me, standing
from dashboard.visit.around.strip import strip
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.identity import Caller, Kind
from likeness.kernel import Kernel
from likeness.web.guards import kernel_of, only, signed_in

PUBLIC = {"public": True}
EMPLOYEE = [only(Kind.EMPLOYEE)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
MaybeForm = Annotated[dict[str, str] | None, Body(media_type=RequestEncodingType.URL_ENCODED)]


def me_of(request: Request[Any, Any, Any]) -> tuple[Kernel, Caller, Me]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return kernel, caller, standing(session, kernel, caller.id, utc_now())


def show(
    request: Request[Any, Any, Any], name: str, me: Me, step: int, context: Mapping[str, Any], status: int = 200
) -> Response[str]:
    around = {"me": me, "strip": strip(me), "step": step, "problem": None, "note": None, "reads": me.words}
    told = {key: me.words.error(one) for key, one in context.items() if isinstance(one, LikenessError)}
    return page(request, name, around | dict(context) | told, status=status)
