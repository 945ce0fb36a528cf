"""The operators' pages: companies opened, changed, suspended and closed; lanes, jobs that were given up, the last days."""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.photos import photos, resumable
from batch.sittings import sittings
from batch.sittings.runs import Run, RunState
from batch.visit import invitations, reminders
from compliance.erasure import erasures
from compliance.models import Pulse
from compliance.retention import pulse
from gpu_cluster.bases import weights
from gpu_cluster.cluster.fleet import Loss
from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.lanes import Lane
from likeness.identity import Kind
from likeness.jobs import watching
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.mail.mail import Mail
from tenants import suspension
from tenants.members import members
from tenants.models import Role
from tests.batch.test_directory import KIND, directory_of, patched, put_on_list, user
from tests.dashboard.markup import get
from tests.factories import (
    give_consent,
    make_employee,
    make_member,
    make_tenant,
    run_jobs,
    sign_in,
    sign_in_employee,
    sign_in_member,
)
from tests.handed_in import make_person, make_photos, make_sitting, picture

API = "/api/v1"


@pytest.fixture
def operator(client: TestClient[Any], kernel: Kernel) -> TestClient[Any]:
    with kernel.db.transaction(PLATFORM) as session:
        me = members.invite_member(session, kernel.keys, f"{uuid4().hex}@ops.example", "Sam Osei", [Role.OPERATOR])
        members.came_in(session, me.id, utc_now())
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, me.id)
    return client


def test_a_company_is_changed_and_credited_and_its_owner_gets_a_fresh_link(
    operator: TestClient[Any], kernel: Kernel
) -> None:
    sent = {"name": "Kestrel", "admin_name": "Ada Byron", "admin_email": "ada@kestrel.example", "credits": "5"}
    founded = operator.post("/operations/tenants", data=sent).text
    assert "Kestrel is set up" in founded
    tenant = UUID(re.search(r'/operations/companies/([0-9a-f-]{36})">Kestrel<', founded)[1])  # type: ignore[index]
    at = f"/operations/companies/{tenant}"
    page = get(operator, at)
    assert "Nobody has come in yet" in page
    assert "Ada" not in page
    assert "ada@kestrel" not in page, "no person is named, not even the owner"
    order = re.search(r'name="order" value="([^"]+)"', page)[1]  # type: ignore[index]
    for _ in range(2):
        operator.post(f"{at}/credits", data={"order": order, "amount": "20"})
    operator.post(f"{at}/change", data={"name": "Kestrel Bank", "employee_quota": "40"})
    shown = operator.get(f"{API}/tenants/{tenant}").json()
    assert (shown["name"], shown["employee_quota"], shown["credits_left"]) == ("Kestrel Bank", 40, 25)
    assert (
        "between 0 and 1,000,000" in operator.post(f"{at}/change", data={"name": "K", "employee_quota": "9999999"}).text
    )
    assert "A fresh invitation went out within this hour" not in operator.post(f"{at}/link").text
    assert "within this hour" in operator.post(f"{at}/link").text
    with kernel.db.transaction(tenant) as session:
        mails = session.exec(select(Mail).where(col(Mail.tenant_id) == tenant)).all()
        assert [one.template for one in mails] == ["member-invitation"] * 2
        owner = next(one for one in members.all(session) if Role.OWNER in one.roles)
        members.came_in(session, owner.id, utc_now())
    assert operator.post(f"{API}/tenants/{tenant}/link").status_code == 409
    for method, path in (("GET", ""), ("POST", "/suspend"), ("POST", "/link"), ("POST", "/keep")):
        assert operator.request(method, f"{API}/tenants/{uuid4()}{path}").status_code == 404


def test_nothing_new_is_begun_for_a_suspended_company_and_everybody_keeps_their_rights(
    operator: TestClient[Any], kernel: Kernel
) -> None:
    person = make_person(kernel)
    make_photos(kernel, person)
    at = f"/operations/companies/{person.tenant_id}"
    with kernel.db.transaction(person.tenant_id) as session:
        asked = make_employee(session, kernel)
        invitations.invite_all(session, [asked.id], utc_now())
    assert "The company is suspended" in operator.post(f"{at}/suspend").text
    assert "suspended" in get(operator, "/operations/companies")
    with kernel.db.transaction(person.tenant_id) as session:
        for begun in (
            lambda: sittings.submit(session, person.id, utc_now()),
            lambda: give_consent(session, kernel, asked),
            lambda: invitations.invite_all(session, [make_employee(session, kernel).id], utc_now()),
            lambda: invitations.resend(session, asked.id, utc_now(), caller="member:x"),
        ):
            with pytest.raises(suspension.CompanySuspended):
                begun()
    reminders.remind(kernel, utc_now() + timedelta(days=4))
    with kernel.db.transaction(person.tenant_id) as session:
        assert invitations.standing(session, asked.id).reminders == 0  # type: ignore[union-attr]
        assert sittings.withdraw(session, person.id, utc_now()) == 0, "withdrawing goes on"
    sign_in_member(operator, kernel, person.tenant_id)
    get(operator, "/desk/people")
    refused = operator.patch(f"{API}/batches/{person.batch_id}", json={"name": "New"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:likeness:company-suspended")
    assert operator.post(f"{API}/tenants/{person.tenant_id}/resume").status_code == 403


@pytest.fixture
def suspended(kernel: Kernel) -> Employee:
    """Somebody of a suspended company, who has handed photos in before."""
    person = make_person(kernel)
    make_photos(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        suspension.suspend(session, utc_now(), caller="test")
    return person


def test_no_photo_is_taken_for_a_suspended_company_and_those_there_are_deleted(
    client: TestClient[Any], kernel: Kernel, suspended: Employee
) -> None:
    sign_in_employee(client, kernel, suspended)
    with kernel.db.transaction(suspended.tenant_id) as session:
        before = [one.id for one in photos.of(session, suspended.id)]
    tus = {"tus-resumable": "1.0.0", "upload-length": "5"}
    sha = {"upload-metadata": f"sha256 {b64encode(b'0' * 64).decode()}"}
    for answer in (
        client.post(f"{API}/visit/photos", files={"photo": ("a.jpg", picture(99))}),
        client.post(f"{API}/visit/uploads", headers=tus),
        client.post(f"{API}/visit/uploads", headers=tus | sha),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:likeness:company-suspended")
    page = client.post("/visit/photos", files={"photo": ("a.jpg", picture(99))})
    assert page.status_code == 409
    assert "Nothing new is begun for now" in page.text
    assert client.delete(f"{API}/visit/photos/{before[0]}").status_code == 204
    with kernel.db.transaction(suspended.tenant_id) as session:
        assert [one.id for one in photos.of(session, suspended.id)] == before[1:]
    assert client.get(f"{API}/visit/export").status_code == 200
    assert client.post(f"{API}/visit/requests", json={"kind": "access"}).status_code == 202
    assert client.post(f"{API}/visit/erasure").status_code == 202
    run_jobs(kernel, tenant=suspended.tenant_id, ahead=timedelta(minutes=2))
    with kernel.db.transaction(suspended.tenant_id) as session:
        assert [one.state for one in erasures.all_erasures(session)] == ["certified"]


def test_a_photo_that_was_on_its_way_when_the_company_was_suspended_is_not_kept(kernel: Kernel) -> None:
    person = make_person(kernel)
    with kernel.db.transaction(person.tenant_id) as session:
        upload = resumable.begin(session, kernel.objects, person.id, 5, "", utc_now())
        suspension.suspend(session, utc_now(), caller="test")
    with pytest.raises(suspension.CompanySuspended):
        resumable.finish(kernel, upload, b"photo", utc_now())
    with kernel.db.transaction(person.tenant_id) as session:
        assert photos.of(session, person.id) == []
    assert list(kernel.objects.list(f"tenants/{person.tenant_id}/employees/{person.id}/source")) == []


def test_the_directory_of_a_suspended_company_adds_nobody_and_still_says_who_leaves(
    client: TestClient[Any], kernel: Kernel
) -> None:
    tenant = make_tenant(kernel)
    with directory_of(kernel, client.app, tenant) as scim:
        line = put_on_list(scim, user("Nadia Umit"))
        with kernel.db.transaction(tenant) as session:
            suspension.suspend(session, utc_now(), caller="test")
        refused = scim.post("/Users", json=user("Ada Berg"), headers=KIND)
        assert refused.status_code == 409
        assert "Nothing new is begun for now" in refused.json()["detail"]
        assert "scimType" not in refused.json(), "nobody else has what this user has"
        assert scim.get("/Users").json()["totalResults"] == 1
        assert patched(scim, line, {"op": "replace", "path": "active", "value": False}).json()["active"] is False
        assert scim.delete(f"/Users/{line}").status_code == 204


def test_a_member_who_leaves_a_suspended_company_is_disabled_and_nobody_comes_in(
    client: TestClient[Any], kernel: Kernel
) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    one, other, stays = (make_member(kernel, tenant, Role.HR) for _ in range(3))
    with kernel.db.transaction(tenant) as session:
        suspension.suspend(session, utc_now(), caller="test")
    assert client.delete(f"{API}/members/{one.id}").status_code == 204
    assert client.post(f"/team/{other.id}/disable", follow_redirects=False).status_code == 303
    assert client.post(f"{API}/members/{one.id}/let-back").status_code == 409
    assert client.patch(f"{API}/members/{stays.id}", json={"roles": ["brand"]}).status_code == 409
    new = {"email": "new@zebra.example", "name": "Ada Berg", "roles": ["hr"]}
    assert client.post(f"{API}/members", json=new).status_code == 409
    with kernel.db.transaction(tenant) as session:
        gone = {one.id for one in members.all(session) if one.disabled_at is not None}
    assert gone == {one.id, other.id}


def test_an_operator_is_disabled_by_another_one_and_the_last_one_stays(
    operator: TestClient[Any], kernel: Kernel
) -> None:
    with TestClient(operator.app) as theirs, TestClient(operator.app) as member:
        leaver = make_member(kernel, PLATFORM, Role.OPERATOR, name="Otto Leaver")
        sign_in(theirs, kernel, PLATFORM, Kind.OPERATOR, leaver.id)
        sign_in_member(member, kernel, make_tenant(kernel), Role.OWNER)
        assert member.delete(f"{API}/operators/{leaver.id}").status_code == 403
        at = f"/operations/operators/{leaver.id}/disable"
        assert at in get(operator, "/operations/operators")
        assert at not in get(theirs, "/operations/operators"), "nobody disables themselves there"
        assert operator.post(at, follow_redirects=False).status_code == 303
        assert theirs.get("/operations", headers={"accept": "application/json"}).status_code == 401
        assert at not in get(operator, "/operations/operators")
    shown = operator.get(f"{API}/operators?most=200").json()
    assert {one["name"]: one["disabled"] for one in shown}["Otto Leaver"] is True
    with suppress(RuntimeError), kernel.db.transaction(PLATFORM) as session:
        *others, last = [one.id for one in members.all(session) if one.disabled_at is None and one.joined_at]
        for one in others:
            members.disable(session, one, utc_now(), caller="test")
        with pytest.raises(members.LastOwner):
            members.disable(session, last, utc_now(), caller="test")
        raise RuntimeError("the operators of other tests stay")


def test_an_operator_comes_back_when_two_say_so(operator: TestClient[Any], kernel: Kernel) -> None:
    with TestClient(operator.app) as second, TestClient(operator.app) as late:
        gone = make_member(kernel, PLATFORM, Role.OPERATOR, name="Otto Back")
        susan = make_member(kernel, PLATFORM, Role.OPERATOR, name="Susan Second")
        sign_in(second, kernel, PLATFORM, Kind.OPERATOR, susan.id)
        at = f"/operations/operators/{gone.id}"
        reason = {"reason": "They came back from a year abroad."}
        ways = get(second, "/operations").count("asks for a way into")
        assert "Their access did not end" in operator.post(f"{at}/let-back", data=reason).text
        operator.post(f"{at}/disable")
        assert operator.post(f"{at}/let-back", data={"reason": "why not"}).status_code == 422
        assert operator.post(f"{at}/let-back", data=reason, follow_redirects=False).status_code == 303
        assert operator.post(f"{at}/let-back", data=reason).status_code == 409
        assert "You asked for Otto Back to come back" in get(operator, "/operations/operators")
        page = get(second, "/operations/operators")
        assert reason["reason"] in page
        assert get(second, "/operations").count("asks for a way into") == ways, "it is asked on the page of operators"
        # Questions of other tests may stand before this one: of all forms, the one that names whom it lets in.
        form = next(one for one in re.findall(r'<form [^>]*/returns/.*?</form>', page) if "Otto Back" in one)
        confirm = re.search(r'action="([^"]+/confirm)"', form)[1]  # type: ignore[index]
        # Not who asked, nor somebody who came in for it.
        assert operator.post(confirm).status_code == 409
        new = make_member(kernel, PLATFORM, Role.OPERATOR, name="Late")
        sign_in(late, kernel, PLATFORM, Kind.OPERATOR, new.id)
        assert late.post(confirm).status_code == 409
        assert second.post(confirm, follow_redirects=False).status_code == 303
        assert second.post(confirm).status_code == 404
    with kernel.db.transaction(PLATFORM) as session:
        back = members.get(session, gone.id)
        assert back.disabled_at is None
        assert str(susan.id) in back.roles_by
        said = [(one.event, one.caller) for one in ledger.entries(session) if str(gone.id) in map(str, one.objects)]
        assert said[-1] == ("member.let-back", f"operator:{susan.id}")
    with TestClient(operator.app) as hr:
        sign_in_member(hr, kernel, make_tenant(kernel), Role.OWNER)
        assert hr.post(f"{at}/let-back", data=reason).status_code == 403


def test_a_company_of_nobody_closes_and_one_with_people_does_not(operator: TestClient[Any], kernel: Kernel) -> None:
    empty, busy = make_tenant(kernel, name="Empty"), make_person(kernel).tenant_id
    at = f"/operations/companies/{empty}"
    assert "Type the company" in operator.post(f"{at}/close", data={"name": "Wrong"}).text
    assert "The company is closed in a day" in operator.post(f"{at}/close", data={"name": "Empty"}).text
    assert "closing" in get(operator, "/operations/companies")
    assert "called off" in operator.post(f"{at}/keep").text
    assert operator.get(f"{API}/tenants/{empty}").json()["closes_at"] is None
    refused = operator.post(f"{API}/tenants/{busy}/close", json={"name": "Zebra Works"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:likeness:has-people")


def dead_job(session: Session) -> Job:
    job = Job(
        tenant_id=session.info["tenant"], kind="likeness.mail.deliver", lane=Lane.MAIL, key=uuid4().hex, args=["x"],
        state=JobState.DEAD, attempt=40, finished_at=utc_now(), error="TimeoutError",
    )  # fmt: skip
    session.add(job)
    session.flush()
    return job


def test_a_job_that_was_given_up_is_tried_again(operator: TestClient[Any], kernel: Kernel) -> None:
    with kernel.db.transaction(make_tenant(kernel)) as session:
        job, other = dead_job(session), dead_job(session)
    page = get(operator, "/operations")
    assert "TimeoutError" in page
    assert f"/operations/jobs/{job.id}/again" in page
    listed = {one["id"]: one for one in operator.get(f"{API}/jobs/given-up").json()}
    assert (listed[str(job.id)]["kind"], listed[str(job.id)]["tries"]) == ("likeness.mail.deliver", 40)
    assert "The job is due again" in operator.post(f"/operations/jobs/{job.id}/again").text
    assert operator.post(f"{API}/jobs/{other.id}/again").status_code == 204
    with kernel.db.transaction(PLATFORM) as session:
        found = session.exec(select(Job).where(col(Job.id).in_([job.id, other.id]))).all()
        assert {(one.state, one.attempt - one.excused) for one in found} == {(JobState.READY, 0)}
        mail = next(one for one in watching.lanes(session, utc_now()) if one.lane == Lane.MAIL)
        assert mail.waiting >= 2
        for one in found:
            session.delete(one)
    assert operator.post(f"{API}/jobs/{job.id}/again").status_code == 404
    sign_in_member(operator, kernel, job.tenant_id)
    assert operator.post(f"{API}/jobs/{job.id}/again").status_code == 403
    get(operator, "/operations", 403)


def test_the_last_days_are_drawn_from_readings(operator: TestClient[Any], kernel: Kernel) -> None:
    now = utc_now()
    with kernel.db.transaction(PLATFORM) as session:
        for old in session.exec(select(Pulse)).all():
            session.delete(old)
        for hours, waited in ((50, 3.0), (49, 2520.0), (20, 1.0)):
            readings = dict.fromkeys(map(str, Lane), waited)
            session.add(
                Pulse(tenant_id=PLATFORM, at=now - timedelta(hours=hours), waited=readings, late_seconds=waited)
            )
    pulse.take(kernel, now)
    with kernel.db.transaction(PLATFORM) as session:
        taken = max(session.exec(select(Pulse)).all(), key=lambda one: one.at)
        assert set(taken.waited) == set(map(str, Lane))
        # What other tests left waiting or late is none of this one's.
        taken.waited, taken.late_seconds = dict.fromkeys(map(str, Lane), 0.0), 0.0
    hours = operator.get(f"{API}/pulse").json()
    assert [one["waited"]["mail"] for one in hours[:3]] == [3.0, 2520.0, 1.0]
    assert len(hours) == 4
    page = get(operator, "/operations")
    assert page.count("at most 42 min") == (len(Lane) + 1) * 2, "each lane and the deletions, in words beside the line"
    drawn = re.findall(r'<path class="bad" d="([^"]+)"', page)
    assert len(drawn) == len(Lane) + 1
    assert drawn[0].count("M") == 3, "an hour without a reading is a gap"
    pulse.take(kernel, now + pulse.KEPT + timedelta(days=1))
    with kernel.db.transaction(PLATFORM) as session:
        assert len(session.exec(select(Pulse)).all()) == 1
        for one in session.exec(select(Pulse)).all():
            session.delete(one)


def test_weights_that_may_have_changed_since_they_were_fixed_are_told(
    operator: TestClient[Any], kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "none are needed" in operator.get("/operations").text
    copy = tmp_path / "models--stabilityai--stable-diffusion-xl-base-1.0"
    here = copy / "snapshots" / ("b" * 40)
    (here / "unet").mkdir(parents=True)
    (copy / "refs").mkdir()
    (copy / "refs/main").write_text("b" * 40)
    (here / "model_index.json").write_text('{"unet": ["diffusers", "X"]}')
    (here / "unet/model.safetensors").write_bytes(b"one")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(kernel.settings, "recipe", "sdxl")
    assert "not fixed" in operator.get("/operations").text
    weights.pin(here)
    page = operator.get("/operations").text
    assert "fixed, revision bbbbbbbbbbbb" in page
    assert "Weights of the base may have changed" not in page
    (here / "unet/more.safetensors").write_bytes(b"x")
    page = operator.get("/operations").text
    assert "Weights of the base may have changed" in page
    assert "more.safetensors is new" in page


def test_a_node_that_refused_its_weights_is_told_for_as_long_as_it_may_be_true(
    operator: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel.settings, "ray_address", "ray://away:1")
    monkeypatch.setattr(kernel.settings, "recipe", "sdxl")
    page = operator.get("/operations").text
    assert "each compares its own with what was fixed on it" in page
    monkeypatch.setattr(kernel.settings, "weights", "0" * 64)
    person = make_person(kernel)
    sitting, title = make_sitting(kernel, person), "Weights of the base are not those that were fixed"
    tries = [(Loss.NEVER_STARTED, 1), (Loss.WEIGHTS_CHANGED, 16), (Loss.WEIGHTS_CHANGED, 14)]
    for fence, (error, ago) in enumerate(tries):
        page = operator.get("/operations").text
        assert title not in page, tries[:fence]
        with kernel.db.transaction(person.tenant_id) as session:
            run = Run(tenant_id=person.tenant_id, employee_id=person.id, sitting_id=sitting.id, fence=fence, recipe={})
            run.state, run.error, run.started_at = RunState.LOST, error, utc_now() - timedelta(minutes=ago)
            session.add(run)
    assert "each compares its own with LIKENESS_WEIGHTS" in page
    assert title in operator.get("/operations").text
