"""People and companies for tests, made by the same functions that the product uses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from litestar.testing import TestClient
from sqlalchemy import select, update
from sqlmodel import Session, col

from batch.models import Batch, Consent, Employee
from batch.people import employees
from batch.visit import consents, notices
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, start_session
from likeness.jobs import claims, held, jobs
from likeness.kernel import Kernel
from likeness.web.guards import cookie_name
from tenants import credits, tenants
from tenants.members import members
from tenants.models import CUTOUT, Member, Role


def make_tenant(kernel: Kernel, *, with_credits: int = 1000, **changes: Any) -> UUID:
    terms: dict[str, Any] = {"name": "Zebra Works", "contact": "privacy@zebra.example", "employee_quota": 20_000}
    terms |= {"recipes": [kernel.settings.recipe]} | changes
    # What is chosen can be made, unless a test moves to another base.
    bases = [recipe for recipe in terms["recipes"] if recipe != CUTOUT]
    if bases:
        kernel = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": bases[0]}))
    tenant = tenants.found(kernel, **terms)
    if with_credits:
        with kernel.db.transaction(tenant) as session:
            credits.grant(session, with_credits, "test")
    return tenant


def make_member(kernel: Kernel, tenant: UUID, *roles: Role, **changes: Any) -> Member:
    """Somebody of HR unless other roles are named, whom the operator named and who has signed in before."""
    who = {"email": f"{uuid4().hex[:12]}@zebra.example", "name": "Hanna Reiter"} | changes
    with kernel.db.transaction(tenant) as session:
        member = members.invite_member(session, kernel.keys, roles=roles or (Role.HR,), **who)
        members.came_in(session, member.id, utc_now())
        return member


def make_batch(session: Session, **changes: Any) -> Batch:
    # Named as by a version that kept names in clear, for want of keys.
    values = {"unsealed_name": changes.pop("name", "Spring"), "created_by": uuid4(), "imported_at": utc_now()} | changes
    batch = Batch(tenant_id=session.info["tenant"], **values)
    session.add(batch)
    session.flush()
    return batch


def make_employee(session: Session, kernel: Kernel, *, batch: Batch | None = None, **changes: Any) -> Employee:
    """A person on the roster, not invited yet; changes go to the profile."""
    tenant = session.info["tenant"]
    batch = batch or make_batch(session)
    # Digits after a letter: search reads addresses too, and hexadecimal ones now and then contain a name.
    address = f"z{uuid4().int % 10**12:012}@zebra.example"
    who = {"full_name": "Nadia Ümit", "email": address, "language": "en"} | changes
    profile = employees.EmployeeProfile(**who)
    employee_id = uuid4()
    employee = Employee(
        id=employee_id,
        tenant_id=tenant,
        batch_id=batch.id,
        row=2,
        email_index=employees.email_index(kernel.keys.index_key(tenant), profile.email),
        **employees.digests(kernel.keys.index_key(tenant), profile),
        profile=profile.sealed(kernel.keys.open_or_create(employees.profile_ref(tenant, employee_id))),
    )
    session.add(employee)
    session.flush()
    return employee


def give_consent(session: Session, kernel: Kernel, employee: Employee, now: datetime | None = None) -> list[Consent]:
    """To everything that the company asks about."""
    notice, purposes = notices.current(session, "en"), consents.words(session, "en")
    listed = employees.profile(kernel.keys, employee).full_name
    # Whoever is listed under something that is no name says so, and signs with a name of their own.
    readable = listed.isprintable() and sum(sign.isalpha() for sign in listed) >= consents.LETTERS
    signed = listed if readable else "Nadia Ümit"
    return consents.give(
        session, kernel.keys, employee.id, list(purposes), notice.id, signed, now or utc_now(),
        named_otherwise=signed != listed,
    )  # fmt: skip


def sign_in(client: TestClient[Any], kernel: Kernel, tenant: UUID, kind: Kind, subject: UUID) -> None:
    """Gives the client the cookie of a new session."""
    with kernel.db.transaction(tenant) as session:
        value = start_session(session, kind, subject, utc_now())
    client.cookies.set(cookie_name(kernel.settings), value)


def sign_in_member(client: TestClient[Any], kernel: Kernel, tenant: UUID, *roles: Role) -> Member:
    member = make_member(kernel, tenant, *roles)
    sign_in(client, kernel, tenant, Kind.MEMBER, member.id)
    return member


def sign_in_employee(client: TestClient[Any], kernel: Kernel, employee: Employee) -> None:
    sign_in(client, kernel, employee.tenant_id, Kind.EMPLOYEE, employee.id)


def begin_held(kernel: Kernel, tenant: UUID, *, most: int = 5000) -> None:
    """As if the ten seconds in which an act can be taken back were over."""
    with kernel.db.transaction(tenant) as session:
        waits = (col(jobs.Job.tenant_id) == tenant, col(jobs.Job.due) <= utc_now() + held.WAITS)
        session.execute(update(jobs.Job).where(*waits).values(due=utc_now()))
    run_jobs(kernel, tenant=tenant, most=most)


def run_jobs(kernel: Kernel, *, tenant: UUID | None = None, ahead: timedelta = timedelta(), most: int = 5000) -> int:
    """Works every job that is due, and those that these leave; returns how many ran. What failed is not tried again, also
    where this machine had so much else to do that its pause of seconds is over."""
    ran, tried = 0, set[UUID]()
    while ran < most:
        with kernel.db.transaction(PLATFORM) as session:
            query = select(jobs.Job.id).where(col(jobs.Job.due) <= utc_now() + ahead).order_by(col(jobs.Job.due))
            query = query.where(col(jobs.Job.error).is_(None) | col(jobs.Job.id).not_in(tried))
            if tenant is not None:
                query = query.where(col(jobs.Job.tenant_id) == tenant)
            due = list(session.execute(query.limit(100)).scalars())
        worked = sum(claims.work(kernel, job_id) for job_id in due)
        tried.update(due)
        if not worked:
            return ran
        ran += worked
    return ran
