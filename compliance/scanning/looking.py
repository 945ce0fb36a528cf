"""One look for what is left of somebody, in every registered store.

The eraser goes through models, foreign keys and prefixes; this goes through the database's own list of tables and the
text of every row, lists files for itself, opens what the desk sealed, asks the key folder for each key, and tries to open
a kept sample. A store that does not answer is "not reachable", never clean.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from compliance import stores
from compliance.models import EVERYTHING
from compliance.proof.scan import StoreAnswer, asked
from compliance.scanning import files, nodes, tables
from compliance.scanning.traces import Traces
from likeness.ground.errors import Gone
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef, SealBroken

SAMPLE_CONTEXT = "erasure/sample"


@dataclass(frozen=True)
class Subject:
    """Whom to look for. The id is random; address and name are known by their keyed digests alone."""

    tenant: UUID
    employee: UUID
    email_index: bytes | None = None
    workbooks: tuple[UUID, ...] = ()
    samples: Mapping[str, str] = field(default_factory=dict)
    """By class of key: base64 of a text that was sealed before the key was destroyed."""
    scope: str = EVERYTHING
    name_index: str = ""
    name_words: int = 0
    since: float | None = None
    """When the person was first known, in seconds; None once that is forgotten."""
    objects: tuple[str, ...] = ()
    """Class and name of each object that a row named: a list of a bucket may be older than what is there."""

    def as_words(self) -> dict[str, Any]:
        return {
            "tenant": str(self.tenant), "employee": str(self.employee), "scope": self.scope,
            "email_index": b64encode(self.email_index).decode() if self.email_index is not None else None,
            "workbooks": [str(one) for one in self.workbooks], "samples": dict(self.samples),
            "name_index": self.name_index, "name_words": self.name_words, "since": self.since,
            "objects": list(self.objects),
        }  # fmt: skip

    @classmethod
    def of_words(cls, words: Mapping[str, Any]) -> Subject:
        return cls(
            **{
                **words,
                "tenant": UUID(words["tenant"]),
                "employee": UUID(words["employee"]),
                "email_index": b64decode(words["email_index"]) if words["email_index"] is not None else None,
                "workbooks": tuple(UUID(one) for one in words["workbooks"]),
                "objects": tuple(words["objects"]),
            }
        )

    def traces(self, kernel: Kernel) -> Traces:
        """After the last look, and where the company left with its key, the id alone is looked for."""
        traces = Traces(
            self.employee, email_index=self.email_index, name_index=self.name_index, name_words=self.name_words
        )
        if self.email_index or self.name_index:
            traces.index_key = kernel.keys.index_key(self.tenant)
        return traces


def answers(kernel: Kernel, subject: Subject) -> list[StoreAnswer]:
    traces = subject.traces(kernel)
    found = [*tables.answers(kernel, subject.tenant, traces), *outside_tables(kernel, subject, traces)]
    return found if subject.scope == EVERYTHING else _within(subject.scope, found)


CACHES_LATER = StoreAnswer(
    stores.CACHES.name, "not applicable", note="looked through when everything of a person is deleted"
)


def outside_tables(kernel: Kernel, subject: Subject, traces: Traces) -> list[StoreAnswer]:
    return [
        *files.objects(kernel, subject.tenant, traces, subject.workbooks, subject.objects),
        *files.home(kernel),
        *(asked(place.name, partial(_key, kernel, subject, cls)) for cls, place in stores.KEYS.items()),
        _samples(kernel, subject),
        *files.logs(kernel, traces),
        *files.scratch(traces),
        *(files.caches(traces, subject.since) if subject.scope == EVERYTHING else [CACHES_LATER]),
        *nodes.answer(kernel, traces, subject.since),
        StoreAnswer(
            stores.QUEUE.name, "not applicable", note="a message is the id of a job row, which table:job answers for"
        ),
        *files.tombstones(kernel, traces),
    ]


def of_company(kernel: Kernel, tenant: UUID, stays: Mapping[str, str]) -> list[StoreAnswer]:
    """What is left of a company that left: rows that name it, but for the tables that stay; files whose path does; keys."""
    found = tables.company_answers(kernel, tenant, stays)
    found.append(asked(stores.COMPANY_OBJECTS, lambda: files.of_company(kernel, tenant)))
    if kernel.objects.versions_purged():
        found.append(asked(stores.COMPANY_VERSIONS, lambda: len(kernel.objects.older(f"tenants/{tenant}"))))
    else:
        note = "older versions of the bucket could not be listed"
        found.append(StoreAnswer(stores.COMPANY_VERSIONS, "not reachable", note=note))
    found.append(asked(stores.COMPANY_KEYS, lambda: len(kernel.keys.refs(tenant)) + kernel.keys.opens(tenant)))
    return found


def _within(scope: str, answers: list[StoreAnswer]) -> list[StoreAnswer]:
    """Of a deletion of one class only the places of that class are asked; the others may go on knowing the person."""
    cls = KeyClass(scope)
    mine = {f"table:{due.table}" for due in stores.DUE if due.cls == cls}
    mine |= {stores.OBJECTS[cls].name, stores.KEYS[cls].name}
    note = "this deletion was of one class alone, which this store does not hold"
    return [one if one.store in mine else StoreAnswer(one.store, "not applicable", note=note) for one in answers]


def _key(kernel: Kernel, subject: Subject, cls: KeyClass) -> int:
    ref = KeyRef(subject.tenant, subject.employee, cls)
    on_disk = ref in kernel.keys.refs(subject.tenant, subject.employee)
    return int(on_disk or kernel.keys.state(ref) != "destroyed")


def _samples(kernel: Kernel, subject: Subject) -> StoreAnswer:
    if not subject.samples:
        note = "the person had no key that opens, or the last look is over"
        return StoreAnswer(stores.SAMPLES.name, "not applicable", note=note)
    return asked(
        stores.SAMPLES.name, lambda: sum(_opens(kernel, subject, cls, kept) for cls, kept in subject.samples.items())
    )


def _opens(kernel: Kernel, subject: Subject, cls: str, kept: str) -> bool:
    try:
        key = kernel.keys.open(KeyRef(subject.tenant, subject.employee, KeyClass(cls)))
        key.open(b64decode(kept), SAMPLE_CONTEXT)
    except (Gone, SealBroken):
        return False
    return True
