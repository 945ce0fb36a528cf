"""The export of a large audit log: `python -m benchmarks.log_export --events 1000000`. Prints
seconds and memory by form, as JSON.

The log is invented in a database of its own; each form is written in a process of its own, so that memory is that form's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from compliance.proof import signing
from compliance.records import auditing
from likeness import checkpoints
from likeness.ground.db import utc_now
from likeness.ground.settings import Settings
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tenants import tenants

INVENTED = text(
    """
    insert into ledger_entry (id, tenant_id, sequence, epoch, position, at, event, caller, subject, objects, format, leaf)
    select gen_random_uuid(), :tenant, n, 1, n - 1, now() - interval '30 days' + n * interval '1 second',
           (array['photo.added', 'consent.given', 'headshot.viewed', 'photo.expired', 'session.started'])[1 + n % 5],
           'member:' || gen_random_uuid(), gen_random_uuid()::text, json_build_array(gen_random_uuid()), 2,
           sha256(gen_random_uuid()::text::bytea)
    from generate_series(cast(:first as bigint), cast(:last as bigint)) n
    """
)
"""Leaves are random: what is measured is how long they take and how much memory, not what they say."""


def invent(kernel: Kernel, events: int) -> UUID:
    tenant = tenants.found(kernel, name="Bench", contact="", recipes=["cutout"])
    with kernel.db.transaction(tenant) as session:
        last = session.execute(text("select max(sequence) from ledger_entry")).scalar_one()
        session.execute(INVENTED, {"tenant": tenant, "first": last + 1, "last": events})
    with kernel.db.transaction(tenant) as session:
        checkpoints.sign(session, signing.signer(kernel, utc_now()), utc_now())
    return tenant


def most() -> float:
    """Of this process so far, in MB; what a parent used before is not in it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(status["VmHWM"].split()[0]) / 1024, 1)


def write(kernel: Kernel, tenant: UUID, form: str) -> dict[str, float]:
    before, started, size = most(), time.monotonic(), 0
    for piece in auditing.pieces(kernel, tenant, auditing.AuditPeriod(), form, caller="system"):
        size += len(piece)
    taken = round(time.monotonic() - started, 1)
    return {"seconds": taken, "megabytes": round(size / 1e6, 1), "most_mb": most(), "before_mb": before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--forms", default=",".join(auditing.FORMS))
    parser.add_argument("--form", default="", help=argparse.SUPPRESS)
    parser.add_argument("--tenant", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        kernel = assemble(Settings(home=Path(os.environ["BENCH_HOME"]), database_url=os.environ["BENCH_URL"]))
        print(json.dumps(write(kernel, UUID(options.tenant), options.form)))
        return
    with tempfile.TemporaryDirectory(prefix="likeness-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = EmbeddedPostgres(home / "postgres")
        server.start()
        try:
            migrate(server.url("likeness_owner"))
            kernel = assemble(Settings(home=home, database_url=server.url("likeness_app")))
            fingerprint.settle(kernel.db, kernel.keys)
            tenant = invent(kernel, options.events)
            found = {}
            for form in options.forms.split(","):
                ran = subprocess.run(
                    [sys.executable, "-m", "benchmarks.log_export", "--form", form, "--tenant", str(tenant)],
                    env=os.environ | {"BENCH_HOME": folder, "BENCH_URL": server.url("likeness_app")},
                    check=True, capture_output=True, text=True,
                )  # fmt: skip
                found[form] = json.loads(ran.stdout)
            print(json.dumps({"events": options.events, "forms": found}, indent=2))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
