"""Who signs: one key for certificates and checkpoints, one for the page's seal, and the list of all that ever signed.

Both lie in a folder of their own that only the processes have which issue certificates. The list of public keys lies
outside the database, so whoever publishes it needs no key, and a lost key is told from one that was never made. Nothing
replaces it silently: an operator says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sqlmodel import col, select

from compliance.models import Certificate
from compliance.proof import certificates
from compliance.proof.paper import sealing
from likeness.checkpoints import Signer
from likeness.evidence import notes
from likeness.evidence.outside import Outside
from likeness.ground.db import utc_now
from likeness.ground.files import overwrite_and_unlink, write_atomically
from likeness.ground.settings import Settings
from likeness.kernel import Kernel
from likeness.keys.master import replace as put_in_place
from likeness.keys.states import KeyUnavailable
from tenants import tenants

KEY_FILE, KEY_MADE = "signing.jwk", "signing.made"
SEAL_FILE, SEAL_MADE = "paper-seal.pem", "paper-seal.made"
"""The marks are from versions that kept both beside the other keys."""
END_OF_KEY = b"-----END PRIVATE KEY-----\n"


class SignerAway(KeyUnavailable):
    """This process has no signer, or not the one that is on the list. Certificates wait: what a new key signed would verify
    under nobody's pinned one."""

    title = "The key that signs certificates is not reachable right now"


def signer(kernel: Kernel, now: datetime) -> Signer:
    """Raises `SignerAway`. Whoever signs for the first time is entered in the list of signers."""
    held = key(kernel, now)
    secret = held.private_key
    assert isinstance(secret, Ed25519PrivateKey)
    return Signer(secret, held.thumbprint(), notes.instance_of(kernel.settings.public_url))


def key(kernel: Kernel, now: datetime) -> OKPKey:
    """The key that signs, made now if this installation never had one. Raises `SignerAway`."""
    folder = _folder(kernel)
    before = history(kernel)
    _take_over(kernel, KEY_FILE, KEY_MADE)
    held = _read(folder / KEY_FILE)
    if before:
        if held is None or held.thumbprint() != certificates.fingerprint(before[-1]["jwk"]):
            raise SignerAway(f"{folder} does not hold the key that signs certificates. They are made once it is back.")
        return held
    if held is None and (_issued(kernel) or (kernel.settings.keys_path() / KEY_MADE).exists()):
        raise SignerAway(f"Certificates were signed here, and {folder} does not hold the key that did it.")
    held = held or made_in(folder)
    kernel.db.outside.keep_signer(held.thumbprint(), held.as_dict(private=False), now)
    return held


def made_in(folder: Path) -> OKPKey:
    """The key in this folder, made now where there is none."""
    _lay(folder, KEY_FILE, json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)).encode())
    held = _read(folder / KEY_FILE)
    assert held is not None
    return held


def replace(kernel: Kernel, now: datetime) -> str:
    """A new key in the place of one that was lost, or that is no longer trusted; returns its id. Safe to repeat.

    What the one before signed goes on verifying: its public half stays on the list.
    """
    folder, fresh = _folder(kernel), OKPKey.generate_key("Ed25519")
    kid = str(fresh.thumbprint())
    # First the list: when the rest fails, nothing is signed until this is done again.
    kernel.db.outside.keep_signer(kid, fresh.as_dict(private=False), now)
    data = json.dumps(fresh.as_dict(private=True)).encode()
    if not _lay(folder, KEY_FILE, data):
        with _opened(folder) as opened:
            put_in_place(opened, KEY_FILE, data)
    return kid


def history(kernel: Kernel) -> list[dict[str, Any]]:
    """Every public key that ever signed, oldest first, and since when; the last one signs now."""
    return list(kernel.db.outside.signers())


def published(kernel: Kernel) -> dict[str, Any]:
    """A JWKS: the key that signs now, then those before it, so that what they signed can still be checked.

    Raises `SignerAway` before anything was signed.
    """
    if not history(kernel) and kernel.settings.signer_path() is not None:
        key(kernel, utc_now())
    listed = history(kernel)
    if not listed:
        raise SignerAway("Nothing was signed here yet, so there is no key to publish.")
    named = {"alg": certificates.ALGORITHM, "use": "sig"}
    return {
        "keys": [{**one["jwk"], "kid": certificates.fingerprint(one["jwk"]), **named} for one in reversed(listed)],
    }


def lost(settings: Settings) -> str:
    """What is wrong with the signer, in a sentence; empty where it is there, or none is needed yet."""
    listed, folder = Outside(settings.tombstones_path()).signers(), settings.signer_path()
    if not listed or folder is None:
        return ""
    kid = certificates.fingerprint(listed[-1]["jwk"])
    held = _read(folder / KEY_FILE) or _read(settings.keys_path() / KEY_FILE)
    if held is not None and held.thumbprint() == kid:
        return ""
    return (
        f"{folder} does not hold the key {kid} that signs certificates, so none is made. Put it back, or, if it is lost for"
        " good, run: likeness signer replace"
    )


def seal_credential(kernel: Kernel, now: datetime) -> tuple[bytes, bytes]:
    """The key and certificate (PEM) that seal pages, made once beside the signing key. Raises `SignerAway`."""
    folder, made = _folder(kernel), kernel.settings.keys_path() / SEAL_MADE
    _take_over(kernel, SEAL_FILE, SEAL_MADE)
    if not (folder / SEAL_FILE).exists():
        if made.exists() or (folder / SEAL_MADE).exists():
            raise SignerAway("The key that seals certificates is away. They are made once it is back.")
        _lay(folder, SEAL_FILE, *sealing.new_credential(kernel.settings.public_url, now))
    (folder / SEAL_MADE).touch(0o600)
    secret, _, certificate = (folder / SEAL_FILE).read_bytes().partition(END_OF_KEY)
    return secret + END_OF_KEY, certificate


def sealed_by(kernel: Kernel, now: datetime) -> str:
    """The fingerprint of the certificate that seals pages; each signed text names it, so that one pinned key is enough."""
    _, certificate = seal_credential(kernel, now)
    return sealing.fingerprint(certificate)


def _folder(kernel: Kernel) -> Path:
    folder = kernel.settings.signer_path()
    if folder is None:
        raise SignerAway("This process has no signer: LIKENESS_SIGNER_FOLDER is not set.")
    return folder


def _take_over(kernel: Kernel, name: str, mark: str) -> None:
    """What an older version kept beside the other keys moves to the signer's folder."""
    keys, folder = kernel.settings.keys_path(), _folder(kernel)
    if not (keys / name).exists() or (folder / name).exists():
        return
    _lay(folder, name, (keys / name).read_bytes())
    with _opened(keys) as opened:
        for each in (name, mark):
            overwrite_and_unlink(opened, each)


def _issued(kernel: Kernel) -> bool:
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            if session.exec(select(Certificate.id).where(col(Certificate.tenant_id) == tenant).limit(1)).first():
                return True
    return False


def _read(file: Path) -> OKPKey | None:
    try:
        return OKPKey.import_key(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SignerAway(f"{file} cannot be read as a signing key.") from error


def _lay(folder: Path, name: str, *pieces: bytes) -> bool:
    """Whether this process laid it down; another that was first stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    with _opened(folder) as opened, suppress(FileExistsError):
        write_atomically(opened, name, pieces)
        return True
    return False


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)
