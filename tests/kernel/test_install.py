"""What an empty PostgreSQL, an S3 service over http and a cluster that is away need before the first start."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from likeness.ground.db import Database
from likeness.ground.settings import Settings
from likeness.migrations import migrate
from likeness.migrations.roles import RolesMissing, make_roles
from likeness.run.check import problems
from likeness.run.postgres import EmbeddedPostgres
from tests.kernel.test_objects import s3_server
from tests.ports import free_port


@pytest.fixture(scope="module")
def empty() -> Iterator[EmbeddedPostgres]:
    """A server as an operator finds it: a superuser, and nothing of Likeness."""
    made = Path(tempfile.mkdtemp(prefix="likeness-empty-"))
    made.chmod(0o755)
    server = EmbeddedPostgres(made / "postgres")
    server.start()
    run(
        server,
        "drop database likeness",
        "drop role likeness_owner",
        "drop role likeness_app",
        "drop role likeness_rescan",
    )
    run(server, "create role headshots login", "create database likeness owner headshots")
    yield server
    server.stop()
    shutil.rmtree(made, ignore_errors=True)


def run(server: EmbeddedPostgres, *statements: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    with psycopg.connect(plain(server, "postgres"), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            found = cursor.fetchall() if cursor.description else []
    return found


def plain(server: EmbeddedPostgres, role: str) -> str:
    return server.url(role).replace("+psycopg", "").replace("@/likeness", "@/postgres")


def test_an_owner_who_may_not_make_roles_is_told_the_statements_and_then_it_works(empty: EmbeddedPostgres) -> None:
    with pytest.raises(RolesMissing) as refused:
        make_roles(empty.url("headshots"), {})
    statements = [line.strip() for line in str(refused.value).splitlines() if "create role" in line]
    assert [line.split()[2] for line in statements] == ["likeness_app", "likeness_rescan"]
    run(empty, *statements)
    assert make_roles(empty.url("headshots"), {}) == []
    migrate(empty.url("headshots"))
    Database(empty.url("likeness_app"), pool_size=1).check()
    run(empty, "drop database likeness with (force)", "drop role likeness_app", "drop role likeness_rescan")
    run(empty, "create database likeness owner headshots")


def test_an_owner_who_may_makes_the_roles_with_the_passwords_of_their_addresses(empty: EmbeddedPostgres) -> None:
    run(empty, "alter role headshots createrole")
    address = "postgresql+psycopg://likeness_app:p%40ss@db.example/likeness"
    said = make_roles(empty.url("headshots"), {"likeness_app": address})
    assert len(said) == 2
    assert "p@ss" not in " ".join(said)
    query = "select rolname, rolpassword like 'SCRAM-SHA-256$%', rolsuper or rolbypassrls from pg_authid"
    assert run(empty, f"{query} where rolname like 'likeness_%' order by 1") == [
        ("likeness_app", True, False), ("likeness_rescan", None, False)
    ]  # fmt: skip
    migrate(empty.url("headshots"))
    Database(empty.url("likeness_app"), pool_size=1).check()


def store(settings: Settings) -> list[str]:
    return [sentence for sentence in problems(settings) if "object store" in sentence]


def test_s3_over_http_works_when_the_operator_says_so_and_else_the_cause_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(str(tmp_path)) as options:
        (tmp_path / "heads").mkdir()
        monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint"])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret_access_key"])
        settings = Settings(home=tmp_path / "home", objects_url="s3://heads/a")
        [sentence] = store(settings)
        assert "LIKENESS_OBJECTS_PLAIN_HTTP" in sentence
        assert options["secret_access_key"] not in sentence
        assert store(settings.model_copy(update={"objects_plain_http": True})) == []


def test_check_asks_ray_and_says_why_something_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = f"127.0.0.1:{free_port()}"
    database = f"postgresql+psycopg://likeness_rescan:hidden-word@{away}/none?connect_timeout=2"
    monkeypatch.setenv("LIKENESS_RESCAN_DATABASE_URL", database)
    found = list(problems(Settings(home=tmp_path, profile="production", ray_address=away)))
    [ray] = [sentence for sentence in found if sentence.startswith("The Ray cluster")]
    assert "refused" in ray
    [rescan] = [sentence for sentence in found if sentence.startswith("The re-scan")]
    assert "refused" in rescan
    assert "hidden-word" not in " ".join(found)


def test_something_that_listens_and_is_no_ray_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeness.run.check.RAY_SECONDS", 6)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        found = [one for one in problems(Settings(home=tmp_path, ray_address=address)) if "Ray cluster" in one]
    assert len(found) == 1
