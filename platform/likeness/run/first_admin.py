"""Operators come in by a link that the machine itself prints, as Jupyter does: the first one, and one who lost access.

Whoever may run the program with its database and its keys could do everything an operator can, so this opens no new door;
each link is an entry of the platform's own ledger all the same.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from likeness import identity, ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from tenants.members import members
from tenants.models import Member, Role

ADDRESS = "operator@localhost"


class OperatorUnclear(RuntimeError):
    """It is not said for whom the link is."""


def sign_in_address(kernel: Kernel) -> str:
    """For a start on one's own machine: the first operator, who is made at the first start."""
    with kernel.db.transaction(PLATFORM) as session:
        found = _operators(session)
        operator = found[0] if found else _made(session, kernel, ADDRESS, "Operator")
        return _link(session, kernel, operator)


def operator_link(kernel: Kernel, email: str = "", name: str = "") -> str:
    """A one-time link for the operator with this address, who is made where there is none.

    Raises `OperatorUnclear`, `MemberRefused` for what is no address, and `MemberKnown` for somebody who was disabled.
    """
    with kernel.db.transaction(PLATFORM) as session:
        found = _operators(session)
        if email:
            operator = members.find(session, kernel.keys, email) or _made(session, kernel, email, name or "Operator")
        elif len(found) == 1:
            operator = found[0]
        elif found:
            raise OperatorUnclear(f"There are {len(found)} operators. Say for whom it is: --email you@company.example")
        else:
            raise OperatorUnclear("There is no operator yet. Name the first one: --email you@company.example")
        return _link(session, kernel, operator)


def _operators(session: Session) -> list[Member]:
    query = select(Member).where(col(Member.tenant_id) == PLATFORM, col(Member.disabled_at).is_(None))
    return list(session.exec(query.order_by(col(Member.created_at))))


def _made(session: Session, kernel: Kernel, email: str, name: str) -> Member:
    operator = members.invite_member(session, kernel.keys, email, name, [Role.OPERATOR])
    session.flush()
    return operator


def _link(session: Session, kernel: Kernel, operator: Member) -> str:
    token = identity.make_link(session, identity.Kind.OPERATOR, operator.id, utc_now())
    ledger.record(session, "operator.link-made", objects=[operator.id])
    return f"{kernel.settings.public_url}/sign-in/{token}"
