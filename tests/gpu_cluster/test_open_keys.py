"""An order through a real Ray: neither its bytes, nor Ray's memory and store, nor its logs ever hold an open key."""

from __future__ import annotations

import os
import pickle
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from uuid import UUID

import psutil
import pytest

from batch.sittings import sittings
from gpu_cluster.cluster import claiming, fleet, scheduling
from gpu_cluster.cluster.granting import grant
from gpu_cluster.engine.lease import Lease, OutsideLease
from gpu_cluster.engine.orders import Order
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.keys.recipient import Recipient
from tests.factories import make_tenant
from tests.gpu_cluster.test_scheduling import ENDED, OWN, sit, state, tend_until

pytestmark = pytest.mark.timeout(1200)

CLASSES = (KeyClass.SOURCE, KeyClass.HEADSHOT)


@pytest.fixture(scope="module")
def portraits(kernel: Kernel) -> Iterator[Kernel]:
    """Studio portraits alone: no base has to be loaded, and all else is the same."""
    quick = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "cutout"}))
    yield quick
    OWN.close(quick)


def spellings(secret: bytes) -> list[bytes]:
    return [secret, secret.hex().encode(), b64encode(secret)[:42], repr(secret).encode()]


def memory(process: psutil.Process) -> Iterator[bytes]:
    """All that a process holds, its part of Ray's object store among it."""
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb", buffering=0) as held:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found and not line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vdso]", ".so")):
                start, end = (int(at, 16) for at in found.groups())
                try:
                    held.seek(start)
                    for piece in range(start, end, 1 << 24):
                        yield held.read(min(1 << 24, end - piece))
                except (OSError, OverflowError, ValueError):
                    continue


def hits(pieces: Iterator[bytes], wanted: list[bytes]) -> int:
    return sum(piece.count(one) for piece in pieces for one in wanted)


def test_an_order_leaves_no_open_key_in_ray(portraits: Kernel) -> None:
    alice, bob = make_tenant(portraits, recipes=["cutout"]), make_tenant(portraits, recipes=["cutout"])
    sat = [(tenant, *sit(portraits, tenant, seed)) for tenant, seed in ((alice, 61), (bob, 62))]
    handed: list[tuple[Order, bytes]] = []

    def noted(order: Order, public: bytes) -> bytes:
        handed.append((order, grant(portraits, order, public)))
        return handed[-1][1]

    patched = pytest.MonkeyPatch()
    patched.setattr(scheduling, "grant", lambda kernel, order, public: noted(order, public))
    try:
        tend_until(portraits, lambda: all(state(portraits, t, s) in ENDED for t, _, s in sat), seconds=280)
    finally:
        patched.undo()
    assert {order.tenant for order, _ in handed} >= {alice, bob}
    wanted = [
        spelling
        for tenant, employee, _ in sat
        for cls in CLASSES
        for spelling in spellings(portraits.keys.open(KeyRef(tenant, employee, cls)).material())
    ]
    orders = [order.id.bytes for order, _ in handed] + [sealed[:48] for _, sealed in handed]
    # What travels.
    sent = [pickle.dumps(pair) for pair in handed]
    assert hits(iter(sent), orders)
    assert hits(iter(sent), wanted) == 0
    # What Ray keeps of it: the head and the node with its store of objects.
    servers = [child for child in psutil.Process().children() if child.name() in ("raylet", "gcs_server")]
    assert len(servers) == 2
    if os.access(f"/proc/{servers[0].pid}/mem", os.R_OK):
        # Orders are small and go from process to process; what is large lies in the store, where the search has to find it.
        canary = token_bytes(32)
        kept = fleet.ray.put(canary * 40_000)
        assert sum(hits(memory(one), [canary]) for one in servers), "the search sees the store"
        del kept
        assert sum(hits(memory(one), wanted) for one in servers) == 0
    # What it writes down.
    (session,) = {Path(word.split("=", 1)[1]).parent for word in servers[0].cmdline() if "log_dir=" in word} or {Path()}
    logs = [file for file in session.rglob("*") if file.is_file()]
    assert any("log" in file.name for file in logs)
    assert hits((file.read_bytes() for file in logs), wanted) == 0


def test_who_left_before_the_studio_started_is_not_in_the_lease(portraits: Kernel) -> None:
    tenant = make_tenant(portraits, recipes=["cutout"])
    people = [sit(portraits, tenant, seed) for seed in (63, 64)]
    order = claiming.take(portraits, [], utc_now(), portraits=True)
    while order is not None and order.tenant != tenant:
        order = claiming.take(portraits, [], utc_now(), portraits=True)
    assert order is not None
    assert {person.employee for person in order.people} == {employee for employee, _ in people}
    gone: UUID = order.people[0].employee
    with portraits.db.transaction(tenant) as session:
        sittings.cancel(session, gone)
    recipient = Recipient()
    lease = Lease.opened(grant(portraits, order, recipient.public), order, recipient)
    with pytest.raises(OutsideLease):
        lease.get(gone, KeyClass.SOURCE, order.people[0].photos[0])
    stays = order.people[1]
    assert lease.get(stays.employee, KeyClass.SOURCE, stays.photos[0])
