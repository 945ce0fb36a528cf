"""Home, lists, batches, people and the account in every language: what stands there as in English was not translated.

One company for all, with people in every stage, lists that wait to be checked and something on each page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from batch.models import Employee, PhotoState
from batch.people.employees import profile_ref
from batch.photos import photos
from batch.reading import workbook
from batch.sittings import headshots, sittings
from batch.visit import consents, invitations
from compliance.rights import attending
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail.smtp import MailOutcome
from tenants import looks, packs, tenants
from tenants.members import programs
from tenants.models import Member, Role
from tests.browser.turns import mails_that_failed, taken_back
from tests.dashboard.leaks import NAMES, WORD, catalogue_of, leaks
from tests.dashboard.markup import get
from tests.dashboard.rereading import leaking
from tests.factories import (
    give_consent,
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    run_jobs,
    sign_in,
)
from tests.handed_in import make_headshots, make_photos

# As a list in Portuguese has them, which is none of the six.
HEADINGS = ("Matrícula", "Nome completo", "Correio eletrônico", "Departamento", "Idioma")
TYPED = re.compile("|".join((*HEADINGS, "Correio 1", "Correio 2", r"\bxlsx", "tlh")))


@dataclass
class World:
    tenant: UUID
    me: Member
    people: dict[str, Employee] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Pages that are answered with another status than 200."""
    asked: list[tuple[str, dict[str, Any], int]] = field(default_factory=list)
    """What is pressed, with what is sent along, and with which status it is answered."""


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        client.headers["accept"] = "text/html"
        yield client


@pytest.fixture(scope="module")
def world(client: TestClient[Any], kernel: Kernel) -> World:
    tenant = make_tenant(kernel, name="Zqx Works", contact="privacy@zqx.example", recipes=["portrait-small", "cutout"])
    me = make_member(kernel, tenant, Role.OWNER, Role.HR, Role.BRAND, name="Zuqi Aqx")
    sign_in(client, kernel, tenant, Kind.MEMBER, me.id)
    made = World(tenant, me)
    make_member(kernel, tenant, Role.HR, name="Zuqi Aqx")
    with kernel.db.transaction(tenant) as session:
        batch, few = make_batch(session, name="Qx 1", imported_at=utc_now()), make_batch(session, name="Qx 2")
        for number, look in enumerate(looks.list_looks(session)):
            look.name = f"Qx {number}"
        for number, name in enumerate((
            "new", "asked", "opened", "bounced", "waits", "unknown", "photos", "making", "failed", "choosing", "done",
            "back", "declined", "withdrawn",
        )):
            made.people[name] = make_employee(
                session, kernel, batch=batch, full_name="Zuqi Aqx", department=f"Qx {number % 3}", site="Qx 7"
            )
        for _ in range(5):
            make_employee(session, kernel, batch=few, full_name="Zuqi Aqx", department="Qx 3")
        invitations.invite_all(session, [one.id for name, one in made.people.items() if name != "new"], utc_now())
        packs.add(session, "Qx 4", [look.id for look in looks.list_looks(session)[:2]], caller="member:x")
        tenants.change_approval(session, approves=True, caller="test")
        for name, days in (("Qx 5", 365), ("Qx 6", 10), ("Qx 7", None)):
            programs.make(session, me, name, ["people.read", "headshots.read"], utc_now(), days=days)
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        mails_that_failed(session, {
            made.people["bounced"].id: (MailOutcome.ADDRESS, "550 5.1.1"), made.people["waits"].id: (MailOutcome.AWAY, ""),
            made.people["unknown"].id: (MailOutcome.UNKNOWN, ""),
        })  # fmt: skip
        for name in ("photos", "making", "failed", "choosing", "done", "back", "withdrawn"):
            give_consent(session, kernel, made.people[name])
        consents.decline(session, made.people["declined"].id, utc_now())
    _photos(kernel, made.people["photos"])
    _headshots(kernel, made)
    with kernel.db.transaction(tenant) as session:
        attending.withdraw(session, made.people["withdrawn"].id, utc_now())
    made.pages += ["/desk", "/desk/batches", f"/desk/batches/{batch.id}", f"/desk/batches/{few.id}",
                   f"/desk/batches/{few.id}/pilot", f"/desk/batches/{batch.id}/delete", "/account"]  # fmt: skip
    made.pages += [f"/desk/people/{made.people[name].roster_id}" for name in (
        "new", "bounced", "photos", "making", "failed", "done", "declined")]  # fmt: skip
    made.pages += [f"/desk/people/{made.people['done'].roster_id}/delete", *(
        f"/desk/people{query}" for query in ("", "?q=nobody&choose=manager",
                                             "?stage=invited&days=3&order=name&batch=" + str(batch.id),
                                             "?invited=1&left_out=2&own_clock=1",
                                             "?corrected=1&deleted=2&held=1"))]  # fmt: skip
    made.pages += [f"/desk/batches/{batch.id}?{query}" for query in (
        "created=2&updated=1&asked=1&invited=3&inviting_later=2&own_clock=1&revoking=1&reminded=1&copies=2&trying=3",
        "undone=1&removed=1&restored=1&kept=1&still_corrected=2&mailed=1&q=nobody", "undone=1")]  # fmt: skip
    made.asked += [(f"/desk/people/{act}", {"all": "1", "query": ""}, 200) for act in ("invite", "remind", "revoke")]
    made.asked += [("/desk/people/invite", {}, 422), ("/desk/people/revoke", {"all": "1", "query": "q=nobody"}, 200)]
    made.asked += [(f"/desk/people/{made.people['new'].roster_id}/correct", {"name": "", "email": "x"}, 422)]
    kernel.keys.destroy(profile_ref(tenant, made.people["back"].id), utc_now())
    made.pages.append(f"/desk/people/{made.people['back'].roster_id}/delete")
    ticked = [str(made.people[name].roster_id) for name in ("new", "asked", "opened", "bounced", "back")]
    made.asked += [("/desk/people/preview-deletion", {"person": ticked}, 200)]
    made.pages += _lists(client, kernel, made)
    made.refused["/nowhere"] = 404
    made.pages += made.refused
    return made


def _photos(kernel: Kernel, person: Employee) -> None:
    """Too few that count for days, so that somebody at the desk may help."""
    made = make_photos(kernel, person, 5)
    with kernel.db.transaction(person.tenant_id) as session:
        for number, photo in enumerate(made):
            row = photos.get(session, person.id, photo.id)
            row.created_at = utc_now() - timedelta(days=4)
            if number:
                code = ("blurred", "no_face", "too_dark", "near_duplicate")[number - 1]
                row.state = PhotoState.REJECTED if code == "no_face" else PhotoState.ADVISED
                row.findings = [{"code": code, "kind": "advice", "message": "x", "action": "y"}]


def _headshots(kernel: Kernel, made: World) -> None:
    for name in ("making", "failed"):
        make_photos(kernel, made.people[name])
        with kernel.db.transaction(made.tenant) as session:
            sitting = sittings.submit(session, made.people[name].id, utc_now(), "portrait-small")
            fence = sittings.claim(session, sitting.id, utc_now())
            assert fence is not None
            if name == "failed":
                look = looks.list_looks(session)[0]
                sittings.fail(session, sitting.id, fence, "No headshot was good enough to be shown.", {look.id: "unlike"})
    for name in ("choosing", "done", "back"):
        shots = make_headshots(kernel, made.people[name])
        with kernel.db.transaction(made.tenant) as session:
            if name == "done":
                headshots.release(session, made.people[name].id, [shots[0].id, shots[1].id], utc_now())
            elif name == "back":
                taken_back(session, shots[0])


def _lists(client: TestClient[Any], kernel: Kernel, made: World) -> list[str]:
    """Files that were dropped: one with questions, one with what is wrong, corrected and missing."""

    def dropped(headings: tuple[str, ...], lines: list[tuple[str, ...]], at: str = "/desk/batches") -> str:
        file = {"workbook": ("Qx 8.xlsx", workbook.export(headings, lines, sheet="Qx 9"))}
        answer = client.post(at, files=file, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    asks = dropped(("Qx 1", "Qx 2", "Correio 1", "Correio 2"), [("Zuqi Aqx", "Qx 3", "a@zqx.example", "b@zqx.example")])
    lines = [("1", "Zuqi Aqx", "a@zqx.example", "Qx 1", "de"), ("2", "Zuqi Aqx", "b@zqx.example", "Qx 1", "de")]
    first = dropped(HEADINGS, lines)
    client.post(first.replace("/preview", "/commit"), data={"invite": "later", **_hidden(client.get(first).text)})
    again = dropped(HEADINGS, [
        ("1", "Zuqi Aqx", "a@zqx.example", "Qx 2", "de"), ("3", "Zuqi Aqx", "c@gmial.com", "Qx 1", "tlh"),
        ("4", "Zuqi Aqx", "qx", "", ""), ("5", "", "d@zqx.example", "=1+1", ""),
        ("6", "Zuqi Aqx", "info@zqx.example", "", "xx"),
        ("6", "Zuqi Aqx", "e@zqx.example", "", ""), ("7", "12", "", "", ""),
    ])  # fmt: skip
    made.refused[f"{again}?sheet=Qx+3"] = 422
    return [asks, again]


def _hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


def test_no_page_of_lists_and_people_leaks_english(client: TestClient[Any], kernel: Kernel, world: World) -> None:
    sign_in(client, kernel, world.tenant, Kind.MEMBER, world.me.id)

    def opened(path: str) -> Callable[[], str]:
        return lambda: get(client, path, world.refused.get(path, 200))

    def pressed(path: str, data: dict[str, Any], status: int) -> Callable[[], str]:
        def press() -> str:
            answer = client.post(path, data=data)
            assert answer.status_code == status, f"{path}: {answer.status_code}"
            return answer.text

        return press

    places = {path: opened(path) for path in world.pages}
    places |= {f"{path} {data}": pressed(path, data, status) for path, data, status in world.asked}
    found = leaking(places, lambda language: _read_in(client, language), _leaks)
    assert not found, "\n".join(found)


def _read_in(client: TestClient[Any], language: str) -> None:
    chosen = client.post("/account/language", data={"language": language, "back": "/desk"}, follow_redirects=False)
    assert chosen.status_code == 303, chosen.text


def _leaks(english: set[str], texts: set[str], language: str) -> list[str]:
    same = leaks(english, texts, catalogue_of(language))
    return [text for text in same if WORD.search(TYPED.sub("", NAMES.sub("", text)))]
