"""What the codes of requests, erasures and holds are called on legal's pages."""

from __future__ import annotations

from collections.abc import Mapping

from compliance.desk import letters
from compliance.desk.finding import Why
from compliance.models import Method, Refusal, RequestKind, Trigger, Verification
from compliance.rights import labels
from likeness.keys.keys import KeyClass
from likeness.locale.marks import N_

COVERED: Mapping[str, str] = {
    KeyClass.SOURCE: N_("selfies"), KeyClass.MODEL: N_("the model"), KeyClass.HEADSHOT: N_("headshots"),
}  # fmt: skip
"""What a hold may cover."""
CAUSES: Mapping[str, str] = {
    Trigger.PERSON: N_("the person"), Trigger.WITHDRAWAL: N_("consent withdrawn"),
    Trigger.ADDRESS: N_("a new address was not confirmed"), Trigger.LEAVER: N_("left the company"),
    Trigger.UNDO: N_("import undone"), Trigger.TENANT_EXIT: N_("company left"), Trigger.EMPLOYER: N_("HR deleted it"),
}  # fmt: skip
ON_ITS_DAY: Mapping[str, str] = {
    KeyClass.SOURCE: N_("time was up for selfies"), KeyClass.MODEL: N_("time was up for the model"),
    KeyClass.HEADSHOT: N_("time was up for headshots"),
}  # fmt: skip
"""Why something of a person went by itself."""
STATES: Mapping[str, str] = labels.WORK
MEANS: Mapping[str, str] = labels.MEANS
"""How a recipient was told, and why another could not be."""
KINDS: Mapping[str, str] = {
    RequestKind.ACCESS: N_("access"), RequestKind.PORTABILITY: N_("portability"),
    RequestKind.RECTIFICATION: N_("rectification"), RequestKind.ERASURE: N_("erasure"),
    RequestKind.RESTRICTION: N_("restriction"), RequestKind.OBJECTION: N_("objection"),
    RequestKind.KNOW: N_("right to know"), RequestKind.DELETE: N_("right to delete"),
    RequestKind.CORRECT: N_("right to correct"), RequestKind.OPT_OUT: N_("opt-out"),
    RequestKind.LIMIT: N_("right to limit"),
}  # fmt: skip
LAWS: Mapping[str, str] = {"gdpr": N_("GDPR"), "ccpa": N_("CCPA")}
CAME: Mapping[str, str] = {
    Method.SIGNED_IN: N_("through the person's own page"), Method.LETTER: N_("by letter"), Method.MAIL: N_("by e-mail"),
    Method.PHONE: N_("by telephone"), Method.IN_PERSON: N_("in person"),
}  # fmt: skip
KNOWN_BY: Mapping[str, str] = {
    Verification.SIGNED_IN: N_("they were signed in"), Verification.KNOWN: N_("known in person"),
    Verification.CALLED_BACK: N_("called back"),
}  # fmt: skip
EXTENSIONS: Mapping[str, str] = letters.EXTENSIONS
REFUSALS: Mapping[str, str] = {
    Refusal.NO_MATCH: N_("nothing is held about them"), Refusal.NOT_VERIFIED: N_("it could not be made sure who asks"),
    Refusal.NOT_COVERED: N_("the law gives no such right here"),
    Refusal.OUTSIDE: N_("this law does not apply to them"),
    Refusal.TOO_MANY: N_("the same was asked and answered too often in a short time"),
}  # fmt: skip
WHYS: Mapping[str, str] = {
    Why.LETTER: N_("a request that came by letter"), Why.ANSWER: N_("an answer to the person"),
    Why.COURT: N_("an order of a court"), Why.AUTHORITY: N_("a question of an authority"),
    Why.BREACH: N_("people of a breach"),
}  # fmt: skip
EVENTS: Mapping[str, str] = {
    "request.received": N_("received"), "request.verified": N_("it is known who asks"),
    "request.approved": N_("approved by legal"), "request.dispatched": N_("carried out"),
    "request.extended": N_("more time taken"), "request.acknowledged": N_("receipt confirmed"),
    "request.recipients-written": N_("recipients written to"), "request.recipients-informed": N_("recipients informed"),
    "request.recipients-excused": N_("recipients excused"), "request.answer-asked": N_("answer prepared"),
    "request.answered": N_("answered"), "request.refused": N_("refused"),
}  # fmt: skip
"""What happened about a request."""
CALLERS: Mapping[str, str] = {
    "employee": N_("the person"), "member": N_("a member"), "operator": N_("an operator"), "machine": N_("a program"),
    "system": N_("the program itself"),
}  # fmt: skip
