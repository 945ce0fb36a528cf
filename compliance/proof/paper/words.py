"""What stands on the page, in the person's language: sentences of the catalogue, with days and times in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from likeness.locale.marks import N_, Term
from likeness.locale.words import Words
from likeness.mail.paragraphs import joined

MOST = 5
"""Lines of a kind on the one page; the attached text has all of them."""
BACKUPS = "backups of the key folder"
PROCESSOR = N_("the operator of this instance of Likeness")
TITLES = {
    "source": N_("Your selfies are deleted, as announced"),
    "model": N_("The model of you is deleted, as announced"),
    "headshot": N_("Your headshots are deleted, as announced"),
}
CLASSES = {
    "source": N_("Selfies and uploads"),
    "model": N_("Models of you"),
    "headshot": N_("Headshots"),
    "records": N_("Records in the database"),
}
LEFT = {
    "the employer's own line about the person, marked as opted out": N_(
        "Your employer's own line with your name, marked as opted out."
    ),
    "messages to the personnel department": N_(
        "What you wrote to your personnel department from your page, with its answers, where you did."
    ),
    "the employer's own line about the person, with the new address": N_(
        "Your employer's own line with your name and the new address."
    ),
    "older versions in the object store, without their key": N_(
        "Older versions in the object store, without the key to them."
    ),
    "everything else of the person, until its own last day": N_(
        "Everything else of yours, until its own last day: this certificate is about the deletion named above alone."
    ),
}
RAN_OUT = N_(
    "The last backup that could have held a key to it has run out as well, as the operator states, and a second check found"
    " nothing."
)
VERIFY = N_(
    "Scan the code above or open {address}: the page checks this file in your browser and sends it nowhere."
    " Without us: the command likeness verify, or the file verifier.py with the public key whose fingerprint"
    " stands in your consent receipt."
)
RESPONSIBLE = N_("{controller} is responsible for your data; {processor} held it and deleted it on {moment}.")
LIMITS = (
    N_("What your employer downloaded before, and mails in anybody's mailbox."),
    N_("The log, accounts and requests keep a random number of yours that leads to nobody any more."),
    N_("Blocks of deleted files may stay on disks; they were encrypted under keys that are destroyed."),
    N_("Log stores that the operator attached to this program's output were not searched."),
    N_(
        "The database's statistics, freed pages and write-ahead log. On nodes of a cluster only your random number was"
        " sought."
    ),
    N_("What colleagues' own lines say: who their manager is, their messages to the desk, and views that members saved."),
)
BEGUN = {
    "person": N_("You asked for this on {day}."),
    "withdrawal": N_("You withdrew your consent on {day}."),
    "retention": N_("Their last day was {day}."),
}
OF_ONE = N_("Its last day was {day}.")
BY_OTHERS = N_("It was begun on {day}.")
BASES = (N_("warrant"), N_("subpoena"))
"""What a hold may rest on, for the catalogues."""


def day(moment: str | None, reads: Words) -> str:
    return reads.day(datetime.fromisoformat(moment).astimezone(UTC)) if moment else "\N{EN DASH}"


def clock(moment: str | None, reads: Words) -> str:
    return reads.moment(datetime.fromisoformat(moment)) if moment else "\N{EN DASH}"


def page(document: Mapping[str, Any], reads: Words) -> dict[str, Any]:
    """Everything on the page but the code and the attachment."""
    say = reads.gettext
    scope = document.get("scope", "everything")
    return {
        "language": reads.language,
        "title": say(_title(document, scope)),
        "controller": document["controller"],
        "lead": [*_lead(document, scope, reads), *_holds(document, reads)],
        "columns": [say("what"), say("count"), say("deleted on"), say("how"), ""],
        "classes": [_class(name, found, reads) for name, found in document["classes"].items()],
        "checked": _checked(document, reads),
        "left": list(_left(document, reads)),
        "told": list(_told(document, reads)),
        "limits": [say(one) for one in LIMITS],
        "whose": say(
            "Your name is not on it, because it is deleted too. With your name, your e-mail address and the proof code"
            " that only you were given, anybody can check that it is about you and about nobody else."
        )
        if document.get("subject_commitment")
        else say(
            "This deletion was not asked for by you, so no proof code was given out. The certificate does not say"
            " whose it is."
        ),
        "words": headings(reads) | {"kind": say(_kind(document))},
    }


def headings(reads: Words) -> dict[str, str]:
    """Over the parts of the page, and what stands at its foot."""
    say = reads.gettext
    return {
        "deleted": say("What was deleted"),
        "checked": say("Who checked"),
        "left": say("What is left"),
        "told": say("Who was told"),
        "limits": say("What this certificate does not cover"),
        "whose": say("Whose certificate this is"),
        "verify": say("How to check it"),
        "measured": say("seen by this program"),
        "stated": say("stated by others"),
        "marks": say(
            "“Seen by this program” is what it measured itself; “stated by others” is what it was told and only"
            " repeats. The signed text is attached to this file. Not found in the listed stores at this time by this"
            " verifier."
        ),
        "attached": say("The signed text of this certificate"),
        "qr": say("A code that leads to the page where this certificate is checked"),
    }


def _kind(document: Mapping[str, Any]) -> str:
    if document["stage"] == 2:
        return N_("Certificate of deletion, second of two")
    if any(one["what"] == BACKUPS and one["until"] for one in document["residuals"]):
        return N_("Certificate of deletion, first of two")
    return N_("Certificate of deletion")


def _title(document: Mapping[str, Any], scope: str) -> str:
    if scope != "everything":
        return TITLES[scope]
    kept = document["trigger"] in ("withdrawal", "address-change")
    return N_("Everything you handed in is deleted") if kept else N_("Everything of yours is deleted")


def _lead(document: Mapping[str, Any], scope: str, reads: Words) -> list[str]:
    say, processor = reads.gettext, document["processor"]
    begun = BEGUN.get(document["trigger"], BY_OTHERS)
    if begun == BEGUN["retention"] and scope == "model":
        begun = OF_ONE
    told = say(
        RESPONSIBLE,
        controller=document["controller"],
        processor=Term(processor) if processor == PROCESSOR else processor,
        moment=clock(document["deleted_at"], reads),
    )
    lead = [joined([say(begun, day=day(document["requested_at"], reads)), told])]
    if document["stage"] == 2:
        lead.append(say(RAN_OUT))
    return lead


def _class(name: str, found: Mapping[str, Any], reads: Words) -> list[str]:
    say = reads.gettext
    if not found["objects"]:
        how = say("there was nothing")
    else:
        how = say("deleted") if name == "records" else say("deleted, and the key to it destroyed")
    return [say(CLASSES.get(name, name)), reads.number(found["objects"]), clock(found.get("deleted_at"), reads), how]


def _checked(document: Mapping[str, Any], reads: Words) -> list[str]:
    say = reads.gettext
    answers = document["verification"]["stores"].values()
    clean = sum(one["result"] == "clean" for one in answers)
    told = [
        say(
            "A second program looked for anything left on {moment}. It asked {asked} places; {clean} answered that nothing"
            " is there, {other} do not exist here or hold nothing of people. None found anything, and none failed to"
            " answer.",
            moment=clock(document["verification"]["finished_at"], reads),
            asked=len(answers),
            clean=clean,
            other=len(answers) - clean,
        )
    ]
    told += rights_said(document, reads)
    if document["keys"]:
        told.append(
            say(
                "{count} keys were destroyed. What copies of your data still hold is unreadable without them.",
                count=len(document["keys"]),
            )
        )
    return told


def rights_said(document: Mapping[str, Any], reads: Words) -> list[str]:
    """With what rights the look read the database."""
    rights = document["verification"].get("rights")
    if not rights:
        return []
    if "cannot" in rights.get("database", ""):
        return [reads.gettext("It read the database with rights that cannot write.")]
    return [reads.gettext("It read the database with the rights of this program, which could also write.")]


def backups_said(document: Mapping[str, Any], reads: Words) -> list[dict[str, str]]:
    """How long backups are kept, or that they have run out, as the operator states."""
    say = reads.gettext
    found: list[str] = []
    if ran_out := document.get("backups", {}).get("ran_out"):
        found.append(say("Backups of the key folder ran out on {day}, as the operator states.", day=day(ran_out, reads)))
    for one in document["residuals"]:
        if one["what"] != BACKUPS:
            continue
        if one["until"]:
            found.append(say(
                "Backups of the key folder until {day}, as the operator states. A second certificate follows after that"
                " day.",
                day=day(one["until"], reads),
            ))  # fmt: skip
        else:
            found.append(say(
                "Backups of the key folder. The operator has not stated how long they are kept, so no second certificate"
                " can be promised."
            ))  # fmt: skip
    return [{"words": one, "kind": "stated"} for one in found]


def _left(document: Mapping[str, Any], reads: Words) -> list[dict[str, str]]:
    say = reads.gettext
    found = backups_said(document, reads)
    for one in (*document["residuals"], *document.get("kept", [])):
        what, until = one["what"], one.get("until")
        if what == BACKUPS:
            continue
        if what == "raw workbooks of other batches, sealed":
            words = say("Workbooks of other groups of people, locked, until {day}.", day=day(until, reads))
            found.append({"words": words, "kind": "measured"})
        elif what == "raw workbooks of the company's list, sealed":
            words = say("Workbooks from which the company's list was made, locked, until {day}.", day=day(until, reads))
            found.append({"words": words, "kind": "measured"})
        else:
            found.append({"words": say(LEFT.get(what, what)), "kind": "measured"})
    return found or [{"words": say("Nothing that this certificate knows of."), "kind": "measured"}]


def _told(document: Mapping[str, Any], reads: Words) -> list[dict[str, str]]:
    say = reads.gettext
    if document.get("scope", "everything") != "everything":
        return [{"words": say("Nobody has to be told of a deletion on its announced day."), "kind": "measured"}]
    found: list[str] = []
    informed = document["recipients_informed"]
    for one in (*informed, *document["recipients_not_informed"]):
        values = {"count": one["headshots"], "day": day(one["downloaded_at"], reads)}
        if "informed_at" not in one and document["trigger"] == "retention":
            found.append(say("Your employer's desk downloaded headshots ({count}) on {day}; what you left released stays"
                             " with your employer, and nobody was asked to delete it.", **values))  # fmt: skip
        elif one.get("why") == "the mail was still on its way":
            found.append(say("Your employer's desk downloaded headshots ({count}) on {day}; the mail that asks to delete"
                             " them was still on its way.", **values))  # fmt: skip
        elif "informed_at" not in one:
            found.append(
                say("Your employer's desk downloaded headshots ({count}) on {day} and could not be told.", **values)
            )
        elif one.get("how", "").startswith(("by-", "in-")):
            found.append(say("Your employer's desk downloaded headshots ({count}) on {day} and was told on {told} to delete"
                             " them, as your employer states.", told=day(one["informed_at"], reads), **values))  # fmt: skip
        elif one.get("how", "").startswith("asked on the desk"):
            found.append(say("Your employer's desk downloaded headshots ({count}) on {day}; when you took them back on"
                             " {told}, it was asked there to delete them.", told=day(one["informed_at"], reads),
                             **values))  # fmt: skip
        else:
            found.append(say("Your employer's desk downloaded headshots ({count}) on {day} and was asked by mail on {told}"
                             " to delete them.", told=day(one["informed_at"], reads), **values))  # fmt: skip
    stated = {words for one, words in zip(informed, found, strict=False) if one.get("attested_by")}
    if len(found) > MOST:
        found = [*found[:MOST], say("{count} more downloads are listed in the attached text.", count=len(found) - MOST)]
    found = found or [say("Nobody had downloaded headshots of yours, so nobody had to be told.")]
    return [{"words": one, "kind": "stated" if one in stated else "measured"} for one in found]


def _holds(document: Mapping[str, Any], reads: Words) -> list[str]:
    say = reads.gettext
    return [
        say(
            "A hold by a {basis} kept your data from {first} to {last}.",
            basis=say(hold["basis"]),
            first=day(hold["from"], reads),
            last=day(hold["until"], reads),
        )
        for hold in document["holds"][:MOST]
    ]
