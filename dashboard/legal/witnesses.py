"""Public pages: what is kept here and what proves it, and for whoever holds a certificate or a checkpoint, checking it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from importlib.resources import files
from typing import Any

from litestar import Request, Response, get

from batch.photos import rejections
from compliance.proof import certificates, signing
from compliance.records import keeping, processors, proofs
from compliance.records.promises import PROMISES
from dashboard.pages import page
from dashboard.reader import reader
from likeness import checkpoints
from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from likeness.web.guards import kernel_of

PUBLIC = {"public": True}
SHIPPED = files("compliance.proof")


@get("/verify", opt=PUBLIC, sync_to_thread=True)
def show_verifier(request: Request[Any, Any, Any]) -> Response[str]:
    fingerprint = _signs_now(kernel_of(request))
    return page(request, "legal/verify.html", {"fingerprint": fingerprint or "FINGERPRINT"})


def _signs_now(kernel: Kernel) -> str:
    """The fingerprint of the key that signs; empty before anything was signed."""
    with suppress(signing.SignerAway):
        return str(signing.published(kernel)["keys"][0]["kid"])
    return ""


@get("/verify/verifier.py", opt=PUBLIC, sync_to_thread=True)
def download_verifier(request: Request[Any, Any, Any]) -> Response[bytes]:
    return Response((SHIPPED / "verifier.py").read_bytes(), media_type="text/x-python")


@get("/verify/vectors.json", opt=PUBLIC, sync_to_thread=True)
def download_vectors(request: Request[Any, Any, Any]) -> Response[bytes]:
    return Response((SHIPPED / "vectors.json").read_bytes(), media_type="application/json")


@get("/trust", opt=PUBLIC, sync_to_thread=True)
def show_trust(request: Request[Any, Any, Any]) -> Response[str]:
    kernel = kernel_of(request)
    current = _signs_now(kernel)
    known = [
        {"kid": certificates.fingerprint(one["jwk"]), "since": datetime.fromisoformat(one["since"])}
        for one in signing.history(kernel)
    ]
    with kernel.db.transaction(PLATFORM) as session:
        point = checkpoints.shown(session)
        others = processors.current(session)
    found = proofs.newest(kernel, utc_now())
    context = {
        "fingerprint": current,
        "since": next((one["since"] for one in known if one["kid"] == current), None),
        # Only processes that seal know with what; every certificate's signed text names it as well.
        "sealed_by": signing.sealed_by(kernel, utc_now()) if kernel.settings.signer_path() else "",
        "before": [one for one in known if one["kid"] != current],
        "note": point.note if point else "",
        "stores": keeping.told(kernel.settings, reader(request)),
        "register": keeping.register(),
        "proofs": found,
        "promises": PROMISES,
        "others": others,
        "settings": kernel.settings,
        "tally": found.tally,
        "kinds": rejections.KINDS,
    }
    return page(request, "legal/trust.html", context)


routes: list[Any] = [show_verifier, download_verifier, download_vectors, show_trust]
