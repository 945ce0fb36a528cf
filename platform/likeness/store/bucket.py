"""Sealed objects in an S3 bucket, with every older version purged where the bucket keeps them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import chain
from threading import Thread
from typing import Any

import botocore.session
import obstore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from likeness.ground.errors import Unavailable
from likeness.ground.tls import authorities
from likeness.store.storage import BLOCK, HEADER, ObjectExists, ObjectMissing, StoredObject, StoreFull, StoreSilent

BODIES = 4
"""How many times as long as a question a picture may take that is read or written."""


class Bucket:
    """An S3 bucket. Objects go up in one request, never in parts, so no unfinished upload can stay behind."""

    def __init__(self, url: str, timeout: float, **options: Any) -> None:
        # A page waits for this, so a store that is down is reported after seconds, not obstore's three minutes. Nothing
        # that took until its time-out is tried again, or an erasure would wait four times for each object.
        options.setdefault("retry_config", {"max_retries": 3, "retry_timeout": timedelta(seconds=min(20.0, timeout))})

        def within(seconds: float) -> S3Store:
            given = {"timeout": f"{seconds}s", "connect_timeout": "5s"} | options.get("client_options", {})
            return S3Store.from_url(url, **options | {"client_options": given})

        self._s3, self._bodies = within(timeout), within(BODIES * timeout)
        self._versions = _Versions(self._s3, timeout)

    def create(self, path: str, pieces: Iterable[bytes]) -> int:
        stored = b"".join(pieces)
        with _bucket_errors():
            try:
                obstore.put(self._bodies, path, stored, mode="create", use_multipart=False)
            except AlreadyExistsError:
                # A request that was answered but whose answer got lost is repeated, and then finds its own object.
                if self._header(path) != stored[:HEADER]:
                    raise ObjectExists from None
        return len(stored)

    def read(self, path: str) -> Iterator[bytes]:
        with _bucket_errors():
            found = obstore.get(self._bodies, path)
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
        if self._versions.reachable:
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
        if self._versions.reachable:
            self._versions.purge(f"{prefix}/")
        return len(paths)

    def delete_unfinished(self, prefix: str, before: datetime) -> int:
        return 0

    def versions_purged(self) -> bool:
        return self._versions.reachable

    def older(self, prefix: str) -> Iterable[str]:
        return self._versions.older(f"{prefix}/") if self._versions.reachable else ()

    def address(self, path: str, lasts: timedelta, write: bool) -> str:
        return self._versions.signed(path, lasts, write)

    def _block(self, path: str, start: int, size: int) -> bytes:
        with _bucket_errors():
            return bytes(obstore.get_range(self._bodies, path, start=start, end=min(start + BLOCK, size)))

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
        if "TimedOut" in str(error):
            raise StoreSilent("The object store did not answer in time") from error
        raise Unavailable("The object store failed") from error


class _Versions:
    """What obstore cannot do: older versions, delete markers and unfinished uploads of a bucket, and addresses for others.

    botocore finds the credentials where AWS's own programs do: access keys, a web identity, the role of a machine. Without
    any the bucket must be one that never had versioning.
    """

    def __init__(self, s3: S3Store, timeout: float) -> None:
        self._timeout = timeout
        self._given: dict[str, Any] = dict(s3.config)
        self._bucket = self._option("bucket") or ""
        self._prefix = f"{prefix}/" if (prefix := (s3.prefix or "").strip("/")) else ""

    @cached_property
    def reachable(self) -> bool:
        """Whether there are credentials to ask with."""
        return bool(self._option("access_key_id")) or self._session.get_credentials() is not None

    def purge(self, path: str, exact: bool = False) -> None:
        """Deletes every version of one object, or of all whose path begins so, and looks whether that worked."""
        for key, which in self._find(path, exact):
            delete = self._s3.abort_multipart_upload if "UploadId" in which else self._s3.delete_object
            with _answered(gone="NoSuchUpload NoSuchVersion NoSuchKey"):
                self._in_time(partial(delete, Bucket=self._bucket, Key=key, **which))
        if self._find(path, exact):
            raise Unavailable("The object store kept versions of what was deleted")

    def older(self, path: str) -> list[str]:
        """What a deletion leaves behind of all whose path begins so, and no list of objects shows."""
        return [key.removeprefix(self._prefix) for key, _ in self._find(path, exact=False, newest=False)]

    def signed(self, path: str, lasts: timedelta, write: bool) -> str:
        what = {"Bucket": self._bucket, "Key": self._prefix + path} | ({"IfNoneMatch": "*"} if write else {})
        seconds = max(1, int(lasts.total_seconds()))
        with _answered():
            address: str = self._s3.generate_presigned_url(
                "put_object" if write else "get_object", Params=what, ExpiresIn=seconds
            )
        return address

    def _find(self, path: str, exact: bool, *, newest: bool = True) -> list[tuple[str, dict[str, str]]]:
        """With or without what stands there now."""
        key = self._prefix + path
        versions = self._pages("list_object_versions", key, ("Versions", "DeleteMarkers"))
        found = [
            *((entry["Key"], {"VersionId": entry["VersionId"]}) for kind, entry in versions
              if newest or kind != "Versions" or not entry.get("IsLatest")),
            *((entry["Key"], {"UploadId": entry["UploadId"]})
              for _, entry in self._pages("list_multipart_uploads", key, ("Uploads",))),
        ]  # fmt: skip
        # `photo-1` is also the beginning of `photo-10`.
        return [each for each in found if each[0] == key or not exact]

    def _pages(self, question: str, prefix: str, kinds: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each entry after its kind."""
        # A server that does not know the question keeps no versions; Garage is one.
        with _answered(gone="NotImplemented 501"):
            pages = iter(self._s3.get_paginator(question).paginate(Bucket=self._bucket, Prefix=prefix))
            while (page := self._in_time(partial(next, pages, None))) is not None:
                for kind in kinds:
                    for entry in page.get(kind, []):
                        yield kind, entry

    def _in_time(self, ask: Callable[[], Any]) -> Any:
        """botocore's own time-out begins anew with every byte. A thread that goes on waiting ends with the program."""
        answered: list[Any] = []
        failed: list[BaseException] = []

        def asked() -> None:
            try:
                answered.append(ask())
            except BaseException as error:
                failed.append(error)

        thread = Thread(target=asked, daemon=True, name="bucket")
        thread.start()
        thread.join(self._timeout)
        if failed:
            raise failed[0]
        if not answered:
            raise StoreSilent("The object store did not answer in time")
        return answered[0]

    @cached_property
    def _session(self) -> botocore.session.Session:
        return botocore.session.get_session()

    @cached_property
    def _s3(self) -> Any:
        virtual = str(self._given.get("virtual_hosted_style_request")).lower() == "true"
        return self._session.create_client(
            "s3",
            region_name=self._option("region") or self._option("default_region") or "us-east-1",
            endpoint_url=self._option("endpoint") or self._option("endpoint_url"),
            aws_access_key_id=self._given.get("access_key_id"),
            aws_secret_access_key=self._given.get("secret_access_key"),
            aws_session_token=self._given.get("token") or self._given.get("session_token"),
            verify=authorities("AWS_CA_BUNDLE"),
            config=Config(
                connect_timeout=5, read_timeout=self._timeout, retries={"total_max_attempts": 2}, signature_version="s3v4",
                s3={"addressing_style": "virtual" if virtual else "path"},
                # Objects are authenticated by their seal, and not every server knows these checksums.
                request_checksum_calculation="when_required", response_checksum_validation="when_required",
            ),
        )  # fmt: skip

    def _option(self, name: str) -> str | None:
        return self._given.get(name) or os.environ.get(f"AWS_{name.upper()}")


@contextmanager
def _answered(gone: str = "") -> Iterator[None]:
    """Turns what botocore raises into `Unavailable`; an answer whose code is in `gone` is none."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in gone.split():
            raise Unavailable("The object store failed") from error
    except ReadTimeoutError as error:
        raise StoreSilent("The object store did not answer in time") from error
    except BotoCoreError as error:
        raise Unavailable("The object store failed") from error
