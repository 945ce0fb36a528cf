"""The mails that let a member in. Each says which company it is for: one address may work the desk of several."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from likeness.ground.db import PLATFORM
from likeness.locale.marks import N_
from likeness.locale.words import Words, words
from likeness.mail.letters import letter
from likeness.mail.mail import Letter
from tenants.models import Role, Tenant

PARTS = {
    Role.OWNER: N_("its owner's part"),
    Role.HR: N_("HR"),
    Role.BRAND: N_("brand"),
    Role.LEGAL: N_("legal"),
    Role.AUDITOR: N_("its audits"),
    Role.OPERATOR: N_("the operators' pages"),
}


def sign_in(template: str, tenant: Tenant, name: str, email: str, link: str, until: datetime) -> Letter:
    reads = words_of(tenant)
    company, moment = company_of(tenant, reads), reads.moment(until)
    return letter(
        template, reads, email, brand=company, colour=tenant.colour, name=name, company=company, link=link,
        until=moment,
    )  # fmt: skip


def invitation(
    tenant: Tenant, name: str, email: str, inviter: str, roles: Collection[str], link: str, front: str, until: datetime
) -> Letter:
    reads = words_of(tenant)
    company = company_of(tenant, reads)
    parts = reads.listed([reads.gettext(PARTS[Role(role)]) for role in sorted(roles)])
    return letter(
        "member-invitation", reads, email, brand=company, colour=tenant.colour, name=name, company=company,
        inviter=inviter, parts=parts, link=link, front=front, until=reads.moment(until),
    )  # fmt: skip


def key_ends(tenant: Tenant, name: str, email: str, program: str, ends: datetime, page: str) -> Letter:
    reads = words_of(tenant)
    return letter(
        "key-ends", reads, email, brand=tenant.name, colour=tenant.colour, name=name, company=tenant.name,
        program=program, until=reads.moment(ends), day=reads.day(ends), link=page,
    )  # fmt: skip


def words_of(tenant: Tenant) -> Words:
    """Members are written to in their company's language."""
    return words(tenant.language, tenant.time_zone)


def company_of(tenant: Tenant, reads: Words | None = None) -> str:
    if tenant.id != PLATFORM:
        return tenant.name
    return (reads or words("en")).gettext("the operators of this installation")


def break_glass(
    tenant: Tenant, name: str, email: str, who: str, operators: list[str], reason: str, now: datetime, until: datetime
) -> Letter:
    reads = words_of(tenant)
    company = company_of(tenant, reads)
    return letter(
        "break-glass", reads, email, brand=company, colour=tenant.colour, name=name, who=who, company=company,
        asked_by=operators[0], confirmed_by=operators[1], reason=reason, now=reads.moment(now), until=reads.moment(until),
    )  # fmt: skip
