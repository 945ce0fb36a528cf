"""The mails that tell a member that an account was connected with their place at the desk, or is no longer."""

from __future__ import annotations

from likeness.locale.words import words
from likeness.mail.letters import letter
from likeness.mail.mail import Letter
from tenants.models import Tenant


def about(what: str, tenant: Tenant, name: str, email: str) -> Letter:
    """`what` is "connected" or "disconnected"."""
    reads = words(tenant.language, tenant.time_zone)
    return letter(
        f"member-{what}", reads, email, brand=tenant.name, colour=tenant.colour, name=name, company=tenant.name
    )
