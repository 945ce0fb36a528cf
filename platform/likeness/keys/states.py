"""What can be wrong with a key: it was destroyed, or it is only away. Nobody is ever told one for the other."""

from __future__ import annotations

from likeness.ground.errors import Gone, Unavailable
from likeness.locale.marks import N_


class KeyDestroyed(Gone):
    """A marker says that the key was destroyed, at a retention's end or for ever."""

    title = "The key to this data no longer exists"


class KeyUnavailable(Unavailable):
    """The key is not where it was left, and no marker says that it was destroyed: a volume is away, or a file lost."""

    title = "The key to this data is not reachable right now"

    def __init__(self, message: str = "", /, *, many: str = "", **values: object) -> None:
        message = message or N_("The key to this data is not reachable right now. Nothing was lost; please try again.")
        super().__init__(message, many=many, **values)


class KeyBroken(KeyUnavailable):
    """The key's file is there, and the company's key does not unwrap it: it is damaged."""


class MasterKeyMissing(KeyUnavailable):
    """The master key that wraps all others is away; a new one would hide the loss until it is too late."""

    title = "The master key is missing"


class MasterKeyForeign(KeyUnavailable):
    """The folder holds another master key than the one that the database was sealed under."""

    title = "The key folder belongs to another database"


class KeyStoreAway(KeyUnavailable):
    """The service that wraps the companies' keys does not answer, or refuses. Nothing is stored unwrapped meanwhile."""

    title = "The key store is not reachable right now"
