from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from likeness import identity
from likeness.ground.db import utc_now
from likeness.identity import Kind, LinkUnknown, LinkUsed
from likeness.kernel import Kernel
from tenants.models import Tenant


def company(kernel: Kernel) -> UUID:
    tenant = uuid4()
    with kernel.db.transaction(tenant) as session:
        session.add(Tenant(id=tenant, name="Company"))
    return tenant


def test_a_link_signs_in_once(kernel: Kernel) -> None:
    tenant, member, now = company(kernel), uuid4(), utc_now()
    with kernel.db.transaction(tenant) as session:
        token = identity.make_link(session, Kind.MEMBER, member, now)
    assert identity.tenant_in(token) == tenant
    with kernel.db.transaction(tenant) as session:
        assert identity.redeem(session, token, now) == (Kind.MEMBER, member)
    with pytest.raises(LinkUsed), kernel.db.transaction(tenant) as session:
        identity.redeem(session, token, now)


def test_a_link_runs_out_and_means_nothing_to_another_tenant(kernel: Kernel) -> None:
    alice, bob, now = company(kernel), company(kernel), utc_now()
    with kernel.db.transaction(alice) as session:
        token = identity.make_link(session, Kind.MEMBER, uuid4(), now)
    for tenant, moment, said in ((bob, now, LinkUnknown), (alice, now + timedelta(minutes=31), LinkUsed)):
        with pytest.raises(said), kernel.db.transaction(tenant) as session:
            identity.redeem(session, token, moment)


def test_a_session_ends_by_time_by_sign_out_and_everywhere(kernel: Kernel) -> None:
    tenant, person, now = company(kernel), uuid4(), utc_now()
    with kernel.db.transaction(tenant) as session:
        first = identity.start_session(session, Kind.EMPLOYEE, person, now)
        second = identity.start_session(session, Kind.EMPLOYEE, person, now)
    caller = identity.caller_of(kernel.db, first, now)
    assert caller is not None
    assert (caller.tenant, caller.kind, caller.id, str(caller)) == (tenant, Kind.EMPLOYEE, person, f"employee:{person}")
    assert identity.caller_of(kernel.db, first, now + timedelta(hours=13)) is None
    with kernel.db.transaction(tenant) as session:
        identity.end_session(session, caller.session)
    assert identity.caller_of(kernel.db, first, now) is None
    assert identity.caller_of(kernel.db, second, now) is not None
    with kernel.db.transaction(tenant) as session:
        identity.end_sessions_of(session, person)
    assert identity.caller_of(kernel.db, second, now) is None


@pytest.mark.parametrize("forged", [None, "", "x", "a.b", f"{'7' * 32}.x", "\x00", "🙂.🙂", "1" * 10_000, "7" * 32])
def test_a_forged_cookie_is_nobody(kernel: Kernel, forged: str | None) -> None:
    assert identity.caller_of(kernel.db, forged, utc_now()) is None


def test_a_cookie_with_another_tenants_id_in_front_is_nobody(kernel: Kernel) -> None:
    alice, bob, now = company(kernel), company(kernel), utc_now()
    with kernel.db.transaction(alice) as session:
        cookie = identity.start_session(session, Kind.MEMBER, uuid4(), now)
    assert identity.caller_of(kernel.db, f"{bob.hex}.{cookie.split('.', 1)[1]}", now) is None


def test_no_token_is_stored_in_clear(kernel: Kernel) -> None:
    tenant, now = company(kernel), utc_now()
    with kernel.db.transaction(tenant) as session:
        link = identity.make_link(session, Kind.MEMBER, uuid4(), now)
        cookie = identity.start_session(session, Kind.MEMBER, uuid4(), now)
    with kernel.db.transaction(tenant) as session:
        stored = session.execute(
            text(
                "select row_to_json(l)::text from sign_in_link l union all select row_to_json(w)::text from web_session w"
            )
        ).scalars()
        everything = " ".join(stored)
    assert len(everything) > 100
    for token in (link, cookie):
        assert token.split(".", 1)[1] not in everything
