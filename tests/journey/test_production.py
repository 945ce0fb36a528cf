"""The production processes as operators start them: migrate, web, worker, scheduler over RabbitMQ, stopped by SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from likeness.ground.settings import Settings
from likeness.kernel import Kernel, assemble
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail import mail
from likeness.mail.mail import Letter
from likeness.run.postgres import EmbeddedPostgres
from tests.factories import make_tenant
from tests.kernel.rabbit import Rabbit, installed, rabbit
from tests.ports import free_port
from tests.waiting import PATIENCE

pytestmark = pytest.mark.timeout(1200)

LIKENESS = Path(sys.executable).with_name("likeness")


@pytest.fixture(scope="module")
def server() -> Iterator[Rabbit]:
    if not installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    with rabbit() as running:
        yield running


@pytest.fixture(scope="module")
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own, because a database knows the one key folder that belongs to it."""
    server = EmbeddedPostgres(home.with_name(f"{home.name}-production") / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def environment(home: Path, postgres: EmbeddedPostgres, server: Rabbit) -> dict[str, str]:
    port = free_port()
    ours = {
        "PROFILE": "production",
        "HOME": str(home),
        "DATABASE_URL": postgres.url("likeness_app"),
        "OWNER_DATABASE_URL": postgres.url("likeness_owner"),
        "RESCAN_DATABASE_URL": postgres.url("likeness_rescan"),
        "BROKER_URL": server.url,
        "OBJECTS_URL": (home.with_name(f"{home.name}-production") / "objects").as_uri(),
        "KEY_FOLDER": str(home.with_name(f"{home.name}-production") / "keys"),
        "TOMBSTONE_FOLDER": str(home.with_name(f"{home.name}-production") / "tombstones"),
        "PORT": str(port),
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    return clean | {f"LIKENESS_{name}": value for name, value in ours.items()}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LIKENESS, *words], env=environment, capture_output=True, text=True, timeout=300)


def test_the_parts_work_together_and_stop_when_told(environment: dict[str, str], tmp_path: Path) -> None:
    migrated = run(environment, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    processes = {
        part: subprocess.Popen(
            [LIKENESS, part], env=environment | {"LIKENESS_LIVENESS_FILE": str(tmp_path / part)},
            stderr=subprocess.PIPE, text=True,
        )
        for part in ("web", "worker", "scheduler")
    }  # fmt: skip
    try:
        address = f"http://127.0.0.1:{environment['LIKENESS_PORT']}"
        wait_for(lambda: answer(f"{address}/readyz") == 200)
        kernel = kernel_like(environment)
        tenant, owner = make_tenant(kernel), uuid4()
        with kernel.db.transaction(tenant) as session:
            kernel.keys.open_or_create(KeyRef(tenant, owner, KeyClass.PROFILE))
            letter = Letter("nadia@zebra.example", "Hello", "Hello")
            mail.post(session, kernel.keys, owner, letter, template="test", campaign="1")

        def sent() -> bool:
            with kernel.db.transaction(tenant) as session:
                return mail.mailbox(session)[0].sent_at is not None

        wait_for(sent)
        for part in ("worker", "scheduler"):
            wait_for((tmp_path / part).exists)
            (tmp_path / part).unlink()
            wait_for((tmp_path / part).exists)
        metrics = httpx.get(f"{address}/metrics", timeout=PATIENCE).text
        assert "likeness_jobs_oldest_due_seconds" in metrics
        kernel.db.close()
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
    for part, process in processes.items():
        assert process.wait(timeout=PATIENCE) in {0, -signal.SIGTERM}, f"{part}: {process.stderr.read()[-2000:]}"  # type: ignore[union-attr]


def test_parts_that_train_nobody_do_not_load_torch() -> None:
    parts = "import sys, likeness.run.app, likeness.run.worker, likeness.run.check; print('torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", parts], capture_output=True, text=True, timeout=300)
    assert loaded.stdout == "False\n", loaded.stderr


def test_a_superuser_and_a_foreign_schema_are_refused_with_a_sentence(
    environment: dict[str, str], postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    alive = tmp_path / "alive"
    alive.touch()
    unsafe = environment | {"LIKENESS_DATABASE_URL": postgres.url("postgres"), "LIKENESS_LIVENESS_FILE": str(alive)}
    refused = run(unsafe, "worker")
    assert refused.returncode == 1
    assert not alive.exists(), "what the process before this one left says nothing of it"
    assert "likeness_app" in refused.stderr
    assert "Traceback" not in refused.stderr
    empty = environment | {"LIKENESS_DATABASE_URL": postgres.url("likeness_app").replace("@/likeness", "@/postgres")}
    refused = run(empty, "scheduler")
    assert refused.returncode == 1
    assert "likeness migrate" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_file_that_cannot_be_renewed_is_refused_at_the_start(environment: dict[str, str], tmp_path: Path) -> None:
    refused = run(environment | {"LIKENESS_LIVENESS_FILE": str(tmp_path / "none/alive")}, "scheduler")
    assert refused.returncode == 1
    assert f"LIKENESS_LIVENESS_FILE is {tmp_path}/none/alive, which cannot be written" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_check_says_in_sentences_what_is_wrong(environment: dict[str, str], home: Path) -> None:
    wrong = environment | {
        "LIKENESS_DATABASE_URL": "postgresql+psycopg://likeness_app@127.0.0.1:9/none?connect_timeout=2",
        "LIKENESS_BROKER_URL": "amqp://guest:guest@127.0.0.1:9/",
        "LIKENESS_RECIPE": "sdxl",
        "LIKENESS_KEY_FOLDER": str(home / "postgres/keys"),
        "LIKENESS_PUBLIC_URL": "http://heads.example",
    }
    found = run(wrong, "check")
    assert found.returncode == 1
    for words in ("The database", "RabbitMQ", "OpenRAIL++", "key folder lies inside", "https://", "SMTP"):
        assert words in found.stdout, (words, found.stdout)
    assert "Traceback" not in found.stdout + found.stderr


def kernel_like(environment: dict[str, str]) -> Kernel:
    names = {
        name.removeprefix("LIKENESS_").lower(): v for name, v in environment.items() if name.startswith("LIKENESS_")
    }
    return assemble(Settings(**names))  # type: ignore[arg-type]


def answer(address: str) -> int:
    try:
        return httpx.get(address, timeout=10).status_code
    except httpx.HTTPError:
        return 0


def wait_for(condition: object, seconds: float = 2 * PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)
