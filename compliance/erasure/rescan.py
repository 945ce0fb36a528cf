"""The re-scan of an erasure: whom to look for, and the answers of the look, with the rights under which it was made."""

from __future__ import annotations

from importlib.metadata import version
from uuid import UUID

from compliance.models import LEFT_BY, Erasure
from compliance.proof.scan import Scan
from compliance.scanning import reader
from compliance.scanning.looking import SAMPLE_CONTEXT as SAMPLE_CONTEXT
from compliance.scanning.looking import Subject as Subject
from likeness.ground.db import utc_now
from likeness.kernel import Kernel

VERIFIER = "likeness-rescan"


def subject_of(erasure: Erasure) -> Subject:
    """Where the company's line stays, its own file stays for its day as well: gone before, it would tell who withdrew."""
    traces = erasure.traces
    workbooks = () if erasure.trigger in LEFT_BY else traces.get("workbooks", [])
    return Subject(
        tenant=erasure.tenant_id,
        employee=erasure.employee_id,
        email_index=bytes.fromhex(traces["email_index"]) if "email_index" in traces else None,
        workbooks=tuple(UUID(one) for one in workbooks),
        samples=traces.get("samples", {}),
        scope=erasure.scope,
        name_index=traces.get("name_index", ""),
        name_words=traces.get("name_words", 0),
        since=traces.get("since"),
        objects=tuple(traces.get("objects", ())),
    )


def scan(kernel: Kernel, subject: Subject) -> Scan:
    """Asks every registered store, in a process of its own. Whether that passes is for `PassedScan` to say."""
    started = utc_now()
    answers, rights = reader.look(kernel, subject)
    return Scan(VERIFIER, version("likeness"), started, utc_now(), tuple(answers), rights)
