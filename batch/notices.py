"""The notice: what a person is told before anything of theirs is taken, in words made from the company's real terms.

The version names the edition of our words and the terms they were filled with. So the same version renders to the same
text for ever, and changing a term, say the days until deletion, makes a new version that people are asked about anew.
"""

from __future__ import annotations

import json
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from batch import texts, ways
from batch.models import Notice
from batch.texts import LANGUAGES as LANGUAGES
from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import NotFound
from tenants import tenants
from tenants.models import Tenant

EDITION = "2027-02"
"""Changes with our words in `texts/notice.*.txt`."""

WORDS = {
    "en": {
        "contact": "Its data protection contact: {contact}.",
        "no contact": "Its personnel department answers your questions.",
        "authority": "the data protection supervisory authority where you live or work",
        0: "deleted as soon as your headshots are made, on the same day at the latest",
        1: "deleted after 1 day",
        "days": "deleted after {days} days",
    },
    "de": {
        "contact": "Ansprechstelle für den Datenschutz: {contact}.",
        "no contact": "Fragen beantwortet die Personalabteilung.",
        "authority": "der Datenschutz-Aufsichtsbehörde an Ihrem Wohn- oder Arbeitsort",
        0: "gelöscht, sobald Ihre Porträts fertig sind, spätestens am selben Tag",
        1: "gelöscht nach 1 Tag",
        "days": "gelöscht nach {days} Tagen",
    },
}


class NoticeMissing(NotFound):
    """The company has no such notice."""


def current(session: Session, language: str) -> Notice:
    """The notice as it is now, in the language or in English; stored when it is rendered for the first time."""
    tenant = tenants.get(session)
    language = texts.language_for(language)
    words = text(tenant, language)
    values = {
        "id": uuid4(),
        "tenant_id": tenant_of(session),
        "version": version(tenant),
        "language": language,
        "text": words,
        "digest": digest(words),
        "created_at": utc_now(),
    }
    new = session.execute(insert(Notice).values(**values).on_conflict_do_nothing().returning(col(Notice.id))).scalar()
    if new is not None:
        ledger.record(session, "notice.published", objects=[new])
    return session.exec(
        select(Notice).where(
            col(Notice.tenant_id) == tenant_of(session),
            col(Notice.version) == values["version"],
            col(Notice.language) == language,
            col(Notice.digest) == values["digest"],
        )
    ).one()


def get(session: Session, notice_id: UUID) -> Notice:
    notice = session.exec(
        select(Notice).where(col(Notice.tenant_id) == tenant_of(session), col(Notice.id) == notice_id)
    ).one_or_none()
    if notice is None:
        raise NoticeMissing
    return notice


def version(tenant: Tenant) -> str:
    terms = [tenant.name, tenant.contact, tenant.authority, tenant.source_days, tenant.headshot_days, ways.kind(tenant)]
    return f"{EDITION}.{sha256(json.dumps(terms).encode()).hexdigest()[:12]}"


def text(tenant: Tenant, language: str) -> str:
    return texts.render("notice", language, **terms(tenant, language))


def terms(tenant: Tenant, language: str) -> dict[str, str]:
    """The company's terms as words for notices and mails."""
    words = WORDS[texts.language_for(language)]
    return {
        "controller": tenant.name,
        **ways.words(tenant, texts.language_for(language)),
        "contact": words["contact"].format(contact=tenant.contact) if tenant.contact else words["no contact"],
        "source": _after(tenant.source_days, language),
        "headshots": _after(tenant.headshot_days, language),
        "authority": tenant.authority or words["authority"],
    }


def digest(words: str) -> str:
    return sha256(words.encode()).hexdigest()


def _after(days: int, language: str) -> str:
    words = WORDS[texts.language_for(language)]
    return (words[days] if days in words else words["days"]).format(days=days)
