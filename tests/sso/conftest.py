"""Two companies, each with an organization at the same issuer, and people of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import func, select

from batch.models import Employee
from batch.visit import invitations
from likeness.ground.db import utc_now
from likeness.identity import WebSession
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.mail import mail
from likeness.sso.issuer import Issuer
from likeness.web.guards import cookie_name
from tenants.models import Member, Role
from tenants.sso import providers
from tenants.sso.providers import Provider
from tests.factories import make_batch, make_employee, make_member, make_tenant, run_jobs
from tests.sso.other import REALM, Account, Other, other_provider, query_of


@dataclass
class Company:
    """One of two companies that sign in at the same issuer."""

    kernel: Kernel
    tenant: UUID
    provider: Provider
    domain: str

    def account(self, name: str = "", **changes: Any) -> Account:
        email = f"{name or uuid4().hex[:8]}@{self.domain}"
        own = {self.provider.alias: self.provider.organization}
        return Account(**({"email": email, "organizations": own} | changes))

    def member(self, *roles: Role, name: str = "", joined: bool = True) -> Member:
        member = make_member(self.kernel, self.tenant, *roles, email=f"{name or uuid4().hex[:8]}@{self.domain}")
        if not joined:
            with self.kernel.db.transaction(self.tenant) as session:
                found = session.merge(member)
                found.joined_at = found.signed_in_at = None
        return member

    def employee(self, name: str = "") -> Employee:
        """Somebody who is invited and has not been here."""
        with self.kernel.db.transaction(self.tenant) as session:
            person = make_employee(
                session, self.kernel, batch=make_batch(session), email=f"{name or uuid4().hex[:8]}@{self.domain}"
            )
            invitations.invite_all(session, [person.id], utc_now())
        run_jobs(self.kernel, tenant=self.tenant)
        return person

    def sessions(self) -> int:
        with self.kernel.db.transaction(self.tenant) as session:
            counted = select(func.count()).select_from(WebSession).where(WebSession.tenant_id == self.tenant)
            return int(session.execute(counted).scalar_one())

    def events(self) -> list[str]:
        with self.kernel.db.transaction(self.tenant) as session:
            query = select(LedgerEntry.event).where(LedgerEntry.tenant_id == self.tenant).order_by(LedgerEntry.sequence)
            return list(session.execute(query).scalars())

    def mails(self, owner: UUID, template: str = "") -> list[mail.Letter]:
        run_jobs(self.kernel, tenant=self.tenant)
        with self.kernel.db.transaction(self.tenant) as session:
            rows = [one for one in mail.mailbox(session) if one.owner_id == owner]
            letters = [mail.read(self.kernel.keys, one) for one in rows if not template or one.template == template]
        return [letter for letter in letters if letter is not None]


@dataclass
class Browser:
    """One browser, which keeps the program's cookies."""

    client: TestClient[Litestar]
    other: Other

    def leave(self, company: Company, **asked: str) -> str:
        """Begins a sign-in; the address that the browser is sent to."""
        answer = self.client.get(f"/sso/{company.provider.id}", params=asked, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def come_back(self, brought: dict[str, str]) -> Any:
        return self.client.get(query_of(brought), follow_redirects=False)

    def sign_in(self, company: Company, account: Account, **asked: str) -> Any:
        """The whole way there and back; a second factor that is asked for on the way is given where there is one."""
        answer = self.come_back(self.other.authorize(self.leave(company, **asked), account))
        where = answer.headers.get("location", "")
        if where.startswith(self.other.address):
            answer = self.come_back(self.other.authorize(where, account))
        return answer

    @property
    def cookie(self) -> str:
        return self.client.cookies.get(cookie_name(self.client.app.state.kernel.settings)) or ""


@pytest.fixture(scope="session")
def the_other() -> Iterator[Other]:
    with other_provider() as other:
        yield other


@pytest.fixture
def other(the_other: Other) -> Other:
    the_other.reset()
    return the_other


@pytest.fixture
def sso_kernel(kernel: Kernel, other: Other) -> Kernel:
    issuer = Issuer(
        url=other.address, realm=REALM, client="likeness", secret="the-secret",
        redirect=f"{kernel.settings.public_url}/sso/callback",
    )  # fmt: skip
    return replace(kernel, issuer=issuer)


def make_company(kernel: Kernel, **changes: Any) -> Company:
    assert kernel.issuer is not None
    name = f"c{uuid4().hex[:10]}"
    tenant = make_tenant(kernel, name=name.title())
    with kernel.db.transaction(tenant) as session:
        provider = providers.connect(
            session, issuer=kernel.issuer.name, organization=str(uuid4()), alias=name, domains=[f"{name}.example"],
            brokered=True, **changes,
        )  # fmt: skip
    return Company(kernel, tenant, provider, f"{name}.example")


@pytest.fixture
def zebra(sso_kernel: Kernel) -> Company:
    return make_company(sso_kernel)


@pytest.fixture
def acme(sso_kernel: Kernel) -> Company:
    return make_company(sso_kernel)


@pytest.fixture
def app(app: Litestar, sso_kernel: Kernel) -> Iterator[Litestar]:
    """The application of all tests, over a kernel with an issuer of its own: nothing of an earlier test is remembered."""
    usual, app.state.kernel = app.state.kernel, sso_kernel
    yield app
    app.state.kernel = usual


@pytest.fixture
def browser(app: Litestar, other: Other) -> Iterator[Browser]:
    with TestClient(app) as client:
        yield Browser(client, other)
