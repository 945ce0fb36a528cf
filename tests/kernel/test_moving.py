"""What one machine kept goes on with servers of one's own, as docs/operating/backup.md says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from likeness.ground.db import Database
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres, _wheel
from tests.factories import make_tenant

PAGE = (Path(__file__).parents[2] / "docs/operating/backup.md").read_text()
BIN = _wheel() / "pginstall18/bin"


@pytest.fixture
def target() -> Iterator[EmbeddedPostgres]:
    """Where `likeness migrate` has made the roles, and an empty database is in the place of the one that it filled."""
    made = Path(tempfile.mkdtemp(prefix="likeness-moving-"))
    made.chmod(0o755)
    server = EmbeddedPostgres(made / "postgres")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(made, ignore_errors=True)


def line(program: str) -> list[str]:
    """As the page has it, to be run here."""
    (found,) = re.findall(rf"^ +\$bin/({program} .*)$", PAGE, re.MULTILINE)
    return [str(BIN / program), *shlex.split(found)[1:]]


def run(words: list[str], **places: object) -> subprocess.CompletedProcess[str]:
    """Each place of the page is put where it is here."""
    typed = [str(places.get(re.sub(r"\W", "_", word).strip("_"), word)) for word in words]
    return subprocess.run(typed, capture_output=True, text=True)


def socket_of(server: EmbeddedPostgres) -> str:
    return server.url("postgres").partition("host=")[2]


def companies(url: str, tenant: object) -> list[str]:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
        found = [str(name) for (name,) in connection.execute(text("select name from tenant"))]
    engine.dispose()
    return found


def test_a_dump_of_one_machine_serves_on_another(
    kernel: Kernel, postgres: EmbeddedPostgres, target: EmbeddedPostgres, tmp_path: Path
) -> None:
    ids = {name: make_tenant(kernel, name=name) for name in ("Zebra Works", "Yak Works")}
    dump = tmp_path / "likeness.dump"
    done = run(line("pg_dump"), home_postgres_data=socket_of(postgres), likeness_dump=dump)
    assert done.returncode == 0, done.stderr
    done = run(line("pg_restore"), db_example=socket_of(target), likeness_dump=dump)
    assert done.returncode == 0, done.stderr
    db = Database(target.url("likeness_app"))
    db.check()
    db.close()
    for name, tenant in ids.items():
        assert companies(target.url("likeness_app"), tenant) == [name]
    assert companies(target.url("likeness_app"), uuid4()) == [], "what hides companies from each other came along"


def test_the_owner_of_the_tables_gets_no_dump_and_no_half_of_one(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    assert "superuser" in PAGE
    words = line("pg_dump")
    words[words.index("postgres")] = "likeness_owner"
    done = run(words, home_postgres_data=socket_of(postgres), likeness_dump=tmp_path / "likeness.dump")
    assert done.returncode != 0
    assert "row-level security" in done.stderr
