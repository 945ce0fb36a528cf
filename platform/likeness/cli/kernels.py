"""The kernel that a command works with, over a database that runs already."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.exc import DBAPIError

from likeness.ground import telemetry
from likeness.ground.db import UnknownSchema, UnsafeRole
from likeness.ground.errors import Unavailable
from likeness.ground.settings import Settings, from_environment
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.keys.keys import KeyUnavailable
from likeness.run.postgres import url_of_running

LEFT = "Words that an older version kept in clear are sealed by `likeness scheduler`:"


def production_kernel() -> Kernel:
    from compliance import restores

    settings = from_environment()
    telemetry.configure(settings.log_level)
    if not settings.database_url:
        raise click.ClickException("LIKENESS_DATABASE_URL is not set. On one machine, use `likeness up` instead.")
    kernel = assemble(settings)
    try:
        kernel.db.check()
        fingerprint.settle(kernel.db, kernel.keys)
        # A database that was restored from a backup must undo no deletion, withdrawal or hold since then.
        restores.start(kernel)
    except (UnsafeRole, UnknownSchema) as error:
        raise click.ClickException(str(error)) from error
    except KeyUnavailable as error:
        raise click.ClickException(about_keys(error, settings)) from error
    except (DBAPIError, Unavailable) as error:
        raise click.ClickException(
            f"The database does not answer: {reason(error)}. Is it running, and is LIKENESS_DATABASE_URL its address?"
        ) from error
    return kernel


def reason(error: Exception) -> str:
    """PostgreSQL's own words where it has some, without a full stop; its other lines repeat statements and addresses."""
    return str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()[0].rstrip(".")


def about_keys(error: KeyUnavailable, settings: Settings) -> str:
    """Which folder is meant, for whoever starts the program; visitors and probes are never told."""
    return f"{error} The key folder of these settings is {settings.keys_path()}."


def serving_kernel() -> Kernel:
    """Of a process that serves people from now on, unless this machine or its settings cannot."""
    from likeness.run.machine import hindrances

    settings = from_environment()
    for sentence in hindrances(settings):
        raise click.ClickException(sentence)
    if settings.liveness_file is not None:
        _not_yet(settings.liveness_file)
    return production_kernel()


def _not_yet(file: Path) -> None:
    """What an earlier process left says nothing of this one, whose start takes minutes after a restore."""
    try:
        file.touch()
        file.unlink()
    except OSError as error:
        raise click.ClickException(
            f"LIKENESS_LIVENESS_FILE is {file}, which cannot be written: {error.strerror}."
        ) from error


def seal_clear_text(settings: Settings) -> list[str]:
    """What a migration leaves to the keys, where both are reached from here; the scheduler does it otherwise."""
    from compliance import clear_text

    if not settings.database_url or not settings.keys_path().is_dir():
        return []
    kernel = assemble(settings)
    try:
        kernel.db.check()
        fingerprint.check(kernel.db, kernel.keys)
        return clear_text.seal_clear(kernel)
    except (UnsafeRole, UnknownSchema, KeyUnavailable) as error:
        return [f"{LEFT} {error}"]
    except (DBAPIError, Unavailable) as error:
        return [f"{LEFT} The database does not answer: {reason(error)}."]
    finally:
        kernel.db.close()


def running_kernel(*, settled: bool = True) -> Kernel:
    """Of the Likeness that runs on this machine, or of the servers that the settings name.

    Not `settled`, its keys are not asked whether they belong to the database.
    """
    settings = from_environment()
    if settings.embedded and not settings.database_url:
        running = url_of_running(settings.home / "postgres", "likeness_app")
        if running is None:
            raise click.ClickException("Likeness does not run here. Start it with `likeness up`, which prints a link.")
        return assemble(settings.model_copy(update={"database_url": running}))
    return production_kernel() if settled else assemble(settings)
