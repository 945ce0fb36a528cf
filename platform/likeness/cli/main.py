"""The command `likeness`. Each command imports its own part, because torch and Ray take seconds to load, and does
so once it has refused what can be refused without them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import click
from psycopg import OperationalError
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from likeness.cli import custody, duties, pictures, rescan
from likeness.cli.companies import company, keycloak
from likeness.cli.kernels import about_keys, reason, running_kernel, seal_clear_text, serving_kernel
from likeness.ground import telemetry
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, OutcomeUnknown, Unavailable
from likeness.ground.garbage import importing
from likeness.ground.home import HomeUnusable, make_home
from likeness.ground.settings import Settings, SettingsWrong, from_environment, of_one_machine
from likeness.ground.stopping import leave, until_told_to_stop
from likeness.keys.keys import KeyUnavailable

console = Console(stderr=False)


class Sentences(click.Group):
    """What an operator can put right is one sentence and never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsWrong, HomeUnusable, Unavailable, OutcomeUnknown) as error:
            raise click.ClickException(str(error)) from error
        except DBAPIError as error:
            raise click.ClickException(f"The database does not answer: {reason(error)}.") from error


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="likeness")
def main() -> None:
    """AI headshots for a whole company, where everyone can see what happens to their face."""


main.add_command(keycloak)
main.add_command(company)
main.add_command(custody.keys)
main.add_command(custody.signer_)
main.add_command(rescan.rescan)
main.add_command(duties.processors)
main.add_command(duties.breach)
main.add_command(pictures.marks)
main.add_command(pictures.weights)


@main.command()
def up() -> None:
    """Run everything on this machine: database, worker, Ray and web server."""
    from likeness.run.machine import hindrances, worries

    settings = of_one_machine()
    make_home(settings.home)
    for sentence in hindrances(settings):
        raise click.ClickException(sentence)
    for sentence in worries(settings):
        console.print(f"[yellow]![/] {sentence}", soft_wrap=True, highlight=False)
    telemetry.configure(settings.log_level, file=settings.home / "likeness.log")
    _run_everything(settings)


def _run_everything(settings: Settings) -> None:
    with importing():
        from likeness.run.embedded import AlreadyRunning, Embedded, starting
        from likeness.run.first_admin import sign_in_address
        from likeness.run.postgres import PostgresFailed

    running = Embedded(settings)
    try:
        with console.status(starting(settings.keycloak is not None)):
            kernel = running.start()
            running.serve()
        for sentence in running.sealed:
            console.print(sentence, soft_wrap=True, highlight=False)
        console.print(f"Likeness runs at [bold]{kernel.settings.public_url}[/]")
        if kernel.settings.keycloak is not None:
            secrets = kernel.settings.home / "keycloak/keycloak.env"
            said = f"Keycloak runs at {kernel.settings.keycloak_url}; `likeness company` needs what is in {secrets}"
            console.print(said, soft_wrap=True, highlight=False)
        console.print(f"Sign in once within 30 minutes: [bold]{sign_in_address(kernel)}[/]", soft_wrap=True)
        console.print("Ctrl-C stops it; everything is kept for the next start.")
        until_told_to_stop()
        console.print("\nStopping …")
    except KeyUnavailable as error:
        raise click.ClickException(about_keys(error, settings)) from error
    except (AlreadyRunning, PostgresFailed, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        running.stop()
    leave(0)


@main.command()
@click.option(
    "--employees", default=4, show_default=True, type=click.IntRange(2, 50), help="How many people take part."
)
@click.option("--seed", default=1, show_default=True, help="Which people are drawn.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Where the JSON report goes.")
@click.option("--photos", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder with photos of one person, such as you: cut out, delivered and erased.")  # fmt: skip
@click.option("--exit", "exit_", is_flag=True, help="End when the demo is through instead of staying up.")
def demo(employees: int, seed: int, report: Path | None, photos: Path | None, exit_: bool) -> None:
    """Watch the whole job happen: from a workbook to headshots and a signed certificate."""
    from likeness.demo import place

    settings = place.prepared(report, cut_out=photos is not None)
    # Whoever mistyped something has been told by now, instead of after the seconds that this takes.
    with importing():
        from likeness.demo.run import run

    leave(run(settings, employees=employees, seed=seed, report=report, stay=not exit_, photos=photos))


@main.command()
def web() -> None:
    """Run the web server alone."""
    with importing():
        from likeness.run.serving import cannot_listen, server

    kernel = serving_kernel()
    running = server(kernel, timeout_graceful_shutdown=25)
    with suppress(SystemExit):  # uvicorn's way of saying that it could not.
        running.run()
    if not running.started:
        raise click.ClickException(cannot_listen(kernel.settings))


@main.command()
def worker() -> None:
    """Work jobs that RabbitMQ brings."""
    with importing():
        from likeness.run.worker import work

    work(serving_kernel())


@main.command()
def scheduler() -> None:
    """Notify of due jobs, run the sweeps, look after the cluster."""
    with importing():
        from likeness.run.worker import schedule

    schedule(serving_kernel())


@main.command()
def migrate() -> None:
    """Bring the database schema to this version; needs LIKENESS_OWNER_DATABASE_URL."""
    from likeness.migrations import SchemaLocked, migrate
    from likeness.migrations.roles import RolesMissing, make_roles

    settings = from_environment()
    if not settings.owner_database_url:
        raise click.ClickException(
            "LIKENESS_OWNER_DATABASE_URL is not set. Migrations run as the role that owns the tables; the embedded"
            " profile migrates by itself at `likeness up`."
        )
    addresses = {"likeness_app": settings.database_url, "likeness_rescan": settings.rescan_database_url}
    try:
        for made in make_roles(settings.owner_database_url, addresses):
            console.print(made, soft_wrap=True, highlight=False)
    except (RolesMissing, OperationalError) as error:
        raise click.ClickException(str(error)) from error
    try:
        migrate(settings.owner_database_url)
    except SchemaLocked as error:
        raise click.ClickException(str(error)) from error
    console.print("The schema is up to date.")
    for sentence in seal_clear_text(settings):
        console.print(sentence, soft_wrap=True, highlight=False)


@main.command("operator-link")
@click.option("--email", default="", help="The operator's address; a new one becomes an operator.")
@click.option("--name", default="", help="The name of a new operator.")
def operator_link(email: str, name: str) -> None:
    """Print a one-time link for an operator: the first one, or one who lost access."""
    from likeness.run.first_admin import OperatorUnclear, operator_link

    kernel = running_kernel()
    try:
        link = operator_link(kernel, email.strip(), name.strip())
    except (OperatorUnclear, LikenessError) as error:
        raise click.ClickException(str(error)) from error
    console.print(f"Sign in once within 30 minutes: [bold]{link}[/]", soft_wrap=True)


@main.group()
def admin() -> None:
    """What two operators do together when a company has no other way in."""


@admin.command("link")
@click.option("--company", required=True, help="The company's name or id.")
@click.option("--email", required=True, help="The address of the member whom the link lets in.")
@click.option("--operator", required=True, help="Your own address as an operator.")
@click.option("--reason", required=True, help="Why; the company's legal reads it.")
def admin_link(company: str, email: str, operator: str, reason: str) -> None:
    """Print a link for one member of a company, once a second operator has confirmed it, within fifteen minutes.

    The company's legal is told by mail: the reason, both operators, the member and the moment.
    """
    from likeness.run.emergency import CompanyUnclear, company_of, wait_for_link
    from tenants.members import break_glass

    kernel = running_kernel()
    try:
        asked = break_glass.ask(
            kernel, company_of(kernel, company), email.strip(), operator=operator.strip(), reason=reason, now=utc_now()
        )
        with console.status("A second operator confirms this on the Operations page, within 15 minutes …"):
            link = wait_for_link(kernel, asked)
    except (CompanyUnclear, LikenessError) as error:
        raise click.ClickException(str(error)) from error
    console.print(f"It works once, for 15 minutes: [bold]{link}[/]", soft_wrap=True)
    console.print("The company's legal is told by mail.")


@main.command()
@click.option("--web", is_flag=True, help="Ask for what a web server has: neither Ray nor the re-scan.")
def check(web: bool) -> None:
    """Say what this machine can make, and what is misconfigured."""
    from likeness.run.check import makes, problems

    settings = from_environment()
    for sentence in makes(settings):
        console.print(sentence, soft_wrap=True, highlight=False)
    found = list(problems(settings, web=web))
    for sentence in found:
        console.print(f"[red]✗[/] {sentence}", soft_wrap=True, highlight=False)
    if found:
        raise SystemExit(1)
    console.print("[green]✓[/] Everything that Likeness needs is there and answers.")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")
@click.option("--sheet", help="Which sheet, if not the first visible one with people. A hidden one has to be named.")
@click.option("--header-row", type=click.IntRange(1, 1_048_576), help="In which row the headings stand.")
@click.option("--column", "columns", multiple=True, metavar="FIELD=HEADING", help="Which column holds a field.")
@click.option("--hidden-rows", is_flag=True, help="Read rows too that are hidden or filtered out.")
@click.option("--encoding", help="How a CSV file is written, for example cp1252.")
def workbook(
    file: Path,
    as_json: bool,
    sheet: str | None,
    header_row: int | None,
    columns: tuple[str, ...],
    hidden_rows: bool,
    encoding: str | None,
) -> None:
    """Say what Likeness reads in the workbook FILE: people, columns, problems and warnings; without a server."""
    from batch.reading.workbook import ReadingChoices, WorkbookUnreadable, read
    from likeness.cli import spreadsheet

    if wrong := [one for one in columns if "=" not in one]:
        raise click.BadParameter(f"Write {wrong[0]!r} as FIELD=HEADING.", param_hint="--column")
    mapping = {name.strip(): heading.strip() for name, _, heading in (one.partition("=") for one in columns)}
    try:
        reading = read(file.read_bytes(), file.name, ReadingChoices(sheet, header_row, mapping, hidden_rows, encoding))
    except WorkbookUnreadable as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(spreadsheet.plain(reading), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(spreadsheet.lines(reading)))


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")
def inspect(folder: Path, as_json: bool) -> None:
    """Say what Likeness would say about one person's photos in FOLDER, without a server."""
    from likeness.run import folder as photos

    try:
        passed = photos.passed_over(folder)
        photos.load()
        verdicts = [photos.verdict(*line) for line in photos.inspected(folder)]
    except photos.NoPhotos as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise _unreadable(error) from error
    if as_json:
        console.print_json(json.dumps(verdicts))
    else:
        for line in verdicts:
            _print_photo("[green]✓[/]" if line["accepted"] else "[red]✗[/]", str(line["photo"]))
            for finding in cast(list[dict[str, str]], line["findings"]):
                console.print(f"    {finding['message']} {finding['action']}.", soft_wrap=True, highlight=False)
    _say_passed(passed)


def _print_photo(mark: str, said: str) -> None:
    """A name is no markup, and a line that a program reads stays one line."""
    console.print(mark, escape(said), soft_wrap=True, highlight=False)


def _say_passed(names: list[str]) -> None:
    from likeness.run.folder import ENDINGS

    if names:
        click.echo(f"Not looked at: {', '.join(names)}. Photos end in {', '.join(ENDINGS)}.", err=True)


def _unreadable(error: OSError) -> click.ClickException:
    return click.ClickException(f"{error.filename} cannot be read: {error.strerror}.")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--backdrop",
    default="gradient:#c3cad2",
    show_default=True,
    help="#rrggbb, gradient:#rrggbb, office, or the path of a picture.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where the pictures go.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")
def cutout(folder: Path, backdrop: str, out: Path, as_json: bool) -> None:
    """Make studio portraits of one person's photos in FOLDER, without a server and without generating anything."""
    from gpu_cluster.cutout.backdrop import NoBackdrop
    from likeness.run import folder as photos

    try:
        wall, passed, titles = photos.behind(backdrop), photos.passed_over(folder), photos.titles(photos.photos(folder))
    except (photos.NoPhotos, NoBackdrop) as error:
        raise click.ClickException(f"{str(error).rstrip('.')}.") from error
    except OSError as error:
        raise _unreadable(error) from error
    try:
        photos.ready(out)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}.") from error
    try:
        photos.load()
        cuts = list(photos.cut_out(folder))
    except OSError as error:
        raise _unreadable(error) from error
    shown = [cut for cut in cuts if cut.verdict != "refuse"]
    loosened = photos.loosened([cut.portrait for cut in shown if cut.portrait])
    try:
        for cut in shown:
            photos.write(cut, titles[cut.photo], wall, out, loosened)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}.") from error
    if as_json:
        lines = [{"photo": cut.photo.name, "verdict": cut.verdict, "reasons": cut.reasons, "sentence": cut.sentence,
                  "action": cut.action} for cut in cuts]  # fmt: skip
        console.print_json(json.dumps(lines))
        return _say_passed(passed)
    marks = {"ship": "[green]✓[/]", "look": "[yellow]?[/]", "refuse": "[red]✗[/]"}
    for cut in cuts:
        said = f"{cut.sentence} {cut.action}".strip().rstrip(".")
        _print_photo(marks[cut.verdict], f"{cut.photo.name} {said}." if said else cut.photo.name)
    counted = "1 portrait is" if len(shown) == 1 else f"{len(shown)} portraits are"
    summary = escape(f"{counted} in {out}.") if shown else "No portrait could be made."
    console.print(summary, soft_wrap=True, highlight=False)
    if any(cut.verdict == "look" for cut in shown):
        console.print("Please look at those with a question mark before you use them.")
    _say_passed(passed)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The public key (JWK or JWKS) that you pinned.")  # fmt: skip
@click.option("--fingerprint", default="", help="Its fingerprint instead, as your consent receipt names it.")
@click.option("--name", default="", help="Whose it should be: the name,")
@click.option("--email", default="", help="the e-mail address,")
@click.option("--code", default="", help="and the proof code that the person was given.")
def verify(file: Path, key: Path | None, fingerprint: str, name: str, email: str, code: str) -> None:
    """Verify a deletion certificate (page or signed text) or a consent receipt offline, and whose a certificate is."""
    from compliance.proof import verifier
    from compliance.proof.paper import sealing

    if key is None and not fingerprint:
        raise click.UsageError("Name the key that you pinned, with --key or --fingerprint.")
    try:
        pin = verifier.Pin(json.loads(key.read_bytes()) if key else None, fingerprint)
    except ValueError:
        pin = verifier.Pin()
    if key and not pin.keys:
        raise click.UsageError(f"{key} holds no public key (JWK or JWKS, Ed25519).")
    try:
        data = file.read_bytes()
        paper = data.startswith(b"%PDF")
        token = verifier.out_of_pdf(data) if paper else data.decode("ascii") if data.isascii() else ""
        document = verifier.certificate(token, pin, kind := verifier.kind_of(token))
        if paper:
            sealing.check(data, document["paper"]["sealed_by"])
        if name or email or code:
            verifier.check_subject(document, name, email, code)
    except (verifier.Invalid, ValueError, KeyError, TypeError) as error:
        console.print(f"[red]✗ not valid:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise SystemExit(1) from error
    console.print_json(json.dumps(document))
    what = "consent receipt" if kind == verifier.RECEIPT else "certificate"
    console.print(f"[green]✓[/] The signature is valid and the {what} is unchanged.")
    if code:
        console.print("[green]✓[/] It is about this very person.")


@main.command()
@click.option("--backup", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A copy of a home: postgres, objects and keys. Without it the drill invents a company.")  # fmt: skip
@click.option("--tombstones", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The tombstones as they are today.")  # fmt: skip
def drill(backup: Path | None, tombstones: Path | None) -> None:
    """Restore a backup into an empty site and say what stayed away; nothing is served, and its counts are kept."""
    from likeness.evidence.outside import Outside
    from likeness.run.drill import drill

    if (backup is None) != (tombstones is None):
        raise click.UsageError("A backup of yours needs today's tombstones beside it: name both, or neither.")
    for sentence in drill(backup, tombstones, Outside(from_environment().tombstones_path())):
        console.print(sentence, soft_wrap=True, highlight=False)
