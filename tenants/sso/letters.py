"""The mails that tell a member that an account was connected with their place at the desk, or is no longer, and those that
tell of the company's sign-in itself."""

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


def changed(reader: Tenant, company: str, name: str, email: str, *, owner: bool, anew: bool) -> Letter:
    """`reader` is whose member reads it: the company, or the operators; `owner`: one of the company's own did it."""
    reads = words(reader.language, reader.time_zone)
    by = {"owner": "yes" if owner else "", "anew": "yes" if anew else ""}
    return letter("sign-in-changed", reads, email, brand=company, colour=reader.colour, name=name, company=company, **by)
