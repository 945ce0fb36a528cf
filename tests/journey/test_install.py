"""docs/operating/install.md, walked: from empty servers, each with TLS, to a certificate about somebody in a photograph.

The parts are real, as the page has them: PostgreSQL, RabbitMQ, S3, a mail server, nginx in front, and a Ray cluster.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from compliance.proof.certificates import verify
from likeness.demo.cast import in_a_photograph, write_workbook
from likeness.ground import tls
from likeness.ground.settings import Settings
from likeness.run import check
from likeness.run.postgres import EmbeddedPostgres
from tests.journey.test_production import answer, wait_for
from tests.kernel.rabbit import Rabbit, installed, rabbit
from tests.kernel.test_mail import mail_server
from tests.kernel.test_objects import s3_server
from tests.ports import free_port
from tests.tls import NGINX, Certificates, certificates, door_to_postgres, front
from tests.waiting import PATIENCE

LIKENESS = Path(sys.executable).with_name("likeness")
PAGE = (Path(__file__).parents[2] / "docs/operating/install.md").read_text()


@dataclass
class Machine:
    """An empty machine with a PostgreSQL that has a superuser and nothing else, and the other servers."""

    folder: Path
    made: Certificates
    server: EmbeddedPostgres
    database: int
    """The port at which PostgreSQL is reached with TLS."""
    broker: Rabbit
    s3: dict[str, Any]
    smtp: str
    mails: str

    def url(self, role: str, host: str = "localhost") -> str:
        return f"postgresql+psycopg://{role}:secret@{host}:{self.database}/likeness?sslmode=verify-full"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    if not installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder = Path(tempfile.mkdtemp(prefix="likeness-install-"))
    folder.chmod(0o755)
    made, server = certificates(folder / "tls"), EmbeddedPostgres(folder / "postgres")
    (folder / "s3/heads").mkdir(parents=True)
    server.start()
    with superuser(server) as connection:
        connection.execute("drop database likeness")
        for role in ("likeness_owner", "likeness_app", "likeness_rescan"):
            connection.execute(f"drop role {role}".encode())
    try:
        with (
            rabbit(made) as broker,
            s3_server(str(folder / "s3"), tls=made) as s3,
            mail_server(made) as (smtp, mails),
            door_to_postgres(made, server.url("postgres").partition("host=")[2]) as database,
        ):
            yield Machine(folder, made, server, database, broker, s3, smtp, mails)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def superuser(server: EmbeddedPostgres) -> psycopg.Connection[tuple[object, ...]]:
    address = server.url("postgres").replace("+psycopg", "").replace("@/likeness", "@/postgres")
    return psycopg.connect(address, autocommit=True)


def block(kind: str, beginning: str = "") -> str:
    found = re.findall(rf"^ *```{kind}\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
    return next(text for text in found if text.strip().startswith(beginning))


@contextmanager
def cluster(folder: Path, clean: dict[str, str], token: str, believed: Path) -> Iterator[int]:
    """Ray's head as the page starts it, on ports of its own; what it keeps is where a re-scan of the node looks for it."""
    port, temporary = free_port(), folder / "n"
    temporary.mkdir()
    line = block("sh", "RAY_AUTH_MODE").strip()
    assert "--ray-client-server-port=10001" in line
    words = shlex.split(line.replace("=10001", f"={port}").replace(".venv/bin/ray", str(LIKENESS.with_name("ray"))))
    # The page's machine has one cluster; this one may have those of other tests.
    ports = [f"--{name}={free_port()}" for name in ("port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port")]
    # A test shares two processors with others, and Ray gives the process that it starts for each program 30 s.
    patience = {"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120"}
    own = {"RAY_AUTH_TOKEN": token, "SSL_CERT_FILE": str(believed), "TMPDIR": str(temporary)} | patience
    with (folder / "ray.log").open("wb") as log:
        head = subprocess.Popen(
            ["env", *words, *ports, "--num-cpus=1", "--num-gpus=0", "--node-ip-address=127.0.0.1"],
            env=clean | own, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield port
    finally:
        head.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            head.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(1500)
def test_the_page_leads_from_empty_servers_to_a_certificate(machine: Machine) -> None:
    folder, made, token = machine.folder, machine.made, "a token of 32 letters or more, which nobody knows"
    with superuser(machine.server) as connection:
        for statement in block("sql").splitlines():
            connection.execute(statement.strip().encode())
    others = ("LIKENESS_", "RAY_", "AWS_", "SSL_", "REQUESTS_CA", "CURL_CA", "PG")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    port, public = free_port(), free_port()
    with (
        cluster(folder, clean, token, made.authority) as ray,
        front(made, block("nginx"), public, port),
    ):
        ours = {
            "LIKENESS_PROFILE": "production",
            "LIKENESS_OWNER_DATABASE_URL": machine.url("likeness_owner"),
            "LIKENESS_DATABASE_URL": machine.url("likeness_app"),
            "LIKENESS_RESCAN_DATABASE_URL": machine.url("likeness_rescan"),
            "LIKENESS_BROKER_URL": machine.broker.tls_url,
            "LIKENESS_OBJECTS_URL": "s3://heads/likeness",
            "AWS_ENDPOINT_URL": machine.s3["endpoint"],
            "AWS_ACCESS_KEY_ID": machine.s3["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": machine.s3["secret_access_key"],
            "LIKENESS_SMTP_URL": machine.smtp,
            "LIKENESS_MAIL_FROM": "Likeness <headshots@company.example>",
            "LIKENESS_KEY_FOLDER": str(folder / "keys"),
            "LIKENESS_TOMBSTONE_FOLDER": str(folder / "tombstones"),
            "LIKENESS_SIGNER_FOLDER": str(folder / "signer"),
            "LIKENESS_PUBLIC_URL": f"https://localhost:{public}",
            "LIKENESS_TRUSTED_PROXIES": "127.0.0.1",
            "LIKENESS_RAY_ADDRESS": f"ray://localhost:{ray}",
            "RAY_AUTH_TOKEN": token,
            "SSL_CERT_FILE": str(made.authority),
            "PGSSLROOTCERT": str(made.authority),
        }
        settings = [line.strip() for line in block("sh", "LIKENESS_PROFILE").splitlines()]
        assert {line.partition("=")[0] for line in settings} == set(ours), "the page names these settings"
        environment = clean | ours | {"LIKENESS_PORT": str(port)}

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([LIKENESS, *words], env=environment, capture_output=True, text=True, timeout=300)

        migrated = run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        assert migrated.stdout.count("was made") == 2
        wait_for(lambda: listens(ray))
        # The room of this machine is not its subject, nor how long a cluster takes to begin beside other tests.
        for left in range(3, 0, -1):
            wrong = [line for line in run("check").stdout.splitlines() if line.startswith("✗") and "GB" not in line]
            if left == 1 or not any("The Ray cluster" in line for line in wrong):
                break
        assert wrong == []
        apart = {"web": {"LIKENESS_SIGNER_FOLDER": ""}, "worker": {}, "scheduler": {"LIKENESS_SIGNER_FOLDER": ""}}
        parts = [
            subprocess.Popen([LIKENESS, part], env=environment | own, stderr=subprocess.DEVNULL)
            for part, own in apart.items()
        ]
        try:
            wait_for(lambda: answer(f"http://127.0.0.1:{port}/readyz") == 200)
            linked = run("operator-link", "--email", "ops@company.example")
            link = re.search(r"https://\S+/sign-in/\S+", linked.stdout)
            assert link, linked.stdout + linked.stderr
            with signed_in(link.group(), made) as operator:
                founded = operator.post("/operations/tenants", data=COMPANY)
                assert founded.status_code == 200, founded.text
            # The owner's link comes by mail, which is the worker's to send.
            with signed_in(mailed(machine, "/sign-in/"), made) as owner:
                assert "Zebra &amp; Sons" in owner.get("/desk").text
                invite(owner, folder / "people.xlsx")
            photographed_and_forgotten(mailed(machine, "/i/"), made)
        finally:
            for part in parts:
                part.send_signal(signal.SIGTERM)
            for part in parts:
                assert part.wait(PATIENCE) in {0, -signal.SIGTERM}


COMPANY = {"name": "Zebra & Sons", "admin_name": "Hanna Okafor", "admin_email": "hanna@zebra.example", "credits": "5",
           "contact": "privacy@zebra.example", "authority": "The authority of Zebra"}  # fmt: skip
GRACE = in_a_photograph(1)


def mailed(machine: Machine, kind: str) -> str:
    """The newest link of this kind, once it is in a mail."""
    found: list[str] = []

    def there() -> bool:
        for one in httpx.get(f"{machine.mails}/messages", timeout=PATIENCE).json()["messages"]:
            text = httpx.get(f"{machine.mails}/message/{one['ID']}", timeout=PATIENCE).json()["Text"]
            found.extend(re.findall(rf"https://\S+{kind}\S+", text))
        return bool(found)

    wait_for(there)
    return found[0]


@contextmanager
def browser(address: str, made: Certificates) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=address, follow_redirects=True, headers={"origin": address}, timeout=PATIENCE, verify=made.believing()
    ) as client:
        yield client


@contextmanager
def signed_in(link: str, made: Certificates) -> Iterator[httpx.Client]:
    with browser(link.partition("/sign-in/")[0], made) as client:
        assert client.get(link).status_code == 200
        answered = client.post(link, data={})
        assert answered.status_code == 200
        assert {cookie.secure for cookie in client.cookies.jar} == {True}
        assert "sign-in" not in str(answered.url)
        yield client


def asked(client: httpx.Client, method: str, path: str, **content: Any) -> Any:
    answered = client.request(method, f"/api/v1{path}", **content)
    assert answered.is_success, f"{method} {path}: {answered.status_code} {answered.text[:500]}"
    return answered.json() if answered.headers["content-type"].startswith("application/json") else answered.content


def invite(owner: httpx.Client, workbook: Path) -> None:
    write_workbook([GRACE], workbook)
    files = {"workbook": (workbook.name, workbook.read_bytes())}
    dropped = asked(owner, "POST", "/batches", files=files, data={"name": "Portraits"})
    given = {"invite": True, "digest": dropped["reading"]["digest"]}
    asked(owner, "POST", f"/batches/{dropped['batch']['id']}/commit", json=given)


def photographed_and_forgotten(link: str, made: Certificates) -> None:
    """One photograph becomes portraits on the cluster, and the nodes of the cluster are looked through at the end."""
    with browser(link.partition("/i/")[0], made) as person:
        asked(person, "POST", f"/links/{link.rpartition('/')[2]}")
        notice = asked(person, "GET", "/visit/notice")
        agreed = {"purposes": list(notice["purposes"]), "notice_id": notice["id"], "typed_name": GRACE.name}
        asked(person, "POST", "/visit/consent", json=agreed)
        asked(person, "POST", "/visit/photos", files={"photo": ("me.jpg", GRACE.photo(0))})
        wait_for(lambda: asked(person, "GET", "/visit/photos")["photos"][0]["state"] != "checking")
        (photo,) = asked(person, "GET", "/visit/photos")["photos"]
        assert photo["state"] == "accepted", photo
        asked(person, "POST", "/visit/sitting?recipe=cutout")
        wait_for(lambda: asked(person, "GET", "/visit/sitting")["state"] in ("done", "failed"), 300)
        shown = asked(person, "GET", "/visit/headshots")
        assert len(asked(person, "GET", f"/visit/headshots/{shown[0]['id']}/picture")) > 10_000
        receipt = asked(person, "POST", "/visit/erasure")["receipt"]
        # A node that does not answer in time is asked again a minute later.
        wait_for(lambda: asked(person, "GET", f"/receipts/{receipt}")["certificate"], 400)
        certificate = asked(person, "GET", f"/receipts/{receipt}")["certificate"]
        keys = person.get("/.well-known/likeness-certificates.jwks.json").json()
    assert verify(certificate, keys)["stage"] == 1
    payload = certificate.split(".")[1]
    said = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert "1 nodes of the cluster looked through their own folders" in json.dumps(said)


@pytest.fixture
def strangers(machine: Machine, tmp_path: Path) -> Certificates:
    """Of an authority with the same name, which none of the servers has a certificate of."""
    return certificates(tmp_path / "strangers")


def doubted(machine: Machine, host: str, trusted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What `likeness check` says of each server that proves its name."""
    there = {"AWS_ACCESS_KEY_ID": machine.s3["access_key_id"], "AWS_SECRET_ACCESS_KEY": machine.s3["secret_access_key"],
             "AWS_ENDPOINT_URL": machine.s3["endpoint"].replace("localhost", host), "SSL_CERT_FILE": str(trusted),
             "PGSSLROOTCERT": str(trusted)}  # fmt: skip
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        home=tmp_path, profile="production", objects_url="s3://heads/likeness", key_folder=tmp_path / "keys",
        database_url=machine.url("postgres", host), rescan_database_url=machine.url("postgres", host),
        broker_url=machine.broker.tls_url.replace("localhost", host), smtp_url=machine.smtp.replace("localhost", host),
        mail_from="Likeness <headshots@company.example>",
    )  # fmt: skip
    return list(check.edges(settings))


@pytest.mark.parametrize("wrong", [tls.UNKNOWN, tls.OTHER_NAME])
def test_a_server_that_does_not_prove_its_name_is_named_with_the_reason(
    wrong: str, machine: Machine, strangers: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host, trusted = ("localhost", strangers) if wrong == tls.UNKNOWN else ("127.0.0.1", machine.made)
    said = doubted(machine, host, trusted.authority, monkeypatch, tmp_path)
    kinds = ("The database", "The re-scan's database", "RabbitMQ", "The object store", "The mail server")
    assert sorted(sentence.partition(" does not work: ")[0] for sentence in said) == sorted(kinds), said
    assert all(f"does not work: {wrong}." in sentence for sentence in said), said
    assert all(("install.md" in sentence) == (wrong == tls.UNKNOWN) for sentence in said)
