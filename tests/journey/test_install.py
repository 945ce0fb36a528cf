"""docs/operating/install.md, walked: from empty servers to an operator who is signed in."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from likeness.postgres import EmbeddedPostgres
from tests.journey.test_production import answer, wait_for
from tests.kernel.rabbit import free_port, installed, rabbit
from tests.kernel.scripted import scripted
from tests.kernel.test_objects import s3_server

LIKENESS = Path(sys.executable).with_name("likeness")
PAGE = (Path(__file__).parents[2] / "docs/operating/install.md").read_text()


@pytest.fixture
def machine() -> Iterator[tuple[Path, EmbeddedPostgres, str]]:
    """An empty machine with a PostgreSQL that has a superuser and nothing else, and a RabbitMQ."""
    if not installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    folder = Path(tempfile.mkdtemp(prefix="likeness-install-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    with superuser(server) as connection:
        connection.execute("drop database likeness")
        for role in ("likeness_owner", "likeness_app", "likeness_rescan"):
            connection.execute(f"drop role {role}".encode())
    try:
        with rabbit() as broker:
            yield folder, server, broker.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def superuser(server: EmbeddedPostgres) -> psycopg.Connection[tuple[object, ...]]:
    address = server.url("postgres").replace("+psycopg", "").replace("@/likeness", "@/postgres")
    return psycopg.connect(address, autocommit=True)


def block(kind: str) -> list[str]:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found, kind
    return [line.strip() for line in found.group(1).splitlines() if line.strip()]


@pytest.mark.timeout(400)
def test_the_page_leads_from_empty_servers_to_a_signed_in_operator(machine: tuple[Path, EmbeddedPostgres, str]) -> None:
    folder, server, broker = machine
    with superuser(server) as connection:
        for statement in block("sql"):
            connection.execute(statement.encode())
    (folder / "s3/heads").mkdir(parents=True)
    with s3_server(str(folder / "s3")) as s3, scripted() as mail:
        port = free_port()
        ours = {
            "LIKENESS_PROFILE": "production",
            "LIKENESS_OWNER_DATABASE_URL": server.url("likeness_owner"),
            "LIKENESS_DATABASE_URL": server.url("likeness_app"),
            "LIKENESS_RESCAN_DATABASE_URL": server.url("likeness_rescan"),
            "LIKENESS_BROKER_URL": broker,
            "LIKENESS_OBJECTS_URL": "s3://heads/likeness",
            "AWS_ENDPOINT_URL": s3["endpoint"],
            "AWS_ACCESS_KEY_ID": s3["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": s3["secret_access_key"],
            "LIKENESS_SMTP_URL": mail.url,
            "LIKENESS_MAIL_FROM": "Likeness <headshots@company.example>",
            "LIKENESS_KEY_FOLDER": str(folder / "keys"),
            "LIKENESS_TOMBSTONE_FOLDER": str(folder / "tombstones"),
            "LIKENESS_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "LIKENESS_RAY_ADDRESS": f"127.0.0.1:{free_port()}",
        }
        assert {line.partition("=")[0] for line in block("sh")} == set(ours), "the page names these settings"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
        environment = clean | ours | {"LIKENESS_OBJECTS_PLAIN_HTTP": "true", "LIKENESS_PORT": str(port)}

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([LIKENESS, *words], env=environment, capture_output=True, text=True, timeout=150)

        migrated = run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        assert migrated.stdout.count("was made") == 2
        found = [line for line in run("check").stdout.splitlines() if line.startswith("✗")]
        # There is no TLS and no Ray in this test, and the room of the machine is not its subject.
        odd = ("https://", "The Ray cluster", "GB")
        assert [line for line in found if not any(word in line for word in odd)] == []
        web = subprocess.Popen([LIKENESS, "web"], env=environment, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: answer(f"http://127.0.0.1:{port}/readyz") == 200)
            linked = run("operator-link", "--email", "ops@company.example")
            link = re.search(r"http://\S+/sign-in/\S+", linked.stdout)
            assert link, linked.stdout + linked.stderr
            with httpx.Client(follow_redirects=True, headers={"origin": f"http://127.0.0.1:{port}"}) as browser:
                assert browser.get(link.group()).status_code == 200
                signed_in = browser.post(link.group(), data={})
                assert signed_in.status_code == 200
                assert browser.cookies
                assert "sign-in" not in str(signed_in.url)
        finally:
            web.send_signal(signal.SIGTERM)
            web.wait(40)
