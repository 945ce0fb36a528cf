"""For what each store of the registry is kept, and until when: what the notice, the records and the public page say.

A table or a place without a line here fails a test, as one without a declaration in `stores.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from compliance import stores
from compliance.stores import Fate, Table
from likeness.keys.keys import KeyClass


class KeepPurpose(StrEnum):
    INVITE = "to invite people and to let them in"
    MAKE = "to make headshots of a person who consented, and to check that they look like them"
    CHOOSE = "to let a person choose, release and take back headshots"
    CONSENT = "to show what a person agreed to, and to what words"
    RIGHTS = "to answer requests and to prove deletions"
    EVIDENCE = "to show what was done, and that nobody changed the record of it"
    ACCOUNT = "to let those in who work for the company, and to say who may do what"
    COMPANY = "to know what a company wants"
    BILL = "to account for what was paid for"
    RUN = "to have work done once and in its turn"


class Last(StrEnum):
    PERSON = "with the person: {names} days after the last day of their last invitation, photo or headshot, or earlier when"
    " they, or HR, have everything deleted; whoever the company's directory names stays until it says that they left"
    PHOTOS = "{source} days after it came, at the latest"
    MODEL = "with the last photo that it was made of, {source} days after that came at the latest"
    HEADSHOTS = "{headshots} days after it was made, at the latest"
    HOUR = "within the hour"
    DAY = "24 hours after it came"
    ENDED = "24 hours after it ended"
    WEEK = "7 days after it was made"
    MONTH = "30 days after it was made"
    YEAR = "a year after the last day of its month, or with the person when that is earlier"
    REQUEST = "24 months after the answer, and a month at the most later; the random number in it leads to nobody once the"
    " person is deleted"
    COMPANY = "when the company leaves"
    SITE = "as long as this installation runs; it names nobody"
    NUMBER = "as long as the company is here, under a random number that leads to nobody once the person is deleted"
    GOOD = "for good, under a random number that leads to nobody once the person is deleted"
    EMPTY = "it holds nothing of anybody"


_TABLES: Mapping[tuple[KeepPurpose, Last], str] = {
    (KeepPurpose.INVITE, Last.PERSON): "employee invitation address_change link mail web_session identity sign_in_attempt"
    " sign_in_link",
    (KeepPurpose.INVITE, Last.HOUR): "correction",
    (KeepPurpose.CONSENT, Last.PERSON): "consent",
    (KeepPurpose.CONSENT, Last.COMPANY): "notice",
    (KeepPurpose.MAKE, Last.PHOTOS): "photo",
    (KeepPurpose.MAKE, Last.DAY): "upload",
    (KeepPurpose.MAKE, Last.MODEL): "weights",
    (KeepPurpose.MAKE, Last.PERSON): "sitting run not_me edit",
    (KeepPurpose.CHOOSE, Last.HEADSHOTS): "headshot release",
    (KeepPurpose.CHOOSE, Last.PERSON): "take_back",
    (KeepPurpose.RIGHTS, Last.PERSON): "concern",
    (KeepPurpose.RIGHTS, Last.WEEK): "package",
    (KeepPurpose.RIGHTS, Last.REQUEST): "request",
    (KeepPurpose.RIGHTS, Last.GOOD): "erasure hold certificate",
    (KeepPurpose.RIGHTS, Last.SITE): "departure sub_processor",
    (KeepPurpose.EVIDENCE, Last.COMPANY): "verdict",
    (KeepPurpose.EVIDENCE, Last.PERSON): "ledger_detail",
    (KeepPurpose.EVIDENCE, Last.YEAR): "listing",
    (KeepPurpose.EVIDENCE, Last.GOOD): "ledger_entry checkpoint",
    (KeepPurpose.EVIDENCE, Last.NUMBER): "download",
    (KeepPurpose.BILL, Last.GOOD): "credit",
    (KeepPurpose.RUN, Last.ENDED): "job",
    (KeepPurpose.RUN, Last.DAY): "answered",
    (KeepPurpose.RUN, Last.WEEK): "webhook_delivery",
    (KeepPurpose.RUN, Last.MONTH): "pulse",
    (KeepPurpose.RUN, Last.SITE): "key_fingerprint alembic_version",
    (KeepPurpose.ACCOUNT, Last.COMPANY): "member provider provider_session provider_domain machine_key break_glass",
    (KeepPurpose.ACCOUNT, Last.DAY): "sign_in_wish wrong_try",
    (KeepPurpose.COMPANY, Last.COMPANY): "tenant look look_pack logo sender backdrop batch webhook_endpoint"
    " directory_group",
    (KeepPurpose.RIGHTS, Last.COMPANY): "breach",
}
_PLACES: Mapping[tuple[KeepPurpose, Last], tuple[stores.NamedStore, ...]] = {
    (KeepPurpose.INVITE, Last.DAY): (stores.WORKBOOKS,),
    (KeepPurpose.MAKE, Last.PHOTOS): (stores.OBJECTS[KeyClass.SOURCE], stores.KEYS[KeyClass.SOURCE]),
    (KeepPurpose.MAKE, Last.MODEL): (stores.OBJECTS[KeyClass.MODEL], stores.KEYS[KeyClass.MODEL]),
    (KeepPurpose.CHOOSE, Last.HEADSHOTS): (stores.OBJECTS[KeyClass.HEADSHOT], stores.KEYS[KeyClass.HEADSHOT]),
    (KeepPurpose.INVITE, Last.PERSON): (stores.KEYS[KeyClass.PROFILE],),
    (KeepPurpose.EVIDENCE, Last.PERSON): (stores.KEYS[KeyClass.LOG_DETAIL],),
    (KeepPurpose.RIGHTS, Last.HOUR): (stores.SAMPLES,),
    (KeepPurpose.RIGHTS, Last.GOOD): (stores.TOMBSTONES,),
    (KeepPurpose.RUN, Last.NUMBER): (stores.LOG,),
    (KeepPurpose.RUN, Last.HOUR): (stores.SCRATCH, stores.NODES, stores.QUEUE),
    (KeepPurpose.RUN, Last.EMPTY): (
        stores.OBJECTS[KeyClass.PROFILE], stores.OBJECTS[KeyClass.LOG_DETAIL], stores.STRANGE, stores.HOME, stores.CACHES,
        stores.CATALOGUE,
    ),
}  # fmt: skip
KEPT: Mapping[str, tuple[KeepPurpose, Last]] = {
    **{f"table:{name}": why for why, names in _TABLES.items() for name in names.split()},
    **{place.name: why for why, places in _PLACES.items() for place in places},
}


@dataclass(frozen=True)
class Class:
    """One line of the records of processing."""

    store: str
    """As the re-scan and the certificates call it."""
    place: str
    holds: str
    category: str
    purpose: str
    last_day: str
    erased: str


def classes(*, source_days: int, headshot_days: int, names_days: int) -> list[Class]:
    """Everything that is kept, from the registry: one line a store, in English, under these terms."""
    terms = {"source": source_days, "headshots": headshot_days, "names": names_days}

    def line(store: str, place: str, holds: str, category: str, erased: str) -> Class:
        purpose, last = KEPT[store]
        return Class(store, place, holds, category, str(purpose), last.format(**terms), erased)

    tables = [
        line(f"table:{one.name}", "database", ", ".join(one.columns), _category(one), ERASED[one.fate])
        for one in stores.TABLES.values()
    ]
    places = [line(one.name, _place(one), one.holds, _kind(one), one.nist) for one in stores.PLACES]
    return [*tables, *places]


ERASED = {
    Fate.ERASED: "the rows are deleted with the person",
    Fate.KEPT: "the rows stay; the random number in them leads to nobody any more",
    Fate.NOBODY: "the rows name no employee",
}
NOBODYS = "nothing of an employee"


def _category(table: Table) -> str:
    if table.biometric:
        return "biometric (GDPR article 9)"
    if table.identifying or table.plain:
        return "who somebody is"
    return "records under a random number" if table.person else NOBODYS


def _kind(place: stores.NamedStore) -> str:
    faces = {one.name for cls in (KeyClass.SOURCE, KeyClass.MODEL, KeyClass.HEADSHOT) for one in (stores.OBJECTS[cls],)}
    if place.name in faces:
        return "biometric (GDPR article 9)"
    return "who somebody is" if place == stores.WORKBOOKS else "records under a random number"


def _place(place: stores.NamedStore) -> str:
    kind = place.name.partition(":")[0]
    return {"objects": "object store", "key": "key folder", "home": "this machine's disk", "log": "this machine's disk",
            "tombstones": "folder outside the database", "scratch": "this machine's disk",
            "caches": "disks of all machines", "nodes": "disks of the Ray nodes", "queue": "broker",
            "samples": "database",
            "catalogue": "database"}[kind]  # fmt: skip
