"""What every edge holds in its hands: the parts of the kernel, chosen once by the settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from likeness.db import Database
from likeness.keys import KeyFolder
from likeness.lanes import Lanes
from likeness.objects import Objects
from likeness.settings import Settings
from likeness.sweeping import Failures


@dataclass(frozen=True)
class Kernel:
    settings: Settings
    db: Database
    objects: Objects
    keys: KeyFolder
    lanes: Lanes = field(default_factory=Lanes)
    failures: Failures = field(default_factory=Failures)

    def apart(self, connections: int) -> Kernel:
        """The same kernel with database connections of its own; whoever asks for it closes them."""
        return replace(self, db=self.db.apart(connections))


def assemble(settings: Settings) -> Kernel:
    """Opens the adapters that the settings name; nothing is started and nothing is checked here."""
    return Kernel(
        settings=settings,
        db=Database(settings.database_url),
        objects=Objects(settings.objects_address(), plain_http=settings.objects_plain_http),
        keys=KeyFolder(settings.keys_path()),
    )
