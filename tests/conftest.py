"""One real PostgreSQL for the whole run; every test makes tenants of its own, always two."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from litestar import Litestar

os.environ.setdefault("OMP_NUM_THREADS", "1")
# As in the child that reads workbooks: lxml, which the sealing of PDFs brings along, takes no guard against bombs.
os.environ.setdefault("OPENPYXL_LXML", "False")
# The drawn people of the tests have models on the base that ships, as in the demo.
os.environ.setdefault("LIKENESS_RECIPE", "portrait-small")

from likeness.ground.settings import Settings
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.app import create_app
from likeness.run.postgres import EmbeddedPostgres

TESTS = Path(__file__).parent
FIRST = (
    "compliance/test_lateness.py", "compliance/test_retention.py", "compliance/test_restore.py", "compliance/test_holds.py",
    "compliance/test_consent_rules.py",
    "compliance/test_whose.py", "dashboard/test_answering.py", "batch/test_addresses.py", "dashboard/test_undelivered.py",
    "gpu_cluster/test_scheduling.py", "gpu_cluster/test_studio.py", "journey/test_demo.py", "gpu_cluster/test_train.py",
    "journey/test_docs.py", "gpu_cluster/cutout/test_product.py", "kernel/test_first_minutes.py",
    "gpu_cluster/test_fleet.py", "journey/test_demo_photos.py", "kernel/test_keys_away.py",
    "kernel/test_first_admin.py", "kernel/test_clock.py",
)  # fmt: skip
"""Sweeps go through every company of the database, so their tests come before the companies of all others; and what takes
minutes begins early, so that one process is not left alone with it at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = {str(TESTS / name): place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: files.get(str(item.path), len(files)))


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder that the database's system user may enter; pytest's own temporary folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="likeness-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(home / "postgres")
    server.start()
    _hurry(server)
    migrate(server.url("likeness_owner"))
    yield server
    server.stop()


def _hurry(server: EmbeddedPostgres) -> None:
    """No test pulls this server's plug; those that kill a database have one of their own."""
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"alter system set {setting} = off".encode())
        connection.execute("select pg_reload_conf()")


@pytest.fixture(scope="session")
def kernel(home: Path, postgres: EmbeddedPostgres) -> Iterator[Kernel]:
    """The embedded profile as the program assembles it, without web server, worker or Ray."""
    settings = Settings(home=home, database_url=postgres.url("likeness_app"), profile="embedded")
    kernel = assemble(settings)
    kernel.db.check()
    fingerprint.settle(kernel.db, kernel.keys)
    yield kernel
    kernel.db.close()


@pytest.fixture(scope="session")
def app(kernel: Kernel) -> Litestar:
    """The whole web application over `kernel`; every test has a client of its own, with cookies of its own."""
    return create_app(kernel)
