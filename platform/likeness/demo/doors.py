"""The links that the demo ends with: one for each kind of person, each to their own part.

Whoever runs the program on their own machine may print such links, as at the first start. In a company they go by mail, to
the person alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlmodel import col, select

from batch.models import Link
from likeness import identity, ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.run.first_admin import sign_in_address
from tenants.members import members
from tenants.models import Role


class NobodyLeft(RuntimeError):
    """The company of an earlier demo has nobody for this part any more."""


def doors(kernel: Kernel, tenant: UUID, people: Iterable[UUID]) -> dict[str, str]:
    """A link for HR, for legal, for an employee who is still there, and for the operator."""
    found = {
        "HR": member_link(kernel, tenant, Role.HR),
        "Legal": member_link(kernel, tenant, Role.LEGAL),
        "Employee": next((link for one in people if (link := employee_link(kernel, tenant, one))), ""),
        "Operator": sign_in_address(kernel),
    }
    return {who: link for who, link in found.items() if link}


def member_link(kernel: Kernel, tenant: UUID, role: Role) -> str:
    """For the member who works this role and as little else as possible, so that each link opens another desk.

    Raises `NobodyLeft`."""
    with kernel.db.transaction(tenant) as session:
        holders = [one for one in members.all(session) if role in one.roles and one.disabled_at is None]
        if not holders:
            raise NobodyLeft(f"Nobody of {role} is left in the company of an earlier demo.")
        member = min(holders, key=lambda one: (len(one.roles), one.created_at))
        token = identity.make_link(session, identity.Kind.MEMBER, member.id, utc_now())
        ledger.record(session, "member.link-printed", objects=[member.id])
    return f"{kernel.settings.public_url}/sign-in/{token}"


def employee_link(kernel: Kernel, tenant: UUID, employee_id: UUID) -> str:
    """A personal link like the one of the last mail; empty for somebody who was erased or is not invited."""
    now = utc_now()
    with kernel.db.transaction(tenant) as session:
        newest = session.exec(
            select(Link)
            .where(col(Link.tenant_id) == tenant, col(Link.employee_id) == employee_id)
            .order_by(col(Link.created_at).desc())
            .limit(1)
        ).first()
        if newest is None:
            return ""
        token = identity.new_token(tenant)
        session.add(
            Link(
                tenant_id=tenant,
                employee_id=employee_id,
                invitation_id=newest.invitation_id,
                mail_id=newest.mail_id,
                token_hash=identity.token_hash(token),
                created_at=now,
                expires_at=now + identity.LINK_LIFETIME,
            )
        )
        ledger.record(session, "invitation.link-printed", subject=employee_id, objects=[newest.invitation_id])
    return f"{kernel.settings.public_url}/i/{token}"
