"""Encrypted objects in a local folder or an S3 bucket. Every object is created once, never changed, and deleted.

An object is a header (4 bytes of format, 16 bytes of random object id), then chunks of 1 MiB, each sealed under the
data key. Path, object id, position and "this is the last chunk" are bound into each seal, so a chunk opens only where
it was put: not in another object, not at another position, not under another path, and not when the end is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import UUID

from likeness.keys.keys import DataKey, KeyClass
from likeness.keys.sealing import OVERHEAD, SealBroken
from likeness.store.bucket import Bucket
from likeness.store.storage import HEADER, Folder, PathRefused, Store, StoredObject

FORMAT = b"LKO1"
CHUNK = 1 << 20
SEALED_CHUNK = CHUNK + OVERHEAD

# Lower case only, because some file systems do not tell cases apart; no leading dot, which excludes `.` and `..`.
NAME = r"[a-z0-9-][a-z0-9.-]{0,79}"
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CLASS = "|".join(KeyClass)
PERSON_PATH = re.compile(f"tenants/{ID}/employees/(?P<person>{ID})/(?P<cls>{CLASS})/{NAME}")
TENANT_PATH = re.compile(f"tenants/{ID}/(?!employees/){NAME}/{NAME}")
TENANT_PREFIX = re.compile(f"tenants/{ID}(?:/employees(?:/{ID}(?:/(?:{CLASS}))?)?|/{NAME})?/?")


def person_path(tenant: UUID, employee: UUID, cls: KeyClass, name: UUID | str) -> str:
    return _checked(f"tenants/{tenant}/employees/{employee}/{cls}/{name}")


def filed(path: str) -> tuple[UUID, KeyClass] | None:
    """Under whom and which class an object lies; None for what somebody else put into the store."""
    found = PERSON_PATH.fullmatch(path)
    return (UUID(found["person"]), KeyClass(found["cls"])) if found else None


def tenant_path(tenant: UUID, kind: str, name: UUID | str) -> str:
    return _checked(f"tenants/{tenant}/{kind}/{name}")


class Objects:
    """The object store at `file:///folder` or `s3://bucket/prefix`.

    `s3_options` go to obstore's S3Store (endpoint, access_key_id, client_options ...); without them it reads the usual
    AWS variables. The bucket must honour `If-None-Match: *`, as AWS, MinIO and Ceph do, or create-only is lost.
    """

    def __init__(self, url: str, *, plain_http: bool = False, timeout: float = 30.0, **s3_options: Any) -> None:
        if plain_http:
            s3_options["client_options"] = s3_options.get("client_options", {}) | {"allow_http": True}
        self._store: Store = Bucket(url, timeout, **s3_options) if url.startswith("s3://") else Folder(url)

    def put(self, path: str, data: bytes, key: DataKey) -> int:
        """Returns the stored size once the bytes are durable; ObjectExists when the path is taken.

        What is filed under a person and a class is sealed under that very key, or it would outlive its destruction.
        """
        check_belongs(path, key)
        return self._store.create(_checked(path), sealed_blocks(path, data, key))

    def get(self, path: str, key: DataKey) -> bytes:
        return b"".join(self.stream(path, key))

    def stream(self, path: str, key: DataKey) -> Iterator[bytes]:
        """Chunks of 1 MiB. A damaged object raises SealBroken when the damage is reached: act on the whole only."""
        return opened_blocks(path, self._store.read(_checked(path)), key)

    def raw(self, path: str) -> bytes:
        """The bytes as stored, for checks that they cannot be read."""
        return b"".join(self._store.read(_checked(path)))

    def exists(self, path: str) -> bool:
        return self._store.exists(_checked(path))

    def delete(self, path: str) -> None:
        """Safe to repeat; also in a bucket that keeps versions, see `versions_purged`."""
        self._store.delete(_checked(path))

    def older(self, prefix: str) -> list[str]:
        """Paths below a tenant's or a person's folder of which a bucket keeps older versions, marks of a deletion or
        unfinished uploads, each as often as there is one. A deletion takes them, and where it could not they show here."""
        return list(self._store.older(_checked_prefix(prefix)))

    def list(self, prefix: str = "") -> list[StoredObject]:
        """The objects below a folder such as `tenants/ID`, or all of them; ordered by path."""
        return sorted(self._store.find(_checked_prefix(prefix, all_allowed=True)), key=lambda found: found.path)

    def people(self, tenant: UUID) -> set[UUID]:
        """Of whom anything is stored, half-written files too; one listing, however much there is of each."""
        names = self._store.folders(f"tenants/{tenant}/employees")
        return {UUID(name) for name in names if re.fullmatch(ID, name)}

    def delete_prefix(self, prefix: str) -> int:
        """Deletes everything below a tenant's or a person's folder, half-written files too; returns how many objects.

        An object put at the same time may stay. Erasure destroys the key first and lists the folder afterwards.
        """
        return self._store.delete_prefix(_checked_prefix(prefix))

    def delete_unfinished(self, prefix: str, before: datetime) -> int:
        """Removes what writes left half-way that were killed before this time; a bucket keeps nothing of them."""
        return self._store.delete_unfinished(_checked_prefix(prefix), before)

    def address(self, path: str, lasts: timedelta, *, write: bool = False) -> str:
        """Where whoever holds this address reads, or creates, this one object for so long without any credential.

        Empty for a local folder, which has no such addresses.
        """
        return self._store.address(_checked(path), lasts, write)

    def versions_purged(self) -> bool:
        """Whether a deleted object leaves no older version behind. A certificate must not claim more than this."""
        return self._store.versions_purged()


def check_belongs(path: str, key: DataKey) -> None:
    """Raises `PathRefused` for a path of another person, class or company than the key's."""
    person = f"tenants/{key.ref.tenant}/employees/{key.ref.owner}/{key.ref.cls}/"
    if not path.startswith(person if PERSON_PATH.fullmatch(path) else f"tenants/{key.ref.tenant}/"):
        raise PathRefused("This path belongs to another key")


def _checked(path: str) -> str:
    if not (PERSON_PATH.fullmatch(path) or TENANT_PATH.fullmatch(path)):
        raise PathRefused
    return path


def _checked_prefix(prefix: str, all_allowed: bool = False) -> str:
    if not (TENANT_PREFIX.fullmatch(prefix) or (all_allowed and prefix in ("", "tenants", "tenants/"))):
        raise PathRefused
    return prefix.rstrip("/")


def _bound_to(path: str, object_id: bytes, position: int, last: bool) -> str:
    return f"object|{path}|{object_id.hex()}|{position}|{'last' if last else 'more'}"


def sealed_blocks(path: str, data: bytes, key: DataKey) -> Iterator[bytes]:
    object_id = token_bytes(HEADER - len(FORMAT))
    yield FORMAT + object_id
    for start in range(0, len(data) or 1, CHUNK):
        last = start + CHUNK >= len(data)
        yield key.seal(data[start : start + CHUNK], _bound_to(path, object_id, start // CHUNK, last))


def opened_blocks(path: str, blocks: Iterator[bytes], key: DataKey) -> Iterator[bytes]:
    held = bytearray()
    object_id, position = b"", 0
    for block in blocks:
        held += block
        if not object_id and len(held) >= HEADER:
            object_id = _object_id(bytes(held[:HEADER]))
            del held[:HEADER]
        # Strictly more than one chunk, so that the last one is always left for the end.
        while object_id and len(held) > SEALED_CHUNK:
            yield key.open(bytes(held[:SEALED_CHUNK]), _bound_to(path, object_id, position, last=False))
            del held[:SEALED_CHUNK]
            position += 1
    if not object_id:
        raise SealBroken
    yield key.open(bytes(held), _bound_to(path, object_id, position, last=True))


def _object_id(header: bytes) -> bytes:
    if not header.startswith(FORMAT):
        raise SealBroken
    return header[len(FORMAT) :]
