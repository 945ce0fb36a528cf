"""One real PostgreSQL for the whole run; every test makes tenants of its own, always two."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The drawn people of the tests have models on the base that ships, as in the demo.
os.environ.setdefault("LIKENESS_RECIPE", "portrait-small")

from likeness import fingerprint
from likeness.kernel import Kernel, assemble
from likeness.migrations import migrate
from likeness.postgres import EmbeddedPostgres
from likeness.settings import Settings


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
    migrate(server.url("likeness_owner"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kernel(home: Path, postgres: EmbeddedPostgres) -> Iterator[Kernel]:
    """The embedded profile as the program assembles it, without web server, worker or Ray."""
    settings = Settings(home=home, database_url=postgres.url("likeness_app"), profile="embedded")
    kernel = assemble(settings)
    kernel.db.check()
    fingerprint.settle(kernel.db, kernel.keys)
    yield kernel
    kernel.db.close()
