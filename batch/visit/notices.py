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

from batch.models import NAMES_DAYS, Notice
from batch.people import ways
from likeness import ledger
from likeness.ground.db import row_of, tenant_of, utc_now
from likeness.ground.errors import NotFound
from likeness.locale.languages import first_of
from likeness.locale.words import Words
from likeness.locale.words import words as words_for
from likeness.mail import letters
from tenants import tenants
from tenants.models import Tenant

EDITION = "2027-05"
"""Changes with our words in `likeness/locale/*/letters/notice.txt`, or in the sentences that are put into them: a test
keeps the digest of each language."""


class NoticeMissing(NotFound):
    """The company has no such notice."""

    title = "There is no such notice"


def current(session: Session, language: str) -> Notice:
    """The notice as it is now, in the language or in English; stored when it is rendered for the first time."""
    tenant = tenants.get(session)
    language = first_of(language)
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
    notice = row_of(session, Notice, notice_id)
    if notice is None:
        raise NoticeMissing
    return notice


def version(tenant: Tenant) -> str:
    terms = [tenant.name, tenant.contact, tenant.authority, tenant.source_days, tenant.headshot_days, ways.kind(tenant)]
    return f"{EDITION}.{sha256(json.dumps(terms).encode()).hexdigest()[:12]}"


def text(tenant: Tenant, language: str) -> str:
    words = words_for(language)
    return letters.render("notice", words, **terms(tenant, words))


def terms(tenant: Tenant, words: Words) -> dict[str, str]:
    """The company's terms as words for notices and mails."""
    return {
        "controller": tenant.name,
        "kind": ways.kind(tenant),
        "needed": words.number(ways.needed(tenant)),
        "contact": words.gettext("Its data protection contact: {contact}.", contact=tenant.contact)
        if tenant.contact
        else words.gettext("Its personnel department answers your questions."),
        "source": after(tenant.source_days, words),
        "headshots": after(tenant.headshot_days, words),
        "names": words.number(NAMES_DAYS),
        "authority": tenant.authority
        or words.gettext("the data protection supervisory authority where you live or work"),
    }


def after(days: int, words: Words) -> str:
    """When something is deleted, as half a sentence."""
    return words.ngettext("deleted after {n} day", "deleted after {n} days", days)


def digest(words: str) -> str:
    return sha256(words.encode()).hexdigest()

