"""The signature of an access package: over the list of its files, by the key that signs certificates.

The web server that makes the package has no signer. It leaves the fingerprint of the list for a worker that has one, and
waits for the seconds that this takes; a process with a signer signs itself. The row is gone a week later.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from time import monotonic, sleep
from uuid import UUID

import rfc8785
from joserfc import jws
from sqlmodel import Session, col, delete, select

from compliance.models import Package
from compliance.proof import certificates, signing, stored, verify_package
from likeness.ground.db import tenant_of
from likeness.ground.errors import Unavailable, Unprocessable
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.kernel import Kernel
from tenants import tenants

log = logging.getLogger(__name__)

TYPE = "likeness-package+jws"
KEPT = timedelta(days=7)
SECONDS = 60.0


class NotSigned(Unavailable):
    """No worker with a signer took it up in time."""

    title = "The package could not be signed"


class SignatureChanged(Unprocessable):
    """The row holds something else than what was signed for this package."""

    title = "This package was changed"


def ready(kernel: Kernel, now: datetime) -> None:
    """Raises `SignerAway` where this process signs and cannot: nobody is sent a package that breaks off at its end."""
    if kernel.settings.signer_path() is not None:
        signing.key(kernel, now)


def signature(kernel: Kernel, package: Package) -> str:
    """Opens transactions of its own. Raises `NotSigned` and `SignatureChanged`."""
    with kernel.db.transaction(package.tenant_id) as session:
        if kernel.settings.signer_path() is not None:
            package.jws = _signed(kernel, package, package.made_at)
        else:
            jobs.send(session, sign, str(package.id))
        session.add(package)
        session.flush()
        session.expunge(package)
    until = monotonic() + SECONDS
    while package.jws is None:
        if monotonic() > until:
            raise NotSigned("Nothing was changed. Please try again in a minute.")
        sleep(0.25)
        with kernel.db.transaction(package.tenant_id) as session:
            package.jws = session.exec(
                select(Package.jws).where(col(Package.tenant_id) == package.tenant_id, col(Package.id) == package.id)
            ).one()
    return as_signed(kernel, package)


def as_signed(kernel: Kernel, package: Package) -> str:
    """The signature, where one of our keys made it over the list of this package. Raises `SignatureChanged`."""
    token, keys = package.jws or "", [one["jwk"] for one in signing.history(kernel)]
    try:
        said = verify_package.signed_words(token, {certificates.fingerprint(one) for one in keys})
    except verify_package.PackageInvalid:
        said = {}
    if said != _words(kernel, package):
        stored.CHANGED.add(package.id)
        log.error("the signature of a package was changed in the database", extra={"package": str(package.id)})
        raise SignatureChanged(
            "The signature of this package was changed in the database, so it is not handed out. Whoever runs this"
            " installation is told. Please ask for the package again."
        )
    return token


@jobs.actor(lane=Lane.PRIVACY, attempts=5, lease=timedelta(minutes=1))
def sign(attempt: jobs.Attempt, package_id: str) -> None:
    with attempt.finishing() as session:
        package = session.exec(
            select(Package).where(col(Package.tenant_id) == tenant_of(session), col(Package.id) == UUID(package_id))
        ).one_or_none()
        if package is not None and package.jws is None:
            package.jws = _signed(attempt.kernel, package, package.made_at)
            session.add(package)


def _signed(kernel: Kernel, package: Package, now: datetime) -> str:
    key = signing.key(kernel, now)
    header = {"alg": certificates.ALGORITHM, "jwk": key.as_dict(private=False), "kid": key.thumbprint(), "typ": TYPE}
    return jws.serialize_compact(header, rfc8785.dumps(_words(kernel, package)), key, algorithms=[certificates.ALGORITHM])


def _words(kernel: Kernel, package: Package) -> dict[str, str]:
    return {
        "package": str(package.id), "made_at": certificates.moment(package.made_at),
        "manifest_sha256": package.digest, "instance": kernel.settings.public_url,
    }  # fmt: skip


@jobs.every(timedelta(hours=1), deletes=True)
def forget(kernel: Kernel, now: datetime) -> None:
    tenants.for_each(kernel, lambda session: _forget(session, now))


def _forget(session: Session, now: datetime) -> None:
    mine = (col(Package.tenant_id) == tenant_of(session), col(Package.due_at) <= now)
    session.execute(delete(Package).where(*mine))
