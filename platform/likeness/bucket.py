"""Sealed objects in an S3 bucket, with every older version purged where the bucket keeps them."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import obstore
from defusedxml import ElementTree  # type: ignore[import-untyped]
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from likeness.errors import Unavailable
from likeness.storage import BLOCK, HEADER, ObjectExists, ObjectMissing, StoredObject, StoreFull


class Bucket:
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
