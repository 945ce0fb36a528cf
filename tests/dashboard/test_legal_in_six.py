"""The pages of legal, the questions of employees and the pages of operators in every language, with what is refused there.

One company with something in each state on each page, and another one of which nothing is shown. What stands there as in
English was not translated (`test_desk_in_six.py`), but for what stays so by decision: names of acts as the log was signed,
documents, and what only programs say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from sqlmodel import Session

from batch.models import Employee
from batch.sittings.runs import Run, RunState
from batch.visit import concerns, invitations
from compliance import requests
from compliance.desk import answering, finding
from compliance.models import (
    Certificate,
    Erasure,
    ErasureState,
    Excuse,
    Extension,
    Hold,
    Means,
    Method,
    Pulse,
    Refusal,
    RequestKind,
    Trigger,
    Verification,
)
from compliance.proof import signing
from compliance.records import api as records
from compliance.records import breaches
from dashboard.legal import words as of_legal
from dashboard.operations import companies
from dashboard.operations import words as of_operators
from gpu_cluster.cluster.fleet import Loss
from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.lanes import Lane
from likeness.identity import Kind
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.locale import update
from likeness.mail.smtp import MailOutcome
from likeness.run.app import create_app
from tenants import suspension
from tenants.members import break_glass, members
from tenants.models import Member, Role
from tenants.sso import providers
from tests.browser.turns import mails_that_failed
from tests.dashboard.leaks import NAMES, WORD, catalogue_of, leaks
from tests.dashboard.markup import get
from tests.dashboard.rereading import leaking
from tests.factories import give_consent, make_employee, make_member, make_tenant, run_jobs, sign_in
from tests.handed_in import make_person, make_sitting
from tests.kernel.test_sender import served

# What is called the same everywhere, or what programs and companies said.
SAME = re.compile(
    r"Zqx \w+|[Qq]x\w*(?:\.example)?|JSON|CSV|OCSF|SIEM|Excel|GDPR|CCPA|RGPD|DKIM|DMARC|SPF|v=\S+"
    r"|likeness [\w-]+.*|verifier\.py.*|oidc|saml"
    r"|Keycloak|SHA256SUMS|LIKENESS_\w+|portrait-small|Webhooks?"
    r"|OpenID Connect|SAML 2\.0|/api/\S+|127\.0\.0\.1:\d+|none\.example|localhost|Zebra Works"
    r"|[Rr]ectification"
)
Form = tuple[str, dict[str, str], int]
"""Where it is sent, with what, and how it is answered."""


@dataclass
class World:
    tenant: UUID
    legal: Member
    hr: Member
    operator: Member
    cases: list[UUID]
    person: Employee
    other: UUID
    """A company that is suspended, and has people and no sign-in of its own."""


@pytest.fixture(scope="module")
def client(kernel: Kernel) -> Iterator[TestClient[Any]]:
    with served() as address:
        settings = kernel.settings.model_copy(update={"dns_server": address, "hooks_inside": []})
        with TestClient(create_app(replace(kernel, settings=settings))) as client:
            client.headers["accept"] = "text/html"
            yield client


@pytest.fixture(scope="module")
def world(kernel: Kernel) -> World:
    tenant, now = make_tenant(kernel, name="Zqx Works", recipes=["portrait-small"]), utc_now()
    legal, second = (make_member(kernel, tenant, Role.LEGAL, name="Zuqi Aqx") for _ in range(2))
    owner, hr = (make_member(kernel, tenant, role, name="Zuqi Aqx") for role in (Role.OWNER, Role.HR))
    with kernel.db.transaction(tenant) as session:
        people = [make_employee(session, kernel, full_name="Zuqi Aqx") for _ in range(8)]
        give_consent(session, kernel, people[0])
        for desk, who in (("hr", hr), ("legal", legal)):
            answered = concerns.write(session, kernel.keys, people[0].id, desk, "/visit/face", "Qx said", "http://x", now)
            concerns.answer(session, kernel.keys, answered.id, desk, who.id, "Qx answers", now)
            concerns.write(session, kernel.keys, people[0].id, desk, "/visit/face", "Qx said", "http://x", now)
            late = concerns.write(session, kernel.keys, people[1].id, desk, "", "Qx said", "http://x", now)
            late.promised_at = now - timedelta(days=1)
        for person in people[1:]:
            session.add(Hold(tenant_id=tenant, employee_id=person.id, unsealed_reference="Qx 1", unsealed_reason="Qx 2",
                             **{"placed_by": legal.id} | _hold(people.index(person), second.id, now)))  # fmt: skip
        for cause in Trigger:
            for number, state in enumerate(ErasureState):
                session.add(_erased(tenant, cause, state, now - timedelta(hours=number)))
        for scope in of_legal.ON_ITS_DAY:
            session.add(Erasure(tenant_id=tenant, employee_id=uuid4(), trigger=Trigger.RETENTION, scope=scope,
                                state=ErasureState.CERTIFIED, requested_by="system"))  # fmt: skip
        certified = _erased(tenant, Trigger.PERSON, ErasureState.CERTIFIED, now)
        certified.recipients = [{"by": f"member:{uuid4()}", "at": f"{now:%Y-%m-%d}", "headshots": 2}]
        session.add(certified)
        session.flush()
        # Where a certificate was issued and no key was, nothing is signed any more.
        signing.key(kernel, now)
        session.add(Certificate(tenant_id=tenant, erasure_id=certified.id, document={}, jws="x", paper=b"x"))
        breaches.declare(session, kernel, since=now - timedelta(hours=2), until=now, known_at=now, now=now,
                         classes=["source", "profile"])  # fmt: skip
        cases = _cases(session, kernel, people[0].id, people[1].id, legal.id)
        asked = Erasure(tenant_id=tenant, employee_id=people[2].id, trigger=Trigger.PERSON, requested_by="x")
        session.add(asked)
    other = make_person(kernel).tenant_id
    operator = _operated(kernel, tenant, other, owner, people[0])
    return World(tenant, legal, hr, operator, cases, people[0], other)


def _hold(number: int, second: UUID, now: datetime) -> dict[str, Any]:
    """A hold in each of its states."""
    confirmed: dict[str, Any] = {"confirmed_by": second, "confirmed_at": now}
    states: dict[int, dict[str, Any]] = {
        1: {"classes": ["source", "model"], "made_from": now - timedelta(days=9), "made_until": now, "barred": True},
        2: confirmed | {"classes": ["headshot"]},
        3: confirmed | {"lift_asked_by": second},
        4: confirmed | {"lifted_at": now, "lifted_by": second},
        5: {"lifted_at": now},
        6: confirmed | {"expires_at": now - timedelta(days=1)},
        7: {"placed_by": second},
    }
    return {"expires_at": now + timedelta(days=20)} | states[number]


def _erased(tenant: UUID, cause: Trigger, state: ErasureState, at: datetime) -> Erasure:
    return Erasure(tenant_id=tenant, employee_id=uuid4(), trigger=cause, state=state, requested_at=at,
                   requested_by="system", failures=2 if state == ErasureState.VERIFYING else 0)  # fmt: skip


def _cases(session: Session, kernel: Kernel, person: UUID, other: UUID, member: UUID) -> list[UUID]:
    """Requests in each state, and of every kind that a letter brings."""
    now, caller = utc_now(), f"member:{member}"
    kinds, methods = [one for one in RequestKind if one not in ("access", "erasure")], list(Method)[1:]
    entered = [
        answering.enter(session, person, kind, methods[number % len(methods)], now, caller=caller)
        for number, kind in enumerate(kinds)
    ]
    known, approved, carried, refused, prepared, late, *_ = entered
    for case in (known, approved, carried, refused, prepared):
        requests.verify(session, case.id, "called-back", now, caller=caller)
    for case in (approved, carried, prepared):
        requests.approve(session, case.id, member, now)
    answering.extend(session, kernel, known.id, "complex", now, caller=caller)
    answering.refuse(session, kernel, refused.id, "too_many_requests", now, caller=caller)
    carried.recipients = [
        {"by": "x", "at": f"{now:%Y-%m-%d}", "informed_at": None, "excuse": None} | about for about in (
            {"informed_at": now.isoformat(), "how": "by-telephone"}, {"informed_at": now.isoformat()},
            {"excuse": "impossible"}, {"mail": str(uuid4())}, {})
    ]  # fmt: skip
    prepared.answer_asked_at = now
    late.received_at, late.due_at = now - timedelta(days=60), now - timedelta(days=30)
    done = answering.enter(session, other, "objection", "letter", now - timedelta(days=3), caller=caller)
    requests.verify(session, done.id, "known-in-person", now, caller=caller)
    requests.approve(session, done.id, member, now)
    answering.answer(session, kernel, done.id, now, caller=caller)
    asked, _ = answering.ask(session, kernel, other, "access", now)
    erased = answering.enter(session, person, "erasure", "letter", now, caller=caller)
    for case in entered:
        session.add(case)
    session.flush()
    return [one.id for one in (*entered, done, asked, erased)]


def _operated(kernel: Kernel, tenant: UUID, other: UUID, owner: Member, person: Employee) -> Member:
    """What operators see: a question of each kind, jobs that were given up, runs, mails and a week of readings."""
    now, ran = utc_now(), make_sitting(kernel, make_person(kernel))
    with kernel.db.transaction(PLATFORM) as session:
        gone, first, me, fourth = (
            members.invite_member(session, kernel.keys, f"{name}{uuid4().hex}@zqx.example", "Zuqi Aqx", [Role.OPERATOR])
            for name in "abcd"
        )
        for one in (gone, first, me, fourth):
            members.came_in(session, one.id, now)
        asker = members.profile(kernel.keys, first).email
    with kernel.db.transaction(PLATFORM) as session:
        for one, by in ((gone, first), (fourth, me)):
            members.disable(session, one.id, now, caller="system")
            break_glass.ask_back(session, kernel, one.id, by=by.id, reason="Qx 1 " * 8, now=now)
        session.add(Pulse(tenant_id=PLATFORM, at=now - timedelta(hours=3), waited=dict.fromkeys(map(str, Lane), 90.0),
                          late_seconds=7200.0))  # fmt: skip
    with kernel.db.transaction(tenant) as session:
        email = members.profile(kernel.keys, members.get(session, owner.id)).email
        later = now + timedelta(days=1)
        for job, error, over, due in (
            (JobState.DEAD, "QxError", now, None), (JobState.READY, "QxAway", None, later),
        ):  # fmt: skip
            session.add(Job(tenant_id=tenant, kind="qx.deliver", lane=Lane.MAIL, key=uuid4().hex, args=["x"], state=job,
                            attempt=4, excused=1, error=error, finished_at=over, due=due))  # fmt: skip
        providers.connect(session, issuer="https://qx.example", organization=str(uuid4()), alias=f"qx{uuid4().hex[:6]}",
                          domains=[f"qx{uuid4().hex[:6]}.example"], brokered=True, members_acr="mfa",
                          caller="system")  # fmt: skip
        invitations.invite_all(session, [person.id], now)
    break_glass.ask(kernel, tenant, email, operator=asker, reason="Qx 2 " * 8, now=now)
    with kernel.db.transaction(ran.tenant_id) as session:
        for number, state in enumerate(RunState):
            session.add(Run(tenant_id=ran.tenant_id, employee_id=ran.employee_id, sitting_id=ran.id, state=state, recipe={},
                            fence=number + 50, seconds={"load": 1.0}, error="QxError", finished_at=now))  # fmt: skip
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        mails_that_failed(session, {person.id: (MailOutcome.ADDRESS, "550 5.1.1")})
    with kernel.db.transaction(other) as session:
        suspension.suspend(session, now, caller="system")
    return me


@contextmanager
def _refused_weights(kernel: Kernel) -> Iterator[None]:
    """As long as the page says so: other tests look for a page that does not."""
    person = make_person(kernel)
    run = Run(tenant_id=person.tenant_id, employee_id=person.id, sitting_id=make_sitting(kernel, person).id, recipe={},
              state=RunState.LOST, fence=99, error=Loss.WEIGHTS_CHANGED, started_at=utc_now())  # fmt: skip
    with kernel.db.transaction(person.tenant_id) as session:
        session.add(run)
    yield
    with kernel.db.transaction(person.tenant_id) as session:
        session.delete(session.merge(run))


def _ways(client: TestClient[Any], paths: list[str], forms: list[Form]) -> dict[str, Callable[[], str]]:
    def pressed(path: str, data: dict[str, str], status: int) -> str:
        answer = client.post(path, data=data, follow_redirects=False)
        assert answer.status_code == status, f"{path} {data}: {answer.status_code}"
        return answer.text

    found: dict[str, Callable[[], str]] = {path: partial(get, client, path) for path in paths}
    return found | {f"{path} {data}": partial(pressed, path, data, status) for path, data, status in forms}


def _leaks(english: set[str], texts: set[str], language: str) -> list[str]:
    same = leaks(english, texts, catalogue_of(language))
    return [text for text in same if WORD.search(SAME.sub("", NAMES.sub("", text)))]


def _read_in(client: TestClient[Any], language: str) -> None:
    chosen = client.post("/account/language", data={"language": language, "back": "/account"}, follow_redirects=False)
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/account"), chosen.text


def _leaking(client: TestClient[Any], ways: dict[str, Callable[[], str]]) -> list[str]:
    return leaking(ways, partial(_read_in, client), _leaks)


def test_no_page_of_legal_leaks_english(client: TestClient[Any], kernel: Kernel, world: World) -> None:
    sign_in(client, kernel, world.tenant, Kind.MEMBER, world.legal.id)
    cases = [f"/legal/requests/{one}" for one in world.cases]
    person, far = str(world.person.id), f"{utc_now() + timedelta(days=30):%Y-%m-%d}"
    why = {"why": finding.Why.COURT}
    hold = {"employee_id": person, "basis": "warrant", "reference": "Qx", "reason": "Qx", "until": far}
    paths = ["/legal", f"/legal?person={person}", "/legal?erasures=0.0.x", "/legal/requests", *cases, "/legal/ledger",
             "/legal/ledger/check", "/legal/ledger?before=1", "/legal/records", "/questions",
             *(f"/legal/records/{name}" for name in records.DOCUMENTS)]  # fmt: skip
    forms: list[Form] = [
        ("/legal/people", {"name": "Zuqi"} | why, 200), ("/legal/people", {"name": "Nobody"} | why, 200),
        ("/legal/people", {"name": "Zu"} | why, 422), ("/legal/people", {"name": "Zuqi"}, 422),
        ("/legal/requests", {"employee_id": "x"}, 422),
        ("/legal/requests", {"employee_id": person, "kind": "erasure"}, 422),
        ("/legal/holds", hold | {"employee_id": "x"}, 422), ("/legal/holds", hold | {"basis": "x"}, 422),
        ("/legal/holds", hold | {"reference": ""}, 422), ("/legal/holds", hold | {"until": "x"}, 422),
        ("/legal/holds", hold | {"until": "2099-01-01"}, 422), ("/legal/holds", hold | {"employee_id": str(uuid4())}, 404),
        ("/legal/holds", hold | {"made_from": far, "made_until": "2026-01-01"}, 422),
        (f"{cases[0]}/extend", {"reason": "complex"}, 409), (f"{cases[0]}/verify", {"reason": "x"}, 422),
        (f"{cases[3]}/answer", {}, 409), (f"{cases[2]}/answer", {}, 409), (f"{cases[5]}/approve", {}, 409),
        (f"{cases[5]}/extend", {"reason": "complex"}, 409), (f"{cases[-1]}/answer", {}, 409),
        (f"/legal/erasures/{uuid4()}/inform", {"reason": "by-telephone"}, 404),
        (f"/questions/{uuid4()}", {"words": ""}, 422),
    ]  # fmt: skip
    assert not (found := _leaking(client, _ways(client, paths, forms))), "\n".join(found)
    with kernel.db.transaction(world.tenant) as session:
        acts = {entry.event.replace(".", ": ").replace("-", " ") for entry in ledger.entries(session)}
    _read_in(client, "ar")
    shown = get(client, "/legal/ledger")
    assert any(f'<span lang="en" dir="ltr" translate="no">{act}</span>' in shown for act in acts), "as it was signed"
    other = make_tenant(kernel, name="Qx Other")
    sign_in(client, kernel, other, Kind.MEMBER, make_member(kernel, other, Role.LEGAL).id)
    assert person[:8] not in get(client, "/legal") + get(client, "/legal/requests") + get(client, "/questions")


def test_no_question_of_an_employee_leaks_english_to_hr(client: TestClient[Any], kernel: Kernel, world: World) -> None:
    sign_in(client, kernel, world.tenant, Kind.MEMBER, world.hr.id)
    assert not (found := _leaking(client, _ways(client, ["/questions"], []))), "\n".join(found)


def test_no_page_of_operators_leaks_english(client: TestClient[Any], kernel: Kernel, world: World) -> None:
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, world.operator.id)
    at, other = (f"/operations/companies/{one}" for one in (world.tenant, world.other))
    paths = ["/operations", "/operations?again=1", "/operations/companies", "/operations/companies?after=0.0.x", at, other,
             *(f"{at}?said={said}" for said in companies.SAID), "/operations/operators", "/operations/mail?selector=k1",
             "/operations/mailbox", f"/operations/mailbox/{world.tenant}", "/account"]  # fmt: skip
    new = {"name": "Qx", "admin_name": "Qx", "admin_email": "qx@zqx.example", "credits": "5"}
    forms: list[Form] = [
        ("/operations/tenants", new | {"credits": "x"}, 422), ("/operations/tenants", new | {"domains": "qx"}, 422),
        ("/operations/tenants", new | {"domains": "qx.example"}, 409),
        ("/operations/tenants", new | {"legal_name": "Qx", "legal_email": "qx@zqx.example"}, 422),
        (f"{at}/credits", {"amount": "0", "order": "x"}, 422), (f"{at}/close", {"name": "Qx"}, 409),
        (f"{at}/change", {"name": "", "employee_quota": "5"}, 422), (f"{other}/suspend", {}, 409),
        (f"{at}/resume", {}, 409), (f"{at}/link", {}, 409), (f"{at}/keep", {}, 404),
        (f"/operations/jobs/{uuid4()}/again", {}, 404),
        (f"/operations/break-glass/{uuid4()}/confirm", {}, 404),
        (f"/operations/operators/{world.operator.id}/let-back", {"reason": "x" * 30}, 409),
    ]  # fmt: skip
    with _refused_weights(kernel):
        assert not (found := _leaking(client, _ways(client, paths, forms))), "\n".join(found)


def test_every_code_that_these_pages_show_has_a_word() -> None:
    tables: dict[type[StrEnum], Mapping[str, str]] = {
        Trigger: {**of_legal.CAUSES, Trigger.RETENTION: ""}, ErasureState: of_legal.STATES, RequestKind: of_legal.KINDS,
        Method: of_legal.CAME, Verification: of_legal.KNOWN_BY, Extension: of_legal.EXTENSIONS, Refusal: of_legal.REFUSALS,
        finding.Why: of_legal.WHYS, Means: of_legal.MEANS, Excuse: of_legal.MEANS, Lane: of_operators.LANES,
        RunState: of_operators.RUNS,
    }  # fmt: skip
    for codes, named in tables.items():
        assert set(codes) <= set(named), codes
    shown = [word for named in tables.values() for word in named.values() if word]
    for more in (of_legal.EVENTS, of_legal.CALLERS, of_legal.COVERED, of_legal.ON_ITS_DAY, of_operators.OUTCOMES,
                 companies.SAID):  # fmt: skip
        shown += more.values()
    shown += [called for called, _ in records.DOCUMENTS.values()]
    assert set(shown) <= update.sentences().keys()
