"""The two mails that let a member in. Each says which company it is for: one address may work the desk of several."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from likeness.db import PLATFORM
from likeness.mail import Letter
from tenants.models import Role, Tenant

PARTS = {Role.HR: "HR", Role.LEGAL: "legal", Role.OPERATOR: "the operators' pages"}

SIGN_IN = """\
Hello {name},

somebody asked for a link to sign in to Likeness as a member of {company}. Most likely that was you.

{link}

It works once, until {until}, and went to this address alone. Whoever opens it acts in your name, so do not pass it on.

If you did not ask for it, there is nothing to do: as long as nobody opens it, nothing changes.
"""

INVITATION = """\
Hello {name},

{inviter} invited you to work on Likeness for {company}: {parts}. Likeness makes headshots of the people of a company.

{link}

This link works once, until {until}, and went to this address alone. Whoever opens it acts in your name, so do not pass it
on. Later you come in at {front} with this address: a fresh link is mailed to you each time.

If this is not meant for you, there is nothing to do.
"""


def sign_in(tenant: Tenant, name: str, email: str, link: str, until: datetime) -> Letter:
    company = company_of(tenant)
    text = SIGN_IN.format(name=name, company=company, link=link, until=_moment(until))
    return Letter(email, f"Your link to sign in to Likeness: {company}", text)


def invitation(
    tenant: Tenant, name: str, email: str, inviter: str, roles: Collection[str], link: str, front: str, until: datetime
) -> Letter:
    company = company_of(tenant)
    parts = " and ".join(PARTS[Role(role)] for role in sorted(roles))
    text = INVITATION.format(
        name=name, company=company, inviter=inviter, parts=parts, link=link, front=front, until=_moment(until)
    )
    return Letter(email, f"You work on Likeness now: {company}", text)


def company_of(tenant: Tenant) -> str:
    return "the operators of this installation" if tenant.id == PLATFORM else tenant.name


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
