#!/usr/bin/env python3
"""Checks an access package of Likeness, without network or Likeness. Python 3.9 and `cryptography`.

    python verify/verify_package.py FOLDER --fingerprint FINGERPRINT

FOLDER is where you unpacked the package. The fingerprint is the one in your consent receipt; with `--key public-key.json`
the key itself is pinned. Without either it is only checked that the package is whole under the key that it brings along.
Exit status: 0 when everything holds, 1 when something does not, 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TYPE = "likeness-package+jws"
MANIFEST, SIGNED = "manifest.json", "manifest.jws"


class PackageInvalid(Exception):
    """The message says in one sentence what does not hold, and names the file."""


def unpadded(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise PackageInvalid(f"{SIGNED} was changed.")
    return data


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638."""
    words = json.dumps({name: jwk[name] for name in ("crv", "kty", "x")}, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(words).digest()).rstrip(b"=").decode()


def signed_words(token: str, fingerprints: set[str]) -> dict[str, Any]:
    """What the signature covers, when it is by a key with one of these fingerprints, or by any where there are none."""
    try:
        head, body, seal = token.strip().split(".")
        header = json.loads(unpadded(head))
        jwk = header["jwk"]
        if header["alg"] != "Ed25519" or header["typ"] != TYPE or header["kid"] != thumbprint(jwk):
            raise PackageInvalid(f"{SIGNED} is no signature of an access package.")
        if fingerprints and header["kid"] not in fingerprints:
            raise PackageInvalid(f"{SIGNED} was made by another key than the one that you pinned: {header['kid']}.")
        key = Ed25519PublicKey.from_public_bytes(unpadded(jwk["x"]))
        key.verify(unpadded(seal), f"{head}.{body}".encode())
        words: dict[str, Any] = json.loads(unpadded(body))
    except InvalidSignature:
        raise PackageInvalid(f"{SIGNED} does not fit what it says.") from None
    except (KeyError, TypeError, ValueError):
        raise PackageInvalid(f"{SIGNED} is no signature of an access package.") from None
    return words


def check(folder: Path, fingerprints: set[str]) -> str:
    """A sentence when everything holds. Raises `PackageInvalid`, and `OSError` for what cannot be read."""
    token = (folder / SIGNED).read_text()
    words, manifest = signed_words(token, fingerprints), (folder / MANIFEST).read_bytes()
    if hashlib.sha256(manifest).hexdigest() != words.get("manifest_sha256"):
        raise PackageInvalid(f"{MANIFEST} is not the one that was signed.")
    listed = {one["path"]: one for one in json.loads(manifest)["files"]}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST, SIGNED}
    for name in sorted(set(listed) - there):
        raise PackageInvalid(f"{name} is missing.")
    for name in sorted(there - set(listed)):
        raise PackageInvalid(f"{name} is not part of the package.")
    for name, one in listed.items():
        data = (folder / name).read_bytes()
        if len(data) != one["bytes"] or hashlib.sha256(data).hexdigest() != one["sha256"]:
            raise PackageInvalid(f"{name} was changed.")
    return f"{len(listed)} files are as they were signed on {words['made_at']} by {words['instance']}."


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, nargs="?", default=Path())
    options.add_argument("--fingerprint", action="append", default=[])
    options.add_argument("--key", type=Path, help="a JWK or a JWKS")
    # A fingerprint may begin with a hyphen, and would be taken for another option.
    given = "\0".join(sys.argv[1:]).replace("--fingerprint\0", "--fingerprint=")
    asked = options.parse_args(given.split("\0") if given else [])
    try:
        pinned = set(asked.fingerprint)
        if asked.key:
            said = json.loads(asked.key.read_text())
            pinned |= {thumbprint(one) for one in said.get("keys", [said])}
        print(check(asked.folder, pinned))
        if not pinned:
            print("No key was pinned: whoever made this package could have signed it with a key of their own.")
    except PackageInvalid as error:
        print(f"INVALID: {error}")
        return 1
    except (OSError, ValueError, KeyError) as error:
        print(f"Cannot be read: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
