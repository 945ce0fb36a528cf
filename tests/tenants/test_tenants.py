from __future__ import annotations

from uuid import uuid4

import pytest

from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Caller, Kind, caller_of, start_session
from likeness.kernel import Kernel
from tenants import looks, tenants
from tenants.members import access, members
from tenants.members.permissions import Permission
from tenants.models import Role
from tenants.plain import TextRefused, one_line
from tests.factories import make_employee, make_member, make_tenant

HOSTILE = ["a\0b", "a" * 1_000_000, "\ud800", "", "   ", "a\nb"]
INJECTIONS = ["'; drop table member; --", "{0.__class__}", "=cmd|'/c calc'!A1", "<script>alert(1)</script>"]


def test_a_company_begins_with_looks_and_is_listed(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel, name="Ümit & Söhne"), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        assert tenants.get(session).name == "Ümit & Söhne"
        assert len(looks.list_looks(session)) == len(looks.DEFAULT)
        assert next(ledger.entries(session)).event == "look.added"
        assert [one.id for one in tenants.all_tenants(session)] == [tenant]
    everybody = tenants.all_ids(kernel)
    assert {tenant, other} <= set(everybody)
    assert PLATFORM not in everybody


@pytest.mark.parametrize(
    "terms",
    [{"source_days": 8}, {"source_days": 0}, {"headshot_days": 31}, {"headshot_days": 0}, {"employee_quota": -1},
     {"shade": 1},
     {"colour": "red"}, {"language": "tlh"}, {"time_zone": "Mars/Olympus"}, {"time_zone": "../../etc/passwd"}],
)
def test_terms_only_shorten(kernel: Kernel, terms: dict[str, int]) -> None:
    with pytest.raises(tenants.TermsRefused):
        make_tenant(kernel, **terms)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_that_are_no_text_are_refused(kernel: Kernel, text: str) -> None:
    with pytest.raises(TextRefused):
        make_tenant(kernel, name=text)


@pytest.mark.parametrize("text", INJECTIONS)
def test_names_that_only_look_dangerous_are_kept_as_they_are(kernel: Kernel, text: str) -> None:
    with kernel.db.transaction(make_tenant(kernel, name=text)) as session:
        assert tenants.get(session).name == text


def test_one_line() -> None:
    assert one_line("  Zoe\u0308   van  B ", 40, "name") == "Zoë van B"
    assert one_line("", 40, "name", needed=False) == ""


def test_members_are_sealed_and_found_by_address(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    hanna = make_member(kernel, tenant, email="Hanna@zebra.example", name="Hanna Reiter")
    assert b"Hanna" not in hanna.profile
    with kernel.db.transaction(tenant) as session:
        assert members.profile(kernel.keys, members.get(session, hanna.id)).name == "Hanna Reiter"
        found = members.find(session, kernel.keys, "hanna@ZEBRA.example")
        assert found is not None
        assert found.id == hanna.id
        with pytest.raises(members.MemberKnown):
            members.invite_member(session, kernel.keys, "hanna@zebra.example", "H", [Role.HR])
    with kernel.db.transaction(other) as session:
        assert members.all(session) == []
        assert members.find(session, kernel.keys, "hanna@zebra.example") is None
        with pytest.raises(members.MemberMissing):
            members.get(session, hanna.id)


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@b@c", "a b@zebra.example", "a\0@zebra.example", "a@" + "b" * 99_999]
)
def test_addresses_that_receive_nothing_are_refused(kernel: Kernel, email: str) -> None:
    with pytest.raises((members.MemberRefused, TextRefused)):
        make_member(kernel, make_tenant(kernel), email=email)


def test_addresses_inside_a_company_are_fine(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    for email in ("operator@localhost", "anna@zebra.local", "anna+hr@bücher.example"):
        make_member(kernel, tenant, email=email)


def test_no_company_has_an_operator(kernel: Kernel) -> None:
    with pytest.raises(members.MemberRefused):
        make_member(kernel, make_tenant(kernel), Role.OPERATOR)


def test_roles_are_required_of_the_right_member_of_the_right_company(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    hr, legal = make_member(kernel, tenant), make_member(kernel, tenant, Role.LEGAL)

    def caller(subject: object, kind: Kind = Kind.MEMBER, where: object = tenant) -> Caller:
        return Caller(where, kind, subject, uuid4(), utc_now())  # type: ignore[arg-type]

    with kernel.db.transaction(tenant) as session:
        assert access.permit(session, caller(hr.id), Permission.PEOPLE_READ).id == hr.id
        assert access.permit(session, caller(legal.id), Permission.ACTS_READ).id == legal.id
        refused = [
            (caller(legal.id), Permission.PEOPLE_READ),
            (caller(hr.id), Permission.INSTALLATION_READ),
            (caller(hr.id, Kind.OPERATOR), Permission.PEOPLE_READ),
            (caller(hr.id, Kind.OPERATOR), Permission.INSTALLATION_READ),
            (caller(hr.id, Kind.EMPLOYEE), Permission.PEOPLE_READ),
            (caller(hr.id, where=other), Permission.PEOPLE_READ),
        ]
        for who, permission in refused:
            with pytest.raises(access.RoleMissing):
                access.permit(session, who, permission)
    with kernel.db.transaction(other) as session, pytest.raises(members.MemberMissing):
        access.permit(session, caller(hr.id, where=other), Permission.PEOPLE_READ)


def test_a_disabled_member_is_signed_out_and_may_do_nothing(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    hr = make_member(kernel, tenant)
    make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        cookie = start_session(session, Kind.MEMBER, hr.id, utc_now())
    with kernel.db.transaction(tenant) as session:
        members.disable(session, hr.id, utc_now(), caller="system")
    assert caller_of(kernel.db, cookie, utc_now()) is None
    with kernel.db.transaction(tenant) as session, pytest.raises(access.RoleMissing):
        access.permit(session, Caller(tenant, Kind.MEMBER, hr.id, uuid4(), utc_now()), Permission.PEOPLE_READ)


def test_a_look_changes_by_a_new_version(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        first = looks.add(session, "Brand", "teal", "black sweater", "close-up", "soft light")
        second = looks.revise(
            session, kernel.keys, first.id, backdrop="orange", dress="suit", framing="close-up", light="soft light"
        )
        assert (second.name, second.version, second.backdrop) == ("Brand", 2, "orange")
        assert first.id not in [look.id for look in looks.list_looks(session)]
        assert looks.get(session, first.id).backdrop == "teal"
        assert second.backdrop == "orange"
        with pytest.raises(looks.LookTaken):
            looks.add(session, "Brand", "teal", "suit", "close-up", "soft light")
        looks.retire(session, second.id)
        with pytest.raises(looks.LookMissing):
            looks.retire(session, second.id)
        # The name is free again and goes on counting.
        assert looks.add(session, "Brand", "teal", "suit", "close-up", "soft light").version == 3
    with kernel.db.transaction(other) as session, pytest.raises(looks.LookMissing):
        looks.get(session, first.id)


def test_a_roster_has_a_limit(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, employee_quota=2)
    with kernel.db.transaction(tenant) as session:
        make_employee(session, kernel)
        tenants.check_quota(session, 1, adding=1)
        with pytest.raises(tenants.QuotaExceeded, match="3 people"):
            tenants.check_quota(session, 1, adding=2)
