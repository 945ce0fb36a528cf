"""Which authorities are believed, and why a server's certificate was not, whichever library says it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

UNKNOWN = "its certificate is not of an authority that this machine trusts"
OTHER_NAME = "its certificate is for another name than the one in its address"
OUT_OF_TIME = "its certificate has expired, or is not valid yet"
# In this order: OpenSSL begins every one of its answers with "certificate verify failed".
WORDS = (
    (r"hostname mismatch|ip address mismatch|does not match host name|not valid for|NotValidForName", OTHER_NAME),
    (r"certificate has expired|certificate is not yet valid|certificate expired|: Expired|NotValidYet", OUT_OF_TIME),
    (r"certificate verify failed|self.signed certificate|UnknownIssuer|BadSignature|invalid peer certificate", UNKNOWN),
)


def authorities(own: str) -> str | None:
    """The file that holds every authority to believe, for a library that brings a list along and has `own` as its variable.

    The others read SSL_CERT_FILE by themselves. None where nothing is named: then it is the public ones.
    """
    return os.environ.get(own) or os.environ.get("SSL_CERT_FILE") or None


def doubt(error: BaseException) -> str:
    """Why a certificate was not believed; empty for an error that has another reason."""
    said = "\n".join(f"{one} {one!r}" for one in _chain(error))
    return next((sentence for pattern, sentence in WORDS if re.search(pattern, said, re.IGNORECASE)), "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it came from, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        # pika keeps what went wrong in attributes of its own.
        inside = (one.__cause__, one.__context__, getattr(one, "exception", None), getattr(one, "reason", None))
        more = (*inside, *one.args, *getattr(one, "exceptions", ()))
        waiting += [below for below in more if isinstance(below, BaseException)]
