"""The commands of an operator's duties towards companies: who else processes something, and what to say after a breach."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import click

from likeness.cli.kernels import running_kernel
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import LikenessError

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])


@click.group()
def processors() -> None:
    """Sub-processors: companies that process something of people for this installation."""


@processors.command("announce")
@click.argument("name")
@click.option("--for", "purpose", required=True, help="What it does, in a few words.")
@click.option("--country", required=True, help="Where it does it.")
@click.option("--safeguards", default="", help="What a transfer there rests on, such as standard clauses.")
@click.option("--from", "begins", type=MOMENT, required=True, help="The day on which it begins, in UTC.")
def announce(name: str, purpose: str, country: str, safeguards: str, begins: datetime) -> None:
    """Put NAME on the list; each company's owners and legal get a mail, thirty days before it begins at the latest."""
    from compliance.records import processors as listed

    kernel = running_kernel()
    try:
        with kernel.db.transaction(PLATFORM) as session:
            made = listed.announce(
                session, name, purpose=purpose, country=country, safeguards=safeguards,
                begins_at=begins.replace(tzinfo=UTC), now=utc_now(),
            )  # fmt: skip
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{made.name} is on the list from {made.begins_at:%Y-%m-%d} on. Companies are told within a minute.")


@processors.command("end")
@click.argument("name")
def end(name: str) -> None:
    """NAME processes nothing any more; it stays on the list of those that ended."""
    from compliance.records import processors as listed

    kernel = running_kernel()
    try:
        with kernel.db.transaction(PLATFORM) as session:
            listed.end(session, name, utc_now())
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name} ended.")


@processors.command("list")
def show() -> None:
    """Those that process something, or are going to."""
    from compliance.records import processors as listed

    kernel = running_kernel()
    with kernel.db.transaction(PLATFORM) as session:
        for one in listed.current(session):
            click.echo(f"{one.name}: {one.purpose}, {one.country}, from {one.begins_at:%Y-%m-%d}")


@click.command()
@click.option("--from", "since", type=MOMENT, required=True, help="When it may have begun, in UTC.")
@click.option("--until", type=MOMENT, required=True, help="When it ended, in UTC.")
@click.option("--known", type=MOMENT, required=True, help="When you learned of it, in UTC.")
@click.option("--what", "classes", multiple=True, required=True,
              type=click.Choice(["source", "model", "headshot", "profile"]), help="What it may have reached.")  # fmt: skip
@click.option("--company", "companies", multiple=True, type=click.UUID, help="Only this company; all without it.")
@click.confirmation_option(prompt="Owners and legal of these companies get a mail at once. Go on?")
def breach(
    since: datetime, until: datetime, known: datetime, classes: tuple[str, ...], companies: tuple[UUID, ...]
) -> None:
    """Tell companies of a breach: each gets the list of its people whom it may have reached, and a mail."""
    from compliance.records import breaches
    from tenants import tenants

    kernel, now = running_kernel(), utc_now()
    try:
        for tenant in companies or tenants.all_ids(kernel):
            with kernel.db.transaction(tenant) as session:
                made = breaches.declare(
                    session, kernel, since=since.replace(tzinfo=UTC), until=until.replace(tzinfo=UTC), classes=classes,
                    known_at=known.replace(tzinfo=UTC), now=now,
                )  # fmt: skip
            click.echo(f"{tenant}: {made.people} people, told.")
    except LikenessError as error:
        raise click.ClickException(f"{error} Companies above were told; name the others with --company.") from error
