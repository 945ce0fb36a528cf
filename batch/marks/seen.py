"""What a file says of how it was made, read by whoever has it: IPTC's type, C2PA's statement, the mark in the pixels.

The statement is read with the library of those who maintain C2PA, not with what wrote it. Nothing is asked of a network.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from typing import Any

import c2pa
from PIL import Image

from batch.marks import detector, iptc
from batch.marks.boxes import JPEG, NO_PICTURE, NoPicture
from batch.marks.credential import C2PA_SIGNING, USES
from batch.marks.detector import MarkFound
from batch.marks.iptc import VOCABULARY

TRUSTED, UNKNOWN, CHANGED, INVALID = "trusted", "unknown signer", "changed", "invalid"
PURPOSES = tuple(one.dotted_string for one in (*USES, C2PA_SIGNING))
"""What a signer's certificate may be for: mail, documents, and C2PA's own."""
STATES = {"Trusted": TRUSTED, "Valid": UNKNOWN}
ALTERED = ("assertion.dataHash.mismatch", "assertion.hashedURI.mismatch", "claimSignature.mismatch")


@dataclass(frozen=True)
class Statement:
    """C2PA's. `state` is one of the four above: a picture was changed only if what was signed does not fit it any more; a
    statement is invalid for other reasons too, such as a certificate that has ended."""

    state: str
    signer: str
    actions: tuple[str, ...]
    source: str | None
    thumbnails: int
    ingredients: int
    failures: tuple[str, ...]
    """C2PA's codes of what does not hold."""


@dataclass(frozen=True)
class Seen:
    iptc: str | None
    c2pa: Statement | None
    watermark: MarkFound | None

    @property
    def any(self) -> bool:
        return bool(self.iptc or self.c2pa or (self.watermark and self.watermark.there))

    def as_dict(self) -> dict[str, Any]:
        found = self.watermark
        return {
            "iptc": self.iptc,
            "c2pa": asdict(self.c2pa) if self.c2pa else None,
            "watermark": {"found": found.there, "score": round(found.score, 2), "scale": round(found.scale, 3)}
            if found
            else None,
        }


def look(data: bytes, roots: str = "") -> Seen:
    """`roots` are certificates in PEM that the reader trusts. Raises `NoPicture`."""
    said = iptc.read(data)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
            found = detector.look(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NoPicture(NO_PICTURE) from error
    return Seen(said, statement(data, roots), found)


def statement(data: bytes, roots: str = "") -> Statement | None:
    """None where the file holds none."""
    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "trust": {"trust_config": "\n".join(PURPOSES)} | ({"user_anchors": roots} if roots else {}),
    }
    kind = "image/jpeg" if data.startswith(JPEG) else "image/png"
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(kind, io.BytesIO(data), context=context) as reader,
        ):
            told = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        return Statement(INVALID, "", (), None, 0, 0, (type(error).__name__.lstrip("_"),))
    return _statement(told)


def _statement(told: dict[str, Any]) -> Statement:
    manifest = told["manifests"][told["active_manifest"]]
    results = told.get("validation_results", {}).get("activeManifest", {})
    failures = tuple(one["code"] for one in results.get("failure", ()))
    actions = [
        action
        for assertion in manifest.get("assertions", ())
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    source = next((one["digitalSourceType"] for one in actions if "digitalSourceType" in one), None)
    return Statement(
        STATES.get(told.get("validation_state", ""), CHANGED if set(failures) & set(ALTERED) else INVALID),
        manifest.get("signature_info", {}).get("common_name") or manifest.get("signature_info", {}).get("issuer", ""),
        tuple(one["action"] for one in actions),
        source.removeprefix(VOCABULARY) if source else None,
        sum("thumbnail" in one for one in (manifest, *manifest.get("ingredients", ()))),
        len(manifest.get("ingredients", ())),
        failures,
    )
