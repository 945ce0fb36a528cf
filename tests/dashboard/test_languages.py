"""Every page of the visit in every language, and every letter: what stands there as in English was not translated.

One world for all: people in every state. A page is fetched in English and then in each other language; a text that is the
same in both, and is neither somebody's own word nor translated by itself, is a leak.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import Session

from batch.models import Employee, PhotoState, Purpose
from batch.people import employees
from batch.photos import photos, rejections
from batch.sittings import headshots, resemblance, sittings
from batch.vision.inspection import FINDINGS
from batch.visit import concerns, consents, invitations, notices
from compliance import requests
from compliance.desk import answering
from compliance.desk import letters as letters_of_requests
from compliance.erasure import erasures
from compliance.models import Hold, Trigger
from compliance.rights import attending
from dashboard.visit.asking.draft import Draft
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.locale.languages import LANGUAGES
from likeness.locale.words import words
from likeness.mail import letters, mail
from tenants import looks, tenants
from tenants.models import Role
from tests.compliance.people import company_leaves
from tests.dashboard.leaks import NAMES, OTHERS, WORD, Texts, catalogue_of, leaks
from tests.dashboard.markup import get
from tests.factories import give_consent, make_employee, make_member, make_tenant, run_jobs, sign_in_employee
from tests.handed_in import make_headshots, make_photos

ABOUT_REQUESTS = ("request-received", "request-extended", "request-ready", "request-refused", "request-answered")
ABOUT_ENDS = ("erased", "removed", "leaving")


@dataclass
class World:
    people: dict[str, Employee] = field(default_factory=dict)
    pages: list[tuple[str, str]] = field(default_factory=list)
    """Whose, and where."""


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        client.headers["accept"] = "text/html"
        yield client


@pytest.fixture(scope="module")
def world(kernel: Kernel) -> World:
    tenant = make_tenant(kernel, name="Zqx Works", contact="privacy@zqx.example", recipes=["portrait-small", "cutout"])
    made = World()
    hr, _ = make_member(kernel, tenant), make_member(kernel, tenant, Role.LEGAL)
    with kernel.db.transaction(tenant) as session:
        for number, look in enumerate(looks.list_looks(session)):
            look.name = f"Qx {number}"
        for name in ("asked", "photos", "making", "failed", "choosing", "done", "declined", "withdrawn", "held"):
            made.people[name] = make_employee(session, kernel, full_name="Zuqi Aqx")
        invitations.invite_all(session, [made.people["asked"].id], utc_now())
        for name, person in made.people.items():
            if name not in ("asked", "declined"):
                give_consent(session, kernel, person)
        consents.decline(session, made.people["declined"].id, utc_now())
        concern = concerns.write(session, kernel.keys, made.people["photos"].id, "hr", "/visit/face", "Qx said",
                                 "http://x", utc_now())  # fmt: skip
        concerns.answer(session, kernel.keys, concern.id, "hr", hr.id, "Qx answers", utc_now())
        concerns.write(session, kernel.keys, made.people["photos"].id, "legal", "", "Qx said", "http://x", utc_now())
        for _ in range(rejections.LEAST):
            rejections.note(session, [FINDINGS["no_face"]], utc_now(), refused=True)
        rejections.count(session, rejections.SHOWN, utc_now() - timedelta(days=31), rejections.LEAST_HEADSHOTS)
    _photos(kernel, made.people["photos"])
    _sittings(kernel, made)
    _headshots(kernel, made)
    make_photos(kernel, made.people["held"], 2)
    make_photos(kernel, made.people["withdrawn"], 1)
    with kernel.db.transaction(tenant) as session:
        session.add(Hold(tenant_id=tenant, employee_id=made.people["held"].id, placed_by=uuid4(), confirmed_by=uuid4(),
                         unsealed_reference="12 O 34/26", unsealed_reason="x", confirmed_at=utc_now(),
                         expires_at=utc_now() + timedelta(days=40)))  # fmt: skip
        attending.withdraw(session, made.people["withdrawn"].id, utc_now())
    everybody = ("/visit/face", "/visit/wrong", "/visit/requests", "/visit/certificates", "/visit/delete")
    made.pages += [
        ("asked", "/visit/welcome"), ("asked", "/visit/consent"), ("asked", "/visit/consent/biometric"),
        ("asked", _to_sign(kernel, made.people["asked"])), ("photos", "/visit/photos"), ("making", "/visit/making"),
        ("failed", "/visit/making"), ("failed", "/visit/photos"), ("choosing", "/visit/headshots"), ("done", "/visit/done"),
        ("done", "/visit/headshots"), ("declined", "/visit/declined"), ("declined", "/visit/face"),
        ("withdrawn", "/visit/declined"), ("held", "/visit/photos"), ("held", "/visit/delete"), ("held", "/visit/face"),
        *(("photos", path) for path in everybody), ("done", "/visit/face"),
    ]  # fmt: skip
    return made


def _to_sign(kernel: Kernel, person: Employee) -> str:
    """The page on which somebody signs who agreed to a part of what headshots need."""
    with kernel.db.transaction(person.tenant_id) as session:
        version = notices.version(tenants.get(session))
    answers = {Purpose.HEADSHOTS: True, Purpose.PORTRAIT: False, Purpose.BIOMETRIC: False}
    return f"/visit/consent/name?draft={Draft(answers).sealed(kernel.keys, person, version)}"


def _sittings(kernel: Kernel, made: World) -> None:
    for name in ("making", "failed"):
        make_photos(kernel, made.people[name])
        with kernel.db.transaction(made.people[name].tenant_id) as session:
            sitting = sittings.submit(session, made.people[name].id, utc_now(), "portrait-small")
            fence = sittings.claim(session, sitting.id, utc_now())
            assert fence is not None
            if name == "failed":
                look = looks.list_looks(session)[0]
                sittings.fail(session, sitting.id, fence, "No headshot was good enough to be shown.", {look.id: "unlike"})


def _headshots(kernel: Kernel, made: World) -> None:
    for name in ("choosing", "done"):
        shots = make_headshots(kernel, made.people[name])
        with kernel.db.transaction(made.people[name].tenant_id) as session:
            if name == "done":
                headshots.release(session, made.people[name].id, [shots[0].id, shots[1].id], utc_now())
                headshots.releases(session, made.people[name].id)[0].downloaded_at = utc_now()
                headshots.unrelease(session, made.people[name].id, shots[1].id, utc_now())
            else:
                for shot, ratio in zip(shots, (0.85, 1.1, 0.8), strict=True):
                    row = headshots.get(session, made.people[name].id, shot.id, utc_now())
                    row.likeness_ratio, row.question = ratio, "soft"
                    row.photo_id = None if shot is shots[2] else photos.of(session, made.people[name].id)[0].id
                resemblance.reject(session, kernel.objects, kernel.keys, made.people[name].id, shots[2].id, utc_now())
        made.pages += [(name, f"/visit/headshots/{shots[0].id}")]
        if name == "choosing":
            made.pages += [(name, f"/visit/hand-over?headshot={shots[0].id}&headshot={shots[1].id}")]
            made.pages += [(name, f"/visit/headshots/{shots[1].id}")]


def _photos(kernel: Kernel, person: Employee) -> None:
    """One of each state, with what is said of it."""
    findings = {PhotoState.ADVISED: "blurred", PhotoState.REJECTED: "no_face", PhotoState.CHOOSING: "several_faces",
                PhotoState.ACCEPTED: "turned"}  # fmt: skip
    made = make_photos(kernel, person, len(PhotoState))
    with kernel.db.transaction(person.tenant_id) as session:
        for photo, state in zip(made, PhotoState, strict=True):
            row = photos.get(session, person.id, photo.id)
            row.state, row.width, row.height = state, 800, 400
            if code := findings.get(state):
                found = FINDINGS[code]
                row.findings = [{"code": found.code, "kind": found.kind, "message": found.message, "action": found.action}]
            if state == PhotoState.CHOOSING:
                row.faces = [[10, 10, 90, 90], [200, 10, 290, 90]]


def test_no_page_of_the_visit_leaks_english(client: TestClient[Any], kernel: Kernel, world: World) -> None:
    catalogues = {language: catalogue_of(language) for language in OTHERS}
    seen: dict[tuple[str, str], set[str]] = {}
    found = []
    for language in ("en", *OTHERS):
        last = ""
        for name, path in sorted(world.pages):
            if name != last:
                with kernel.db.transaction(world.people[name].tenant_id) as session:
                    employees.choose_language(session, kernel.keys, world.people[name].id, language)
                sign_in_employee(client, kernel, world.people[name])
                last = name
            html = get(client, path)
            texts = Texts(html).found
            if language == "en":
                seen[name, path] = texts
                continue
            found += [f"{language} {path}: {text}" for text in leaks(seen[name, path], texts, catalogues[language])]
            assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in html
            assert 'action="/visit/language"' in html, "the switch stands on every page"
        code = client.post("/visit/phone").text
        client.cookies.clear()
        public = [f"/retention/{world.people['asked'].tenant_id}"]
        public += ["/", "/sign-in", "/trust", "/verify"]
        public += ["/p/" + token for token in re.findall(r'data-address="[^"]*/p/([^"]+)"', code)]
        for path in public:
            html = get(client, f"{path}?language={language}")
            assert f'<html lang="{language}"' in html
            texts, kind = Texts(html).found, path.split("/")[1]
            if language == "en":
                seen["", kind] = texts
            else:
                found += [f"{language} /{kind}: {text}" for text in leaks(seen["", kind], texts, catalogues[language])]
        # Nobody who comes by a code on paper has said which language they read: their browser has.
        for path in ("/", "/trust", "/verify", "/sign-in", "/nowhere"):
            assert f'<html lang="{language}"' in client.get(path, headers={"accept-language": f"{language},en;q=0.5"}).text
        foreign = {"sec-fetch-site": "cross-site", "accept-language": language}
        refused = client.post("/visit/language", headers=foreign).json()["detail"]
        assert refused == words(language).gettext("This request came from another site and was not carried out.")
    assert not found, "\n".join(sorted(set(found)))
    assert len(seen) >= len(set(world.pages))


def test_no_letter_leaks_english(kernel: Kernel) -> None:
    """The texts themselves, and those that an ordinary way sends, with all that is put into them."""
    folder = Path(letters.__file__).parents[1] / "locale"
    found = []
    for path in sorted((folder / "en/letters").glob("*.txt")):
        english = set(path.read_text().splitlines())
        for language in OTHERS:
            there = set((folder / language / "letters" / path.name).read_text().splitlines())
            same = {line for line in english & there if WORD.search(re.sub(r"\{[{%].*?[}%]\}", "", NAMES.sub("", line)))}
            found += [f"{language}/{path.name}: {line}" for line in same]
    sent = {language: _sent(kernel, language) for language in LANGUAGES}
    assert {*ABOUT_REQUESTS, *ABOUT_ENDS, "invitation", "receipt", "answered"} <= set(sent["en"])
    for language in OTHERS:
        for name, english in sent["en"].items():
            found += [f"{language} {name}: {line}" for line in leaks(english, sent[language][name], {})]
    # What is written in other letters shows each English word that was put into a sentence.
    found += [
        f"{language} {name}: {line}"
        for language in ("ja", "ar") for name in (*ABOUT_REQUESTS, *ABOUT_ENDS) for line in sent[language][name]
        if WORD.search(NAMES.sub("", re.sub(r"[a-z]+_[a-z_]+|\bx\b", "", line)))
    ]  # fmt: skip
    assert not found, "\n".join(found)
    assert all("\u2068Zqx Works\u2069" in "".join(sent["ar"][name]) for name in (*ABOUT_REQUESTS, *ABOUT_ENDS))


def _sent(kernel: Kernel, language: str) -> dict[str, set[str]]:
    """By template: what a person and a member of a company are written whose language this is."""
    tenant = make_tenant(kernel, name="Zqx Works", contact="privacy@zqx.example", language=language)
    member, now = make_member(kernel, tenant, Role.OWNER, Role.HR, name="Zuqi Aqx"), utc_now()
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Zuqi Aqx", language=language)
        gone = make_employee(session, kernel, full_name="Zuqi Aqx", language=language)
        asks = make_employee(session, kernel, full_name="Zuqi Aqx", language=language)
        invitations.invite(session, person, now)
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        notice = consents.notices.current(session, language)
        purposes = list(consents.words(session, language))
        consents.give(session, kernel.keys, person.id, purposes, notice.id, "Zuqi Aqx", now)
        concern = concerns.write(session, kernel.keys, person.id, "hr", "", "Qx said", "http://x", now)
        concerns.answer(session, kernel.keys, concern.id, "hr", member.id, "Qx answers", now)
        _requests(session, kernel, person.id, member.id)
        erasures.ask(session, kernel, gone.id, now, caller=f"member:{member.id}", trigger=Trigger.EMPLOYER)
        erasures.ask(session, kernel, asks.id, now)
    company_leaves(kernel, tenant, member.id)
    letters_of_requests.confirm_receipts(kernel, now)
    with kernel.db.transaction(tenant) as session:
        read = [(one.template, mail.read(kernel.keys, one)) for one in mail.mailbox(session)]
    said: dict[str, set[str]] = {}
    for name, letter in read:
        if letter and letter.language == language:
            said.setdefault(name, set()).update({*letter.text.splitlines(), letter.subject})
    return said


def _requests(session: Session, kernel: Kernel, person: UUID, member: UUID) -> None:
    """One of each end, and one that came by letter and waits."""
    now, caller = utc_now(), f"member:{member}"
    asked, _ = answering.ask(session, kernel, person, "rectification", now)
    answering.answer(session, kernel, asked.id, now, caller=caller)
    entered = answering.enter(session, person, "know", "mail", now, caller=caller)
    requests.verify(session, entered.id, "called-back", now, caller=caller)
    answering.extend(session, kernel, entered.id, "complex", now, caller=caller)
    requests.approve(session, entered.id, member, now)
    answering.carry_out(session, kernel, entered.id, now, caller=caller)
    answering.refuse(session, kernel, answering.enter(session, person, "limit", "phone", now, caller=caller).id,
                     "too_many_requests", now, caller=caller)  # fmt: skip
    answering.enter(session, person, "opt-out", "letter", now, caller=caller)
