"""The register of models: which there are, each trained on the photos of one person alone, and when each goes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Sitting
from batch.sittings.runs import Weights
from compliance.records.documents import Document, DocumentSection
from likeness.ground.db import tenant_of

NOTE = (
    "Each line is one file of weights. The database takes it for a sitting of the person whose it is, and for no other"
    " (weights_of_own_sitting); a studio opens the photos of the people of its order and of nobody else. Base models are"
    " read and never written. How many people's rows lead to a file is counted as this is made; whose photos a training"
    " read is not measured in the file itself."
)


def document(session: Session, now: datetime) -> Document:
    same = (col(Sitting.tenant_id) == col(Weights.tenant_id)) & (col(Sitting.id) == col(Weights.sitting_id))
    found = session.execute(
        select(Weights, Sitting)
        .join(Sitting, same)
        .where(col(Weights.tenant_id) == tenant_of(session))
        .order_by(col(Weights.created_at), col(Weights.id))
    ).all()
    people: dict[str, set[UUID]] = {}
    for weights, sitting in found:
        # Files of one order share its path, so whoever else led to the same file would be counted too.
        people.setdefault(weights.path, set()).update((weights.employee_id, sitting.employee_id))
    rows = [
        (str(weights.id), weights.kind, sitting.recipe, str(sitting.id), len(people[weights.path]), weights.created_at,
         weights.due_at)
        for weights, sitting in found
    ]  # fmt: skip
    columns = ("model", "kind", "trained on the base of", "for the sitting", "people whose rows lead to it", "made",
               "goes on")  # fmt: skip
    return Document("models", "Models that there are", now, "Every file of weights of this company, as of now.",
                    [DocumentSection("Models", columns, rows, NOTE)])  # fmt: skip
