"""What the columns of the registry are called on the page of an access package, and what their codes mean.

The files for programs keep the codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from batch.sittings import approvals
from likeness.locale.languages import LANGUAGES
from likeness.locale.marks import N_

BEGUN, ENDED, KIND, LANGUAGE, WRONG = N_("Begun"), N_("Ended"), N_("Kind"), N_("Language"), N_("What went wrong")
ASKED, NUMBER, DELETED, CHECKED = N_("Asked for"), N_("Number"), N_("Deleted"), N_("Checked")

LABELS: Mapping[str, str] = {
    "acknowledged": N_("Confirmations"), "acknowledged_at": N_("Confirmed"), "amount": N_("Amount"),
    "answer": N_("The answer"), "answer_asked_at": N_("Answer decided"),
    "answered_at": N_("Answered"), "approved_at": N_("Approved"),
    "asked": N_("How often you asked"), "asked_at": ASKED, "at": N_("When"),
    "authenticated_at": N_("Signed in"), "basis": N_("Ground"), "before": N_("What the list said before"),
    "bound_at": N_("Connected"), "bounced_at": N_("Came back undelivered"), "bytes": N_("Bytes"), "caller": N_("By whom"),
    "changed_at": N_("Changed"), "checked_at": CHECKED, "classes": N_("Only"), "closer": N_("Steps closer"),
    "draft": N_("Neither kept nor dropped yet"), "raised": N_("Steps higher"), "made_from": N_("Made from"),
    "made_until": N_("Made until"), "removed_at": N_("Deleted, and kept by a hold"),
    "code": N_("Answer of the mail server"),
    "confirmed_at": N_("Confirmed"), "counts": N_("What there was"), "created_at": BEGUN, "deleted_at": DELETED,
    "delivered_at": N_("Delivered"), "digest": N_("Fingerprint (SHA-256)"),
    "dispatched_at": BEGUN, "done_at": N_("Answered"),
    "downloaded_at": N_("Downloaded by your employer"), "dress": N_("Colour of what you wear"), "due": N_("Due"),
    "desk": N_("Who reads it"),
    "due_at": N_("Deleted on, at the latest"), "ended_at": ENDED, "epoch": N_("Part of the log"), "error": WRONG,
    "event": N_("What happened"), "expires_at": N_("Runs out"), "extended_at": N_("More time was taken"),
    "extension": N_("Why more time"), "face": N_("The face that you chose"), "faces": N_("Where faces are"),
    "failed_at": N_("Failed"), "failure": WRONG, "failures": N_("Tries that failed"), "favourite_at": N_("You marked it"),
    "findings": N_("What was found in it"), "finished_at": ENDED, "given_at": N_("Given"),
    "handed_at": N_("Given to the mail server"), "headshot_id": N_("Headshot"), "heartbeat_at": N_("Last sign of life"),
    "height": N_("Height in pixels"), "id": NUMBER, "is_me": N_("You said that it shows you"),
    "issuer": N_("Who vouches for the account"), "kind": KIND, "language": LANGUAGE, "leaves_at": N_("You leave on"),
    "length": N_("Bytes in all"), "lift_asked_at": N_("Its end was asked for"), "lifted_at": ENDED,
    "likeness_ratio": N_("How much it looks like you"), "looked_again_at": N_("Looked at again"),
    "loosening": N_("How much the frame was loosened"), "made": N_("Made"), "made_at": N_("Made"), "mails": N_("Mails"),
    "method": N_("How it came"), "named_otherwise": N_("Another name than on the list"),
    "signed_receipt": N_("Signed receipt"), "missed": N_("Looks that failed"), "unused": N_("Photos that nothing came of"),
    "missing_since": N_("File missing since"),
    "notice_id": N_("Notice"), "number": NUMBER, "objects": N_("About"), "opened_at": N_("Opened"),
    "opted_out_at": N_("You declined or withdrew"), "outcome": N_("What came of it"), "passed": N_("Passed the check"),
    "pilot_at": N_("Invited among the first three"),
    "person": N_("Which person of the set it shows"), "placed_at": ASKED, "pose": N_("Turn of the head"),
    "profile": N_("Who you are"), "purpose": N_("For what"), "question": N_("What to look at"),
    "reads": N_("Language that you chose"), "reason": N_("Reason"), "returned_at": N_("Your employer asked for another"),
    "returned_for": N_("Why"), "kept_at": N_("You kept it"), "received": N_("Bytes that came"),
    "received_at": N_("Received"), "recipe": N_("How headshots are made"), "recipients": N_("Who was told"),
    "recipients_settled_at": N_("All of them told, or excused"),
    "refusal": N_("Why it was refused"), "regime": N_("Law"), "reminded_at": N_("Last reminder"),
    "reminders": N_("Reminders"), "requested_at": ASKED, "restricted_at": N_("Use was stopped"),
    "revoked_at": N_("Called back"), "scan": N_("What the look found"), "scope": N_("How much"),
    "page": N_("The page you were on"), "promised_at": N_("Answer promised by"),
    "sealed": N_("What it says"),
    "seconds": N_("Seconds"), "seen_at": N_("Last used"), "sent_at": N_("Sent"), "sequence": N_("Number in the log"),
    "settled_at": N_("Work had stopped"), "signature": N_("Name that you typed"), "started_at": BEGUN, "state": N_("State"),
    "step": N_("Step"), "steps": N_("Steps"), "subject": N_("Number of the account"), "template": N_("Kind of mail"),
    "touched_at": N_("Last piece came"), "tried_at": N_("Last tried"), "tries": N_("Tries"), "trigger": N_("Cause"),
    "twin_of": N_("Better photo of the same moment"), "until": N_("Until"), "used_anyway": N_("You used it anyway"),
    "used_at": N_("Used"), "verification": N_("How you were recognised"), "verified_at": CHECKED,
    "waved": N_("Your employer let it count"), "width": N_("Width in pixels"), "withdrawn_at": N_("Withdrawn"),
    "name": N_("Name"), "country": N_("Country"), "safeguards": N_("What a transfer there rests on"),
    "begins_at": N_("From"),
    # Within what was sealed.
    "full_name": N_("Name"), "email": N_("E-mail address"), "employee_key": N_("Employee number"),
    "days": N_("On these days"), "department": N_("Department"), "site": N_("Site"),
    "manager_email": N_("Your manager's address"),
    "known_as": N_("Name under which you first came"),
    "receipt": N_("Receipt of a deletion"), "directory": N_("What your employer's directory says"), "to": N_("To"),
    "subject_line": N_("Subject"), "text": N_("Text"), "informed_at": N_("Told"), "excuse": N_("Why not told"),
    "notice": N_("Notice"), "version": N_("Version"), "sha256": N_("Fingerprint (SHA-256)"),
}  # fmt: skip

COUNTED, HEADSHOTS = N_("How many"), N_("Headshots")
NESTED: Mapping[str, str] = {"objects": COUNTED, "created": BEGUN, "headshots": HEADSHOTS, "recipient": N_("Who")}
"""What stands within counts and recipients."""
CLASSES = {
    "source": N_("Selfies and uploads"), "model": N_("Models of you"), "headshot": HEADSHOTS,
    "records": N_("Records in the database"), "profile": N_("Who you are"), "log-detail": N_("Details of the log"),
}  # fmt: skip
WORK = {
    "checking": N_("is being looked at"), "choosing": N_("your own face is to be tapped"),
    "advised": N_("counts, with advice"), "accepted": N_("counts"), "aside": N_("set aside"), "spare": N_("not needed"),
    "rejected": N_("cannot be used"), "ready": N_("waits"), "training": N_("is being made"),
    "rendering": N_("is being made"), "running": N_("is being done"),
    "succeeded": N_("done"), "done": N_("done"), "working": N_("is being made"), "dropped": N_("dropped"),
    "failed": N_("failed"), "lost": N_("ended without an answer"), "dead": N_("given up"), "cancelled": N_("stopped"),
    "requested": N_("asked for"), "held": N_("kept by a hold"), "deleting": N_("is being deleted"),
    "verifying": N_("is being checked"), "verified": N_("checked"), "certified": N_("deleted and certified"),
}  # fmt: skip
KINDS = {
    "access": N_("a copy of your data"), "portability": N_("your data to take with you"),
    "rectification": N_("to correct your data"), "erasure": N_("to delete your data"),
    "restriction": N_("to stop using your data"), "objection": N_("your objection to the use of your data"),
    "know": N_("to know what is held about you"), "delete": N_("to delete what is held about you"),
    "correct": N_("to correct what is held about you"), "opt-out": N_("not to sell or share your data"),
    "limit": N_("to limit the use of sensitive data"), "adapter": N_("a model of your face"),
    "checkpoint": N_("an unfinished model of your face"),
}  # fmt: skip
MEANS = {
    "by-telephone": N_("by telephone"), "in-person": N_("in person"), "by-letter": N_("by letter"),
    "by-another-message": N_("by another message"), "impossible": N_("it is impossible"),
    "disproportionate-effort": N_("it would take disproportionate effort"),
}  # fmt: skip
ACCOUNT = N_("Something about your name, address or account")
PICTURE, PHOTO = N_("Something about a headshot of yours"), N_("Something about a photo of yours")
MAKING, CONSENT = N_("Something about the making of your headshots"), N_("Something about your consent")
DELETION, LINK = N_("Something about a deletion"), N_("Something about your invitation or link")
NOUNS = {
    "photo": PHOTO, "upload": PHOTO,
    "sitting": MAKING, "run": MAKING,
    "headshot": PICTURE, "release": PICTURE,
    "edit": PICTURE, "approval": PICTURE,
    "copy": PICTURE, "weights": N_("Something about the model of you"),
    "consent": CONSENT, "notice": CONSENT,
    "invitation": LINK, "link": LINK,
    "address": ACCOUNT, "name": ACCOUNT,
    "identity": ACCOUNT, "line": ACCOUNT,
    "directory": ACCOUNT, "person": ACCOUNT,
    "session": N_("Something about a sign-in"), "key": N_("Something about a key of yours"),
    "request": N_("Something about a request of yours"), "concern": N_("Something about a question of yours"),
    "processing": N_("The use of your photos was stopped, or went on"), "hold": N_("Something about a legal hold"),
    "erasure": DELETION, "certificate": N_("Something about a certificate of deletion"),
    "deletion": DELETION, "receipt": DELETION,
    "credit": N_("Something about what your employer paid"), "package": N_("A copy of your data was handed out"),
}  # fmt: skip
"""Of events without a sentence of their own, by what they are about."""
OTHERWISE = N_("A step of the program")
EVENTS: Mapping[str, str] = {
    "consent.given": N_("You agreed"), "consent.declined": N_("You said no"),
    "consent.withdrawn": N_("You withdrew your consent"), "invitation.opened": N_("You opened your page"),
    "invitation.sent": N_("A mail with your link was written"),
    "photo.added": N_("A photo of yours arrived and was encrypted"),
    "photo.accepted": N_("A program looked at a photo, and it counts"),
    "photo.rejected": N_("A photo could not be used and was deleted at once"),
    "photo.removed": N_("You deleted a photo"), "photo.expired": N_("A photo was deleted because its time was up"),
    "sitting.claimed": N_("One computer borrowed your key and began to make your headshots"),
    "sitting.done": N_("Your headshots were made"), "sitting.cancelled": N_("The making was stopped"),
    "person.viewed": N_("Somebody at your company opened your entry in the list"),
    "person.found": N_("Somebody at your employer's legal department found you by name"),
    "headshot.viewed": N_("Your employer looked at a headshot that you released"),
    "headshot.removed": N_("You deleted a headshot"),
    "headshot.expired": N_("A headshot was deleted because its time was up"),
    "weights.expired": N_("The model of you was deleted"),
    "key.destroyed": N_("A key of yours was destroyed: no backup can be read with it any more"),
    "release.given": N_("You released a headshot"), "release.taken-back": N_("You took a headshot back"),
    "release.downloaded": N_("Your employer downloaded what you released"),
    "copy.asked-back": N_("Your employer was asked to delete its copy"),
    "copy.deleted": N_("Your employer said that its copy is deleted"),
    "hold.confirmed": N_("A legal hold began: what it covers is not deleted while it stands"),
    "hold.lifted": N_("A legal hold ended"), "package.handed": N_("A copy of your data was handed out"),
    "request.received": N_("You asked for something under data protection law"),
    "erasure.requested": N_("A deletion was asked for"),
    "erasure.verified": N_("A second program looked for anything left, and found nothing"),
}  # fmt: skip
TEMPLATES: Mapping[str, str] = {
    "invitation": N_("An invitation"), "remind": N_("A reminder"), "expiry": N_("A reminder"),
    "request": N_("About a request of yours"), "address": N_("About your name, address or account"),
    "account": N_("About your name, address or account"), "name": N_("About your name, address or account"),
    "link": N_("A link to your page"), "ready": N_("Your headshots are ready"),
}  # fmt: skip
"""Of mails, by how the name of the template begins."""
A_MESSAGE = N_("Another message")
CODES: Mapping[str, Mapping[str, str]] = {
    "state": WORK, "kind": KINDS, "excuse": MEANS, "how": MEANS,
    "trigger": {
        "person": N_("your own wish"), "withdrawal": N_("your consent was withdrawn"),
        "address-change": N_("a new address that nobody confirmed"), "leaver": N_("you left your employer"),
        "undo": N_("an import that was undone"), "retention": N_("its last day"),
        "tenant-exit": N_("your employer left this service"), "employer": N_("your employer's wish"),
    },
    "scope": {"everything": N_("everything"), **CLASSES}, "classes": CLASSES,
    "method": {
        "signed-in": N_("through your own page"), "letter": N_("by letter"), "mail": N_("by e-mail"),
        "phone": N_("by telephone"), "in-person": N_("in person"),
    },
    "regime": {"gdpr": N_("GDPR (European Union)"), "ccpa": N_("CCPA (California)")},
    "verification": {
        "signed-in": N_("You were signed in, so it is known that it is you."),
        "known-in-person": N_("Somebody at your employer who knows you in person said that it is you."),
        "called-back": N_("You were called at a number that is on file, so it is known that it is you."),
    },
    "extension": {"complex": N_("it is complex"), "many-requests": N_("many requests came at once")},
    "refusal": {
        "no_match": N_("nothing is held about you"),
        "insuf_verification": N_("it could not be made sure that it is you who asks"),
        "claim_not_covered": N_("the law gives no such right here"),
        "outside_jurisdiction": N_("this law does not apply to you"),
        "too_many_requests": N_("the same was asked and answered too often in a short time"),
    },
    "purpose": {
        "headshots": N_("a model of you is trained, and headshots are made with it"),
        "drawn": N_("headshots are drawn from your photos; nothing is trained"),
        "portrait": N_("your photos are cut out and set on a backdrop; nothing is trained"),
        "biometric": N_("faces are compared, to check that headshots look like you"),
    },
    "outcome": {
        "sent": N_("the mail server took it"), "address": N_("the mail server does not know this address"),
        "refused": N_("refused"), "spelling": N_("the mail server cannot write this address"),
        "later": N_("the mail server asked to try again later"), "away": N_("the mail server could not be reached"),
        "unknown": N_("the mail server gave no answer"), "confirmed": N_("confirmed"), "replaced": N_("replaced"),
        "taken back": N_("called off"), "corrected": N_("corrected"), "ran out": N_("nobody answered in time"),
    },
    "basis": {"warrant": N_("warrant"), "subpoena": N_("subpoena")},
    "reason": {
        "grant": N_("bought"), "reserve": N_("set aside for you"), "charge": N_("used for you"),
        "release": N_("given back"), "refund": N_("given back"), **approvals.REASONS,
    },
    "pose": {"front": N_("to the front"), "left": N_("to the left"), "right": N_("to the right")},
    "caller": {
        "your employer": N_("your employer"), "you": N_("you"), "the operator": N_("the operator"),
        "the program": N_("the program"),
    },
    "recipient": {"the employer's desk": N_("your employer")},
    "desk": {"hr": N_("your personnel department"), "legal": N_("your employer's legal department")},
    "recipe": {"cutout": N_("cut out of a photo, without a model of you")},
    "returned_for": approvals.REASONS, "error": {}, "event": {}, "template": {}, "language": LANGUAGES, "reads": LANGUAGES,
}  # fmt: skip
"""By column, what each code is called; what is not listed reads as `OTHERWISE` where the column holds codes."""
BY_A_MODEL, BY_PHOTOS = N_("with a model of you"), N_("drawn from your photos, without a model of you")


def meaning(column: str, code: str) -> str | None:
    """The sentence of the catalogue for a code of this column; None where the column holds no codes."""
    if column not in CODES:
        return None
    if found := CODES[column].get(code):
        return found
    if column == "event":
        return EVENTS.get(code) or NOUNS.get(code.partition(".")[0]) or OTHERWISE
    if column == "template":
        return TEMPLATES.get(code.partition("-")[0]) or A_MESSAGE
    if column == "recipe":
        return BY_PHOTOS if code.endswith("-reference") else BY_A_MODEL
    return OTHERWISE
