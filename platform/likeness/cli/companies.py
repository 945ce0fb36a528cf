"""The commands that set Keycloak up and give a company a sign-in of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
from rich.console import Console

from likeness.ground.errors import LikenessError
from likeness.ground.settings import Settings, from_environment
from likeness.kernel import Kernel, assemble
from likeness.sso.administering import Reach
from likeness.sso.companies import Broker, broker_of, end_company
from likeness.sso.keycloak import MFA, set_up

if TYPE_CHECKING:
    from tenants.sso.organizations import WantedSignIn

console = Console()
PROVIDER_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DOMAIN = click.option("--domain", "domains", multiple=True, help="A mail domain that you checked to be the company's.")
PROVIDER = click.option("--provider", type=PROVIDER_FILE, help="Its own identity provider, as docs/operating/sso.md says.")
MFA_OF_MEMBERS = click.option(
    "--members-mfa", is_flag=True, help="Members need a second factor; a mailed link alone opens no desk."
)


@click.group()
def keycloak() -> None:
    """Keycloak, for people who sign in with their company's account."""


@keycloak.command("setup")
@click.option("--admin", default="admin", show_default=True, help="An administrator of Keycloak's master realm.")
@click.option("--inside-url", default="", help="Where Keycloak reaches this program, if not at LIKENESS_PUBLIC_URL.")
@click.option("--secrets", "out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="The file for the two secrets that are made; only you can read it.")  # fmt: skip
def setup(admin: str, inside_url: str, out: Path) -> None:
    """Make the realm, its clients, scopes and flows, or mend what differs. Run it again after every upgrade."""
    settings = _settings()
    password = os.environ.get("LIKENESS_KEYCLOAK_ADMIN_PASSWORD") or click.prompt(f"Password of {admin}", hide_input=True)
    reach = Reach(settings.keycloak_url, settings.keycloak_realm, user=admin, password=password)
    try:
        made = set_up(reach, settings.keycloak_client, settings.public_url, inside_url=inside_url)
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    _write(out, f"LIKENESS_KEYCLOAK_SECRET={made.client_secret}\nLIKENESS_KEYCLOAK_SETUP_SECRET={made.setup_secret}\n")
    for change in made.changes or ["Everything is as it should be; nothing was changed."]:
        console.print(change, highlight=False)
    said = f"The secrets are in {out}. The web server gets the first; the second adds companies and is yours."
    console.print(said, highlight=False, soft_wrap=True)


def _write(out: Path, text: str) -> None:
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


@click.group()
def company() -> None:
    """Companies, and how their people sign in."""


@company.command("add")
@click.argument("name")
@click.option("--admin-name", required=True, help="Who begins there, as owner and HR.")
@click.option("--admin-email", required=True, help="Their address; the first link goes there.")
@click.option("--legal-name", default="", help="The second seat, for legal; it may be taken later.")
@click.option("--legal-email", default="")
@click.option("--contact", default="", help="Where employees reach the company's data protection officer.")
@click.option("--credits", "granted", default=0, show_default=True, help="Credits to begin with.")
@DOMAIN
@PROVIDER
@MFA_OF_MEMBERS
def add(
    name: str, admin_name: str, admin_email: str, legal_name: str, legal_email: str, contact: str, granted: int,
    domains: tuple[str, ...], provider: Path | None, members_mfa: bool,
) -> None:  # fmt: skip
    """Add the company NAME; with --domain it gets an organization in Keycloak, with --provider its own sign-in."""
    from likeness.ground.db import utc_now
    from tenants.members.founding import Seat, found
    from tenants.sso import organizations

    wanted = _wanted(domains, provider, members_mfa)
    kernel = _kernel()
    if wanted.domains:
        _reach()
    try:
        with organizations.made(kernel, name, wanted) as begun:
            tenant = found(
                kernel, name, Seat(admin_name, admin_email), Seat(legal_name, legal_email), granted=granted,
                caller="system", now=utc_now(), contact=contact,
            )  # fmt: skip
            organizations.connect(kernel, tenant, begun, caller="system")
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"{name} was added: {tenant}. Its first link is on its way to {admin_email}.", highlight=False)


@company.command("connect")
@click.argument("tenant", type=click.UUID)
@DOMAIN
@PROVIDER
@MFA_OF_MEMBERS
def connect(tenant: UUID, domains: tuple[str, ...], provider: Path | None, members_mfa: bool) -> None:
    """Give the company TENANT, which is here already, an organization in Keycloak and its own sign-in."""
    from tenants import tenants
    from tenants.sso import organizations

    wanted, kernel = _wanted(domains, provider, members_mfa), _kernel()
    if not wanted.domains:
        raise click.UsageError("Name at least one --domain.")
    try:
        with kernel.db.transaction(tenant) as session:
            name = tenants.get(session).name
        _reach()
        with organizations.made(kernel, name, wanted) as begun:
            organizations.connect(kernel, tenant, begun, caller="system")
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"{name} signs in with its own accounts now.", highlight=False)


@company.command("change")
@click.argument("tenant", type=click.UUID)
@DOMAIN
@PROVIDER
@click.option("--members-mfa/--no-members-mfa", default=None, help="Whether members need a second factor from now on.")
def change(tenant: UUID, domains: tuple[str, ...], provider: Path | None, members_mfa: bool | None) -> None:
    """Bring the sign-in of the company TENANT up to date, or let it work again: the company's name as it is now, all of its
    domains where any --domain is named, and what the file of its --provider says: a new secret, or another provider.

    With another provider everybody who came by the earlier one is signed out, and connects their account anew.
    """
    from likeness.ground.db import utc_now
    from tenants import tenants
    from tenants.accounts import giving

    if members_mfa and not provider:
        raise click.UsageError("--members-mfa needs --provider: Keycloak asks for it after that provider's own sign-in.")
    kernel = _kernel()
    _reach()
    acr = None if members_mfa is None else MFA if members_mfa else ""
    try:
        broker = _broker(provider, second_factor=bool(acr))
        given = giving.by_operator(kernel, tenant, utc_now(), domains=domains, broker=broker, members_acr=acr)
        with kernel.db.transaction(tenant) as session:
            name = tenants.get(session).name
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    said = "Everybody connects their account anew." if given.anew else "Nobody was signed out."
    console.print(f"The sign-in of {name} is up to date. {said}", highlight=False)


@company.command("end-sign-in")
@click.argument("tenant", type=click.UUID)
def end_sign_in(tenant: UUID) -> None:
    """End the own sign-in of the company TENANT: whoever came by it is signed out, and mailed links open everything again.

    `company change` lets it work again.
    """
    from likeness.ground.db import utc_now
    from tenants.sso import changing

    kernel = _kernel()
    try:
        with kernel.db.transaction(tenant) as session:
            alias, ended = changing.row(session).alias, changing.end(session, utc_now())
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"It ended here; {ended} sessions were signed out.", highlight=False)
    try:  # Last, because it has to end here also where Keycloak does not answer.
        end_company(_reach(), alias)
    except LikenessError as error:
        raise click.ClickException(f"{error} There it goes on; run this once more when it answers.") from error


def _wanted(domains: tuple[str, ...], provider: Path | None, members_mfa: bool) -> WantedSignIn:
    from tenants.sso import organizations

    if (provider or members_mfa) and not domains:
        raise click.UsageError("--provider and --members-mfa need at least one --domain.")
    if members_mfa and not provider:
        raise click.UsageError(
            "--members-mfa needs --provider: the second factor is asked for at the company's own sign-in, and without one"
            " no member would come in any more."
        )
    broker = _broker(provider, second_factor=members_mfa)
    try:
        return organizations.WantedSignIn(organizations.plain(domains), broker, MFA if members_mfa else "")
    except LikenessError as error:
        raise click.ClickException(str(error)) from error


def _broker(provider: Path | None, *, second_factor: bool) -> Broker | None:
    if provider is None:
        return None
    try:
        written = json.loads(provider.read_text())
        if not isinstance(written, dict):
            raise click.UsageError("The provider's file has to hold one JSON object.")
        return broker_of(written | ({"second_factor": True} if second_factor else {}))
    except (LikenessError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _reach() -> Reach:
    """Says which setting is missing where one is."""
    settings = _settings()
    if not settings.keycloak_setup_secret:
        raise click.ClickException("LIKENESS_KEYCLOAK_SETUP_SECRET is not set; `likeness keycloak setup` writes it.")
    return Reach(settings.keycloak_url, settings.keycloak_realm, client_secret=settings.keycloak_setup_secret)


def _settings() -> Settings:
    settings = from_environment()
    if not settings.keycloak_url:
        raise click.ClickException("LIKENESS_KEYCLOAK_URL is not set: the address of your Keycloak, https://sso.example.com")
    return settings


def _kernel() -> Kernel:
    """Of the installation that runs on this machine, or of the servers that the settings name."""
    from likeness.run.postgres import url_of_running

    settings = from_environment()
    if not settings.database_url and settings.embedded:
        running = url_of_running(settings.home / "postgres", "likeness_app")
        if running is None:
            raise click.ClickException("Likeness does not run here. Start it with `likeness up`.")
        settings = settings.model_copy(update={"database_url": running})
    return assemble(settings)
