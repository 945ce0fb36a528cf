"""L4, L10, and whether one company can stall another: pages and calls over HTTP, as the product answers them.

The load is made on the same cores, by a process of its own, and the figures say so: then at least 60 requests/s with p95
below 0.5 s are asked for, where a load from elsewhere would have to see 100 and 0.3 s. Fifty users who never pause would
wait for one another at any rate (50 / 60 = 0.8 s), so the answers' times are those of users who together ask for 60 a
second; how many a second there are at most is measured by itself, without pauses.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from batch.models import Batch, Employee
from batch.people import employees
from batch.people.employees import EmployeeProfile
from likeness.ground.db import utc_now
from likeness.ground.settings import Settings
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from likeness.run.serving import server
from likeness.web.guards import cookie_name
from tenants import tenants
from tenants.members import members
from tenants.models import Role

COMPANIES = int(os.environ.get("COMPANIES", "100"))
PEOPLE, USERS, RATE = 500, 50, 60.0
SECONDS = float(os.environ.get("SECONDS", "30"))
IDLE, SLOW = 1_000, 200
DROPS, ROWS = 16, 8_000
"""Sixteen lists of some 500 kB each, at the same moment."""


def measure() -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="likeness-bench-"))
    home.chmod(0o755)
    # Fifty thousand keys are made first, each of them durable: in memory that takes a minute instead of ten.
    memory = Path("/dev/shm")  # noqa: S108
    keys = Path(tempfile.mkdtemp(prefix="likeness-bench-keys-", dir=memory if memory.is_dir() else None))
    database = EmbeddedPostgres(home / "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        database.start()
        migrate(database.url("likeness_owner"))
        settings = Settings(home=home, key_folder=keys, port=port, database_url=database.url("likeness_app"))
        kernel = assemble(settings)
        fingerprint.settle(kernel.db, kernel.keys)
        with ThreadPoolExecutor(4) as threads:
            world = list(threads.map(lambda _: _company(kernel), range(COMPANIES)))
        running = server(kernel)
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.05)
        alone = _load(port, world[:2], 4, 8.0)
        figures = {
            "companies": COMPANIES,
            "people_in_each": PEOPLE,
            "load_shares_the_cores": True,
            "L4_dashboards": {"asked_per_s": RATE} | _load(port, world, USERS, SECONDS, RATE),
            "L4_without_pauses": _load(port, world, USERS, SECONDS),
            "one_company_alone": alone,
            "L10_beside_idle_and_slow": _beside_slow(port, world),
            "another_drops_workbooks": _beside_drops(port, world),
        }
        running.should_exit = True
        thread.join(20)
        kernel.db.close()
        return figures
    finally:
        database.stop()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(keys, ignore_errors=True)


def _company(kernel: Kernel) -> dict[str, str]:
    tenant = tenants.found(kernel, "Bench", employee_quota=20_000)
    index = kernel.keys.index_key(tenant)
    with kernel.db.transaction(tenant) as session:
        batch = Batch(tenant_id=tenant, unsealed_name="Bench", created_by=uuid4(), imported_at=utc_now())
        session.add(batch)
        session.flush()
        for number in range(PEOPLE):
            session.add(_person(kernel, tenant, index, batch.id, number))
        who = {"email": f"{uuid4().hex}@bench.example", "name": "Bench"}
        member = members.invite_member(session, kernel.keys, roles=(Role.HR,), **who)
        session.flush()
        members.came_in(session, member.id, utc_now())
        cookie = start_session(session, Kind.MEMBER, member.id, utc_now())
    return {"batch": str(batch.id), "cookie": f"{cookie_name(kernel.settings)}={cookie}"}


def _person(kernel: Kernel, tenant: UUID, index: bytes, batch_id: UUID, number: int) -> Employee:
    who = EmployeeProfile(
        f"Person {number:03}", f"person{number}@bench.example", str(number), f"Department {number % 7}"
    )
    person = uuid4()
    return Employee(
        id=person, tenant_id=tenant, batch_id=batch_id, row=number + 2,
        email_index=employees.email_index(index, who.email),
        **employees.digests(index, who),
        profile=who.sealed(kernel.keys.open_or_create(employees.profile_ref(tenant, person))),
    )  # fmt: skip


MIX = (
    (30, "/desk/batches/{batch}", {"hx-request": "true", "hx-target": "live"}),
    (20, "/desk/batches/{batch}", {}),
    (15, "/desk", {}),
    (10, "/desk/batches/{batch}?stage=added&page=3", {"hx-request": "true", "hx-target": "roster"}),
    (10, "/api/v1/batches/{batch}/funnel", {}),
    (5, "/api/v1/batches/{batch}/people?most=50", {}),
    (5, "/desk/looks", {}),
    (5, "/desk/credits", {}),
)
"""Of a hundred requests so many: the live part of an open batch asks by itself, the rest is what people click."""


def _load(
    port: int, world: list[dict[str, str]], users: int, seconds: float, rate: float | None = None
) -> dict[str, float]:
    """Requests of so many users, one after another each, from a process of its own. With a rate all of them together ask
    for so many a second, as far as they are answered."""
    job = json.dumps({"port": port, "world": world, "users": users, "seconds": seconds, "rate": rate})
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.dashboards"], input=job, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(ended.stdout)
    return found


async def _users(
    port: int, world: list[dict[str, str]], users: int, seconds: float, rate: float | None
) -> dict[str, float]:
    took: list[float] = []
    wrong = 0
    weights = [weight for weight, _, _ in MIX]
    limits = httpx.Limits(max_connections=users)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
        started = time.monotonic()

        async def user(number: int) -> None:
            nonlocal wrong
            chance = random.Random(number)
            pause = users / rate if rate else 0.0
            due = started + chance.random() * pause
            while time.monotonic() - started < seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                due = max(due + pause, time.monotonic())
                company = chance.choice(world)
                _, path, headers = chance.choices(MIX, weights)[0]
                before = time.monotonic()
                answer = await client.get(
                    path.format(batch=company["batch"]), headers=headers | {"cookie": company["cookie"]}
                )
                took.append(time.monotonic() - before)
                wrong += answer.status_code != 200

        await asyncio.gather(*(user(number) for number in range(users)))
        ended = time.monotonic()
    took.sort()
    return {
        "requests_per_s": len(took) / (ended - started), "p50_s": took[len(took) // 2], "errors": wrong,
        "p95_s": took[int(len(took) * 0.95)], "p99_s": took[int(len(took) * 0.99)],
    }  # fmt: skip


def _beside_slow(port: int, world: list[dict[str, str]]) -> dict[str, Any]:
    """Idle connections, and bodies that drip a byte a second, until the server has cut every one of them."""
    alone = _load(port, world[:2], 4, 6.0)
    head = b"POST /api/v1/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    opened: dict[str, dict[socket.socket, float]] = {"idle": {}, "slow": {}}
    for kind, many in (("idle", IDLE), ("slow", SLOW)):
        for _ in range(many):
            one = socket.create_connection(("127.0.0.1", port))
            one.setblocking(False)
            if kind == "slow":
                one.send(head)
            opened[kind][one] = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        watched = thread.submit(_cut, opened)
        beside = _load(port, world[:2], 4, 6.0)
        cut = watched.result()
    return {
        "p95_alone_s": alone["p95_s"], "p95_s": beside["p95_s"], "ratio": beside["p95_s"] / alone["p95_s"],
        "every_idle_cut_within_s": cut["idle"], "every_slow_cut_within_s": cut["slow"],
        "never_cut": {kind: len(some) for kind, some in opened.items()},
    }  # fmt: skip


def _cut(opened: dict[str, dict[socket.socket, float]]) -> dict[str, float]:
    """Seconds that the one who was borne longest had since it was opened, as far as a look a second can tell."""
    borne, until = {kind: 0.0 for kind in opened}, time.monotonic() + 120
    while any(opened.values()) and time.monotonic() < until:
        for kind, some in opened.items():
            for one in [one for one in some if _ended(one, drip=kind == "slow")]:
                borne[kind] = max(borne[kind], time.monotonic() - some.pop(one))
        time.sleep(1)
    return borne


def _ended(one: socket.socket, *, drip: bool) -> bool:
    try:
        if drip:
            one.send(b" ")
        return one.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _beside_drops(port: int, world: list[dict[str, str]]) -> dict[str, Any]:
    """Another company's requests while sixteen workbooks of one company are read."""
    noisy, quiet = world[0], world[1]
    alone = _load(port, [quiet], 4, 8.0)
    lines = "\n".join(f"{n},Person Number {n},person{n}@drop.example,Sales and Marketing" for n in range(ROWS))
    answers: list[int] = []

    def drop(number: int) -> None:
        data = f"Employee ID,Full name,E-mail,Department\n{lines}\n{number}".encode()
        while True:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/api/v1/batches", headers={"cookie": noisy["cookie"]},
                files={"workbook": ("list.csv", data, "text/csv")}, timeout=600,
            )  # fmt: skip
            answers.append(answer.status_code)
            if answer.status_code != 429:
                return
            time.sleep(1)

    started = time.monotonic()
    with ThreadPoolExecutor(DROPS) as threads:
        drops = [threads.submit(drop, number) for number in range(DROPS)]
        time.sleep(0.5)
        beside = _load(port, [quiet], 4, 8.0)
        for one in drops:
            one.result()
    return {
        "p95_alone_s": alone["p95_s"], "p95_s": beside["p95_s"], "ratio": beside["p95_s"] / alone["p95_s"],
        "workbooks_read_after_s": time.monotonic() - started,
        "answers": {str(status): answers.count(status) for status in set(answers)},
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_users(**json.load(sys.stdin)))))
