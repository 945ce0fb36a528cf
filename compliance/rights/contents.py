"""What of the registry is in somebody's access package, column by column, and why the rest is not.

`compliance/stores.py` says which tables know a person. Each column of these stands here once: as something that is shown,
or with the reason why it is not. A column without either fails a test, so nothing is left out by forgetting it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from compliance import stores
from likeness.keys.keys import KeyClass
from likeness.locale.marks import N_

INDEX, PROOF, INSIDE, FILE = "index", "proof", "inside", "file"
MODEL, OTHERS, LEGAL, PARTIAL, SEEN = "model", "others", "legal", "partial", "seen"
REASONS: Mapping[str, str] = {
    INDEX: N_("A number made with a key, which only serves to find you again. What it was made from is in this package."),
    PROOF: N_("It proves a sign-in or a link. Whoever had it could try to pass for you, so nobody is given it."),
    INSIDE: N_("It links records inside the program and says nothing else about you."),
    FILE: N_("It says where a file lies. The file itself is in this package, or named among what is missing."),
    MODEL: N_(
        "The model is not handed out, because whoever has it could make pictures of you. That there is one, and until when,"
        " is in this package."
    ),
    OTHERS: N_("It is about somebody else who works for your employer (GDPR article 15(4))."),
    LEGAL: N_("Your employer's lawyers wrote it for a court. On which ground something is kept, and until when, is here."),
    PARTIAL: N_("It is a part of a photo that has not arrived whole, and is deleted within a day."),
    SEEN: N_("It is in this package under another heading."),
}


class PackageSection(StrEnum):
    """The files of the package, in order."""

    YOU = "1-about-you"
    PHOTOS = "2-photos-you-sent"
    HEADSHOTS = "3-your-headshots"
    MODEL = "4-model"
    CONSENT = "5-consent"
    EVENTS = "6-what-happened"
    RECEIVED = "7-who-received-it"
    REQUESTS = "8-requests"


TITLES: Mapping[PackageSection, str] = {
    PackageSection.YOU: N_("About you"),
    PackageSection.PHOTOS: N_("Photos that you sent"),
    PackageSection.HEADSHOTS: N_("Your headshots"),
    PackageSection.MODEL: N_("Models of you, and how headshots were made"),
    PackageSection.CONSENT: N_("Your consents"),
    PackageSection.EVENTS: N_("What was done with your data"),
    PackageSection.RECEIVED: N_("Who saw or received it"),
    PackageSection.REQUESTS: N_("Your requests, deletions and holds"),
}


@dataclass(frozen=True)
class Contents:
    """Of one table."""

    section: PackageSection
    title: str
    shown: tuple[str, ...]
    portable: tuple[str, ...]
    """Of what is shown: what the person provided themselves (GDPR article 20)."""
    withheld: Mapping[str, str]
    """Column to reason."""


def _of(section: PackageSection, title: str, shown: str, portable: str = "", **withheld: str) -> Contents:
    reasons = {column: reason for reason, columns in withheld.items() for column in columns.split()}
    return Contents(section, title, tuple(shown.split()), tuple(portable.split()), {"tenant_id": INSIDE} | reasons)


CONTENTS: Mapping[str, Contents] = {
    "employee": _of(
        PackageSection.YOU, N_("You on your employer's list"),
        "id profile reads created_at pilot_at leaves_at opted_out_at restricted_at", portable="reads",
        index="email_index key_index department_index site_index manager_index user_name_index external_index",
        inside="roster_id batch_id row",
    ),
    "correction": _of(
        PackageSection.YOU, N_("What a new list changed, while that can be undone"), "at due_at before",
        index="after_digest", inside="id batch_id", seen="employee_id",
    ),
    "address_change": _of(
        PackageSection.YOU, N_("Other addresses that were named for you"),
        "sealed asked_at until reminders ended_at outcome",
        index="email_index", proof="token_hash token_sealed", others="asked_by", inside="id", seen="employee_id",
    ),
    "invitation": _of(
        PackageSection.YOU, N_("Invitations"),
        "created_at expires_at delivered_at opened_at revoked_at bounced_at mails reminders reminded_at",
        inside="id quiet", seen="employee_id",
    ),
    "link": _of(
        PackageSection.YOU, N_("Links that were mailed to you"), "created_at expires_at used_at",
        proof="token_hash", inside="id invitation_id mail_id", seen="employee_id",
    ),
    "mail": _of(
        PackageSection.YOU, N_("Mails to you"),
        "template sealed created_at sent_at failed_at outcome code tried_at handed_at", inside="id campaign",
        seen="owner_id",
    ),
    "web_session": _of(
        PackageSection.YOU, N_("Your sign-ins"), "created_at expires_at authenticated_at seen_at",
        proof="token_hash", inside="id kind other_kind other_id", seen="subject_id",
    ),
    "sign_in_link": _of(
        PackageSection.YOU, N_("Links to sign in"), "expires_at used_at", proof="token_hash", inside="id kind",
        seen="subject_id",
    ),
    "sign_in_attempt": _of(
        PackageSection.YOU, N_("Sign-ins that were begun"), "started_at expires_at",
        proof="state_hash browser_hash nonce_hash sealed", inside="id provider_id acr again kind go_to", seen="subject_id",
    ),
    "identity": _of(
        PackageSection.YOU, N_("Your account at your employer"), "issuer subject bound_at", inside="id kind bound_by",
        seen="person_id",
    ),
    "photo": _of(
        PackageSection.PHOTOS, N_("Photos"),
        "id state bytes width height pose findings faces face dress used_anyway waved person is_me twin_of created_at"
        " checked_at missing_since removed_at due_at",
        portable="created_at face is_me used_anyway", file="path", index="digest", inside="consent_id",
        seen="employee_id",
    ),
    "upload": _of(
        PackageSection.PHOTOS, N_("Photos that are still arriving"), "length received created_at touched_at due_at",
        portable="length created_at", partial="path", index="digest", inside="id consent_id photo_id", seen="employee_id",
    ),
    "headshot": _of(
        PackageSection.HEADSHOTS, N_("Headshots"),
        "id number bytes likeness_ratio question loosening closer raised draft favourite_at created_at due_at",
        portable="closer raised favourite_at", file="path", inside="shelf_id sitting_id look_id photo_id edit_of",
        seen="employee_id",
    ),
    "edit": _of(
        PackageSection.HEADSHOTS, N_("Other backdrops that you asked for"),
        "headshot_id closer raised state failure created_at changed_at", portable="headshot_id closer raised created_at",
        inside="id sitting_id look_id fence", seen="employee_id",
    ),
    "release": _of(
        PackageSection.HEADSHOTS, N_("Headshots that you released"), 
        "headshot_id at downloaded_at approved_at returned_at returned_for kept_at", portable="headshot_id at kept_at",
        inside="id", seen="employee_id",
    ),
    "take_back": _of(
        PackageSection.HEADSHOTS, N_("Headshots that you took back"), "headshot_id downloaded_at asked_at deleted_at",
        others="deleted_by", inside="id", seen="employee_id",
    ),
    "not_me": _of(
        PackageSection.HEADSHOTS, N_("Headshots that you said are not you"), "created_at likeness_ratio ended_at",
        portable="created_at",
        inside="id sitting_id", seen="employee_id",
    ),
    "weights": _of(
        PackageSection.MODEL, N_("Models of you"), "kind bytes created_at due_at", model="path", inside="id sitting_id",
        seen="employee_id",
    ),
    "sitting": _of(
        PackageSection.MODEL, N_("Orders to make headshots"), "id state recipe created_at changed_at failure missed unused",
        inside="fence seed looks reshoot_of", seen="employee_id",
    ),
    "run": _of(
        PackageSection.MODEL, N_("Work that computers did for you"),
        "state recipe seconds step steps made passed likeness_ratio started_at heartbeat_at finished_at error",
        inside="id sitting_id fence pack", seen="employee_id",
    ),
    "job": _of(
        PackageSection.MODEL, N_("Tasks about you that wait or have ended"), "kind state due created_at finished_at",
        inside="id lane attempt excused error args key",
    ),
    "consent": _of(
        PackageSection.CONSENT, N_("Consents"),
        "purpose given_at withdrawn_at signature named_otherwise notice_id signed_receipt",
        portable="purpose given_at withdrawn_at signature", inside="id", seen="employee_id",
    ),
    "webhook_delivery": _of(
        PackageSection.EVENTS, N_("What programs of your employer were told"), "event created_at delivered_at tries",
        inside="id endpoint_id body wanted_at next_at", seen="employee_id",
    ),
    "ledger_entry": _of(
        PackageSection.EVENTS, N_("The log"), "at event caller objects sequence epoch",
        inside="id position detail_commit format leaf previous hash", seen="subject",
    ),
    "ledger_detail": _of(
        PackageSection.EVENTS, N_("What the log says in more detail"), "sequence sealed", inside="id", seen="employee_id"
    ),
    "listing": _of(
        PackageSection.RECEIVED, N_("Days on which somebody looked at a list with your name on it"), "caller days",
        inside="id month", seen="employee_id",
    ),
    "package": _of(
        PackageSection.REQUESTS, N_("Packages like this one"), "made_at due_at digest", inside="id jws", seen="employee_id"
    ),
    "concern": _of(
        PackageSection.REQUESTS, N_("What you wrote is wrong, and the answers"),
        "desk page sealed asked_at promised_at answered_at answer", portable="sealed", others="answered_by",
        inside="id passed_on", seen="employee_id",
    ),
    "request": _of(
        PackageSection.REQUESTS, N_("Requests"),
        "kind regime method received_at due_at asked acknowledged acknowledged_at verified_at verification extended_at"
        " extension approved_at dispatched_at answer_asked_at done_at delivered_at refusal recipients",
        others="entered_by approved_by", inside="id passed_on", seen="employee_id",
    ),
    "erasure": _of(
        PackageSection.REQUESTS, N_("Deletions"),
        "state trigger scope language requested_at counts recipients recipients_settled_at settled_at deleted_at"
        " verified_at looked_again_at failures scan",
        others="requested_by", index="subject_commitment traces", proof="receipt_hash", inside="id", seen="employee_id",
    ),
    "hold": _of(
        PackageSection.REQUESTS, N_("What is kept for a court"),
        "basis classes made_from made_until placed_at confirmed_at expires_at lift_asked_at lifted_at",
        others="placed_by confirmed_by lift_asked_by lifted_by", legal="sealed unsealed_reference unsealed_reason",
        inside="id barred", seen="employee_id",
    ),
    "credit": _of(
        PackageSection.REQUESTS, N_("What your employer paid for"), "amount reason at", inside="id cause"
    ),
}  # fmt: skip
"""Every table of the registry that names a person."""

OUTSIDE: Mapping[str, str] = {
    stores.WORKBOOKS.name: N_(
        "Your employer's list holds other people too, and goes within a day. Your line of it is here."
    ),
    stores.OBJECTS[KeyClass.PROFILE].name: N_("There are no files of this kind."),
    stores.OBJECTS[KeyClass.LOG_DETAIL].name: N_("There are no files of this kind."),
    stores.OBJECTS[KeyClass.MODEL].name: REASONS[MODEL],
    **{place.name: N_("Keys open what is stored about you, and say nothing about you.") for place in stores.KEYS.values()},
    stores.SAMPLES.name: N_("It is there only while something of yours is being deleted, and opens nothing."),
    stores.LOG.name: N_("The program's own log files name you by a random number alone."),
    stores.SCRATCH.name: N_("Working memory of the computers that make headshots. It is empty when they have ended."),
    stores.NODES.name: N_("Working memory of the computers that make headshots. It is empty when they have ended."),
    stores.QUEUE.name: N_("Messages between parts of the program say that something is due, and nothing about anybody."),
    stores.TOMBSTONES.name: N_(
        "Outside the database a random number of yours is kept for everything that you deleted or withdrew, so that no"
        " restored backup brings it back."
    ),
    stores.CACHES.name: N_("Libraries keep compiled code and public models there, and nothing about anybody."),
    stores.STRANGE.name: N_(
        "It holds nothing. A file that is found there is a fault, and stops every certificate of deletion until it is gone."
    ),
    stores.HOME.name: N_(
        "It holds nothing. A file that is found there is a fault, and stops every certificate of deletion until it is gone."
    ),
    stores.CATALOGUE.name: N_("The names of the database's own parts, and nothing about anybody."),
}
"""Places that are no table and whose contents are not in the package; photos and headshots are."""
