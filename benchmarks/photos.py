"""L3: photos handed in by 20 clients at once over HTTP, some cut in the middle and sent again, until each is checked.

`make bench ARGS="--only photos --people 500"` is the whole of it: 4,000 photos, a quarter of an hour on two quiet cores.
"""

from __future__ import annotations

import http.client
import io
import os
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from PIL import Image
from sqlmodel import col, func, select

from batch.models import Batch, Employee, Photo, PhotoState
from batch.people import employees
from batch.people.employees import EmployeeProfile
from batch.visit import consents, notices
from gpu_cluster.drawn.people.draw import selfies
from likeness.ground.db import utc_now
from likeness.ground.settings import Settings
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel
from likeness.run.embedded import Embedded
from likeness.web.guards import cookie_name
from tenants import credits, tenants

CLIENTS, EACH = 20, 8
PEOPLE, ALL_PEOPLE = 20, 500
"""20 of them, 160 photos, say within a minute whether something became slower; 500 are the whole of L3."""
CUT = 10
"""Every tenth upload is cut in its middle and sent again."""
MEMORY_EVERY, STANDS_STILL, OVERLAP = 5.0, 300.0, timedelta(seconds=10)
DRAWN, SIDES = 3, (3_024, 3_024)
"""So many people are drawn, eight pictures each, at a phone's nine megapixels; everybody hands in one's set."""


def measure(people: int = PEOPLE) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="likeness-bench-"))
    home.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    product = Embedded(Settings(home=home, port=port))
    try:
        kernel = product.start()
        product.serve()
        tenant = tenants.found(kernel, "Bench", employee_quota=20_000)
        with kernel.db.transaction(tenant) as session:
            credits.grant(session, 20_000, "bench")
        sets = [_photographed(seed) for seed in range(1, DRAWN + 1)]
        return _played(kernel, tenant, port, [_person(kernel, tenant) for _ in range(people)], sets)
    finally:
        product.stop()
        shutil.rmtree(home, ignore_errors=True)


def _photographed(seed: int) -> list[bytes]:
    pictures = []
    for image, _ in selfies(seed, EACH, 1_024):
        out = io.BytesIO()
        image.resize(SIDES, Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        pictures.append(out.getvalue())
    return pictures


def _person(kernel: Kernel, tenant: UUID) -> tuple[UUID, str]:
    """Somebody who has agreed, and the cookie of their session."""
    who = EmployeeProfile(full_name="Bench Person", email=f"{uuid4()}@bench.example", language="en")
    employee_id = uuid4()
    with kernel.db.transaction(tenant) as session:
        batch = Batch(tenant_id=tenant, unsealed_name="Bench", created_by=uuid4())
        session.add(batch)
        session.flush()
        session.add(
            Employee(
                id=employee_id,
                tenant_id=tenant,
                batch_id=batch.id,
                row=2,
                email_index=employees.email_index(kernel.keys.index_key(tenant), who.email),
                profile=who.sealed(kernel.keys.open_or_create(employees.profile_ref(tenant, employee_id))),
            )
        )
        session.flush()
        notice, purposes = notices.current(session, "en"), consents.words(session, "en")
        consents.give(session, kernel.keys, employee_id, list(purposes), notice.id, "Bench Person", utc_now())
        return (
            employee_id,
            f"{cookie_name(kernel.settings)}={start_session(session, Kind.EMPLOYEE, employee_id, utc_now())}",
        )


def _played(
    kernel: Kernel, tenant: UUID, port: int, people: list[tuple[UUID, str]], sets: list[list[bytes]]
) -> dict[str, Any]:
    sent: list[tuple[float, float]] = []
    checked: dict[UUID, float] = {}
    memory = {"web_mb": 0.0, "everything_mb": 0.0}
    ended = threading.Event()
    started, processor = time.monotonic(), _processor_seconds()

    def hand_in(number: int) -> None:
        _, cookie = people[number]
        for at, data in enumerate(sets[number % len(sets)]):
            if (number * EACH + at) % CUT == 0:
                _send(port, cookie, data, cut=True)
            before = time.monotonic()
            status = _send(port, cookie, data)
            if status != 201:
                raise RuntimeError(f"an upload was answered {status}")
            sent.append((before, time.monotonic()))

    watching = threading.Thread(target=_watch, args=(kernel, tenant, checked, memory, ended))
    watching.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(hand_in, range(len(people))))
        uploaded = time.monotonic()
        waited, before = uploaded, 0
        while len(checked) < len(people) * EACH and time.monotonic() - waited < STANDS_STILL:
            waited, before = (time.monotonic(), len(checked)) if len(checked) > before else (waited, before)
            time.sleep(0.2)
    finally:
        ended.set()
        watching.join()
    processor = _processor_seconds() - processor
    with kernel.db.transaction(tenant) as session:
        states = Counter(session.exec(select(Photo.state).where(col(Photo.tenant_id) == tenant)).all())
        rows = session.exec(select(func.count()).select_from(Photo).where(col(Photo.tenant_id) == tenant)).one()
    stored = sum(1 for _ in kernel.objects.list(f"tenants/{tenant}/employees"))
    last = max(checked.values(), default=started)
    waits = sorted(moment - started for moment in checked.values())
    answers = sorted(after - before for before, after in sent)
    return {
        "clients": CLIENTS,
        "photos": len(people) * EACH,
        "photo_megapixels": SIDES[0] * SIDES[1] / 1e6,
        "checked_per_s": len(checked) / (last - started),
        # Beside other work on the machine the rate says little, and this is what a photo costs in all.
        "processor_s_per_photo": processor / (len(people) * EACH),
        "uploaded_per_s": len(sent) / (uploaded - started),
        "answer_p95_s": answers[int(len(answers) * 0.95)],
        "verdict_median_after_start_s": waits[len(waits) // 2] if waits else None,
        "lost": len(people) * EACH - rows,
        "objects_beside_rows": stored - rows + states[PhotoState.REJECTED],
        "states": dict(states),
        "highest_memory": memory,
        "load": os.getloadavg()[0],
    }


def _watch(
    kernel: Kernel, tenant: UUID, checked: dict[UUID, float], memory: dict[str, float], ended: threading.Event
) -> None:
    """Notes when each photo had its verdict, and the most memory that was in use."""
    newest, looked = datetime(2000, 1, 1, tzinfo=UTC), 0.0
    while not ended.wait(0.2):
        now = time.monotonic()
        with kernel.db.transaction(tenant) as session:
            # What was seen before is not read again, but for a few seconds: a transaction may have ended late.
            ready = session.exec(
                select(Photo.id, Photo.checked_at).where(
                    col(Photo.tenant_id) == tenant, col(Photo.state) != PhotoState.CHECKING,
                    col(Photo.checked_at) >= newest - OVERLAP,
                )
            ).all()  # fmt: skip
        for photo_id, at in ready:
            checked.setdefault(photo_id, now)
            newest = max(newest, at or newest)
        if now - looked > MEMORY_EVERY:
            looked = now
            for kind, used in _megabytes().items():
                memory[kind] = max(memory[kind], used)


def _ours() -> dict[int, list[str]]:
    """This process and all that it started, the database and the inspectors among them, as `/proc` has them."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It has ended since.
            found[int(folder.name)] = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    ours, more = {os.getpid()}, True
    while more:
        children = {pid for pid, fields in found.items() if int(fields[1]) in ours} - ours
        ours, more = ours | children, bool(children)
    return {pid: found[pid] for pid in ours if pid in found}


def _processor_seconds() -> float:
    return sum(sum(int(field) for field in fields[11:15]) for fields in _ours().values()) / os.sysconf("SC_CLK_TCK")


def _megabytes() -> dict[str, float]:
    """Of this process, which is the web server with its workers, and of all: what several share is counted once."""
    shares = dict[int, int]()
    for pid in _ours():
        with suppress(OSError):
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
            shares[pid] = next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:"))
    return {"web_mb": shares.get(os.getpid(), 0) / 1024, "everything_mb": sum(shares.values()) / 1024}


def _send(port: int, cookie: str, data: bytes, *, cut: bool = False) -> int:
    """The status of one upload; 0 for one that was cut in its middle."""
    head = b'--cut\r\nContent-Disposition: form-data; name="photo"; filename="me.jpg"\r\n\r\n'
    body = head + data + b"\r\n--cut--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.putrequest("POST", "/api/v1/visit/photos")
        connection.putheader("Cookie", cookie)
        connection.putheader("Content-Type", "multipart/form-data; boundary=cut")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[: len(body) // 2] if cut else body)
        return 0 if cut else connection.getresponse().status
    finally:
        connection.close()
