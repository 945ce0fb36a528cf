"""What every edge holds in its hands: the parts of the kernel, chosen once by the settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from likeness.evidence.outside import Outside
from likeness.ground.db import Database
from likeness.ground.failures import Failures
from likeness.ground.lanes import Lanes
from likeness.ground.settings import Settings
from likeness.keys.keys import KeyFolder
from likeness.keys.providers import chosen
from likeness.sso.issuer import Issuer
from likeness.store.objects import Objects


@dataclass(frozen=True)
class Kernel:
    settings: Settings
    db: Database
    objects: Objects
    keys: KeyFolder
    lanes: Lanes = field(default_factory=Lanes)
    failures: Failures = field(default_factory=Failures)
    issuer: Issuer | None = None
    """Who vouches for people with a company's account; None where nobody does."""

    def apart(self, connections: int) -> Kernel:
        """The same kernel with database connections of its own; whoever asks for it closes them."""
        return replace(self, db=self.db.apart(connections))


def assemble(settings: Settings) -> Kernel:
    """Opens the adapters that the settings name; nothing is started and nothing is checked here."""
    db = Database(settings.database_url)
    db.outside = Outside(settings.tombstones_path(), settings.counter_url)
    return Kernel(
        settings=settings,
        db=db,
        objects=Objects(
            settings.objects_address(), plain_http=settings.objects_plain_http, timeout=settings.objects_timeout
        ),
        keys=KeyFolder(settings.keys_path(), chosen(settings)),
        issuer=issuer_of(settings),
    )


def issuer_of(settings: Settings) -> Issuer | None:
    if not settings.keycloak_url:
        return None
    return Issuer(
        url=settings.keycloak_url,
        realm=settings.keycloak_realm,
        client=settings.keycloak_client,
        secret=settings.keycloak_secret,
        redirect=f"{settings.public_url}/sso/callback",
    )
