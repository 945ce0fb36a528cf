"""The test vectors that ship with the verifier. `python -m tests.compliance.vectors` writes them anew."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from compliance.proof import verifier
from likeness.evidence import merkle, notes

FILE = Path(verifier.__file__).with_name("vectors.json")
KEY, STRANGER = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32), Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
CT = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
"""The leaves that the tests of Certificate Transparency use."""
CT_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
TENANT = UUID("6f9a2f0e-7f5b-4c0e-9d0a-3f6c2b1d4e5f")
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def jwk(key: Ed25519PrivateKey) -> dict[str, Any]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(document: dict[str, Any], key: Ed25519PrivateKey = KEY, **header: Any) -> str:
    said = {"alg": "Ed25519", "jwk": jwk(key), "kid": verifier.thumbprint(jwk(key)), "typ": verifier.TYPE} | header
    words = f"{encoded(verifier.canonical(said))}.{encoded(verifier.canonical(document))}"
    return f"{words}.{encoded(key.sign(words.encode()))}"


def entry(number: int, **more: Any) -> bytes:
    said = {
        "at": "2026-03-02T09:00:00.000000+00:00", "caller": "system", "detail": None, "epoch": 1, "event": "photo.added",
        "objects": [], "sequence": number, "subject": None, "tenant": str(TENANT), "v": 2,
    }  # fmt: skip
    return verifier.canonical(said | more)


def a_log() -> list[bytes]:
    return [entry(number, objects=["request", "certificate"] if number == 5 else []) for number in range(1, 8)]


def point(leaves: list[bytes], **more: Any) -> notes.CheckpointNote:
    said = {"instance": "likeness.example", "tenant": TENANT, "epoch": 1, "size": len(leaves), "at": AT}
    return notes.CheckpointNote(**said | {"root": merkle.root(leaves), "sequence": len(leaves)} | more)


def document(**more: Any) -> dict[str, Any]:
    lines = a_log()
    leaves = [merkle.leaf_hash(line) for line in lines]
    logged = {
        "entry": lines[4].decode(), "position": 4, "proof": [one.hex() for one in merkle.inclusion(leaves, 4)],
        "checkpoint": notes.sign(point(leaves), KEY),
    }  # fmt: skip
    whose = verifier.commitment(CODE, "Nadia Ümit", "nadia@zebra.example")
    said = {"certificate": "deletion", "id": "certificate", "request_ref": "request", "subject_commitment": whose}
    return {**said, "ledger": logged} | more


def build() -> dict[str, Any]:
    leaves = [merkle.leaf_hash(bytes.fromhex(one)) for one in CT]
    return {
        "about": "What the verifier has to accept (holds: true) and to refuse. Hashes in hex; keys and people are made up.",
        "root": [
            {"what": f"{size} leaves of Certificate Transparency", "leaves": CT[:size], "root": root, "holds": True}
            for size, root in CT_ROOTS.items()
        ]
        + [{"what": "two leaves exchanged", "leaves": [CT[1], CT[0]], "root": CT_ROOTS[2], "holds": False}],
        "inclusion": list(_inclusions(leaves)),
        "consistency": list(_consistencies(leaves)),
        "checkpoint": list(_checkpoints()),
        "certificate": list(_certificates()),
        "receipt": list(_receipts()),
        "subject": list(_subjects()),
    }


def _inclusions(leaves: list[bytes]) -> Any:
    for size, position in ((1, 0), (2, 1), (7, 6), (8, 0), (8, 5)):
        proof = [one.hex() for one in merkle.inclusion(leaves[:size], position)]
        case = {
            "leaf": leaves[position].hex(), "position": position, "size": size, "proof": proof,
            "root": CT_ROOTS[size],
        }  # fmt: skip
        yield case | {"what": f"leaf {position} of {size}", "holds": True}
        if proof:
            yield case | {"what": f"leaf {position} of {size}, proof cut", "proof": proof[:-1], "holds": False}
            yield case | {"what": f"leaf {position} of {size}, proof in another order", "proof": [*proof[1:], "00" * 32],
                          "holds": False}  # fmt: skip
        yield case | {"what": f"leaf {position} of {size}, too long", "proof": [*proof, "00" * 32], "holds": False}
        yield case | {"what": f"leaf {position} of {size}, another root", "root": CT_ROOTS[3], "holds": False}
        yield case | {"what": f"leaf {position} beyond its log", "position": size, "holds": False}


def _consistencies(leaves: list[bytes]) -> Any:
    for earlier, later in ((0, 5), (1, 8), (3, 7), (4, 8), (6, 8), (8, 8)):
        proof = [one.hex() for one in merkle.consistency(leaves[:later], earlier)]
        case = {
            "earlier": earlier, "later": later, "proof": proof,
            "earlier_root": CT_ROOTS[earlier], "later_root": CT_ROOTS[later],
        }  # fmt: skip
        yield case | {"what": f"{earlier} became {later}", "holds": True}
        yield case | {"what": f"{earlier} became {later}, too long", "proof": [*proof, "00" * 32], "holds": False}
        if earlier:
            other = CT_ROOTS[earlier - 1]
            yield case | {"what": f"{earlier} became {later}, rewritten before", "earlier_root": other, "holds": False}
        if proof:
            yield case | {"what": f"{earlier} became {later}, no proof", "proof": [], "holds": False}
            bad = ["11" * 32, *proof[1:]]
            yield case | {"what": f"{earlier} became {later}, corrupted", "proof": bad, "holds": False}
    yield {"what": "8 became 7", "earlier": 8, "later": 7, "proof": [], "earlier_root": CT_ROOTS[8],
           "later_root": CT_ROOTS[7], "holds": False}  # fmt: skip


def _checkpoints() -> Any:
    note = notes.sign(point([merkle.leaf_hash(line) for line in a_log()]), KEY)
    yield {"what": "a checkpoint", "note": note, "key": jwk(KEY), "holds": True}
    yield {"what": "another key is pinned", "note": note, "key": jwk(STRANGER), "holds": False}
    for what, before, holds in (("dated a minute later than now", 60, True), ("dated an hour later", 3600, False)):
        now = int(AT.timestamp()) - before
        yield {"what": what, "note": note, "key": jwk(KEY), "now": now, "holds": holds}
    for what, old, new in (
        ("a smaller size", "\n7\n", "\n6\n"), ("another company", "6f9a", "6f9b"), ("another epoch", "/1\n", "/2\n"),
        ("another time", "T09:30", "T09:31"), ("a line more", "sequence 7\n", "sequence 7\nnews\n"),
    ):  # fmt: skip
        yield {"what": what, "note": note.replace(old, new, 1), "key": jwk(KEY), "holds": False}


def _certificates() -> Any:
    good = jws(document())
    logged = document()["ledger"]
    yield {"what": "a certificate", "jws": good, "key": jwk(KEY), "holds": True}
    yield {"what": "one of several pinned keys", "jws": good, "key": {"keys": [jwk(STRANGER), jwk(KEY)]}, "holds": True}
    yield {"what": "another key is pinned", "jws": good, "key": jwk(STRANGER), "holds": False}
    forged = jws(document(), STRANGER, kid=verifier.thumbprint(jwk(KEY)))
    yield {"what": "signed by a stranger under the right key's name", "jws": forged, "key": jwk(KEY), "holds": False}
    head, body, tail = good.split(".")
    other = encoded(verifier.canonical(document(certificate="nothing")))
    yield {"what": "other words", "jws": f"{head}.{other}.{tail}", "key": jwk(KEY), "holds": False}
    unsigned = encoded(verifier.canonical({"alg": "none", "typ": verifier.TYPE}))
    yield {"what": "no signature", "jws": f"{unsigned}.{body}.", "key": jwk(KEY), "holds": False}
    stranger = jws(document(), typ=verifier.RECEIPT)
    yield {"what": "a consent receipt in its place", "jws": stranger, "key": jwk(KEY), "holds": False}
    yield {"what": "something else that was signed", "jws": jws(document(), typ="JWT"), "key": jwk(KEY), "holds": False}
    for what, change in (
        ("an entry of the log about another request", {"entry": a_log()[3].decode(), "position": 3}),
        ("another place in the log", {"position": 5}),
        ("no proof of its entry", {"proof": []}),
        ("a checkpoint by a stranger", {"checkpoint": notes.sign(point([]), STRANGER)}),
    ):
        yield {"what": what, "jws": jws(document(ledger=logged | change)), "key": jwk(KEY), "holds": False}


def _receipts() -> Any:
    said = {"record_metadata": {"record_id": "one"}, "events": [{"event_state": "consent given"}]}
    good = jws(said, typ=verifier.RECEIPT)
    yield {"what": "a consent receipt", "jws": good, "key": jwk(KEY), "holds": True}
    lines = [entry(number, objects=["one"] if number == 3 else []) for number in range(1, 8)]
    leaves = [merkle.leaf_hash(line) for line in lines]
    logged = {"entry": lines[2].decode(), "position": 2, "proof": [one.hex() for one in merkle.inclusion(leaves, 2)],
              "checkpoint": notes.sign(point(leaves), KEY)}  # fmt: skip
    for what, change, holds in (
        ("a consent receipt with its place in the log", {}, True),
        ("an entry of the log about another answer", {"entry": lines[3].decode(), "position": 3}, False),
        ("another log than the checkpoint's", {"checkpoint": notes.sign(point(leaves[:6]), KEY)}, False),
        ("a checkpoint by a stranger", {"checkpoint": notes.sign(point(leaves), STRANGER)}, False),
    ):
        placed = jws(said | {"ledger": logged | change}, typ=verifier.RECEIPT)
        yield {"what": what, "jws": placed, "key": jwk(KEY), "holds": holds}
    yield {"what": "another key is pinned", "jws": good, "key": jwk(STRANGER), "holds": False}
    yield {"what": "a certificate in its place", "jws": jws(document()), "key": jwk(KEY), "holds": False}
    head, _, tail = good.split(".")
    other = encoded(verifier.canonical(said | {"events": []}))
    yield {"what": "other words", "jws": f"{head}.{other}.{tail}", "key": jwk(KEY), "holds": False}


def _subjects() -> Any:
    case = {"jws": jws(document()), "key": jwk(KEY), "name": "Nadia Ümit", "email": "nadia@zebra.example", "code": CODE}
    yield case | {"what": "the person", "holds": True}
    typed = {"name": " nadia  U\u0308mit", "email": "Nadia@Zebra.example", "code": "abcde-fghij-k1mno-pqrst-uvwxyz"}
    yield case | typed | {"what": "the person, typed in another way, one letter of the code wrong", "holds": False}
    yield case | typed | {"what": "typed in another way", "code": "abcde-fgh1j-klmn0-pqrst-uvwxyz", "holds": True}
    yield case | {"what": "another name", "name": "Bo Linde", "holds": False}
    yield case | {"what": "another address", "email": "bo@zebra.example", "holds": False}
    yield case | {"what": "another code", "code": CODE[::-1], "holds": False}
    yield case | {"what": "no code", "code": "", "holds": False}
    yield case | {"what": "of nobody", "jws": jws(document(subject_commitment=None)), "holds": False}


if __name__ == "__main__":
    FILE.write_text(json.dumps(build(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
