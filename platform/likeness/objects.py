"""Encrypted objects in a local folder or an S3 bucket. Every object is created once, never changed, and deleted.

An object is a header (4 bytes of format, 16 bytes of random object id), then chunks of 1 MiB, each sealed under the
data key. Path, object id, position and "this is the last chunk" are bound into each seal, so a chunk opens only where
it was put: not in another object, not at another position, not under another path, and not when the end is missing.
"""

from __future__ import annotations

import errno
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain
from pathlib import Path
from secrets import token_bytes
from stat import S_ISLNK, S_ISREG
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

import httpx
import obstore
from defusedxml import ElementTree  # type: ignore[import-untyped]
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from likeness.errors import Conflict, NotFound, Unavailable, Unprocessable
from likeness.keys import DataKey, KeyClass
from likeness.sealing import FOLDER_FLAGS, OVERHEAD, SealBroken, is_part, lay_down, open_folder

FORMAT = b"LKO1"
HEADER = len(FORMAT) + 16
CHUNK = 1 << 20
SEALED_CHUNK = CHUNK + OVERHEAD

# 8 MiB per request: a slow reader of a large object holds no connection open until it times out.
BLOCK = 8 << 20

# Lower case only, because some file systems do not tell cases apart; no leading dot, which excludes `.` and `..`.
NAME = r"[a-z0-9-][a-z0-9.-]{0,79}"
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CLASS = "|".join(KeyClass)
PERSON_PATH = re.compile(f"tenants/{ID}/employees/{ID}/(?:{CLASS})/{NAME}")
TENANT_PATH = re.compile(f"tenants/{ID}/(?!employees/){NAME}/{NAME}")
TENANT_PREFIX = re.compile(f"tenants/{ID}(?:/employees(?:/{ID}(?:/(?:{CLASS}))?)?|/{NAME})?/?")


class PathRefused(Unprocessable):
    """Not a path that Likeness makes; nothing was looked up."""

    title = "This is not a path of an object"


class ObjectMissing(NotFound):
    title = "The object does not exist"


class ObjectExists(Conflict):
    title = "The object exists already"


class StoreFull(Unavailable):
    """The write left nothing behind and may be repeated once there is room."""

    title = "The object store is full"


@dataclass(frozen=True)
class StoredObject:
    path: str
    size: int
    modified: datetime


def person_path(tenant: UUID, employee: UUID, cls: KeyClass, name: UUID | str) -> str:
    return _checked(f"tenants/{tenant}/employees/{employee}/{cls}/{name}")


def tenant_path(tenant: UUID, kind: str, name: UUID | str) -> str:
    return _checked(f"tenants/{tenant}/{kind}/{name}")


class Objects:
    """The object store at `file:///folder` or `s3://bucket/prefix`.

    `s3_options` go to obstore's S3Store (endpoint, access_key_id, client_options ...); without them it reads the usual
    AWS variables. The bucket must honour `If-None-Match: *`, as AWS, MinIO and Ceph do, or create-only is lost.
    """

    def __init__(self, url: str, **s3_options: Any) -> None:
        self._store: _Store = _Bucket(url, **s3_options) if url.startswith("s3://") else _Folder(url)

    def put(self, path: str, data: bytes, key: DataKey) -> int:
        """Returns the stored size once the bytes are durable; ObjectExists when the path is taken.

        What is filed under a person and a class is sealed under that very key, or it would outlive its destruction.
        """
        person = f"tenants/{key.ref.tenant}/employees/{key.ref.owner}/{key.ref.cls}/"
        if not path.startswith(person if PERSON_PATH.fullmatch(path) else f"tenants/{key.ref.tenant}/"):
            raise PathRefused("This path belongs to another key")
        return self._store.create(_checked(path), _sealed(path, data, key))

    def get(self, path: str, key: DataKey) -> bytes:
        return b"".join(self.stream(path, key))

    def stream(self, path: str, key: DataKey) -> Iterator[bytes]:
        """Chunks of 1 MiB. A damaged object raises SealBroken when the damage is reached: act on the whole only."""
        return _opened(path, self._store.read(_checked(path)), key)

    def raw(self, path: str) -> bytes:
        """The bytes as stored, for checks that they cannot be read."""
        return b"".join(self._store.read(_checked(path)))

    def exists(self, path: str) -> bool:
        return self._store.exists(_checked(path))

    def delete(self, path: str) -> None:
        """Safe to repeat; also in a bucket that keeps versions, see `versions_purged`."""
        self._store.delete(_checked(path))

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

    def versions_purged(self) -> bool:
        """Whether a deleted object leaves no older version behind. A certificate must not claim more than this."""
        return self._store.versions_purged()


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


def _sealed(path: str, data: bytes, key: DataKey) -> Iterator[bytes]:
    object_id = token_bytes(HEADER - len(FORMAT))
    yield FORMAT + object_id
    for start in range(0, len(data) or 1, CHUNK):
        last = start + CHUNK >= len(data)
        yield key.seal(data[start : start + CHUNK], _bound_to(path, object_id, start // CHUNK, last))


def _opened(path: str, blocks: Iterator[bytes], key: DataKey) -> Iterator[bytes]:
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


class _Store(Protocol):
    """Bytes under paths that were checked. Reading starts at once, so ObjectMissing comes from the call itself."""

    def create(self, path: str, pieces: Iterable[bytes]) -> int: ...
    def read(self, path: str) -> Iterator[bytes]: ...
    def exists(self, path: str) -> bool: ...
    def delete(self, path: str) -> None: ...
    def find(self, prefix: str) -> Iterable[StoredObject]: ...
    def folders(self, prefix: str) -> Iterable[str]: ...
    def delete_prefix(self, prefix: str) -> int: ...
    def delete_unfinished(self, prefix: str, before: datetime) -> int: ...
    def versions_purged(self) -> bool: ...


class _Folder:
    """A local folder. Not obstore's: its put does not fsync and it follows links out of the folder."""

    def __init__(self, url: str) -> None:
        if not url.startswith("file:///"):
            raise ValueError(f"objects are kept in file:///folder or s3://bucket/prefix, not {url!r}")
        root = Path(unquote(url.removeprefix("file://")))
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()

    def create(self, path: str, pieces: Iterable[bytes]) -> int:
        stored = list(pieces)
        # A deletion may remove the empty folder between opening it and writing into it; then it is made anew.
        for _ in range(20):
            with suppress(ObjectMissing), _folder_errors(), self._parent(path, create=True) as (folder, name):
                try:
                    return lay_down(folder, name, stored)
                except FileExistsError:
                    raise ObjectExists from None
        raise Unavailable("The folder is being deleted")

    def read(self, path: str) -> Iterator[bytes]:
        with _folder_errors(), self._parent(path) as (folder, name):
            # Without O_NONBLOCK a named pipe in the object's place would block for ever.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            if not S_ISREG(os.fstat(file).st_mode):
                os.close(file)
                raise PathRefused
            opened = os.fdopen(file, "rb")
        return _blocks(opened)

    def exists(self, path: str) -> bool:
        try:
            with _folder_errors(), self._parent(path) as (folder, name):
                return S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except ObjectMissing:
            return False

    def delete(self, path: str) -> None:
        try:
            with _folder_errors(), self._parent(path) as (folder, name):
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
        except ObjectMissing:
            return
        self._prune(os.path.dirname(path))

    def find(self, prefix: str) -> Iterable[StoredObject]:
        for below, folder, names in self._walk(prefix):
            for name in names:
                if is_part(name):
                    continue
                try:
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield StoredObject(f"{below}/{name}", found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def folders(self, prefix: str) -> Iterable[str]:
        try:
            with _folder_errors(), self._parent(f"{prefix}/.") as (top, _):
                return os.listdir(top)
        except ObjectMissing:
            return []

    def delete_prefix(self, prefix: str) -> int:
        deleted = 0
        emptied = []
        for below, folder, names in self._walk(prefix):
            for name in names:
                try:
                    os.unlink(name, dir_fd=folder)
                    deleted += not is_part(name)
                except FileNotFoundError:
                    continue
            os.fsync(folder)
            emptied.append(below)
        for below in emptied:
            self._prune(below)
        return deleted

    def delete_unfinished(self, prefix: str, before: datetime) -> int:
        deleted = 0
        for _, folder, names in self._walk(prefix):
            for name in filter(is_part, names):
                try:
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < before.timestamp():
                        os.unlink(name, dir_fd=folder)
                        deleted += 1
                except FileNotFoundError:
                    continue
        return deleted

    def versions_purged(self) -> bool:
        return True

    def _walk(self, prefix: str) -> Iterator[tuple[str, int, list[str]]]:
        """Folders from the leaves up, open, with the names of what is in them; links are names, never followed."""
        try:
            with _folder_errors(), self._parent(f"{prefix}/." if prefix else ".") as (top, _):
                for below, folders, files, folder in os.fwalk(".", topdown=False, follow_symlinks=False, dir_fd=top):
                    links = [name for name in folders if _is_link(name, folder)]
                    yield os.path.normpath(os.path.join(prefix, below)), folder, files + links
        except ObjectMissing:
            return

    def _prune(self, folder_path: str) -> None:
        """Removes the folder and those above it while they are empty: an id in a folder's name is a trace as well."""
        names = folder_path.split("/")
        while names and names != ["."]:
            try:
                with self._parent("/".join(names)) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
                    os.fsync(folder)
            except OSError:
                return
            names.pop()

    @contextmanager
    def _parent(self, path: str, create: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that holds the path, open, and the last name."""
        *folders, name = path.split("/")
        folder = os.open(self._root, FOLDER_FLAGS)
        try:
            for below in folders:
                parent, folder = folder, open_folder(folder, below, create)
                os.close(parent)
            yield folder, name
        finally:
            os.close(folder)


def _blocks(opened: BinaryIO) -> Iterator[bytes]:
    with opened:
        while block := opened.read(CHUNK):
            yield block


def _is_link(name: str, folder: int) -> bool:
    try:
        return S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def _folder_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
            raise PathRefused("Something else stands where the object or its folder should be") from error
        raise Unavailable(f"The object folder failed: {os.strerror(error.errno or 0)}") from error


class _Bucket:
    """An S3 bucket. Objects go up in one request, never in parts, so no unfinished upload can stay behind."""

    def __init__(self, url: str, **options: Any) -> None:
        options["client_options"] = {"timeout": "120s", "connect_timeout": "5s"} | options.get("client_options", {})
        # A page waits for this, so a store that is down is reported after seconds, not obstore's three minutes.
        options.setdefault("retry_config", {"max_retries": 3, "retry_timeout": timedelta(seconds=20)})
        self._s3 = S3Store.from_url(url, **options)
        self._versions = _Versions.of(self._s3)

    def create(self, path: str, pieces: Iterable[bytes]) -> int:
        stored = b"".join(pieces)
        with _bucket_errors():
            try:
                obstore.put(self._s3, path, stored, mode="create", use_multipart=False)
            except AlreadyExistsError:
                # A request that was answered but whose answer got lost is repeated, and then finds its own object.
                if self._header(path) != stored[:HEADER]:
                    raise ObjectExists from None
        return len(stored)

    def read(self, path: str) -> Iterator[bytes]:
        with _bucket_errors():
            found = obstore.get(self._s3, path)
            size = found.meta["size"]
            first = bytes(found.bytes()) if size <= BLOCK else self._block(path, 0, size)
        return chain([first], (self._block(path, start, size) for start in range(BLOCK, size, BLOCK)))

    def exists(self, path: str) -> bool:
        try:
            with _bucket_errors():
                obstore.head(self._s3, path)
        except ObjectMissing:
            return False
        return True

    def delete(self, path: str) -> None:
        with suppress(ObjectMissing), _bucket_errors():
            obstore.delete(self._s3, path)
        if self._versions:
            self._versions.purge(path, exact=True)

    def find(self, prefix: str) -> Iterable[StoredObject]:
        with _bucket_errors():
            for found in chain.from_iterable(obstore.list(self._s3, prefix or None, chunk_size=1000)):
                yield StoredObject(found["path"], found["size"], found["last_modified"])

    def folders(self, prefix: str) -> Iterable[str]:
        with _bucket_errors():
            found = obstore.list_with_delimiter(self._s3, f"{prefix}/")
        return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    def delete_prefix(self, prefix: str) -> int:
        paths = [found.path for found in self.find(prefix)]
        with _bucket_errors():
            for start in range(0, len(paths), 1000):
                obstore.delete(self._s3, paths[start : start + 1000])
        if self._versions:
            self._versions.purge(f"{prefix}/")
        return len(paths)

    def delete_unfinished(self, prefix: str, before: datetime) -> int:
        return 0

    def versions_purged(self) -> bool:
        return self._versions is not None

    def _block(self, path: str, start: int, size: int) -> bytes:
        with _bucket_errors():
            return bytes(obstore.get_range(self._s3, path, start=start, end=min(start + BLOCK, size)))

    def _header(self, path: str) -> bytes:
        with suppress(ObjectMissing), _bucket_errors():
            return bytes(obstore.get_range(self._s3, path, start=0, end=HEADER))
        return b""


@contextmanager
def _bucket_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing from None
    except BaseError as error:
        # Codes of the servers in use: AWS has none, MinIO and Ceph answer these, others 507.
        if any(full in str(error) for full in ("507 Insufficient", "XMinioStorageFull", "QuotaExceeded")):
            raise StoreFull from error
        raise Unavailable("The object store failed") from error


class _Versions:
    """The older versions, delete markers and unfinished uploads of a bucket, which obstore can neither list nor delete.

    It signs its own requests (AWS Signature Version 4), so it needs an access key and a secret, from the options or the
    AWS variables. With a role alone there is none, and the bucket must be one that never had versioning.
    """

    def __init__(self, base: str, prefix: str, region: str, access_key: str, secret: str, token: str | None) -> None:
        self._base = base
        self._prefix = f"{prefix}/" if prefix else ""
        self._region = region
        self._access_key = access_key
        self._secret = secret
        self._token = {"x-amz-security-token": token} if token else {}
        self._http = httpx.Client(timeout=30)

    @classmethod
    def of(cls, s3: S3Store) -> _Versions | None:
        given: dict[str, Any] = dict(s3.config)

        def option(name: str) -> str | None:
            return given.get(name) or os.environ.get(f"AWS_{name.upper()}")

        access_key, secret = option("access_key_id"), option("secret_access_key")
        if not (access_key and secret):
            return None
        region = option("region") or option("default_region") or "us-east-1"
        endpoint = option("endpoint") or option("endpoint_url") or f"https://s3.{region}.amazonaws.com"
        base = endpoint.rstrip("/")
        if str(given.get("virtual_hosted_style_request")).lower() != "true":
            base += f"/{given['bucket']}"
        token = option("token") or option("session_token")
        return cls(base, (s3.prefix or "").strip("/"), region, access_key, secret, token)

    def purge(self, path: str, exact: bool = False) -> None:
        """Deletes every version of one object, or of all whose path begins so, and looks whether that worked."""
        for key, which in self._find(path, exact):
            self.ask("DELETE", key, which)
        if self._find(path, exact):
            raise Unavailable("The object store kept versions of what was deleted")

    def _find(self, path: str, exact: bool) -> list[tuple[str, dict[str, str]]]:
        key = self._prefix + path
        found = [
            *self._pages("versions", key, ("Version", "DeleteMarker"), "VersionId", "version-id-marker"),
            *self._pages("uploads", key, ("Upload",), "UploadId", "upload-id-marker"),
        ]
        # `photo-1` is also the beginning of `photo-10`.
        return [each for each in found if each[0] == key or not exact]

    def _pages(
        self, what: str, prefix: str, tags: tuple[str, ...], id_tag: str, id_marker: str
    ) -> Iterator[tuple[str, dict[str, str]]]:
        id_name = id_tag[0].lower() + id_tag[1:]
        query = {what: "", "prefix": prefix}
        while True:
            page = ElementTree.fromstring(self.ask("GET", "", query))
            for tag in tags:
                for entry in page.findall(f"{{*}}{tag}"):
                    yield entry.findtext("{*}Key", ""), {id_name: entry.findtext(f"{{*}}{id_tag}", "")}
            if page.findtext("{*}IsTruncated") != "true":
                return
            if not page.findtext("{*}NextKeyMarker"):
                raise Unavailable("The object store did not say where its list goes on")
            query["key-marker"] = page.findtext("{*}NextKeyMarker", "")
            query[id_marker] = page.findtext(f"{{*}}Next{id_tag}Marker", "")

    def ask(self, method: str, key: str, query: dict[str, str], body: bytes = b"") -> bytes:
        url = self._base + (f"/{quote(key, safe='/-_.~')}" if key else "")
        asked = "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))
        try:
            answer = self._http.request(
                method, f"{url}?{asked}", headers=self._signed(method, url, asked, body), content=body
            )
        except httpx.HTTPError as error:
            raise Unavailable("The object store failed") from error
        if answer.is_success or (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
            return answer.content
        # A server that does not know the question keeps no versions; Garage is one.
        if method == "GET" and answer.status_code == httpx.codes.NOT_IMPLEMENTED:
            return b"<Nothing/>"
        raise Unavailable(f"The object store answered {answer.status_code} to {method}")

    def _signed(self, method: str, url: str, asked: str, body: bytes) -> dict[str, str]:
        """The headers of a request, as "Authenticating Requests: Using the Authorization Header" of the S3 API says."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        parts = urlsplit(url)
        headers = {
            "host": parts.netloc,
            "x-amz-content-sha256": sha256(body).hexdigest(),
            "x-amz-date": now,
            **self._token,
        }
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = "\n".join([method, parts.path or "/", asked, lines, names, headers["x-amz-content-sha256"]])
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signed = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(key, signed.encode(), "sha256").hex()
        credential = f"Credential={self._access_key}/{scope}"
        headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
        return headers
