"""`likeness check`: says in plain sentences what is misconfigured, before anybody's photo is at stake."""

from __future__ import annotations

import os
import smtplib
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pika
from sqlalchemy import create_engine, text

from batch.child import ChildFailed, Children
from gpu_cluster.recipe import PHOTOGRAPHS, recipes
from likeness import fingerprint
from likeness.db import Database
from likeness.keys import DataKey, KeyClass, KeyFolder, KeyRef, MasterKeyMissing
from likeness.machine import existing, hindrances, worries
from likeness.objects import Objects, tenant_path
from likeness.settings import Settings

RAY_SECONDS = 45


def problems(settings: Settings) -> Iterator[str]:
    """Every problem found, one sentence each; none when everything answers."""
    yield from hindrances(settings)
    yield from worries(settings)
    yield from _shape(settings)
    yield from _keys(settings)
    yield from _objects(settings)
    yield from _told("Cutting people out", _darkroom, "Install Likeness again; until then no studio portrait is made.")
    yield from _told("Opening photos and workbooks", _confinement, "Until then they are refused, and nothing is lost.")
    if not settings.embedded:
        trouble = list(_told("The database", lambda: _database(settings), "Check LIKENESS_DATABASE_URL."))
        yield from trouble or _told("The key folder", lambda: _master_key(settings), "Check LIKENESS_KEY_FOLDER.")
        yield from _rescan(settings)
        if settings.broker_url:
            yield from _told("RabbitMQ", lambda: _broker(settings.broker_url), "Check LIKENESS_BROKER_URL.")
    if settings.smtp_url:
        yield from _told("The mail server", lambda: _smtp(settings.smtp_url), "Check LIKENESS_SMTP_URL.")
    if settings.ray_address:
        ask = partial(_cluster, settings.ray_address)
        yield from _told("The Ray cluster", ask, "Check LIKENESS_RAY_ADDRESS and Ray's token.")


def makes(settings: Settings) -> Iterator[str]:
    """What this machine can make of people's photos, and how long it takes."""
    yield (
        "Studio portraits of people's own photos: cut out and set on a backdrop, no model, no GPU. A picture takes a second"
        " or two of one processor."
    )
    recipe = recipes().get(settings.recipe)
    if recipe is None:
        yield "Models of people: none, because LIKENESS_RECIPE names no base. They need a GPU and a base's weights."
    elif recipe.world != PHOTOGRAPHS:
        yield f"Models of people: none. The base {recipe.name} knows drawn people only and is for the demo."
    else:
        where = "on the Ray cluster's GPUs" if settings.ray_address else "on this machine's processors, which takes hours"
        yield f"Models of people on the base {recipe.name}, {where}; the GPU decides how long one takes."
        if settings.ray_address:
            yield from _gpus(settings.ray_address)


def _gpus(address: str) -> Iterator[str]:
    with suppress(Exception):  # Why it does not answer is told as a problem.
        gpus = _cluster(address)
        yield (
            f"The Ray cluster has {gpus} GPU{'s' * (gpus != 1)} now. Whether its nodes hold the weights is not asked."
            if gpus
            else "The Ray cluster has no GPU now. Unless an autoscaler adds one, no model is made."
        )


@cache
def _cluster(address: str) -> int:
    """GPUs of the cluster. Asked in a process of its own, because Ray ends a program that cannot reach its cluster."""
    parts = urlsplit(address if "://" in address else f"ray-head://{address}")
    if parts.port:
        with socket.create_connection((parts.hostname or "localhost", parts.port), timeout=5):
            pass
    code = "import sys; from gpu_cluster.fleet import gpus; print(gpus(sys.argv[1]))"
    try:
        ended = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True, timeout=RAY_SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it did not answer within {RAY_SECONDS} seconds.") from None
    if ended.returncode:
        raise RuntimeError((ended.stderr.strip().splitlines() or ["Ray ended without a word."])[-1])
    return int(ended.stdout.split()[-1])


def _shape(settings: Settings) -> Iterator[str]:
    if settings.embedded:
        return
    for name in ("database_url", "broker_url", "objects_url", "key_folder", "rescan_database_url"):
        if not getattr(settings, name):
            yield f"LIKENESS_{name.upper()} is not set; the production profile needs it."
    if not settings.public_url.startswith("https://"):
        yield "LIKENESS_PUBLIC_URL does not begin with https://, so session cookies would travel in clear."
    if not settings.smtp_url:
        yield "LIKENESS_SMTP_URL is not set, so no invitation will reach anybody."
    if not settings.ray_address:
        yield "LIKENESS_RAY_ADDRESS is not set, so training would run on this machine's own processors."


def _keys(settings: Settings) -> Iterator[str]:
    folder = settings.keys_path().resolve()
    if (settings.home / "postgres").resolve() in (folder, *folder.parents):
        yield "The key folder lies inside the database folder: a backup of the database would undo every erasure."
    if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield f"The key folder {folder} can be read by other users. Run: chmod 700 {folder}"
    if not os.access(existing(folder), os.W_OK):
        yield f"The key folder {folder} cannot be written."


def _objects(settings: Settings) -> Iterator[str]:
    def put_and_delete() -> None:
        objects, owner = Objects(settings.objects_address(), plain_http=settings.objects_plain_http), uuid4()
        path = tenant_path(owner, "check", str(uuid4()))
        key = DataKey(KeyRef(owner, owner, KeyClass.PROFILE), os.urandom(32))
        try:
            objects.put(path, b"check", key)
            if objects.get(path, key) != b"check":
                raise RuntimeError("what was stored came back changed")
        finally:
            objects.delete(path)

    http = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://") and not settings.objects_plain_http
    advice = (
        "AWS_ENDPOINT_URL begins with http://: use https://, or allow it with LIKENESS_OBJECTS_PLAIN_HTTP=true."
        if http
        else "Check LIKENESS_OBJECTS_URL and its credentials."
    )
    yield from _told("The object store", put_and_delete, advice)


def _confinement() -> None:
    """Starts a confined child as a photo would."""
    try:
        Children("batch.confinement", "reached", keep=False).run({}, b"")
    except ChildFailed as failure:
        raise RuntimeError(failure.detail or failure.reason) from None


def _darkroom() -> None:
    """The networks are the ones that were examined, and what cuts people out can be run."""
    code = (
        "from batch import landmarks; from gpu_cluster.cutout import portrait, segment;"
        " landmarks.networks(); segment.network()"
    )
    # In a process of its own: the command that checks need not hold 400 MB for it.
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode:
        raise RuntimeError((ended.stderr.strip().splitlines() or ["it ended without a word."])[-1])


def _database(settings: Settings) -> None:
    Database(settings.database_url, pool_size=1, timeout=5).check()


def _master_key(settings: Settings) -> None:
    """Whether it is the one that the database was sealed under."""
    db = Database(settings.database_url, pool_size=1, timeout=5)
    if fingerprint.noted(db) is None:
        return  # Nothing has been started over this database; the first start makes the key.
    if not settings.keys_path().exists():
        raise MasterKeyMissing(f"There is no folder {settings.keys_path()}, and this database was sealed with a key in it.")
    fingerprint.check(db, KeyFolder(settings.keys_path()))


def _rescan(settings: Settings) -> Iterator[str]:
    def writes() -> bool:
        with create_engine(settings.rescan_database_url).connect() as connection:
            statement = text("select has_table_privilege(current_user, 'employee', 'insert')")
            return bool(connection.execute(statement).scalar())

    if not settings.rescan_database_url:
        return
    try:
        if writes():
            yield "The role of LIKENESS_RESCAN_DATABASE_URL may write. Use `likeness_rescan`, which only reads."
    except Exception as error:  # Whatever goes wrong here is the finding.
        yield f"The re-scan's database does not answer: {_reason(error)} Check LIKENESS_RESCAN_DATABASE_URL."


def _broker(url: str) -> None:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = 5
    pika.BlockingConnection(parameters).close()


def _smtp(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "localhost", parts.port or 25), timeout=5):
        pass
    if parts.scheme == "smtp":
        smtplib.SMTP(parts.hostname or "localhost", parts.port or 25, timeout=5).close()


def _told(what: str, attempt: Callable[[], object], advice: str) -> Iterator[str]:
    try:
        attempt()
    except Exception as error:  # Whatever goes wrong here is the finding.
        yield f"{what} does not work: {_reason(error)} {advice}"


def _reason(error: BaseException) -> str:
    """What happened and why, without passwords: the first line of the error, and of the one that it came from."""
    lines = [_first_line(error)]
    cause = error
    while below := cause.__cause__ or next((one for one in cause.args if isinstance(one, BaseException)), None):
        cause = below
    if cause is not error and _first_line(cause) not in lines[0]:
        lines.append(_first_line(cause))
    said = ": ".join(line.rstrip(".") for line in lines)
    for secret in _secrets():
        said = said.replace(secret, "…")
    return f"{said}."


def _first_line(error: BaseException) -> str:
    said = str(error).strip() or repr(error)
    return said.splitlines()[0][:300]


def _secrets() -> set[str]:
    """Passwords and keys in the environment, as they are written and as they are meant."""
    found = {value for name, value in os.environ.items() if name.startswith("AWS_SECRET") or name.startswith("AWS_SESSION")}
    found.add(os.environ.get("RAY_AUTH_TOKEN", ""))
    for name, value in os.environ.items():
        if name.upper().startswith("LIKENESS_") and "@" in value and "://" in value:
            written = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
            found |= {written, unquote(written)}
    return {one for one in found if len(one) > 2}
