"""The pages of headshots, looks, settings and team in every language: what stands there as in English was not translated.

As `test_desk_in_six.py` does it for lists and people, with what is refused. What a company and its people are called is
invented, so that a word of theirs is none that is English.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient

from batch.delivery import disclosure
from batch.people.employees import profile_ref
from batch.sittings import approvals, headshots
from gpu_cluster.bases import words as of_bases
from gpu_cluster.drawn.words import WORDS as DRAWN
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.locale import update
from likeness.mail import logos, senders
from likeness.run.app import create_app
from tenants import looks, packs, tenants
from tenants.members import members, permissions
from tenants.models import CUTOUT, Role
from tenants.webhooks import deliveries, endpoints
from tenants.webhooks.events import Event
from tests.browser.turns import taken_back
from tests.dashboard.leaks import catalogue_of
from tests.dashboard.leaks import leaks as all_leaks
from tests.dashboard.markup import get
from tests.dashboard.rereading import leaking
from tests.factories import give_consent, make_batch, make_employee, make_member, make_tenant, sign_in_member
from tests.handed_in import make_headshots, picture
from tests.kernel.test_sender import served

# What is meant for programs, or is called the same everywhere.
SAME = re.compile(
    r"Entra ID|Microsoft 365|Google Workspace|GAM|Set-Photos\.ps1|WhatIf|photos\.csv|left-out\.csv|gam csv .*|SCIM 2\.0"
    r"|DKIM|DMARC|SPF|TXT|_likeness\.\S+|likeness=\S+|Authorization: Bearer|CSV|Excel|ZIP|px|kB|[a-z]+\.[a-z-]+"
    r"|Hanna Reiter|Design/Nadia-Kovač\.jpg"
    r"|\{[a-z]+\}|Europe/Berlin|#[0-9a-f]{6}|whsec_\S+|lk_\S+|Content Credentials|Webhooks?|Keycloak|Qx\w*(?: Qx\w*)*"
)
PAGES = (
    "/desk/headshots", "/desk/headshots?part=missing", "/desk/headshots?q=zzz", "/desk/headshots?department=Qxdept",
    "/desk/headshots/approval", "/desk/headshots/disclosure", "/desk/looks", "/desk/looks?given=1", "/desk/credits",
    "/desk/credits?q=zzz", "/settings?saved=1", "/settings?words=1", "/settings/sender", "/settings/leaving",
    "/team?done=roles", "/team/keys", "/team/webhooks", "/help",
)  # fmt: skip


def leaks(english: set[str], other: set[str], language: str) -> list[str]:
    found = all_leaks(english, other, catalogue_of(language))
    return [text for text in found if re.search(r"[A-Za-z]{3,}", SAME.sub("", text))]


@pytest.fixture
def company(kernel: Kernel) -> UUID:
    tenant = make_tenant(kernel, name="Qxco", contact="", recipes=["portrait-small", CUTOUT])
    with kernel.db.transaction(tenant) as session:
        tenants.change_approval(session, approves=True, caller="test")
        batch = make_batch(session, name="Qxbatch")
        people = [
            make_employee(session, kernel, batch=batch, full_name="Qx Aq", department="Qxdept", language="fr")
            for _ in range(5)
        ]
        for person in (*people[:3], people[4]):
            give_consent(session, kernel, person)
        for number, look in enumerate(looks.list_looks(session)):
            look.name = f"Qxlook {number}"
        packs.add(session, "Qxpack", [looks.list_looks(session)[0].id], caller="test")
        looks.give_to(session, kernel.keys, looks.list_looks(session)[1].id, ["Qxdept"], caller="test")
    for person in people[:3]:
        made = make_headshots(kernel, person)
        with kernel.db.transaction(tenant) as session:
            headshots.release(session, person.id, [shot.id for shot in made[:2]], utc_now())
    back = make_headshots(kernel, people[4])[0]
    with kernel.db.transaction(tenant) as session:
        taken_back(session, back)
    kernel.keys.destroy(profile_ref(tenant, people[4].id), utc_now())
    with kernel.db.transaction(tenant) as session:
        first, second, third, *_ = approvals.waiting(session, utc_now(), 10)
        approvals.approve(session, [first.headshot.shelf_id, second.headshot.shelf_id], utc_now(), caller="test")
        approvals.ask_for_another(session, kernel.keys, third.headshot.shelf_id, "crop", utc_now(), caller="test")
        logos.give(session, picture(1), 64, 64, utc_now())
        senders.give(session, "qx@none.example", "k1", utc_now(), caller="test")
        gone = members.invite_member(session, kernel.keys, email="qx3@qxco.example", name="Qx Bq", roles=(Role.HR,))
        members.disable(session, gone.id, utc_now(), caller="test")
    make_member(kernel, tenant, Role.HR, email="qx2@qxco.example", name="Qx Cq")
    return tenant


def test_no_page_of_headshots_looks_settings_and_team_leaks_english(kernel: Kernel, company: UUID) -> None:
    stranger = make_tenant(kernel, name="Qxother")
    with served() as address, ExitStack() as after:
        settings = kernel.settings.model_copy(update={"dns_server": address, "smtp_url": "smtp://198.51.100.9"})
        client = after.enter_context(TestClient(create_app(replace(kernel, settings=settings))))
        client.headers["accept"] = "text/html"
        me = sign_in_member(client, kernel, company, Role.OWNER, Role.HR)
        with kernel.db.transaction(company) as session:
            member = members.get(session, me.id)
            endpoint, _ = endpoints.make(
                session, kernel.keys, member, "https://qxco.example/hooks", [Event.BATCH_IMPORTED], utc_now(), networks=""
            )
            deliveries.test(session, member, endpoint.id, utc_now())
            look, pack = looks.list_looks(session)[1].id, packs.listed(session)[0].id
        key = {"name": "Qxpay", "for-acts.read": "1", "for-people.read": "1", "days": "30"}
        shown: list[tuple[str, str, dict[str, Any] | None]] = [
            *((path, "get", None) for path in PAGES),
            (f"/team/webhooks/{endpoint.id}", "get", None),
            (f"/desk/looks/{look}/departments", "get", None), (f"/desk/packs/{pack}/departments", "get", None),
            (f"/desk/looks/{look}/departments", "post", {"who": "some", "department": "Qxdept"}),
            (f"/desk/packs/{pack}/departments", "post", {"who": "some", "others": "Qxelse"}),
            ("/desk/headshots/archive?which=ticked", "get", None),
            ("/desk/headshots/archive?which=all&names={x}", "get", None),
            ("/desk/headshots/approval", "post", {}), ("/settings/sender/use", "post", {}),
            ("/desk/packs", "post", {"pack_name": ""}), ("/settings", "post", {"time_zone": "x", "language": "en"}),
            ("/settings", "post", {"name": ""}), ("/settings", "post", {"source_days": "9"}),
            ("/team", "post", {"name": "Qx", "email": "qx2@qxco.example", "role-hr": "1"}),
            ("/team", "post", {"name": "Qx", "email": "nowhere", "role-hr": "1"}),
            ("/team", "post", {"name": "Qx", "email": "qx9@qxco.example"}),
            ("/team/keys", "post", key | {"for-acts.read": "", "for-people.read": ""}), ("/team/keys", "post", key),
            ("/team/webhooks", "post", {"url": "http://qx", "for-batch.imported": "1"}),
            ("/team/directory", "post", {"leaver_days": "99"}),
            ("/settings/leaving", "post", {"name": "Qxwrong", "people": "4"}),
        ]  # fmt: skip

        def opened(path: str, how: str, form: dict[str, Any] | None) -> str:
            status = 422 if "archive" in path else 200
            return get(client, path, status) if how == "get" else client.post(path, data=form).text

        ways = {f"{how} {path} {form}": partial(opened, path, how, form) for path, how, form in shown}
        found = leaking(ways, lambda language: client.headers.update({"accept-language": language}), leaks)
        # Another company's page holds nothing of this one, in any language.
        sign_in_member(client, kernel, stranger, Role.OWNER, Role.HR)
        for path in ("/desk/headshots", "/desk/looks", "/settings", "/team"):
            assert not re.search(r"Qx(?:co|dept|look|pack) ?", get(client, path)), path
    assert not found, "\n".join(sorted(set(found)))


def test_every_word_that_a_base_offers_has_a_translation() -> None:
    known = update.sentences()
    for offered in (of_bases.OF_PHOTOGRAPHS, DRAWN):
        words = {*offered.backdrops, *offered.dresses, *offered.framings, *offered.lights}
        assert words <= known.keys(), sorted(words - known.keys())


def test_what_pages_take_from_tables_is_in_the_catalogues() -> None:
    members_may = [permissions.WORDS[one] for role in permissions.COMPANY_ROLES for one in permissions.of([role])]
    tables = [*members_may, *permissions.ROLE_NAMES.values(), *deliveries.STATES.values(), *disclosure.DUTIES,
              *disclosure.PLACES, *approvals.REASONS.values()]  # fmt: skip
    assert set(tables) <= update.sentences().keys()
