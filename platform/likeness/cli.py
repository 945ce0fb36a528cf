"""The command `likeness`. Each command imports its own part, because torch and Ray take seconds to load."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from likeness import telemetry
from likeness.db import UnknownSchema, UnsafeRole
from likeness.kernel import Kernel, assemble
from likeness.settings import Settings
from likeness.stopping import until_told_to_stop

console = Console(stderr=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="likeness")
def main() -> None:
    """AI headshots for a whole company, where everyone can see what happens to their face."""


@main.command()
def up() -> None:
    """Run everything on this machine: database, worker, Ray and web server."""
    from likeness.embedded import AlreadyRunning, Embedded
    from likeness.first_admin import sign_in_address
    from likeness.postgres import PostgresFailed

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o755)
    telemetry.configure(settings.log_level, file=settings.home / "likeness.log")
    running = Embedded(settings)
    try:
        with console.status("Starting the database, the worker and the web server …"):
            kernel = running.start()
            running.serve()
        console.print(f"Likeness runs at [bold]{kernel.settings.public_url}[/]")
        console.print(f"Sign in once within 30 minutes: [bold]{sign_in_address(kernel)}[/]", soft_wrap=True)
        console.print("Ctrl-C stops it; everything is kept for the next start.")
        until_told_to_stop()
        console.print("\nStopping …")
    except (AlreadyRunning, PostgresFailed, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        running.stop()


@main.command()
@click.option(
    "--employees", default=4, show_default=True, type=click.IntRange(2, 50), help="How many people take part."
)
@click.option("--seed", default=1, show_default=True, help="Which people are drawn.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Where the JSON report goes.")
@click.option("--exit", "exit_", is_flag=True, help="End when the demo is through instead of staying up.")
def demo(employees: int, seed: int, report: Path | None, exit_: bool) -> None:
    """Watch the whole job happen: from a workbook to headshots and a signed certificate."""
    from likeness.demo import run

    sys.exit(run(employees=employees, seed=seed, report=report, stay=not exit_))


@main.command()
def web() -> None:
    """Run the web server alone."""
    from likeness.serving import server

    running = server(_production_kernel(), timeout_graceful_shutdown=25)
    running.run()
    if not running.started:
        raise SystemExit(3)  # It said why; whoever restarts it must see that it failed.


@main.command()
def worker() -> None:
    """Work jobs that RabbitMQ brings."""
    from likeness.worker import work

    work(_production_kernel())


@main.command()
def tend() -> None:
    """Keep time: ring for due jobs, run the sweeps, look after the cluster."""
    from likeness.worker import tend

    tend(_production_kernel())


@main.command()
def migrate() -> None:
    """Bring the database schema to this version; needs LIKENESS_OWNER_DATABASE_URL."""
    from likeness.migrations import migrate

    settings = Settings()
    if not settings.owner_database_url:
        raise click.ClickException(
            "LIKENESS_OWNER_DATABASE_URL is not set. Migrations run as the role that owns the tables; the embedded"
            " profile migrates by itself at `likeness up`."
        )
    migrate(settings.owner_database_url)
    console.print("The schema is up to date.")


@main.command()
def check() -> None:
    """Say what is misconfigured."""
    from likeness.check import problems

    found = list(problems(Settings()))
    for sentence in found:
        console.print(f"[red]✗[/] {sentence}", soft_wrap=True, highlight=False)
    if found:
        raise SystemExit(1)
    console.print("[green]✓[/] Everything that Likeness needs is there and answers.")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="The public key (JWK) that you pinned.")  # fmt: skip
def verify(file: Path, key: Path) -> None:
    """Verify a deletion certificate offline, with nothing but this file and the public key."""
    from compliance.certificates import CertificateInvalid, verify

    try:
        document = verify(file.read_text().strip(), json.loads(key.read_text()))
    except (CertificateInvalid, ValueError) as error:
        console.print(f"[red]✗ not valid:[/] {error}", highlight=False)
        raise SystemExit(1) from error
    console.print_json(json.dumps(document))
    console.print("[green]✓[/] The signature is valid and the certificate is unchanged.")


def _production_kernel() -> Kernel:
    from compliance.wiping import replay_tombstones

    settings = Settings()
    telemetry.configure(settings.log_level)
    if not settings.database_url:
        raise click.ClickException("LIKENESS_DATABASE_URL is not set. On one machine, use `likeness up` instead.")
    kernel = assemble(settings)
    try:
        kernel.db.check()
    except (UnsafeRole, UnknownSchema) as error:
        raise click.ClickException(str(error)) from error
    # A database that was restored from a backup must not serve anybody who was erased since.
    replay_tombstones(kernel)
    return kernel
