"""A signed statement in the file of how the picture was made: C2PA Content Credentials, claims of version 2.

Nothing of the person is in it: no name, no time, no thumbnail and no ingredient, whose thumbnail would be a selfie. It is
the same to the byte for the same picture, so that an archive that broke goes on in any process; the library that reads
these statements draws random numbers when it writes one, which is why this is written here. The format: C2PA 2.2,
sections 10 (claims), 11 (boxes), 13 (signatures), 18.6 (hash of data), 18.16 (actions).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID

import cbor2

from batch.marks import boxes
from batch.marks.credential import Credential
from batch.marks.iptc import VOCABULARY

APP11 = 0xEB
FIRST = b"JP\x02\x11\x00\x00\x00\x01"
"""How a segment says that a box begins in it: ISO/IEC 19566-5, annex D."""
WHO = {"name": "Likeness"}
X5CHAIN, ALGORITHM, COSE_SIGN1 = 33, 1, 18


def signed(picture: bytes, source: str, credential: Credential, *, watermarked: bool) -> bytes:
    """The same picture with a statement that no byte of it may change under. Raises `NoPicture`."""
    at, length = boxes.place(picture), 0
    while True:  # Twice or three times: the statement says how long it is.
        store = _store(sha256(picture).digest(), at, length, source, credential, watermarked)
        mark = boxes.piece(picture, APP11, FIRST + store, b"caBX", store)
        if len(mark) == length:
            return boxes.laid(picture, mark)
        length = len(mark)


def room(credential: Credential) -> int:
    """A statement takes less, in bytes."""
    return 2_000 + sum(map(len, credential.chain))


def _store(digest: bytes, at: int, length: int, source: str, credential: Credential, watermarked: bool) -> bytes:
    number = UUID(bytes=sha256(digest + source.encode()).digest()[:16], version=4)
    actions: list[dict[str, Any]] = [
        {"action": "c2pa.created", "digitalSourceType": VOCABULARY + source, "softwareAgent": WHO}
    ]
    if watermarked:
        actions.append({"action": "c2pa.watermarked.unbound", "softwareAgent": WHO})
    # All but the statement itself is hashed, and it was laid into what was hashed.
    data = {
        "exclusions": [{"start": at, "length": length}], "name": "jumbf manifest", "alg": "sha256", "hash": digest,
        "pad": b"",
    }  # fmt: skip
    assertions = {
        label: boxes.described(b"cbor", label, boxes.box(b"cbor", cbor2.dumps(said)))
        for label, said in (("c2pa.actions.v2", {"actions": actions}), ("c2pa.hash.data", data))
    }
    claim = cbor2.dumps({
        "instanceID": f"xmp:iid:{number}",
        "claim_generator_info": WHO,
        "signature": f"self#jumbf=/c2pa/urn:c2pa:{number}/c2pa.signature",
        "created_assertions": [
            {"url": f"self#jumbf=c2pa.assertions/{label}", "hash": sha256(held).digest()}
            for label, held in assertions.items()
        ],
        "alg": "sha256",
    })  # fmt: skip
    manifest = boxes.superbox(
        b"c2ma",
        f"urn:c2pa:{number}",
        boxes.superbox(b"c2as", "c2pa.assertions", *(boxes.box(b"jumb", held) for held in assertions.values())),
        boxes.superbox(b"c2cl", "c2pa.claim.v2", boxes.box(b"cbor", claim)),
        boxes.superbox(b"c2cs", "c2pa.signature", boxes.box(b"cbor", _signature(claim, credential))),
    )
    return boxes.superbox(b"c2pa", "c2pa", manifest)


def _signature(claim: bytes, credential: Credential) -> bytes:
    """COSE_Sign1 (RFC 9052) over a claim that is not in it."""
    chain = list(credential.chain)
    protected = cbor2.dumps({ALGORITHM: credential.algorithm, X5CHAIN: chain if len(chain) > 1 else chain[0]})
    signature = credential.sign(cbor2.dumps(["Signature1", protected, b"", claim]))
    return cbor2.dumps(cbor2.CBORTag(COSE_SIGN1, [protected, {}, None, signature]))
