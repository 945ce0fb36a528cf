"""The first person who may sign in: an operator, by a one-time link printed on the terminal, as Jupyter does."""

from __future__ import annotations

from sqlmodel import col, select

from likeness import identity
from likeness.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from tenants import members
from tenants.models import Member, Role

ADDRESS = "operator@localhost"


def sign_in_address(kernel: Kernel) -> str:
    """A fresh one-time link for the platform's first operator, who is created at the first start."""
    with kernel.db.transaction(PLATFORM) as session:
        operator = session.exec(
            select(Member).where(Member.tenant_id == PLATFORM, col(Member.disabled_at).is_(None)).limit(1)
        ).first()
        if operator is None:
            operator = members.invite_member(session, kernel.keys, ADDRESS, "Operator", [Role.OPERATOR])
            session.flush()
        token = identity.make_link(session, identity.Kind.OPERATOR, operator.id, utc_now())
    return f"{kernel.settings.public_url}/sign-in/{token}"
