"""`likeness check`: says in plain sentences what is misconfigured, before anybody's photo is at stake."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx
import pika
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from batch.marks import credential
from compliance.proof import signing
from compliance.scanning import files
from gpu_cluster.bases.recipe import PHOTOGRAPHS, recipes
from likeness.evidence.outside import Outside
from likeness.ground import tls
from likeness.ground.clock import TOLERATED, Clock
from likeness.ground.db import PLATFORM, Database, utc_now
from likeness.ground.errors import LikenessError
from likeness.ground.settings import Settings
from likeness.kernel import issuer_of
from likeness.keys import fingerprint
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, KeyRef, MasterKeyMissing
from likeness.keys.providers import chosen
from likeness.mail import imap
from likeness.mail.bounces import envelope_of
from likeness.mail.smtp import LOCAL, MailOutcome, would_take
from likeness.run.machine import belts, changed, existing, hindrances, worries
from likeness.run.postgres import url_of_running
from likeness.sandbox.child import ChildFailed, Children
from likeness.store.objects import Objects, tenant_path
from tenants import tenants

SOON = timedelta(days=30)
"""So long before a certificate ends, it is told."""
REQUIRED = ("database_url", "broker_url", "objects_url", "key_folder", "rescan_database_url")
"""Of the production profile. The web server, which everybody reaches, holds none of `BACKSTAGE`."""
BACKSTAGE = {"rescan_database_url"}
RAY_SECONDS = 90
"""A cluster starts a process for whoever comes, which takes half a minute where it is busy."""
CLOCKS_APART = 5
"""Seconds. Where something in front of Keycloak says its time, it is in whole seconds, and the answer takes a moment."""


def problems(settings: Settings, *, web: bool = False) -> Iterator[str]:
    """Every problem found, one sentence each; none when everything answers. Of a `web` process alone, what it needs."""
    yield from hindrances(settings)
    yield from worries(settings)
    yield from changed(settings)
    yield from _shape(settings, web)
    yield from _keys(settings)
    strangers: list[Path] = []
    with suppress(OSError):  # What cannot be looked into is told beside this.
        strangers = files.strangers(settings)
    for path in strangers:
        yield f"{path} is nothing that Likeness makes, and while it is there no certificate is issued. Move it elsewhere."
    yield from _marks(settings)
    if settings.counter_url:
        yield from _told("The counter", lambda: _counter(settings), "Check LIKENESS_COUNTER_URL and its credentials.")
    yield from _told("Cutting people out", _darkroom, "Install Likeness again; until then no studio portrait is made.")
    yield from _told("Opening photos and workbooks", _confinement, "Until then they are refused, and nothing is lost.")
    yield from edges(settings)
    if settings.key_store != "folder":
        advice = "Check the settings of the key store; until it answers everybody waits, and nothing is stored unsealed."
        yield from _told("The key store", lambda: _described(settings), advice)
    yield from _offers(settings)
    yield from _sign_in(settings)
    if settings.ray_address and not web:
        ask = partial(_cluster, settings.ray_address)
        yield from _told("The Ray cluster", ask, "Check LIKENESS_RAY_ADDRESS and Ray's token.")


def edges(settings: Settings) -> Iterator[str]:
    """The servers of others that hold the data and carry it, each asked once."""
    yield from _objects(settings)
    if settings.embedded:
        yield from _signer(settings)
    else:
        trouble = list(_told("The database", lambda: _database(settings), "Check LIKENESS_DATABASE_URL."))
        yield from trouble or _told("The key folder", lambda: _master_key(settings), "Check LIKENESS_KEY_FOLDER.")
        yield from () if trouble else clocks(settings.database_url)
        yield from () if trouble else _signer(settings)
        yield from _rescan(settings)
        if settings.broker_url:
            yield from _told("RabbitMQ", lambda: _broker(settings.broker_url), "Check LIKENESS_BROKER_URL.")
        yield from _in_clear(settings)
    if settings.smtp_url:
        yield from _mail(settings)
    yield from _bounces(settings)


def makes(settings: Settings) -> Iterator[str]:
    """What this machine can make of people's photos, how long it takes, and who holds the keys."""
    with suppress(LikenessError):  # Why a provider does not answer is told as a problem, and so is a folder that is away.
        yield _described(settings)
    yield from belts(settings)
    yield (
        "Studio portraits of people's own photos: cut out and set on a backdrop, no model, no GPU. A picture takes a second"
        " or two of one processor."
    )
    if not settings.counter_url:
        yield (
            "Whether database, objects, keys and tombstones are put back all together nobody here notices, because"
            " LIKENESS_COUNTER_URL names no place outside them. Whoever holds a later checkpoint notices."
        )
    recipe = recipes().get(settings.recipe)
    if recipe is None:
        yield "Models of people: none, because LIKENESS_RECIPE names no base. They need a GPU and a base's weights."
    elif recipe.world != PHOTOGRAPHS:
        yield f"Models of people: none. The base {recipe.name} knows drawn people only and is for the demo."
    else:
        where = (
            "on the Ray cluster's GPUs" if settings.ray_address else "on this machine's processors, which takes hours"
        )
        yield f"Models of people on the base {recipe.name}, {where}; the GPU decides how long one takes."
        if settings.ray_address:
            yield from _gpus(settings.ray_address)


def _described(settings: Settings) -> str:
    return chosen(settings).describe()


def _signer(settings: Settings) -> Iterator[str]:
    if settings.signer_path() is None:
        if settings.privacy_threads:
            yield (
                "LIKENESS_SIGNER_FOLDER is not set, so this process issues no certificate. Set it where erasures are"
                " worked, or give this process LIKENESS_PRIVACY_THREADS=0."
            )
        return
    if sentence := signing.lost(settings):
        yield sentence


def _marks(settings: Settings) -> Iterator[str]:
    if settings.marks_credential is None:
        return
    try:
        until = credential.read(settings.marks_credential).until
    except credential.CredentialWrong as error:
        yield f"LIKENESS_MARKS_CREDENTIAL: {error} Until this is mended no headshot is shown or delivered."
        return
    if until - utc_now() < SOON:
        yield (
            f"LIKENESS_MARKS_CREDENTIAL: the certificate ends on {until:%Y-%m-%d}. What it signed is then called invalid,"
            " and from then on no headshot is shown or delivered until another one is in its place."
        )


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
    code = "import sys; from gpu_cluster.cluster.node import gpus; print(gpus(sys.argv[1]))"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=RAY_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it did not answer within {RAY_SECONDS} seconds.") from None
    if ended.returncode:
        raise RuntimeError((ended.stderr.strip().splitlines() or ["Ray ended without a word."])[-1])
    return int(ended.stdout.split()[-1])


def _shape(settings: Settings, web: bool) -> Iterator[str]:
    if settings.embedded:
        return
    for name in REQUIRED:
        if not getattr(settings, name) and not (web and name in BACKSTAGE):
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
        plain, patience, owner = settings.objects_plain_http, settings.objects_timeout, uuid4()
        objects = Objects(settings.objects_address(), plain_http=plain, timeout=patience)
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


def _counter(settings: Settings) -> None:
    Outside(settings.tombstones_path(), settings.counter_url).try_counter()


def _confinement() -> None:
    """Starts a confined child as a photo would."""
    try:
        Children("likeness.sandbox.confinement", "reached", keep=False).run({}, b"")
    except ChildFailed as failure:
        raise RuntimeError(failure.detail or failure.reason) from None


def _darkroom() -> None:
    """The networks are the ones that were examined, and what cuts people out can be run."""
    code = (
        "from batch.vision import landmarks; from gpu_cluster.cutout import hands, portrait, segment;"
        " landmarks.networks(); segment.network(); hands.network()"
    )
    # In a process of its own: the command that checks need not hold 120 MB for it.
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode:
        raise RuntimeError((ended.stderr.strip().splitlines() or ["it ended without a word."])[-1])


def _database(settings: Settings) -> None:
    Database(settings.database_url, pool_size=1, timeout=5).check()


def clocks(database_url: str) -> Iterator[str]:
    """This machine's against the database's. Both are servers of the same company, and deletions follow them."""
    engine, clock = create_engine(database_url), Clock()
    with suppress(SQLAlchemyError), engine.connect() as connection:  # Why it does not answer is told beside this.
        asked = time.monotonic()
        clock.observe(connection.execute(text("select clock_timestamp()")).scalar_one(), time.monotonic() - asked)
    engine.dispose()
    ahead = clock.difference()
    if abs(ahead) > CLOCKS_APART:
        yield (
            f"This machine's clock is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the database's. From"
            f" {TOLERATED.total_seconds():.0f} seconds on nothing is deleted because of its date. Set both by the same time"
            " server."
        )


def _master_key(settings: Settings) -> None:
    """Whether it is the one that the database was sealed under."""
    db = Database(settings.database_url, pool_size=1, timeout=5)
    if fingerprint.noted(db) is None:
        return  # Nothing has been started over this database; the first start makes the key.
    if not settings.keys_path().exists():
        raise MasterKeyMissing(
            f"There is no folder {settings.keys_path()}, and this database was sealed with a key in it."
        )
    fingerprint.check(db, KeyFolder(settings.keys_path(), chosen(settings)))


def _offers(settings: Settings) -> Iterator[str]:
    """Asked only where the database answers; that it does not is told as a problem of its own."""
    address = settings.database_url or url_of_running(settings.home / "postgres", "likeness_app")
    if address is None:
        return
    db = Database(address, pool_size=1, timeout=5)
    with suppress(SQLAlchemyError, LikenessError), db.transaction(PLATFORM) as session:
        if count := tenants.out_of_reach(session, settings.recipe):
            yield (
                f"{count} {'company' if count == 1 else 'companies'} chose a way of making headshots that LIKENESS_RECIPE"
                f" ({settings.recipe}) cannot make. Their people are not offered it until you set it back."
            )
    db.close()


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
        yield _failed("The re-scan's database", error, "Check LIKENESS_RESCAN_DATABASE_URL.")


def _broker(url: str) -> None:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = 5
    pika.BlockingConnection(parameters).close()


def _mail(settings: Settings) -> Iterator[str]:
    """Whether the server would take a mail of ours: all but the text is said to it."""
    back = envelope_of(settings.bounces_address, uuid4())
    answer = would_take(settings.smtp_url, settings.mail_from, timeout=5, returns=back)
    said = f" ({answer.code})" if answer.code else ""
    match answer.outcome:
        case MailOutcome.SENT | MailOutcome.LATER:
            return  # Who asks to come again, as many do of strangers, is asked again when there is a mail.
        case MailOutcome.AWAY if answer.doubt:
            yield _doubted("The mail server", answer.doubt, "Check LIKENESS_SMTP_URL.")
        case MailOutcome.AWAY:
            yield f"The mail server does not answer or does not let us in{said}. Check LIKENESS_SMTP_URL."
        case MailOutcome.ADDRESS:
            yield (
                f"The mail server brings no mail to the sender's own address{said}, so answers to us would be lost, and"
                " perhaps it takes mail to nobody. Check LIKENESS_MAIL_FROM and what the server lets us send."
            )
        case _:
            yield f"The mail server takes no mail of this sender{said}, so nobody is reached. Check LIKENESS_MAIL_FROM."


def _bounces(settings: Settings) -> Iterator[str]:
    """Whether the mailbox of what comes back can be read; nothing in it is."""
    if bool(settings.bounces_imap) != bool(settings.bounces_address):
        yield "Only one of LIKENESS_BOUNCES_ADDRESS and LIKENESS_BOUNCES_IMAP is set: mails that come back are not read."
    elif settings.bounces_imap and (why := imap.trouble(settings.bounces_imap, timeout=5)):
        yield f"The mailbox of returned mails cannot be read. {why} Check LIKENESS_BOUNCES_IMAP."


def _in_clear(settings: Settings) -> Iterator[str]:
    """What would travel unencrypted, or encrypted to whoever answers. Nothing leaves this machine for a local server."""
    for name in ("database_url", "rescan_database_url", "owner_database_url"):
        url = make_url(getattr(settings, name) or "postgresql://")
        mode = str(url.query.get("sslmode") or os.environ.get("PGSSLMODE", "prefer"))
        if _elsewhere(url.host) and mode not in ("verify-full", "verify-ca"):
            clear = "" if mode == "require" else ", and may be reached in clear"
            yield (
                f"PostgreSQL at {url.host} is not asked who it is{clear}. Add ?sslmode=verify-full to"
                f" LIKENESS_{name.upper()}, with sslrootcert=… for an authority of your own."
            )
    broker = urlsplit(settings.broker_url)
    if _elsewhere(broker.hostname) and broker.scheme != "amqps":
        yield f"RabbitMQ at {broker.hostname} is reached in clear. Use amqps:// in LIKENESS_BROKER_URL."


def _elsewhere(host: str | None) -> bool:
    return bool(host) and not str(host).startswith("/") and host not in LOCAL


def _sign_in(settings: Settings) -> Iterator[str]:
    """Keycloak: whether it is reachable and is who it says, whose clock is right, and whether browsers can come back."""
    if not settings.keycloak_url:
        return
    if not settings.keycloak_secret:
        yield "LIKENESS_KEYCLOAK_SECRET is not set, so no sign-in with an account is ever finished."
    if not settings.embedded and not settings.keycloak_url.startswith("https://"):
        yield "LIKENESS_KEYCLOAK_URL does not begin with https://, so whoever listens could sign in as anybody."
    issuer = issuer_of(settings)
    assert issuer is not None  # Its address is set.
    try:
        ahead = issuer.clock_difference()
        if abs(ahead) > CLOCKS_APART:
            yield (
                f"Keycloak's clock is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} this machine's. Its"
                " answers are refused from 10 seconds on. Set both by the same time server."
            )
        answer = httpx.get(issuer.question_of_redirect(), timeout=5, follow_redirects=False)
        if not answer.headers.get("location", "").startswith(f"{issuer.redirect}?"):
            yield f"Keycloak does not send browsers back to {issuer.redirect}. Run `likeness keycloak setup` again."
    except Exception as error:  # Whatever goes wrong here is the finding.
        yield _failed("Keycloak", error, "Check LIKENESS_KEYCLOAK_URL and LIKENESS_KEYCLOAK_REALM.")


def _told(what: str, attempt: Callable[[], object], advice: str) -> Iterator[str]:
    try:
        attempt()
    except Exception as error:  # Whatever goes wrong here is the finding.
        yield _failed(what, error, advice)


def _failed(what: str, error: Exception, advice: str) -> str:
    doubted = tls.doubt(error)
    return _doubted(what, doubted, advice) if doubted else f"{what} does not work: {_reason(error)} {advice}"


def _doubted(what: str, why: str, advice: str) -> str:
    more = " An authority of your own is named as docs/operating/install.md says." if why == tls.UNKNOWN else ""
    return f"{what} does not work: {why}.{more} {advice}"


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
    found = {
        value for name, value in os.environ.items() if name.startswith("AWS_SECRET") or name.startswith("AWS_SESSION")
    }
    found.add(os.environ.get("RAY_AUTH_TOKEN", ""))
    for name, value in os.environ.items():
        if name.upper().startswith("LIKENESS_") and "@" in value and "://" in value:
            written = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
            found |= {written, unquote(written)}
    return {one for one in found if len(one) > 2}
