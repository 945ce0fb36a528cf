"""A browser has one session: whoever signs in there anew leaves none behind that a copy of the old cookie would open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from dashboard.visit.phone import LASTS
from likeness.ground.db import utc_now
from likeness.identity import Kind, caller_of, code_of, make_code, make_link, start_session
from likeness.kernel import Kernel
from likeness.web.guards import cookie_name
from tests.dashboard.test_visit import invited
from tests.factories import make_member, make_tenant, sign_in


def fresh_way_in(kernel: Kernel, way: str) -> str:
    """The path of a link that nobody has used, of a company of its own."""
    if way in ("/i/", "/api/v1/links/"):
        return way + invited(kernel)[1].removeprefix("/i/")
    if way == "/p/":
        person, _ = invited(kernel)
        with kernel.db.transaction(person.tenant_id) as session:
            screen = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
        caller = caller_of(kernel.db, screen, utc_now())
        assert caller is not None
        with kernel.db.transaction(person.tenant_id) as session:
            return way + make_code(session, caller, screen, utc_now(), LASTS)
    member = make_member(kernel, tenant := make_tenant(kernel))
    with kernel.db.transaction(tenant) as session:
        return way + make_link(session, Kind.MEMBER, member.id, utc_now())


def test_no_two_codes_of_a_session_are_the_same_though_the_clock_stood_still(kernel: Kernel) -> None:
    person, now = invited(kernel)[0], utc_now()
    with kernel.db.transaction(person.tenant_id) as session:
        screen = start_session(session, Kind.EMPLOYEE, person.id, now)
    caller = caller_of(kernel.db, screen, now)
    assert caller is not None
    made = []
    for moment in (now, now, now - timedelta(minutes=1), now):
        with kernel.db.transaction(person.tenant_id) as session:
            made.append(make_code(session, caller, screen, moment, LASTS))
            shown = code_of(session, caller, screen)
            assert shown is not None
            assert shown.token == made[-1]
            assert code_of(session, caller, f"{screen}x") is None
    assert len(set(made)) == 4


@pytest.mark.parametrize("way", ["/i/", "/api/v1/links/", "/p/", "/sign-in/", "/api/v1/sign-in/"])
def test_whoever_signs_in_anew_leaves_no_session_behind(kernel: Kernel, app: Litestar, way: str) -> None:
    member = make_member(kernel, tenant := make_tenant(kernel))
    with TestClient(app) as client:
        sign_in(client, kernel, tenant, Kind.MEMBER, member.id)
        before = _cookie(client, kernel)
        assert client.post(f"{way}{tenant.hex}.nothing", follow_redirects=False).status_code == 410
        assert caller_of(kernel.db, before, utc_now()), "a link that leads nowhere signs nobody out"
        answer = client.post(fresh_way_in(kernel, way), follow_redirects=False)
        assert answer.status_code in (200, 303)
        after = _cookie(client, kernel)
    assert after != before
    assert caller_of(kernel.db, after, utc_now())
    assert caller_of(kernel.db, before, utc_now()) is None


def _cookie(client: TestClient[Any], kernel: Kernel) -> str:
    return next(
        one.value or "" for one in reversed(list(client.cookies.jar)) if one.name == cookie_name(kernel.settings)
    )
