"""What stands on the page about a company that left, in the company's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compliance.proof.paper import words
from compliance.proof.paper.words import MOST, PROCESSOR, clock, day
from likeness.locale.marks import N_, Term
from likeness.locale.words import Words
from likeness.mail.paragraphs import joined

CLASSES = {
    "source": N_("Selfies and uploads"),
    "model": N_("Models of people"),
    "headshot": N_("Headshots"),
}
LIMITS = (
    N_("What the company downloaded or was handed back before, and mails in anybody's mailbox."),
    N_("Blocks of deleted files may stay on disks; they were encrypted under keys that are destroyed."),
    N_("Log stores that the operator attached to this program's output were not searched."),
    N_("The database's statistics, freed pages and write-ahead log."),
    N_("Accounts of the company's people at its own provider of sign-ins: they are the company's."),
)
VERIFY = N_(
    "Scan the code above or open {address}: the page checks this file in your browser and sends it nowhere. Without us: the"
    " command likeness verify, or the file verifier.py with the public key whose fingerprint you noted before; it stands in"
    " every consent receipt of the company's people as well."
)


def page(document: Mapping[str, Any], reads: Words) -> dict[str, Any]:
    """Everything on the page but the code and the attachment: the same places as on a person's, filled otherwise."""
    say = reads.gettext
    around = words.headings(reads)
    return {
        "language": reads.language,
        "title": say("Everything of this company is deleted"),
        "controller": document["controller"],
        "lead": [*_lead(document, reads), *_holds(document, reads)],
        "columns": [say("what"), say("count"), say("deleted on"), say("how"), ""],
        "classes": list(_deleted(document, reads)),
        "checked": _checked(document, reads),
        "left": list(_left(document, reads)),
        "told": [{"words": _handed_back(document, reads), "kind": "measured"}],
        "limits": [say(one) for one in LIMITS],
        "whose": say("It names the company and none of its people. Each of them has a certificate of their own deletion."),
        "words": around | {"kind": say(_kind(document)), "told": say("What was handed back")},
    }


def _kind(document: Mapping[str, Any]) -> str:
    if document["stage"] == 2:
        return N_("Certificate of a company's departure, second of two")
    if document["residuals"][0]["until"]:
        return N_("Certificate of a company's departure, first of two")
    return N_("Certificate of a company's departure")


def _lead(document: Mapping[str, Any], reads: Words) -> list[str]:
    say, processor = reads.gettext, document["processor"]
    lead = [
        joined([
            say("On {day} it was asked that {controller} leaves.", controller=document["controller"],
                day=day(document["asked_at"], reads)),
            say("All of it is gone: {processor} deleted it and destroyed its key on {moment}.",
                processor=Term(processor) if processor == PROCESSOR else processor,
                moment=clock(document["deleted_at"], reads)),
        ])
    ]  # fmt: skip
    return [*lead, say(words.RAN_OUT)] if document["stage"] == 2 else lead


def _deleted(document: Mapping[str, Any], reads: Words) -> list[list[str]]:
    say, counted, at = reads.gettext, document["counted_when_asked"], clock(document["deleted_at"], reads)
    lines = [(say("People, with everything that was held of them"), document["people_erased"])]
    lines += [(say(CLASSES.get(name, name)), count) for name, count in counted.get("objects", {}).items()]
    lines.append((say("Groups of people"), counted.get("batches", 0)))
    found = [
        [what, reads.number(count), at if count else "\N{EN DASH}",
         say("deleted, and the key to it destroyed") if count else say("there was nothing")]
        for what, count in lines
    ]  # fmt: skip
    return [*found, [say("The company's key"), reads.number(1), at, say("destroyed")]]


def _checked(document: Mapping[str, Any], reads: Words) -> list[str]:
    answers = document["verification"]["stores"].values()
    clean = sum(one["result"] == "clean" for one in answers)
    told = reads.gettext(
        "A second program looked for anything left of the company on {moment}. It asked {asked} places; {clean} answered"
        " that nothing is there, {other} hold what is named below as kept, or do not exist here. None found anything, and"
        " none failed to answer.",
        moment=clock(document["verification"]["finished_at"], reads),
        asked=len(answers),
        clean=clean,
        other=len(answers) - clean,
    )
    return [told, *words.rights_said(document, reads)]


def _left(document: Mapping[str, Any], reads: Words) -> list[dict[str, str]]:
    say = reads.gettext
    found = words.backups_said(document, reads)
    kept = say(
        "Evidence, under random numbers that lead to nobody: the log with its signed checkpoints, the records of deletions,"
        " requests, holds and credits, and the certificates."
    )
    found += [{"words": kept, "kind": "measured"}]
    return [*found, {"words": say("The company's name, for this certificate."), "kind": "measured"}]


def _handed_back(document: Mapping[str, Any], reads: Words) -> str:
    if at := document["handed_back_at"]:
        return reads.gettext("The list of people and the released headshots, taken on {day}.", day=day(at, reads))
    return reads.gettext("Nothing: it was not asked for.")


def _holds(document: Mapping[str, Any], reads: Words) -> list[str]:
    say = reads.gettext
    return [
        say("A hold by a {basis} kept data of its people until {last}.", basis=say(hold["basis"]),
            last=day(hold["until"], reads))
        for hold in document["holds"][:MOST]
    ]  # fmt: skip
