"""What is kept, where, and until when, in plain words: from the registry of stores, the terms and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from batch.models import NAMES_DAYS
from compliance import keeps
from likeness.ground.settings import Settings
from likeness.locale.marks import N_
from likeness.locale.words import Words
from tenants.models import Tenant

LONGEST = {name: int(Tenant.model_fields[name].default) for name in ("source_days", "headshot_days")}
"""In days; the database lets a company have less and not more."""

SEALED_OBJECTS = {
    "s3": N_("Sealed, in an object store"),
    "file": N_("Sealed, in a folder of this installation"),
}
SEALED_ROWS = N_("Sealed, in the database")
ROWS = N_("In the database, under random ids that name nobody")
OUTSIDE = N_("In a folder outside the database")
KEYS = {
    "folder": N_("In a folder that no backup of the database holds"),
    "vault": N_("In a folder that no backup of the database holds, wrapped by a key in Vault"),
    "aws-kms": N_("In a folder that no backup of the database holds, wrapped by a key in AWS KMS"),
    "pkcs11": N_("In a folder that no backup of the database holds, wrapped by a key in a hardware module"),
}


@dataclass(frozen=True)
class KeptData:
    what: str
    where: str
    until: str


def told(settings: Settings, reads: Words) -> list[KeptData]:
    """In the reader's language."""
    said = reads.gettext
    pictures = said(SEALED_OBJECTS[objects_in(settings)])
    selfies, headshots = LONGEST["source_days"], LONGEST["headshot_days"]
    person = said(
        N_(
            "Deleted {n} days after the last day of the last invitation, photo or headshot, or earlier when the person or"
            " HR has it deleted, or the company leaves. Whoever the company's own directory of users names to us stays on"
            " its list until the directory says that they left."
        ),
        n=NAMES_DAYS,
    )
    handed_in = reads.ngettext(
        "Deleted {n} day after you hand them in, at the latest.",
        "Deleted {n} days after you hand them in, at the latest.",
        selfies,
    )
    made = reads.ngettext(
        "Deleted {n} day after they are made, at the latest.",
        "Deleted {n} days after they are made, at the latest.",
        headshots,
    )
    return [
        KeptData(said(N_("Selfies")), pictures, handed_in),
        KeptData(
            said(N_("Photos that arrived in part")), pictures, said(N_("Deleted 24 hours after they began to arrive."))
        ),
        KeptData(said(N_("The model of one person, where one is made")), pictures,
             said(N_("Goes with the last selfie, at the latest."))),
        KeptData(said(N_("Headshots")), pictures, made),
        KeptData(said(N_("The employee list as a file")), pictures, said(N_("Deleted 24 hours after it came."))),
        KeptData(said(N_("Names, addresses, signatures and letters")), said(SEALED_ROWS), person),
        KeptData(said(N_("Requests, without names")), said(ROWS),
             said(N_("Deleted 24 months after they were answered, and a month at the most later."))),
        KeptData(said(N_("The log of what was done")), said(ROWS), said(N_("For good; random ids and times alone"))),
        KeptData(said(N_("Certificates of deletion, and what must stay deleted after a restore")), said(OUTSIDE),
             said(N_("For good; random ids and times alone"))),
        KeptData(said(N_("The keys that open sealed things")), said(KEYS[settings.key_store]),
             said(N_("Destroyed with the last thing that they open"))),
    ]  # fmt: skip


def objects_in(settings: Settings) -> str:
    return "s3" if settings.objects_url.startswith("s3://") else "file"


def register() -> list[keeps.Class]:
    """The whole of it under the longest terms that a company may have, in English."""
    return keeps.classes(**LONGEST, names_days=NAMES_DAYS)
