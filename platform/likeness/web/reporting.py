"""Where somebody reports a hole: `/.well-known/security.txt` (RFC 9116), where the operator named a contact."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from litestar import MediaType, Request, get

from likeness.ground.db import utc_now
from likeness.ground.errors import NotFound
from likeness.web.guards import kernel_of

GOOD_FOR = timedelta(days=180)
"""The standard asks for less than a year. It is told anew each time, from the setting that is there."""


class ContactMissing(NotFound):
    """The operator named nobody."""

    title = "The operator has named nobody"


@get("/.well-known/security.txt", media_type=MediaType.TEXT, opt={"public": True}, sync_to_thread=False,
     include_in_schema=False)  # fmt: skip
def security_txt(request: Request[Any, Any, Any]) -> str:
    """Raises `ContactMissing`."""
    settings = kernel_of(request).settings
    if not settings.security_contact:
        raise ContactMissing
    until = (utc_now() + GOOD_FOR).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        f"Contact: {settings.security_contact}\n"
        f"Expires: {until.isoformat().replace('+00:00', 'Z')}\n"
        "Preferred-Languages: en\n"
        f"Canonical: {settings.public_url}/.well-known/security.txt\n"
    )
