"""The sender's domain in DNS, asked of a real server that holds a few records."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from uuid import UUID

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from litestar.testing import TestClient

from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel
from likeness.mail import mail, sender
from likeness.run.app import create_app
from likeness.web.guards import cookie_name
from tenants import tenants
from tenants.members import members
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_tenant, sign_in_member
from tests.kernel.scripted import scripted
from tests.waiting import PATIENCE

RECORDS: dict[tuple[str, str], list[str]] = {
    ("good.example.", "TXT"): ['"something else"', '"v=spf1 include:_spf.good.example -all"'],
    ("_spf.good.example.", "TXT"): ['"v=spf1 ip4:192.0.2.0/24 mx:good.example -all"'],
    ("good.example.", "MX"): ["10 mx.good.example."],
    ("mx.good.example.", "A"): ["198.51.100.9"],
    ("smtp.good.example.", "A"): ["192.0.2.25"],
    ("smtp.other.example.", "A"): ["203.0.113.1"],
    ("k1._domainkey.good.example.", "TXT"): ['"v=DKIM1; k=rsa; " "p=MIIBIjANBg"'],
    ("old._domainkey.good.example.", "TXT"): ['"v=DKIM1; p="'],
    ("_dmarc.good.example.", "TXT"): ['"v=DMARC1; p=reject"'],
    ("open.example.", "TXT"): ['"v=spf1 +all"'],
    ("two.example.", "TXT"): ['"v=spf1 -all"', '"v=spf1 mx -all"'],
    ("loop.example.", "TXT"): ['"v=spf1 include:loop.example -all"'],
    ("_dmarc.loop.example.", "TXT"): ['"v=DMARC1; p=none"'],
}  # fmt: skip


class Answering(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, socket = self.request
        asked = dns.message.from_wire(data)
        question = asked.question[0]
        answer = dns.message.make_response(asked)
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text().lower()
        if found := RECORDS.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        elif not any(name == known for known, _ in RECORDS):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        socket.sendto(answer.to_wire(), self.client_address)


@contextmanager
def served() -> Iterator[str]:
    """Who asks it waits for its answer, however little time this machine has for either."""
    with (
        socketserver.ThreadingUDPServer(("127.0.0.1", 0), Answering) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sender, "SECONDS", PATIENCE)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def names() -> Iterator[sender.Names]:
    with served() as address:
        yield sender.Names(address)


@pytest.mark.parametrize(
    ("mail_from", "smtp", "selector", "states", "says"),
    [
        ("Likeness <x@good.example>", "smtp://u:p@smtp.good.example:587", "k1", "good good good", "names smtp.good"),
        ("x@good.example", "smtp://198.51.100.9", "old", "good bad good", "revoked"),
        ("x@good.example", "smtp://smtp.other.example", "", "warn warn good", "does not name"),
        ("x@good.example", "", "no such; thing", "warn bad good", "letters, digits"),
        ("x@none.example", "smtp://smtp.good.example", "k1", "bad bad warn", "There is no record"),
        ("x@open.example", "smtp://smtp.good.example", "", "bad warn warn", "every server in the world"),
        ("x@two.example", "smtp://smtp.good.example", "", "bad warn warn", "several records"),
        ("x@loop.example", "smtp://smtp.good.example", "", "warn warn warn", "does not name"),
    ],
)  # fmt: skip
def test_each_record_is_read_as_receivers_read_it(
    names: sender.Names, mail_from: str, smtp: str, selector: str, states: str, says: str
) -> None:
    found = sender.check(mail_from, smtp, selector, names)
    assert " ".join(one.state for one in found) == states
    assert says in " ".join(one.says for one in found)


def test_a_server_that_says_nothing_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SECONDS", 3.0)
    found = sender.check("x@good.example", "", "k1", sender.Names("127.0.0.1:9"))
    assert {one.state for one in found} == {"warn"}
    assert all("No DNS server answered" in one.says for one in found)


def test_operators_read_it_on_a_page_and_nobody_else_does(kernel: Kernel) -> None:
    with served() as address:
        settings = kernel.settings.model_copy(update={"dns_server": address, "mail_from": "x@good.example"})
        with TestClient(create_app(replace(kernel, settings=settings))) as client:
            client.headers["accept"] = "text/html"
            with kernel.db.transaction(PLATFORM) as session:
                operator = members.invite_member(session, kernel.keys, "mail@operators.example", "Op", [Role.OPERATOR])
                value = start_session(session, Kind.OPERATOR, operator.id, utc_now())
            client.cookies.set(cookie_name(kernel.settings), value)
            page = get(client, "/operations/mail?selector=k1")
            assert page.count("in order") == 2
            assert "v=DMARC1; p=reject" in page
            told = {one["name"]: one for one in client.get("/api/v1/sender?selector=k1").json()}
            assert [one["state"] for one in told.values()].count("good") == 2
            assert told["DMARC"]["record"] == "v=DMARC1; p=reject"
            sign_in_member(client, kernel, make_tenant(kernel))
            get(client, "/operations/mail", 403)
            assert client.get("/api/v1/sender").status_code == 403


def test_a_company_sends_from_its_own_domain_once_that_says_so(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = make_tenant(kernel), make_tenant(kernel)
    with served() as address, scripted() as server, ExitStack() as after:
        told = {"dns_server": address, "mail_from": "Likeness <x@here.example>", "smtp_url": server.url}
        ready = replace(kernel, settings=kernel.settings.model_copy(update=told))
        client = after.enter_context(TestClient(create_app(ready)))
        client.headers["accept"] = "text/html"

        def comes_from(tenant: UUID) -> str:
            with kernel.db.transaction(tenant) as session:
                return mail.sender_of(session, "Likeness <x@here.example>")

        sign_in_member(client, kernel, ours, Role.OWNER)
        assert 'href="/settings" aria-current="page"' in client.get("/settings/sender").text
        for wrong in ("boss", "a@b", "Boss <a@good.example>", "a@good.example\r\nBcc: x@y.example", "a@good.example\0"):
            refused = client.post("/settings/sender", data={"address": wrong, "selector": "k1"})
            assert (refused.status_code, "Write the address alone" in refused.text) == (422, True), wrong
        client.post("/settings/sender", data={"address": "hr@good.example", "selector": "k1"})
        page = get(client, "/settings/sender")
        assert f"likeness={ours}" in page
        assert "Ownership: missing or wrong" in page
        assert client.post("/settings/sender/use").status_code == 409
        assert comes_from(ours) == "Likeness <x@here.example>"
        RECORDS["_likeness.good.example.", "TXT"] = [f'"likeness={ours}"']
        after.callback(RECORDS.pop, ("_likeness.good.example.", "TXT"))
        assert "Mails that leave from now on come from this address" in client.post("/settings/sender/use").text
        assert "MAIL FROM:<hr@good.example>" in server.lines, "the mail server is asked whether it lets us"
        assert comes_from(ours) == "Likeness <hr@good.example>"
        shown = client.get("/api/v1/tenant/sender").json()
        assert [one["state"] for one in shown["checks"]] == ["good", "warn", "good", "good"]
        assert shown["proven_at"]
        # Nobody else sends as them, and who does not set the company's terms changes nothing.
        sign_in_member(client, kernel, theirs, Role.OWNER)
        words = {"address": "hr@good.example", "selector": "k1"}
        assert client.put("/api/v1/tenant/sender", json=words).json()["checks"][0]["state"] == "bad"
        assert client.post("/api/v1/tenant/sender/use").status_code == 409
        assert comes_from(theirs) == "Likeness <x@here.example>"
        sign_in_member(client, kernel, ours, Role.HR)
        assert "hr@good.example" in get(client, "/settings/sender")
        assert client.put("/api/v1/tenant/sender", json=words).status_code == 403
        # A look at a DNS server that is silent changes nothing; a record that is gone does.
        silent = replace(ready, settings=ready.settings.model_copy(update={"dns_server": "127.0.0.1:9"}))
        with monkeypatch.context() as soon:
            soon.setattr(sender, "SECONDS", 3.0)
            tenants._look_at_sender(silent, ours, utc_now())
        assert comes_from(ours) == "Likeness <hr@good.example>"
        RECORDS["_likeness.good.example.", "TXT"] = [f'"likeness={theirs}"']
        tenants._look_at_sender(ready, ours, utc_now())
        assert comes_from(ours) == "Likeness <x@here.example>"
        sign_in_member(client, kernel, ours, Role.OWNER)
        assert client.delete("/api/v1/tenant/sender").status_code == 204
        assert client.get("/api/v1/tenant/sender").status_code == 404
