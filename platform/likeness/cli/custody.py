"""The commands for keys: of the companies, and of whoever signs certificates."""

from __future__ import annotations

import click

from likeness.cli.kernels import running_kernel
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.keys import fingerprint
from likeness.keys.providers import chosen


@click.group()
def keys() -> None:
    """The keys that people's data is sealed under."""


@keys.command()
def rotate() -> None:
    """Renew the companies' keys and what wraps them, while everybody works. Stored objects stay as they are."""
    kernel = running_kernel()
    try:
        companies = fingerprint.rotate(kernel.db, kernel.keys)
    except LikenessError as error:
        raise click.ClickException(f"{error} What was renewed stays; run the command again.") from error
    click.echo(f"Renewed the keys of {companies} companies, the operators' own among them.")


@keys.command()
@click.argument("store", type=click.Choice(["folder", "vault", "aws-kms", "pkcs11"]))
def move(store: str) -> None:
    """Wrap the companies' keys anew by the key store of LIKENESS_KEY_STORE; STORE wraps them now.

    Give this command the new settings. Stop web, worker, privacy and scheduler before, and start them afterwards with the
    new settings too. On one machine leave `likeness up` running meanwhile, and start it anew afterwards.
    """
    kernel = running_kernel(settled=False)
    try:
        before = chosen(kernel.settings.model_copy(update={"key_store": store}))
        companies = fingerprint.move(kernel.db, kernel.keys, before)
    except LikenessError as error:
        raise click.ClickException(f"{error} Nothing is lost; run the command again.") from error
    click.echo(f"{kernel.keys.describe()} Moved the keys of {companies} companies.")


@click.group("signer")
def signer_() -> None:
    """The key that certificates are signed with, and the certificate of what pictures say of themselves."""


@signer_.command("marks")
def certificate_of_marks() -> None:
    """Print the root certificates under which this installation signs its pictures (C2PA), for whoever checks them.

    The newest comes first. Those before it are for pictures that were delivered before `likeness signer replace-marks`.
    """
    from batch.marks import credential

    kernel = running_kernel()
    if kernel.settings.marks_credential is not None:
        raise click.ClickException("Pictures are signed with your own certificate, LIKENESS_MARKS_CREDENTIAL.")
    for root in credential.roots(kernel):
        ended = f" to {root.until:%Y-%m-%d}" if root.until else ", signs now"
        click.echo(f"# from {root.since:%Y-%m-%d}{ended}\n{root.pem}", nl=False)


@signer_.command("replace-marks")
@click.confirmation_option(
    prompt="Pictures will be signed by a new key, and whoever trusts the present one needs the new one too. Go on?"
)
def replace_marks() -> None:
    """Make a new key for what pictures say of themselves, where the present one is no longer trusted.

    Downloads that are under way have to be started again. Its root certificate is printed, and so it is by `signer marks`.
    """
    from batch.marks import credential

    kernel = running_kernel()
    if kernel.settings.marks_credential is not None:
        raise click.ClickException("Pictures are signed with your own certificate, LIKENESS_MARKS_CREDENTIAL.")
    try:
        click.echo(credential.replace(kernel, utc_now()), nl=False)
    except LikenessError as error:
        raise click.ClickException(str(error)) from error


@signer_.command()
@click.confirmation_option(
    prompt="Certificates will be signed by a new key, and whoever pinned the present one has to pin the new one too. Go on?"
)
def replace() -> None:
    """Make a new signing key, where the present one is lost or no longer trusted. Its public half stays published."""
    from compliance.proof import signing

    try:
        made = signing.replace(running_kernel(), utc_now())
    except LikenessError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Certificates are signed by {made} from now on.")
