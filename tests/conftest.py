"""One real PostgreSQL for the whole run, in which each file of tests begins with an empty installation: what a page or a
sweep finds does not depend on which files ran before. Every test makes tenants of its own, always two."""

from __future__ import annotations

import tests.no_collector  # noqa: F401  # isort: skip

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis
import psycopg
import pytest
from litestar import Litestar
from litestar.datastructures import State
from sqlalchemy import make_url

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
from tests.waiting import until

# How long an example takes says how busy the machine is. The same examples each time, because one that is found by chance
# would refuse a change that has nothing to do with it: `make fuzz` looks for others.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="LIKENESS_FUZZ" not in os.environ,
)  # fmt: skip
hypothesis.settings.load_profile("unhurried")

TESTS = Path(__file__).parent
FIRST = (
    "compliance/test_lateness.py", "compliance/test_retention.py", "compliance/test_restore.py", "compliance/test_holds.py",
    "compliance/test_consent_rules.py", "journey/test_install.py",
    "compliance/test_whose.py", "dashboard/test_answering.py", "batch/test_addresses.py", "dashboard/test_undelivered.py",
    "gpu_cluster/test_scheduling.py", "gpu_cluster/test_studio.py", "journey/test_demo.py", "gpu_cluster/test_train.py",
    "journey/test_docs.py", "gpu_cluster/cutout/test_product.py", "kernel/test_first_minutes.py",
    "keycloak/test_keycloak.py", "gpu_cluster/test_fleet.py", "journey/test_demo_photos.py", "kernel/test_keys_away.py",
    "kernel/test_clock.py", "promises/test_strangers.py", "browser/test_accessibility.py",
    "gpu_cluster/test_open_keys.py",
)  # fmt: skip
"""What takes minutes begins early, so that one process is not left alone with it at the end."""

MIGRATED = "migrated"
"""The database that others are copies of, which is sooner than to run all migrations again."""


LAST_OF_AN_HOUR, LAST_OF_A_DAY = 20.0, 90.0
"""Seconds, by UTC; a day's are for tests that take a minute."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """What is named by an hour, a day or a month is two things where that changes under a test, which happened one run in a
    hundred: in the last seconds of one none begins."""
    now = time.time()
    left, of_the_day = -now % 3600, -now % 86400
    if left < LAST_OF_AN_HOUR or of_the_day < LAST_OF_A_DAY:
        time.sleep(left + 0.1)
    return (yield)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """`.ci/run` tries failed tests once more, and nothing that broke off: `make` hands on that it failed and not how."""
    cache = getattr(session.config, "cache", None)  # There is none where its plugin is turned off.
    if cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("likeness/ended", int(exitstatus))


def pytest_collection_finish() -> None:
    """From here on garbage is looked for again, among what is made from now on."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = {str(TESTS / name): place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: files.get(str(item.path), len(files)))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Nor this process's: what has to survive a lost machine is tested by programs of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def _server() -> Iterator[EmbeddedPostgres]:
    """Holds what the migrations make, as the template of each file's database."""
    folder = _folder("postgres")
    server = EmbeddedPostgres(folder)
    server.start()
    _hurry(server)
    migrate(server.url("likeness_owner"))
    _tell(server, f"alter database likeness rename to {MIGRATED}")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres(_server: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """The server, with a database that nobody has written to."""
    # A file copy, because writing it to the log as well is slower, and no test pulls this server's plug.
    _tell(_server, f"create database likeness owner likeness_owner template {MIGRATED} strategy file_copy")
    yield _server
    # Whatever is still connected belongs to a test that has ended.
    _tell(_server, "drop database likeness with (force)")


def _hurry(server: EmbeddedPostgres) -> None:
    """No test pulls this server's plug; those that kill a database have one of their own."""
    settings = ("fsync", "full_page_writes", "synchronous_commit")
    _tell(server, *(f"alter system set {setting} = off" for setting in settings), "select pg_reload_conf()")


def _tell(server: EmbeddedPostgres, *statements: str) -> None:
    address = make_url(server.url("postgres")).set(drivername="postgresql", database="postgres")
    with psycopg.connect(address.render_as_string(), autocommit=True) as connection:
        for statement in statements:
            until(lambda: _done(connection, statement.encode()))  # noqa: B023 - it is called here.


def _done(connection: psycopg.Connection[tuple[object, ...]], statement: bytes) -> bool:
    """Whoever is told to leave a database has five seconds for it, which is short on a machine with other things to do."""
    with suppress(psycopg.errors.ObjectInUse):
        connection.execute(statement)
        return True
    return False


def _folder(what: str) -> Path:
    """One that the database's system user may enter; pytest's own temporary folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix=f"likeness-test-{what}-"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = _folder("home")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def kernel(home: Path, postgres: EmbeddedPostgres) -> Iterator[Kernel]:
    """The embedded profile as the program assembles it, without web server, worker or Ray."""
    settings = Settings(home=home, database_url=postgres.url("likeness_app"), profile="embedded")
    kernel = assemble(settings)
    kernel.db.check()
    fingerprint.settle(kernel.db, kernel.keys)
    yield kernel
    kernel.db.close()


@pytest.fixture(scope="session")
def _assembled(tmp_path_factory: pytest.TempPathFactory) -> Litestar:
    """Put together once, which takes more than a second. No request reaches the kernel that it is put together over."""
    home, nowhere = tmp_path_factory.mktemp("assembled"), "postgresql+psycopg://nobody@127.0.0.1:9/none"
    return create_app(assemble(Settings(home=home, database_url=nowhere, profile="embedded")))


@pytest.fixture(scope="module")
def app(kernel: Kernel, _assembled: Litestar) -> Iterator[Litestar]:
    """The whole web application over `kernel`; every test has a client of its own, with cookies of its own."""
    probes = kernel.apart(2)
    _assembled.state = State({"kernel": kernel, "probes": probes})
    yield _assembled
    probes.db.close()
