"""The few kinds of failure that a caller can do something about. A concrete error sits beside the rule it states."""

from __future__ import annotations


class LikenessError(Exception):
    """A failure with a sentence for the person who caused it and an HTTP status."""

    status = 500
    title = "Something went wrong"

    def __init__(self, message: str = "", /, *, many: str = "", **values: object) -> None:
        """`values` stand in the sentence as `{name}`. `many` is the sentence for another number than one of `n`.

        Both stay apart until somebody is told, because the person may read another language than English.
        """
        self.sentence, self.many, self.values = message or self.title, many, values
        number = values.get("n")
        chosen = self.many if many and number != 1 else self.sentence
        shown = {name: f"{value:,}" if type(value) is int else value for name, value in values.items()}
        super().__init__(chosen.format(**shown) if values else chosen)

    @property
    def code(self) -> str:
        """The error's name for programs, e.g. `consent-missing` for `ConsentMissing`."""
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


class Unauthorized(LikenessError):
    status, title = 401, "Please sign in"


class Forbidden(LikenessError):
    status, title = 403, "You may not do this"


class NotFound(LikenessError):
    """Also what a stranger is told about another tenant's rows, so that ids reveal nothing."""

    status, title = 404, "Not found"


class Conflict(LikenessError):
    status, title = 409, "This does not fit the present state"


class Gone(LikenessError):
    status, title = 410, "This no longer exists"


class TooLarge(LikenessError):
    status, title = 413, "This is too large"


class Unprocessable(LikenessError):
    status, title = 422, "This cannot be used as it is"


class TooMany(LikenessError):
    status, title = 429, "Too many tries, please wait a moment"


class Unavailable(LikenessError):
    status, title = 503, "Not available right now, please try again"


class OutcomeUnknown(LikenessError):
    """The answer to a COMMIT was lost. It is no failure: what the transaction stored may be there, so nothing of it is
    removed, and whoever needs to know looks again."""

    status, title = 503, "It is not known whether this was stored"
