"""Style sheets, scripts, letters and drawings: read once, compressed once, and kept by browsers for as long as they may.

A page names each with a digest of what is in it, so that a new version has another address and the old one can be kept for
a year. Whoever asks without it, as an older page does, is answered with what is there now, for some minutes.
"""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.params import FromPath

from likeness.ground.errors import NotFound

FOLDER = Path(__file__).parent / "static"
YEAR, MINUTES = "public, max-age=31536000, immutable", "public, max-age=300"
TYPES = {".woff2": "font/woff2", ".webp": "image/webp", ".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}  # fmt: skip
WORTH = 0.9
"""What is packed already, as letters and pictures are, is not packed again."""
VERSIONED = ("fonts/", "vendor/")
"""Their names hold the version, and one style sheet names another file by it alone."""


class AssetMissing(NotFound):
    """There is no such file."""

    title = "There is no such file"


@dataclass(frozen=True)
class Asset:
    data: bytes
    packed: bytes | None
    digest: str
    kind: str


@cache
def _assets() -> dict[str, Asset]:
    files = [path for path in sorted(FOLDER.rglob("*")) if path.is_file()]
    return {str(path.relative_to(FOLDER)): _read(path) for path in files}


def _read(path: Path) -> Asset:
    data = path.read_bytes()
    packed = gzip.compress(data, 9, mtime=0)
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(data, packed if len(packed) < WORTH * len(data) else None, sha256(data).hexdigest()[:16], kind)


def asset(name: str) -> str:
    """The address of a file, as pages write it. Raises `KeyError` for one that is not there."""
    return f"/static/{name}?v={_assets()[name].digest}"


@route(
    "/static/{name:path}", http_method=[HttpMethod.GET, HttpMethod.HEAD], sync_to_thread=False, opt={"public": True},
    include_in_schema=False,
)  # fmt: skip
def serve(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
    """Raises `AssetMissing`."""
    name = str(name).lstrip("/")
    found = _assets().get(name)
    if found is None:
        raise AssetMissing("There is no such file.")
    for_long = request.query_params.get("v") == found.digest or name.startswith(VERSIONED)
    headers = {
        "etag": f'"{found.digest}"',
        "cache-control": YEAR if for_long else MINUTES,
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(None, status_code=304, headers=headers)
    body = found.data
    if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = found.packed, "gzip"
    return Response(b"" if request.method == "HEAD" else body, media_type=found.kind, headers=headers)
