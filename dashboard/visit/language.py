"""The language that a person chooses on a page of theirs."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request, Response, post
from litestar.response import Redirect

from batch.people import employees
from dashboard.visit.around.frame import EMPLOYEE, Form
from likeness.web.guards import kernel_of, signed_in

OWN = re.compile(r"/visit/([a-z]+)(/[0-9a-f-]{36}|(?<=/consent)/[a-z]+)?(\?draft=[\w=-]*)?", re.ASCII)
SHOWN = (
    "welcome", "consent", "photos", "phone", "making", "headshots", "done", "face", "wrong", "delete", "declined",
    "erasure", "certificates", "requests",
)  # fmt: skip


@post("/visit/language", sync_to_thread=True, guards=EMPLOYEE)
def choose_language(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """From now on pages and mails are in this language. Raises `LanguageUnknown`."""
    choose(request, data.get("language", ""))
    return Redirect(_own_page(data.get("back", "")), status_code=303)


def choose(request: Request[Any, Any, Any], language: str) -> None:
    """Of whoever is signed in. Raises `LanguageUnknown`."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.choose_language(session, kernel.keys, caller.id, language)


def _own_page(path: str) -> str:
    """A page of the visit that can be shown again; anything else leads to where the person is."""
    own = OWN.fullmatch(path)
    return path if own and own[1] in SHOWN else "/visit"


routes: list[Any] = [choose_language]
