"""Who comes in with the account of their company, and as whom."""

from __future__ import annotations

import re
from uuid import uuid4

from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient

from likeness.cli.main import main
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, make_link
from likeness.kernel import Kernel
from tenants.members import break_glass, members
from tenants.models import Role
from tests.factories import give_consent, make_member, sign_in_employee
from tests.sso.conftest import Browser, Company, make_company
from tests.sso.other import EC, NEXT, RSA, Other


def test_an_invited_member_comes_to_the_desk_by_the_companys_own_domain(
    browser: Browser, zebra: Company, acme: Company
) -> None:
    member = zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    answer = browser.sign_in(zebra, account)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.client.get("/desk").status_code == 200
    assert "identity.bound" in zebra.events()
    assert zebra.mails(member.id, "account-connected")[0].to == f"hanna@{zebra.domain}"
    assert acme.sessions() == 0


def test_the_address_is_asked_for_once_and_not_again(browser: Browser, zebra: Company, other: Other) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    browser.sign_in(zebra, account)
    assert any("userinfo" in path for path in other.asked)
    other.asked.clear()
    assert browser.sign_in(zebra, account).status_code == 303
    assert not any("userinfo" in path for path in other.asked)


def test_a_new_session_is_never_one_from_before_and_the_old_one_ends(browser: Browser, zebra: Company) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    browser.sign_in(zebra, account)
    before = browser.cookie
    browser.sign_in(zebra, account)
    assert browser.cookie != before
    assert zebra.sessions() == 1


def test_somebody_who_works_the_desk_and_is_photographed_has_both_parts(browser: Browser, zebra: Company) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    zebra.employee("hanna")
    browser.sign_in(zebra, zebra.account("hanna"))
    desk, visit = browser.client.get("/desk"), browser.client.get("/visit", follow_redirects=True)
    assert (desk.status_code, visit.status_code) == (200, 200)
    assert 'href="/visit"' in desk.text
    assert browser.client.get("/legal").status_code == 403


def test_an_employee_comes_to_the_same_visit_as_by_their_link(browser: Browser, zebra: Company, acme: Company) -> None:
    person = zebra.employee("nadia")
    assert browser.sign_in(zebra, zebra.account("nadia")).status_code == 303
    assert browser.client.get("/api/v1/visit").json()["name"] == "Nadia Ümit"
    assert browser.client.get("/desk").status_code == 403
    assert "invitation.opened" in zebra.events()
    assert zebra.mails(person.id, "account-connected")


def test_whoever_is_not_listed_or_not_invited_comes_nowhere(browser: Browser, zebra: Company, acme: Company) -> None:
    acme.employee("nadia")
    answer = browser.sign_in(zebra, zebra.account("nobody"))
    assert (answer.status_code, browser.cookie) == (403, "")
    assert "not connected yet" in answer.text
    assert zebra.sessions() == acme.sessions() == 0


def test_an_address_that_only_looks_like_somebodys_is_not_theirs(browser: Browser, zebra: Company, acme: Company) -> None:
    """The list keeps no two that differ by \u00df and ss; a mail server may, so an account of the one is not the other."""
    person, member = zebra.employee("strass"), zebra.member(Role.HR, name="gross", joined=False)
    for name in ("stra\u00df", "gro\u00df", "\u017ftrass"):
        answer = browser.sign_in(zebra, zebra.account(name))
        assert (answer.status_code, browser.cookie) == (403, ""), name
    assert zebra.sessions() == acme.sessions() == 0
    assert not zebra.mails(person.id, "account-connected") + zebra.mails(member.id, "account-connected")


def test_the_answer_is_the_same_for_somebody_who_is_listed_but_has_to_open_a_link(
    browser: Browser, zebra: Company, sso_kernel: Kernel
) -> None:
    person = zebra.employee("nadia")
    with sso_kernel.db.transaction(zebra.tenant) as session:
        give_consent(session, sso_kernel, session.merge(person))
    listed = browser.sign_in(zebra, zebra.account("nadia"))
    unknown = browser.sign_in(zebra, zebra.account("nobody"))
    assert listed.status_code == unknown.status_code == 403
    assert listed.text == unknown.text
    assert zebra.sessions() == 0


def test_a_mailed_link_connects_an_account_and_the_account_opens_the_page_from_then_on(
    browser: Browser, app: Litestar, other: Other, zebra: Company, sso_kernel: Kernel
) -> None:
    person = zebra.employee("nadia")
    with sso_kernel.db.transaction(zebra.tenant) as session:
        give_consent(session, sso_kernel, session.merge(person))
    sign_in_employee(browser.client, sso_kernel, person)
    assert 'href="/sso"' in browser.client.get("/visit").text
    account = zebra.account("another.spelling", verified=False)
    assert "Connect my company" in browser.client.get("/sso").text
    assert browser.sign_in(zebra, account, connect="true", go_to="/sso").headers["location"] == "/sso"
    assert "is connected with this page" in browser.client.get("/sso").text
    with TestClient(app) as fresh:
        assert Browser(fresh, other).sign_in(zebra, account).status_code == 303
        assert fresh.get("/api/v1/visit").status_code == 200


def test_a_session_that_came_by_an_account_connects_no_second_account(
    browser: Browser, zebra: Company, app: Litestar, other: Other
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    browser.sign_in(zebra, zebra.account("hanna"))
    answer = browser.sign_in(zebra, zebra.account("somebody.else"), connect="true")
    assert answer.status_code == 403
    with TestClient(app) as fresh:
        assert Browser(fresh, other).sign_in(zebra, zebra.account("somebody.else")).status_code == 403


def test_a_disabled_member_does_not_come_back_with_their_account(
    browser: Browser, zebra: Company, sso_kernel: Kernel
) -> None:
    zebra.member(Role.OWNER)
    leaver = zebra.member(Role.HR, name="leaver", joined=False)
    account = zebra.account("leaver")
    assert browser.sign_in(zebra, account).status_code == 303
    with sso_kernel.db.transaction(zebra.tenant) as session:
        members.disable(session, leaver.id, utc_now(), caller="system")
    assert browser.client.get("/desk", headers={"accept": "application/json"}).status_code == 401
    assert browser.sign_in(zebra, account).status_code == 403
    assert zebra.sessions() == 0


def test_a_company_that_demands_a_second_factor_gets_it(sso_kernel: Kernel, app: Litestar, other: Other) -> None:
    strict = make_company(sso_kernel, members_acr="mfa")
    member = strict.member(Role.HR, name="hanna", joined=False)
    with TestClient(app) as client:
        browser = Browser(client, other)
        refused = browser.sign_in(strict, strict.account("hanna"))
        assert refused.status_code == 403
        assert "second factor" in refused.text
        assert strict.sessions() == 0
        assert browser.sign_in(strict, strict.account("hanna", acr="able")).status_code == 303
        assert client.get("/desk").status_code == 200
    with sso_kernel.db.transaction(strict.tenant) as session:
        link = make_link(session, Kind.MEMBER, member.id, utc_now())
    with TestClient(app) as client:
        api = client.post(f"/api/v1/sign-in/{link}")
        assert (api.status_code, api.json()["type"]) == (403, "urn:likeness:account-needed")
        page = client.post(f"/sign-in/{link}", headers={"accept": "text/html"})
        assert "One more step" in page.text
        assert not Browser(client, other).cookie
        assert client.get("/desk", headers={"accept": "application/json"}).status_code == 401


def test_no_company_demands_a_second_factor_that_nobody_would_ask_for() -> None:
    """Its members could never come in again: Keycloak asks after the company's own sign-in alone."""
    company = ["--admin-name", "A B", "--admin-email", "a@b.example", "--domain", "b.example"]
    said = CliRunner().invoke(main, ["company", "add", "B", *company, "--members-mfa"])
    assert said.exit_code == 2
    assert "needs --provider" in said.output


def test_two_operators_let_somebody_in_where_the_provider_is_what_is_broken(sso_kernel: Kernel, app: Litestar) -> None:
    strict = make_company(sso_kernel, members_acr="mfa")
    strict.member(Role.LEGAL, name="lena")
    hanna, colleague = strict.member(Role.OWNER, name="hanna"), strict.member(Role.HR, name="henrik")
    addresses = [f"{uuid4().hex}@ops.example" for _ in range(2)]
    first, second = (make_member(sso_kernel, PLATFORM, Role.OPERATOR, email=address) for address in addresses)
    now = utc_now()
    with sso_kernel.db.transaction(strict.tenant) as session:
        address = members.profile(sso_kernel.keys, members.get(session, hanna.id)).email
    question = break_glass.ask(
        sso_kernel, strict.tenant, address, operator=addresses[0], reason="Their provider is gone for good.", now=now
    )
    with sso_kernel.db.transaction(PLATFORM) as session:
        break_glass.confirm(session, question, by=second.id, now=now)
    assert first.id != second.id
    link = break_glass.open_once(sso_kernel, question, now).rpartition("/")[2]
    with sso_kernel.db.transaction(strict.tenant) as session:
        own = make_link(session, Kind.MEMBER, hanna.id, utc_now())
    with TestClient(app) as client:
        # A link that lies in her own mailbox stays what it was: worth a second factor.
        assert client.post(f"/api/v1/sign-in/{own}").status_code == 403
        assert client.post(f"/api/v1/sign-in/{link}").json() == {"kind": "member"}
        assert client.get("/team").status_code == 200
    with sso_kernel.db.transaction(strict.tenant) as session:
        mailed = make_link(session, Kind.MEMBER, colleague.id, utc_now())
    with TestClient(app) as client:
        assert client.post(f"/api/v1/sign-in/{mailed}").status_code == 403


def test_employees_of_a_company_that_demands_it_of_members_need_no_second_factor(
    sso_kernel: Kernel, app: Litestar, other: Other
) -> None:
    strict = make_company(sso_kernel, members_acr="mfa")
    strict.employee("nadia")
    with TestClient(app) as client:
        assert Browser(client, other).sign_in(strict, strict.account("nadia")).status_code == 303


def test_keys_of_both_kinds_and_a_key_that_is_new_are_accepted_with_one_question(
    browser: Browser, zebra: Company, other: Other
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    other.signing, other.algorithm = EC, "ES256"
    assert browser.sign_in(zebra, account).status_code == 303
    other.signing, other.algorithm, other.keys = NEXT, "RS256", [RSA, NEXT]
    other.asked.clear()
    assert browser.sign_in(zebra, account).status_code == 303
    assert sum("certs" in path for path in other.asked) == 1


def test_the_front_door_leads_to_the_sign_in_of_the_addresss_company(browser: Browser, zebra: Company) -> None:
    known = browser.client.post("/sign-in", data={"email": f"anybody@{zebra.domain}"})
    assert f"/sso/{zebra.provider.id}" in known.text
    assert "/sso/" not in browser.client.post("/sign-in", data={"email": "anybody@elsewhere.example"}).text


def test_hr_cannot_become_an_employee_by_a_changed_address_at_the_provider(
    browser: Browser, zebra: Company, sso_kernel: Kernel
) -> None:
    """HR is known by their account; its address says somebody else's name from now on."""
    victim = zebra.employee("victim")
    with sso_kernel.db.transaction(zebra.tenant) as session:
        give_consent(session, sso_kernel, session.merge(victim))
    zebra.member(Role.HR, name="hr", joined=False)
    account = zebra.account("hr")
    browser.sign_in(zebra, account)
    account.email = f"victim@{zebra.domain}"
    assert browser.sign_in(zebra, account).status_code == 303
    assert browser.client.get("/desk").status_code == 200
    assert browser.client.get("/api/v1/visit").status_code == 403


def test_hr_cannot_become_an_employee_at_the_first_sign_in_of_an_account(
    browser: Browser, zebra: Company, sso_kernel: Kernel
) -> None:
    """HR has come by links so far, and changes the address of an account that nobody has used here."""
    victim = zebra.employee("victim")
    with sso_kernel.db.transaction(zebra.tenant) as session:
        give_consent(session, sso_kernel, session.merge(victim))
    before = len(zebra.mails(victim.id))
    answer = browser.sign_in(zebra, zebra.account("victim"))
    assert answer.status_code == 403
    assert zebra.sessions() == 0
    # The person is told, once a day, at their own address, and it is in the ledger.
    assert zebra.events().count("identity.unconnected") == 1
    assert browser.sign_in(zebra, zebra.account("victim")).status_code == 403
    (told,) = zebra.mails(victim.id, "account-refused")
    assert told.to == f"victim@{zebra.domain}"
    assert "was turned away" in told.subject
    assert "/i/" in told.text
    assert len(zebra.mails(victim.id)) == before + 1


def test_hr_cannot_become_an_employee_who_has_not_been_here_yet_by_a_changed_address(
    browser: Browser, zebra: Company, acme: Company, app: Litestar, other: Other, sso_kernel: Kernel
) -> None:
    """HR signs in before the victim does; from the moment in which the victim opens their own link HR sees nothing."""
    victim = zebra.employee("victim")
    link = re.findall(r"/i/(\S+)", zebra.mails(victim.id, "invitation")[0].text)[0]
    account = zebra.account("victim")
    assert browser.sign_in(zebra, account).status_code == 303
    with TestClient(app) as theirs:
        assert theirs.post(f"/i/{link}", follow_redirects=False).status_code == 303
        assert zebra.mails(victim.id, "account-disconnected")
        assert zebra.events().count("identity.forgotten") == 1
        assert browser.client.get("/api/v1/visit").status_code == 401
        # Nor does the account come back between the link and the consent, nor afterwards.
        assert browser.sign_in(zebra, account).status_code == 403
        with sso_kernel.db.transaction(zebra.tenant) as session:
            give_consent(session, sso_kernel, session.merge(victim))
        assert browser.sign_in(zebra, account).status_code == 403
        assert theirs.get("/api/v1/visit").status_code == 200
        # Whose account it is connects it once more, and no link ends that.
        mine = zebra.account("victim")
        assert Browser(theirs, other).sign_in(zebra, mine, connect="true", go_to="/sso").status_code == 303
    with TestClient(app) as again:
        sign_in_employee(again, sso_kernel, victim)
        assert Browser(again, other).sign_in(zebra, mine).status_code == 303
    assert zebra.events().count("identity.forgotten") == 1


def test_hr_cannot_become_a_member_who_has_not_been_here_yet_by_a_changed_address(
    browser: Browser, zebra: Company, app: Litestar, sso_kernel: Kernel
) -> None:
    legal = zebra.member(Role.LEGAL, name="legal", joined=False)
    account = zebra.account("legal")
    assert browser.sign_in(zebra, account).status_code == 303
    with sso_kernel.db.transaction(zebra.tenant) as session:
        link = make_link(session, Kind.MEMBER, legal.id, utc_now())
    with TestClient(app) as theirs:
        assert theirs.post(f"/api/v1/sign-in/{link}").status_code == 200
        assert zebra.mails(legal.id, "account-disconnected")
        assert browser.client.get("/legal", headers={"accept": "application/json"}).status_code == 401
        assert browser.sign_in(zebra, account).status_code == 403
        assert theirs.get("/desk").status_code in (200, 403)


def test_an_account_is_disconnected_by_whoever_it_opens(
    browser: Browser, zebra: Company, app: Litestar, other: Other
) -> None:
    person = zebra.employee("nadia")
    account = zebra.account("nadia")
    browser.sign_in(zebra, account)
    with TestClient(app) as elsewhere:
        assert Browser(elsewhere, other).sign_in(zebra, account).status_code == 303
        page = browser.client.get("/sso").text
        assert 'action="/sso/disconnect"' in page
        answer = browser.client.post("/sso/disconnect", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sso")
        assert elsewhere.get("/api/v1/visit").status_code == 401
    assert "No account is connected" in browser.client.get("/sso").text
    assert browser.client.post("/sso/disconnect", follow_redirects=False).status_code == 303
    assert zebra.events().count("identity.forgotten") == 1
    assert len(zebra.mails(person.id, "account-disconnected")) == 1


def test_hr_cannot_become_a_member_of_legal_by_an_address(browser: Browser, zebra: Company) -> None:
    legal = zebra.member(Role.LEGAL, name="legal")
    answer = browser.sign_in(zebra, zebra.account("legal"))
    assert answer.status_code == 403
    assert zebra.sessions() == 0
    assert browser.sign_in(zebra, zebra.account("legal")).status_code == 403
    (told,) = zebra.mails(legal.id, "sign-in")
    assert "was turned away" in told.subject
    assert "/sign-in/" in told.text


def test_hr_cannot_become_somebody_whose_account_is_connected_by_the_same_address_of_another_account(
    browser: Browser, zebra: Company, app: Litestar, other: Other
) -> None:
    zebra.employee("nadia")
    assert browser.sign_in(zebra, zebra.account("nadia")).status_code == 303
    with TestClient(app) as attacker:
        assert Browser(attacker, other).sign_in(zebra, zebra.account("nadia")).status_code == 403
    assert zebra.sessions() == 1


def test_a_corrected_address_before_consent_ends_what_was_connected(
    browser: Browser, zebra: Company, sso_kernel: Kernel
) -> None:
    from batch.visit import invitations

    person = zebra.employee("nadia")
    account = zebra.account("nadia")
    browser.sign_in(zebra, account)
    with sso_kernel.db.transaction(zebra.tenant) as session:
        invitations.readdress(session, person.id, utc_now())
    assert browser.client.get("/api/v1/visit").status_code == 401
    assert zebra.sessions() == 0


def test_the_same_person_in_two_companies_is_two(browser: Browser, zebra: Company, acme: Company) -> None:
    """One account in two organizations: each sign-in is about the company that was asked for."""
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    account.organizations |= acme.account().organizations
    assert browser.sign_in(zebra, account).status_code == 303
    assert browser.sign_in(acme, account).status_code == 403
    assert acme.sessions() == 0
