"""When the company's impact assessment is to be looked at again (GDPR article 35(1) and (11)), and who is reminded.

The facts for it are made here; what is judged is the company's. When somebody took the facts is in the log, and with it the
version of the notice that held then: another version, another sub-processor or a year makes them old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from batch.visit import notices
from compliance.models import SubProcessor
from compliance.records import article30
from likeness.ground.db import tenant_of
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.locale.marks import N_
from likeness.locale.words import Words
from likeness.locale.words import words as words_for
from likeness.mail import letters, mail
from tenants import tenants
from tenants.members import members
from tenants.models import Role

NAME = "assessment"
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class ReviewReason:
    """`key` is the same for the same reason, so that one mail goes out for each."""

    key: str
    sentence: str
    name: str = ""

    def said(self, reads: Words) -> str:
        return reads.gettext(self.sentence, name=self.name) if self.name else reads.gettext(self.sentence)


@dataclass(frozen=True)
class Review:
    taken_at: datetime | None
    reasons: Sequence[ReviewReason]


def state(session: Session, others: Sequence[SubProcessor], now: datetime) -> Review:
    """`others` are all sub-processors of the installation, those too that ended."""
    company = tenants.get(session)
    last = _taken(session)
    if last is None:
        why = N_("Nobody has taken the facts for the impact assessment yet. It is to be made before the first photo.")
        return Review(None, [ReviewReason("never", why)])
    reasons = []
    version = notices.version(company)
    if version not in last.objects:
        reasons.append(ReviewReason(version, N_(
            "What people are told has changed since: the terms, the ways of making headshots, or our words."
        )))  # fmt: skip
    for one in others:
        for kind, at, sentence in (
            ("is announced", one.announced_at, N_("A sub-processor is announced: {name}.")),
            ("has ended", one.ended_at, N_("A sub-processor has ended: {name}.")),
        ):
            if at is not None and at > last.at:
                reasons.append(ReviewReason(f"{one.id}:{kind}", sentence, one.name))
    if now - last.at > YEAR:
        reasons.append(ReviewReason(f"year:{last.at:%Y-%m-%d}", N_("A year has passed.")))
    return Review(last.at, reasons)


def taken(session: Session) -> list[str]:
    """What the log keeps of the facts being taken: their name, and the notice that holds at this time."""
    return [NAME, notices.version(tenants.get(session))]


def _taken(session: Session) -> LedgerEntry | None:
    exported = session.exec(
        select(LedgerEntry)
        .where(col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.event) == "document.exported")
        .order_by(col(LedgerEntry.sequence).desc())
    )
    return next((one for one in exported if NAME in one.objects), None)


@jobs.every(timedelta(hours=6))
def remind(kernel: Kernel, now: datetime) -> None:
    """A mail to each of the company's legal, once for each reason."""
    others = article30.of_operators(kernel)
    tenants.for_each(kernel, lambda session: _remind(session, kernel, others, now))


def _remind(session: Session, kernel: Kernel, others: Sequence[SubProcessor], now: datetime) -> None:
    review = state(session, others, now)
    if not review.reasons:
        return
    company, asked = tenants.get(session), review.reasons[-1]
    reads = words_for(company.language, company.time_zone)
    for member in members.all(session):
        if member.disabled_at is None and Role.LEGAL in member.roles:
            who = members.profile(kernel.keys, member)
            letter = letters.letter(
                "assessment", reads, who.email, name=who.name, controller=company.name, colour=company.colour,
                why="\n".join(one.said(reads) for one in review.reasons),
                link=f"{kernel.settings.public_url.rstrip('/')}/legal/records",
            )  # fmt: skip
            mail.post(session, kernel.keys, member.id, letter, template=NAME, campaign=asked.key)
