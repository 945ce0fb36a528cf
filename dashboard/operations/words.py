"""What the codes of lanes, runs and mails are called on the operators' pages."""

from __future__ import annotations

from collections.abc import Mapping

from batch.sittings.runs import RunState
from likeness.ground.lanes import Lane
from likeness.locale.marks import N_

LANES: Mapping[str, str] = {
    Lane.PRIVACY: N_("Privacy"), Lane.PHOTOS: N_("Photos"), Lane.MAIL: N_("Mail"), Lane.WEBHOOKS: N_("Webhooks"),
    Lane.GENERAL: N_("General"),
}  # fmt: skip
RUNS: Mapping[str, str] = {
    RunState.RUNNING: N_("running"), RunState.SUCCEEDED: N_("succeeded"), RunState.FAILED: N_("did not succeed"),
    RunState.LOST: N_("lost"), RunState.CANCELLED: N_("cancelled"),
}  # fmt: skip
OUTCOMES: Mapping[str, str] = {
    "unknown": N_("nobody knows"), "address": N_("the address is not taken"), "refused": N_("refused"),
    "spelling": N_("the address cannot be carried"), "later": N_("asked to come later, given up"),
    "away": N_("no server for three days"), "no mailbox": N_("nobody has this address"),
}  # fmt: skip
"""What came of a mail that did not arrive."""
OTHERWISE = N_("not delivered")
