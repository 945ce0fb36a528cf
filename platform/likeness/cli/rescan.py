"""`likeness rescan`: whether anything is left of people who were erased, asked by a process that only reads."""

from __future__ import annotations

import json
import os
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from time import monotonic
from typing import TYPE_CHECKING
from uuid import uuid4

import click
import psycopg
from rich.console import Console

from likeness.ground.db import utc_now
from likeness.ground.settings import alone, from_environment
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.keys.keys import KeyClass, KeyRef
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres, url_of_running

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from compliance.erasure.rescan import Subject
    from compliance.scanning.planting import Plant, Site

console = Console(stderr=False)


@click.command()
@click.option("--self-test", is_flag=True, help="Plant what has to be found into a site made for it, and see it found.")
@click.option("--days", type=click.IntRange(1), help="Only people erased in the last so many days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of sentences.")
def rescan(self_test: bool, days: int | None, as_json: bool) -> None:
    """Look once more for everybody who was erased; ends with 1 when anything is left or a store does not answer.

    It reads as the database role of LIKENESS_RESCAN_DATABASE_URL, under whatever other credentials this process is given.
    """
    if self_test:
        _say_tests(as_json)
        return
    kernel = reading_kernel()
    troubles, asked = [], 0
    for label, subject in _erased(kernel, days):
        from compliance.erasure import rescan as looking

        scan = looking.scan(kernel, subject)
        asked += 1
        troubles += [
            {"erased": label, "store": one.store, **one.as_dict(), "where": list(one.where)}
            for one in scan.answers
            if one.result not in ("clean", "not applicable")
        ]
    if as_json:
        click.echo(json.dumps({"people": asked, "problems": troubles}, ensure_ascii=False, indent=2))
    else:
        for one in troubles:
            console.print(
                f"[red]✗[/] {one['erased']}: {one['store']}: {one['result']}", highlight=False, soft_wrap=True
            )
            for path in one["where"]:
                console.print(f"    {path}", highlight=False, markup=False, soft_wrap=True)
        if not troubles:
            console.print(f"[green]✓[/] Nothing is left of {asked} people who were erased, in every registered store.")
    if troubles:
        raise SystemExit(1)


def reading_kernel() -> Kernel:
    """Over the role that only reads; nothing is settled, replayed or written. For the running or the named servers."""
    settings = from_environment()
    url = settings.rescan_database_url
    if settings.embedded and not url:
        url = url_of_running(settings.home / "postgres", "likeness_rescan") or ""
    if not url:
        raise click.ClickException(
            "There is no database to read: start Likeness here with `likeness up`, or set LIKENESS_RESCAN_DATABASE_URL."
        )
    return assemble(settings.model_copy(update={"database_url": url, "rescan_database_url": url}))


def _erased(kernel: Kernel, days: int | None) -> Iterator[tuple[str, Subject]]:
    """Everybody a tombstone names; those whose erasure still has its traces with digests of name and address."""
    from sqlmodel import col, select

    from compliance.erasure import rescan, tombstones
    from compliance.models import Erasure

    since = utc_now() - timedelta(days=days) if days else None
    for tombstone in tombstones.read_all(kernel.settings.tombstones_path()):
        if since and tombstone.at < since:
            continue
        with kernel.db.transaction(tombstone.tenant) as session:
            known = session.exec(
                select(Erasure).where(
                    col(Erasure.tenant_id) == tombstone.tenant,
                    col(Erasure.employee_id) == tombstone.owner,
                    col(Erasure.scope) == "everything",
                )
            ).first()
        subject = rescan.subject_of(known) if known else rescan.Subject(tombstone.tenant, tombstone.owner)
        yield str(known.id if known else tombstone.id), subject


# The self-test


def _say_tests(as_json: bool) -> None:
    begun, lines = monotonic(), []
    for plant, found in lines_of_self_test():
        lines.append({"plant": plant, "found": found})
        if not as_json:
            console.print(
                f"{'[green]✓[/]' if found else '[red]✗ NOT FOUND[/]'} {plant}", highlight=False, soft_wrap=True
            )
    missed = [one["plant"] for one in lines if not one["found"]]
    if as_json:
        click.echo(json.dumps({"planted": len(lines), "missed": missed}, ensure_ascii=False, indent=2))
    else:
        console.print(f"{len(lines) - len(missed)} of {len(lines)} found in {monotonic() - begun:.0f} s.")
    if missed:
        raise SystemExit(1)


def lines_of_self_test() -> Iterator[tuple[str, bool]]:
    with site() as (ground, subject):
        yield from lines_of(ground, subject)


def lines_of(ground: Site, subject: Subject) -> Iterator[tuple[str, bool]]:
    """Every plant and whether it was found; the site has to pass before the first and after the last of them."""
    from compliance.erasure import rescan
    from compliance.scanning import plants, tables

    with tables.reading(ground.kernel).connect() as connection:
        before = rescan.scan(ground.kernel, subject).problems()
        yield f"nothing planted, so nothing found{': ' + ', '.join(before) if before else ''}", not before
        for plant in list(plants.all_of(ground)):
            yield plant.says, _found(ground, subject, plant, connection)
        mute = ground.kernel.settings.model_copy(
            update={"rescan_database_url": "postgresql+psycopg://nobody@/likeness?host=/nonexistent"}
        )
        silent = rescan.scan(replace(ground.kernel, settings=mute), subject).problems()
        yield "a database that does not answer is not clean", "table:employee" in silent
        after = rescan.scan(ground.kernel, subject).problems()
        yield f"everything taken away again{': ' + ', '.join(after) if after else ''}", not after


def _found(ground: Site, subject: Subject, plant: Plant, connection: Connection) -> bool:
    """In this process, because a second one for each would take minutes; the looks before and after are made by it."""
    from compliance.scanning import looking, tables

    take_away = plant.put(ground)
    traces = subject.traces(ground.kernel)
    try:
        if plant.table:
            only = plant.table.strip("*")
            answers = list(tables.looked(ground.kernel, connection, subject.tenant, traces, only))
        else:
            answers = looking.outside_tables(ground.kernel, subject, traces)
    finally:
        take_away()
    found = {one.store for one in answers if one.result == "found"}
    return set(plant.stores) <= found


@contextmanager
def site() -> Iterator[tuple[Site, Subject]]:
    """A site that lives as long as this look: a database, objects and keys of its own, and a person whose keys are gone."""
    from batch.people import employees
    from compliance.erasure.rescan import SAMPLE_CONTEXT, Subject
    from compliance.scanning import planting, plants, row_plants, traces
    from tenants import tenants

    home = Path(tempfile.mkdtemp(prefix="rescan-self-test-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home / "postgres")
    try:
        server.start()
        migrate(server.url("likeness_owner"))
        settings = alone(
            home, database_url=server.url("likeness_app"), rescan_database_url=server.url("likeness_rescan")
        )
        kernel = assemble(settings)
        fingerprint.settle(kernel.db, kernel.keys)
        mine, other = (tenants.found(kernel, name=name, recipes=["cutout"]) for name in ("Planted", "Beside"))
        employee, workbook = uuid4(), uuid4()
        key = kernel.keys.open_or_create(KeyRef(mine, employee, KeyClass.PROFILE))
        sample = b64encode(key.seal(b"must not open", SAMPLE_CONTEXT)).decode()
        backup = plants.key_file(kernel, mine, employee).read_bytes()
        for cls in KeyClass:
            kernel.keys.destroy(KeyRef(mine, employee, cls), utc_now())
        kernel.keys.destroy(KeyRef(mine, workbook, KeyClass.PROFILE), utc_now())
        index_key = kernel.keys.index_key(mine)
        subject = Subject(
            mine, employee, employees.email_index(index_key, planting.EMAIL), (workbook,), {"profile": sample},
            since=utc_now().timestamp(), **traces.name_traces(index_key, planting.NAME),
        )  # fmt: skip
        owner = server.url("postgres").replace("+psycopg", "")
        with psycopg.connect(owner, autocommit=True) as owning, _temporary_folder():
            scratch = Path(tempfile.mkdtemp(prefix="lk-ray-self-test-"))
            ground = planting.Site(kernel, mine, other, employee, workbook, scratch, owning, backup)
            row_plants.seed(ground)
            yield ground, subject
        kernel.db.close()
    finally:
        server.stop()
        rmtree(home, ignore_errors=True)


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """One of its own, for this process and those that it starts from now on: what a running Ray leaves in the shared one
    would be read anew for every plant."""
    from compliance.scanning.reader import READER

    before, set_before = tempfile.tempdir, os.environ.get("TMPDIR")
    folder = tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="rescan-self-test-")
    READER.end()
    try:
        yield
    finally:
        READER.end()
        rmtree(folder, ignore_errors=True)
        tempfile.tempdir = before
        if set_before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = set_before
