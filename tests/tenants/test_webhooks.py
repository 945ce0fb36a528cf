"""Webhooks against real receivers: who is told what, signed, until they have it, and never in our own network."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select
from standardwebhooks import Webhook

from batch.people import employees
from batch.reading import workbook
from compliance.proof import signing
from likeness import checkpoints, outbound
from likeness.evidence import notes
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyRef
from likeness.outbound import CallOutcome
from likeness.run.app import create_app
from tenants.members import members
from tenants.models import Role
from tenants.webhooks import deliveries, endpoints, events
from tenants.webhooks.deliveries import Delivery
from tenants.webhooks.events import Event
from tests.compliance.people import erase
from tests.factories import make_member, make_tenant, run_jobs, sign_in, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person
from tests.waiting import PATIENCE

INSIDE = ("127.0.0.0/8", "::1/128")
ACTS = ["erasure.deleted", "certificate.issued"]
NAMES = ["batch.imported", "headshots.ready", "headshot.released"]
BACK = "headshot.taken-back"
ROSTER = workbook.export(["Employee ID", "Name", "E-mail"], [["00001", "Zoë van B", "zoe@zebra.example"]])


@dataclass
class Receiver:
    """Somebody's server: it keeps what comes and answers what it is told to."""

    port: int = 0
    status: int = 204
    drips: bool = False
    got: list[tuple[str, dict[str, str], str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?from=likeness"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.got]

    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies()]


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            receiver.got.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
            try:
                if receiver.drips:
                    for sign in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 6000:
                        self.wfile.write(bytes([sign]))
                        time.sleep(0.1)
                self.send_response(receiver.status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                return  # The other side had enough.

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def open_kernel(kernel: Kernel) -> Kernel:
    """An operator who lets webhooks into the network of the test."""
    return replace(kernel, settings=kernel.settings.model_copy(update={"webhook_networks": ", ".join(INSIDE)}))


@pytest.fixture(scope="module")
def open_app(open_kernel: Kernel) -> Any:
    return create_app(open_kernel)


@pytest.fixture
def client(open_app: Any) -> Iterator[TestClient[Any]]:
    with TestClient(open_app) as client:
        yield client


def add(client: TestClient[Any], url: str, *events: str) -> tuple[str, str]:
    answer = client.post("/api/v1/webhooks", json={"url": url, "events": list(events)})
    assert answer.status_code == 201, answer.text
    return answer.json()["endpoint"]["id"], answer.json()["secret"]


def later(kernel: Kernel, tenant: UUID, by: timedelta) -> None:
    """As if so much time had gone by for what waits."""
    with kernel.db.transaction(tenant) as session:
        for table, columns in (
            ("webhook_delivery", ("created_at", "wanted_at", "next_at")),
            ("webhook_endpoint", ("rests_until",)),
            ("job", ("due",)),
        ):
            moved = ", ".join(f"{one} = {one} - make_interval(secs => :by)" for one in columns)
            session.execute(text(f"update {table} set {moved}"), {"by": by.total_seconds()})
    run_jobs(kernel, tenant=tenant)


def test_programs_are_told_what_their_makers_may_see_by_ids_alone(
    open_kernel: Kernel, client: TestClient[Any], receiver: Receiver
) -> None:
    kernel, person = open_kernel, make_person(open_kernel)
    tenant, stranger = person.tenant_id, make_person(open_kernel)
    hr = sign_in_member(client, kernel, tenant, Role.HR)
    for wanted in (ACTS, ["webhook.test"], ["x"], [], [*NAMES, ACTS[0]]):
        refused = client.post("/api/v1/webhooks", json={"url": receiver.url, "events": wanted})
        assert refused.status_code == 422, wanted
    names, secret = add(client, receiver.url, *NAMES, BACK)
    with receiving() as legals, receiving() as strangers:
        sign_in_member(client, kernel, stranger.tenant_id, Role.HR)
        add(client, strangers.url, *NAMES)
        sign_in_member(client, kernel, tenant, Role.LEGAL)
        assert client.get("/api/v1/webhooks").json() == []
        assert client.get(f"/api/v1/webhooks/{names}/deliveries").status_code == 404
        _, other_secret = add(client, legals.url, *ACTS)

        client.cookies.clear()
        sign_in_member(client, kernel, tenant, Role.HR)
        dropped = client.post("/api/v1/batches", files={"workbook": ("a.xlsx", ROSTER)}, data={"name": "Spring"}).json()
        batch = dropped["batch"]["id"]
        client.post(f"/api/v1/batches/{batch}/commit", json={"invite": False, "digest": dropped["reading"]["digest"]})
        made = make_headshots(kernel, person, 2)
        client.cookies.clear()
        sign_in_employee(client, kernel, person)
        for _ in range(2):
            released = client.post("/api/v1/visit/release", json={"headshot_ids": [str(made[0].id)]})
            assert released.status_code < 300, released.text
        assert client.get("/api/v1/webhooks").status_code == 403
        run_jobs(kernel, tenant=tenant)
        assert receiver.types() == NAMES
        imported, ready, given = receiver.bodies()
        assert imported["data"] == {"batch_id": batch}
        line = {"batch_id": str(person.batch_id), "person_id": str(person.roster_id)}
        assert ready["data"] == line
        assert given["data"] == line | {"headshot_id": str(made[0].shelf_id)}

        client.post("/api/v1/visit/release", json={"headshot_ids": [str(made[1].id)]})
        client.post(f"/visit/headshots/{made[1].id}/unrelease")
        erasure = erase(kernel, person)
        run_jobs(kernel, tenant=tenant)
        # In the first message of each the program was told to fetch, in the second to delete.
        assert receiver.types() == [*NAMES, NAMES[2], BACK, BACK], "who sees names hears of no act"
        taken = [body["data"] for body in receiver.bodies() if body["type"] == BACK]
        assert taken == [line | {"headshot_id": str(one.shelf_id)} for one in (made[1], made[0])]
        assert legals.types() == ACTS
        deleted, certified = legals.bodies()
        assert deleted["data"] == {"erasure_id": str(erasure.id)}
        assert set(certified["data"]) == {"erasure_id", "certificate_id"}
        assert notes.read(certified["checkpoint"]).tenant == tenant
        assert strangers.got == []
    for path, headers, body in receiver.got:
        assert path == "/hooks?from=likeness"
        assert Webhook(secret).verify(body, headers)
        with pytest.raises(Exception, match="signature"):
            Webhook(other_secret).verify(body, headers)
    told = json.dumps(receiver.bodies() + legals.bodies())
    who = employees.EmployeeProfile(full_name="Nadia Ümit", email="x", language="en")
    for word in (who.full_name, "Nadia", "Zo\\u00eb", "@", str(person.id), str(hr.id)):
        assert word not in told, word
    with kernel.db.transaction(tenant) as session:
        assert not session.exec(select(Delivery).where(Delivery.event == "headshots.ready")).all(), "gone with the person"
        assert "127.0.0.1" not in str(session.execute(text("select e::text from webhook_endpoint e")).all())


def test_what_is_not_taken_is_tried_for_a_day_and_sent_again_by_hand(
    open_kernel: Kernel, client: TestClient[Any], receiver: Receiver
) -> None:
    kernel, tenant = open_kernel, make_tenant(open_kernel)
    sign_in_member(client, kernel, tenant, Role.HR)
    endpoint, secret = add(client, receiver.url, *NAMES)
    receiver.status = 500
    for _ in range(3):
        client.post(f"/api/v1/webhooks/{endpoint}/test")
    run_jobs(kernel, tenant=tenant)
    first = receiver.got[0][1]["webhook-id"]
    assert len(receiver.got) == 1, "a receiver that is down is not asked for each message"
    assert client.get("/api/v1/webhooks").json()[0]["rests_until"]
    for _ in range(60):
        later(kernel, tenant, timedelta(minutes=30))
    tries = [headers["webhook-id"] for _, headers, _ in receiver.got].count(first)
    told = client.get(f"/api/v1/webhooks/{endpoint}/deliveries").json()
    assert {one["state"] for one in told} == {"given up"}
    mine = next(one for one in told if one["id"] == first)
    assert 0 < tries == len(mine["tries"])
    assert 10 < len(receiver.got) < 25, "while it rests, one message at a time asks whether it is back"
    assert {one["status"] for one in mine["tries"]} == {500}
    count = len(receiver.got)
    later(kernel, tenant, timedelta(hours=3))
    assert len(receiver.got) == count, "after a day it ends"

    receiver.status, receiver.got = 204, []
    page = client.get(f"/team/webhooks/{endpoint}").text
    assert "given up" in page
    assert "answered 500" in page
    assert client.post(f"/team/webhooks/{endpoint}/{first}/again", follow_redirects=False).status_code == 303
    run_jobs(kernel, tenant=tenant)
    assert [headers["webhook-id"] for _, headers, _ in receiver.got] == [first]
    assert client.post(f"/api/v1/webhooks/{endpoint}/again").json() == {"messages": 2}
    newer = client.post(f"/api/v1/webhooks/{endpoint}/secret").json()["secret"]
    run_jobs(kernel, tenant=tenant)
    assert len(receiver.got) == 3
    for key in (secret, newer):
        Webhook(key).verify(receiver.got[2][2], receiver.got[2][1])
    assert {one["state"] for one in client.get(f"/api/v1/webhooks/{endpoint}/deliveries").json()} == {"delivered"}

    receiver.status = 410
    client.post(f"/api/v1/webhooks/{endpoint}/test")
    run_jobs(kernel, tenant=tenant)
    assert client.get("/api/v1/webhooks").json()[0]["stopped_at"]
    assert "stopped" in client.get("/team/webhooks").text
    deliveries.forget(kernel, utc_now() + timedelta(days=8))
    assert client.get(f"/api/v1/webhooks/{endpoint}/deliveries").json() == []


def test_an_endpoint_ends_with_its_maker_and_is_nobody_elses(
    open_kernel: Kernel, client: TestClient[Any], receiver: Receiver
) -> None:
    kernel, tenant = open_kernel, make_tenant(open_kernel)
    owner, maker = make_member(kernel, tenant, Role.OWNER), sign_in_member(client, kernel, tenant, Role.HR)
    answer = client.post("/team/webhooks", data={"url": receiver.url, "for-headshots.ready": "1"})
    secret = answer.text.split("<p><code>")[1].split("<")[0]
    assert secret.startswith("whsec_")
    assert secret not in client.get("/team/webhooks").text
    endpoint = client.get("/api/v1/webhooks").json()[0]["id"]
    client.post(f"/api/v1/webhooks/{endpoint}/test")
    with kernel.db.transaction(tenant) as session:
        members.disable(session, maker.id, utc_now(), caller="test")
    run_jobs(kernel, tenant=tenant)
    assert receiver.got == []
    client.cookies.clear()
    sign_in_member(client, kernel, tenant, Role.HR)
    for method, path in (("post", f"{endpoint}/test"), ("post", f"{endpoint}/secret"), ("post", f"{endpoint}/again"),
                         ("get", f"{endpoint}/deliveries"), ("delete", endpoint)):  # fmt: skip
        assert getattr(client, method)(f"/api/v1/webhooks/{path}").status_code == 404, path
    client.cookies.clear()
    sign_in(client, kernel, tenant, Kind.MEMBER, owner.id)
    shown = client.get("/api/v1/webhooks").json()[0]
    assert (shown["host"], shown["url"]) == ("127.0.0.1", None)
    assert client.get(f"/api/v1/webhooks/{endpoint}/deliveries").status_code == 404
    assert client.delete(f"/api/v1/webhooks/{endpoint}").status_code == 204
    with pytest.raises(KeyDestroyed):
        kernel.keys.open(KeyRef(tenant, UUID(endpoint), KeyClass.PROFILE))


def test_only_whoever_reads_acts_is_told_how_long_the_log_is(kernel: Kernel) -> None:
    """HR would learn from it whether somebody who takes no part withdrew, which writes a dozen entries, or said no."""
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    for one in (tenant, other):
        with kernel.db.transaction(one) as session:
            checkpoints.sign(session, signing.signer(kernel, utc_now()), utc_now())
    told = {}
    for role in (Role.HR, Role.BRAND, Role.OWNER, Role.LEGAL, Role.AUDITOR):
        maker, url = make_member(kernel, tenant, role), "https://example.com/"
        wanted = [str(one) for one in events.open_to(maker)][:1]
        with kernel.db.transaction(tenant) as session:
            if wanted:
                endpoint, _ = endpoints.make(session, kernel.keys, maker, url, wanted, utc_now(), networks=())
                body = json.loads(deliveries.leave(session, endpoint, Event.TEST, {}, utc_now()).body)
                told[role] = notes.read(body["checkpoint"]).tenant if "checkpoint" in body else None
    assert told == {Role.HR: None, Role.BRAND: None, Role.LEGAL: tenant, Role.AUDITOR: tenant}


PRIVATE = [
    "127.0.0.1", "localhost", "10.0.0.8", "172.16.9.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - nothing listens there: it is an address that must be refused
       "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]",
    "[fec0::1]", "192.0.0.8", "192.88.99.1",
    "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "224.0.0.1", "255.255.255.255", "nowhere.invalid",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_nothing_is_sent_into_a_private_network(receiver: Receiver, host: str) -> None:
    for scheme in ("http", "https"):
        answer = outbound.post(f"{scheme}://{host}:{receiver.port}/hooks", b"{}", {}, ())
        assert answer.outcome == CallOutcome.NOT_PUBLIC
    assert receiver.got == []


def test_a_name_is_looked_up_once_and_refused_with_any_private_address(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    asked, answers = [], [["127.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["93.184.215.14"]]

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers[len(asked) - 1]]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        # What the operating system itself looks up does not pass here: only the address that was checked is connected to.
        patch.setattr(socket, "create_connection", connecting(patch))
        url = f"http://hooks.test:{receiver.port}/a"
        assert outbound.post(url, b"{}", {}, INSIDE).taken
        assert asked == ["hooks.test"]
        assert receiver.got[0][1]["host"] == f"hooks.test:{receiver.port}"
        assert outbound.post(url, b"{}", {}, INSIDE).outcome == CallOutcome.NOT_PUBLIC
        assert outbound.post(url, b"{}", {}, INSIDE).outcome == CallOutcome.NOT_PUBLIC, "unencrypted, on the internet"
    assert len(receiver.got) == 1


def connecting(patch: pytest.MonkeyPatch) -> Any:
    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        line = socket.socket()
        line.settimeout(timeout)
        line.connect(address)
        return line

    return connect


def test_redirects_and_slow_answers_lead_nowhere(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    receiver.status = 302
    answer = outbound.post(receiver.url, b"{}", {}, INSIDE)
    assert (answer.status, answer.taken) == (302, False)
    assert [path for path, _, _ in receiver.got] == ["/hooks?from=likeness"]
    monkeypatch.setattr(outbound, "WHOLE_SECONDS", 0.5)
    receiver.drips = True
    answer = outbound.post(receiver.url, b"{}", {}, INSIDE)
    assert answer.outcome == CallOutcome.NO_ANSWER
    assert answer.seconds < PATIENCE, "sooner than the answer would have ended, which takes ten minutes"


def test_a_certificate_must_be_good_for_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, "create_connection", connecting(monkeypatch))
    known = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
    certificate = self_signed(tmp_path, "hooks.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with receiving(context) as receiver:
        url = f"https://hooks.test:{receiver.port}/a"
        assert outbound.post(url, b"{}", {}, INSIDE).outcome == CallOutcome.NOT_TRUSTED
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert outbound.post(url, b"{}", {}, INSIDE).taken
        assert outbound.post(url.replace("hooks", "other"), b"{}", {}, INSIDE).outcome == CallOutcome.NOT_TRUSTED
        assert len(receiver.got) == 1


def self_signed(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = utc_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


BAD = [
    "", "hooks", "ftp://example.com/", "http://example.com/", "https://", "https://user:x@example.com/",
    "https://example.com/#a", "https://example.com:25/", "https://example.com:99999/", "https://exa mple.com/",
    "https://example.com/\r\nx: y", "https://[::1/", "https://b\u00fccher.example/", "https://" + "a" * 600,
]  # fmt: skip


def test_addresses_that_cannot_be_used(kernel: Kernel, app: Litestar) -> None:
    tenant = make_tenant(kernel)
    with TestClient(app) as client:
        sign_in_member(client, kernel, tenant, Role.HR)
        for url in BAD:
            answer = client.post("/api/v1/webhooks", json={"url": url, "events": NAMES})
            assert answer.status_code == 422, url
        page = client.post("/team/webhooks", data={"url": "http://example.com/", "for-headshots.ready": "1"})
        assert (page.status_code, "The address begins with https" in page.text) == (422, True)
