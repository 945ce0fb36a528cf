"""The company's record of processing (GDPR article 30) and facts for its impact assessment (article 35), from live data.

Nothing here is typed by hand: terms, ways and recipes are the company's own, stores are the registry's, and recipients are
those that have been announced. What only the company can judge is left to it, and says so.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from batch.models import NAMES_DAYS
from batch.people import ways
from compliance import keeps
from compliance.models import SubProcessor
from compliance.records import controls, keeping, processors
from compliance.records.documents import Document, DocumentSection
from likeness.ground.db import PLATFORM
from likeness.kernel import Kernel
from likeness.locale.words import words
from tenants import tenants
from tenants.models import CUTOUT, Tenant

PURPOSES = {
    "headshots": ("a model of each person is trained on their own selfies and makes their headshots", "consent"),
    "drawn": ("a model that exists already looks at selfies while it draws headshots; nothing is trained", "consent"),
    "portrait": ("photos are cut out and set on the company's backdrop", "consent"),
    "biometric": ("a face is measured in memory to check photos and headshots", "explicit consent, article 9(2)(a)"),
}


def of_operators(kernel: Kernel) -> list[SubProcessor]:
    """Sub-processors, which stand among the operators' rows."""
    with kernel.db.transaction(PLATFORM) as session:
        return processors.everything(session)


def record(session: Session, kernel: Kernel, others: list[SubProcessor], now: datetime) -> Document:
    company = tenants.get(session)
    return Document(
        "processing", f"Record of processing of {company.name}", now,
        "For GDPR article 30(1) and (2), as far as headshots are made here.",
        [_parties(company, kernel), _purposes(company), _categories(company), _recipients(others), _terms(company, kernel),
         _measures()],
    )  # fmt: skip


def _parties(company: Tenant, kernel: Kernel) -> DocumentSection:
    rows = [
        ("controller", company.name),
        (
            "its contact for data protection",
            company.contact or "none entered; the notice names the personnel department",
        ),
        ("supervisory authority", company.authority or "the one where the person lives or works"),
        ("processor", kernel.settings.operator or "whoever runs this installation"),
    ]
    return DocumentSection("Who", ("role", "who"), rows)


def _purposes(company: Tenant) -> DocumentSection:
    rows = [(str(one), *PURPOSES[str(one)], "employees of the controller") for one in ways.asked(company)]
    rows.append(("invitation", "people of the list are asked whether they take part", "the controller's own, to be named",
                 "employees of the controller"))  # fmt: skip
    return DocumentSection("Purposes", ("purpose", "what is done", "legal basis", "of whom"), rows)


def _categories(company: Tenant) -> DocumentSection:
    found = keeps.classes(
        source_days=company.source_days, headshot_days=company.headshot_days, names_days=NAMES_DAYS
    )
    rows = [
        (one.store, one.place, one.category, one.purpose, one.last_day, one.erased)
        for one in found
        if one.category != keeps.NOBODYS
    ]
    columns = ("store", "where", "category", "for what", "until when", "at an erasure")
    note = "Every store that holds something of a person, from the registry that deletions go by."
    return DocumentSection("Categories of data", columns, rows, note)


def _recipients(others: list[SubProcessor]) -> DocumentSection:
    rows = [
        (
            one.name,
            one.purpose,
            one.country,
            one.safeguards or "no transfer that needs any",
            one.begins_at,
            one.ended_at,
        )
        for one in others
    ]
    note = (
        "" if rows else "No sub-processor is on the list. Headshots that a person released go to the controller alone."
    )
    return DocumentSection(
        "Recipients and transfers", ("name", "for", "country", "transfer rests on", "from", "until"), rows, note
    )


def _terms(company: Tenant, kernel: Kernel) -> DocumentSection:
    own = [
        ("selfies and models", f"{company.source_days} days at most, by the company's terms"),
        ("headshots", f"{company.headshot_days} days at most, by the company's terms"),
    ]
    general = [(one.what, f"{one.where}. {one.until}") for one in keeping.told(kernel.settings, words("en"))]
    return DocumentSection("Until when", ("what", "until"), [*own, *general])


def _measures() -> DocumentSection:
    rows = [(one.ids, one.what) for one in controls.CONTROLS]
    return DocumentSection("Measures of security", ("controls", "measure"), rows)


def processors_document(others: list[SubProcessor], now: datetime) -> Document:
    rows = [
        (one.name, one.purpose, one.country, one.safeguards or "no transfer that needs any", one.announced_at,
         one.begins_at, one.ended_at)
        for one in others
    ]  # fmt: skip
    columns = ("name", "for", "country", "transfer rests on", "announced", "from", "until")
    note = "" if rows else "There is none. Companies are told by mail thirty days before one begins."
    return Document("processors", "Sub-processors", now, "Of this installation, with those that ended.",
                    [DocumentSection("Sub-processors", columns, rows, note)])  # fmt: skip


RISKS = (
    ("faces leak from the store", "each person's things are sealed under keys of their own, in no backup of the database",
     "kernel/test_keys.py::test_destroying_one_class_leaves_the_other_classes_and_the_other_people"),
    ("the employer sees what was not meant for it", "only what a person released, until they take it back",
     "batch/test_headshots.py::test_hr_has_what_was_released_until_it_is_taken_back"),
    ("somebody is pressed to take part", "declining, withdrawing and silence look the same to HR",
     "compliance/test_erasures.py::test_hr_cannot_tell_who_withdrew_from_who_declined_or_never_answered"),
    ("faces are kept too long", "an absolute last day on each thing, a second program that looks, a certificate",
     "compliance/test_retention.py::test_selfies_and_weights_go_on_day_7_and_headshots_on_day_30_to_the_minute"),
    ("a restored backup brings faces back", "what narrowed is kept outside the database and repeated first",
     "compliance/test_restore.py::test_what_narrowed_stays_away_when_the_database_comes_back"),
    ("people are recognised elsewhere by their measures", "measures live in memory alone",
     "promises/test_promises.py::test_no_table_has_a_place_for_a_face_measure"),
    ("one company sees another's people", "row-level security beneath every query",
     "promises/test_promises.py::test_every_table_is_under_forced_row_level_security"),
)  # fmt: skip


def assessment(session: Session, kernel: Kernel, others: list[SubProcessor], now: datetime) -> Document:
    """What article 35(7) asks for, as far as the program knows it."""
    company = tenants.get(session)
    description = [
        ("ways that are offered", ", ".join(company.offered)),
        ("of which without a model of anybody", "yes" if CUTOUT in company.offered else "no"),
        ("people the company has room for", company.employee_quota),
        (
            "decisions by a machine",
            "photos and headshots are checked by a machine; the person decides about each of both",
        ),
        ("special categories", "photos, models and measures of faces are treated as biometric throughout"),
    ]
    necessity = [
        ("minimisation", "photos serve the headshots of the person alone; place and time are removed from each"),
        ("alternative without detriment", "whoever declines uses a photo of their own or initials"),
        ("information", "a notice in the person's language, with a version and a digest, before the first photo"),
    ]
    risks = [(risk, measure, f"tests/{test}") for risk, measure, test in RISKS]
    return Document(
        "assessment", f"Facts for an impact assessment of {company.name}", now,
        "GDPR article 35(7). How likely and how severe each risk is, and whether the authority is to be asked, the company"
        " judges.",
        [
            DocumentSection("Description", ("what", "how it is"), description), _purposes(company), _categories(company),
            DocumentSection("Necessity and proportion", ("what", "how it is met"), necessity),
            _terms(company, kernel),
            _recipients(others),
            DocumentSection("Risks and what is done", ("risk", "measure", "test that holds it"), risks),
            *controls.document(session, kernel, now).sections,
        ],
    )  # fmt: skip
