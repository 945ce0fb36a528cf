"""What the files of one key are called, and what stands in them."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime

from likeness.ground.files import below, content, there
from likeness.keys.data_key import KeyRef
from likeness.keys.states import KeyDestroyed

RETIRED = re.compile(r"\.[0-9a-f]{16}")
"""What a key's file name is followed by until the key is wiped."""


def file_of(ref: KeyRef) -> str:
    return f"{ref.cls}.key"


def wrapping(ref: KeyRef) -> bytes:
    """What the wrapped key is bound to."""
    return f"data key|{ref}".encode()


def retired(folder: int, ref: KeyRef) -> bool:
    """Whether a key lost its name and is not wiped yet. What somebody else put beside it is no sign of that."""
    return any(RETIRED.fullmatch(name.removeprefix(file_of(ref))) for name in os.listdir(folder))


def dated(now: datetime) -> bytes:
    """What a marker holds."""
    return json.dumps({"destroyed_at": now.astimezone(UTC).isoformat()}).encode()


def read_wrapped(tenant: int, ref: KeyRef) -> bytes:
    """One key as it lies in the company's open folder. Raises `KeyDestroyed` and `FileNotFoundError`."""
    with below(tenant, str(ref.owner)) as owner:
        wrapped = content(owner, file_of(ref))
        # Destruction writes its marker before it touches the key, so half-overwritten bytes always have a marker.
        if there(owner, f"{ref.cls}.destroyed"):
            raise KeyDestroyed
        return wrapped
