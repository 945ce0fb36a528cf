#!/usr/bin/env python3
"""Checks what Likeness signed, on a machine without network or Likeness. One file, Python 3.9 and `cryptography`.

    python verifier.py certificate certificate.jws --key public-key.json      (a consent receipt as well)
    python verifier.py certificate certificate.pdf --fingerprint FINGERPRINT --name "…" --email "…" --code "…"
    python verifier.py log ledger.jsonl --key public-key.json --checkpoint receipt.jws    (or a mail, a certificate, a note)
    python verifier.py entries part-of-a-log.jsonl --key public-key.json
    python verifier.py extends what-you-kept.txt answer.json --key public-key.json
    python verifier.py vectors vectors.json

`--key` is the public key (JWK or JWKS) that you pinned, `--fingerprint` its fingerprint, which every consent receipt names.
Exit status: 0 when everything holds, 1 when something does not, 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import email.policy
import hashlib
import json
import re
import sys
import time
import unicodedata
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TYPE, RECEIPT = "likeness-certificate+jws", "likeness-consent-receipt+jws"
NAMED = {TYPE: ("request_ref", "id"), RECEIPT: ("record_id",)}
SUBJECT, OPENED = b"likeness subject v1\n", "epoch.opened"
UNSIGNED = "This is the receipt of a deletion, which nobody signed. Its page (/gone/…) has the certificate: check that."
THREE_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Invalid(Exception):
    """What was looked at does not hold; the message says why in one sentence."""


# Text that has one spelling only (RFC 8785, without the numbers that are no integers)


def canonical(value: object) -> bytes:
    _check_plain(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _check_plain(value: object) -> None:
    if isinstance(value, dict):
        # Sorting by code points equals the standard's sorting by UTF-16 units up to U+FFFF.
        if not all(isinstance(name, str) and max(name, default="") <= "\uffff" for name in value):
            raise Invalid("It names a field in a way that is not used here.")
        value = list(value.values())
    if isinstance(value, list):
        for below in value:
            _check_plain(below)
    elif isinstance(value, float) or not (value is None or isinstance(value, (str, int, bool))):
        raise Invalid("It holds a number that is no integer.")


def parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Invalid("It is no JSON.") from None
    if not isinstance(value, dict) or canonical(value) != data:
        raise Invalid("It is not written in the one canonical way.")
    return value


def unpadded(text: str) -> bytes:
    spelled = re.fullmatch(r"[A-Za-z0-9_-]*", text)
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if spelled else b""
    if not spelled or base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise Invalid("It was changed.")  # Another spelling of the same bytes is not ours.
    return data


def thumbprint(jwk: dict[str, Any]) -> str:
    words = canonical({name: jwk[name] for name in ("crv", "kty", "x")})  # RFC 7638.
    return base64.urlsafe_b64encode(hashlib.sha256(words).digest()).rstrip(b"=").decode()


class Pin:
    """The key that its holder decided to believe: the key itself, several of them, or a fingerprint."""

    def __init__(self, keys: Any = None, fingerprint: str = "") -> None:
        listed = keys.get("keys", [keys]) if isinstance(keys, dict) else []
        self.keys = {thumbprint(one): one for one in listed
                     if isinstance(one, dict) and one.get("kty") == "OKP" and one.get("crv") == "Ed25519" and "x" in one}
        self.fingerprint = fingerprint.strip()

    def key(self, kid: Any, offered: Any = None) -> Ed25519PublicKey:
        jwk = self.keys.get(kid) if isinstance(kid, str) else None
        known = bool(self.fingerprint) and isinstance(offered, dict) and offered.get("kty") == "OKP"
        if jwk is None and known and kid == self.fingerprint == thumbprint(offered):
            jwk = self.keys[kid] = offered
        if jwk is None:
            raise Invalid("It was signed by another key than the one that you pinned.")
        return Ed25519PublicKey.from_public_bytes(unpadded(str(jwk["x"])))


# The tree (RFC 6962; the checks are those of RFC 9162, sections 2.1.3.2 and 2.1.4.2)


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(leaves: list[bytes]) -> bytes:
    level = leaves or [hashlib.sha256(b"").digest()]
    while len(level) > 1:
        pairs = (level[at : at + 2] for at in range(0, len(level), 2))
        level = [node_hash(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def check_inclusion(leaf: bytes, position: int, size: int, proof: list[bytes], root: bytes) -> None:
    if not 0 <= position < size or _climbed(position, size - 1, [leaf, *proof])[1] != root:
        raise Invalid("The entry is not in the log that the checkpoint names.")


def check_consistency(earlier: int, later: int, proof: list[bytes], earlier_root: bytes, later_root: bytes) -> None:
    if earlier > later:
        raise Invalid(f"The log was cut: it had {earlier} entries, and now it has {later}.")
    if earlier in (0, later):
        if proof or (earlier == later and earlier_root != later_root):
            raise Invalid("The log was rewritten: it has as many entries as before, but other ones.")
        return
    number, last = earlier - 1, later - 1
    while number % 2:
        number, last = number >> 1, last >> 1
    old, new = _climbed(number, last, ([earlier_root] if earlier & (earlier - 1) == 0 else []) + proof)
    if old != earlier_root or new != later_root:
        raise Invalid("The log was rewritten: it does not begin with what it held at the earlier checkpoint.")


def _climbed(number: int, last: int, path: list[bytes]) -> tuple[bytes, bytes]:
    """The roots that a proof makes of its first hash: of the tree that ends there, and of the whole one."""
    if not path:
        raise Invalid("The proof is missing.")
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            raise Invalid("The proof is too long.")
        if number % 2 or number == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not number % 2 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, other)
        number, last = number >> 1, last >> 1
    if last:
        raise Invalid("The proof is too short.")
    return old, new


def hashes(listed: Any) -> list[bytes]:
    if not isinstance(listed, list) or not all(re.fullmatch(r"[0-9a-f]{64}", str(one)) for one in listed):
        raise Invalid("The proof is no list of hashes.")
    return [bytes.fromhex(one) for one in listed]


NOTE = re.compile(
    r"(?P<instance>\S+)/(?P<tenant>[0-9a-f-]{36})/(?P<epoch>[1-9][0-9]*)\n(?P<size>[0-9]+)\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"time (?P<at>[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}\+00:00)\nsequence (?P<sequence>[0-9]+)\n"
)
SIGNED = re.compile("\u2014 (?P<name>[^\\s+]+) (?P<signature>[A-Za-z0-9+/]{91}=)\n")
IN_TEXT = re.compile(f"(?m)^{NOTE.pattern}\n{SIGNED.pattern}")


def checkpoint(note: str, pin: Pin, now: float | None = None) -> dict[str, Any]:
    """What a checkpoint says, once its signature holds, unless it is dated more than five minutes after now."""
    latest = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime((time.time() if now is None else now) + 300))
    note = note.replace("\r\n", "\n").strip() + "\n"
    text, _, last = note.partition("\n\n")
    said, signed = NOTE.fullmatch(text + "\n"), SIGNED.fullmatch(last)
    if said is None or signed is None or signed["name"] != said["instance"]:
        raise Invalid("This is no checkpoint.")
    blob = base64.b64decode(signed["signature"])
    for raw in (unpadded(str(jwk["x"])) for jwk in pin.keys.values()):
        if blob[:4] == hashlib.sha256(signed["name"].encode() + b"\n\x01" + raw).digest()[:4]:
            try:
                Ed25519PublicKey.from_public_bytes(raw).verify(blob[4:], (text + "\n").encode())
            except InvalidSignature:
                raise Invalid("The checkpoint was changed.") from None
            if said["at"] > latest:
                raise Invalid(f"The checkpoint is dated {said['at']}, which is still to come.")
            numbers = {name: int(said[name]) for name in ("epoch", "size", "sequence")}
            return {**said.groupdict(), **numbers, "root": base64.b64decode(said["root"])}
    raise Invalid("The checkpoint was signed by another key than the one that you pinned.")


def parts_of(token: str) -> list[str]:
    if THREE_PARTS.fullmatch(token := token.strip()) is None:
        raise Invalid(UNSIGNED if re.match(r'{\s*"receipt"', token) else "This is no certificate and no consent receipt.")
    return token.split(".")


def kind_of(token: str) -> str:
    """What it says that it is; nothing of it is checked yet."""
    return RECEIPT if f'"{RECEIPT}"'.encode() in unpadded(parts_of(token)[0]) else TYPE


def certificate(token: str, pin: Pin, kind: str = TYPE, now: float | None = None) -> dict[str, Any]:
    """The document of a certificate, or of a consent receipt, once its signature and its place in the log hold."""
    other = "This is no certificate." if kind == TYPE else "This is no consent receipt."
    try:
        header, payload, signature = map(unpadded, parts := parts_of(token))
        said = json.loads(header)
        if said.get("alg") != "Ed25519" or said.get("typ") != kind:
            raise Invalid(other)
        pin.key(said.get("kid"), said.get("jwk")).verify(signature, f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature:
        raise Invalid("The signature does not match these words and this key.") from None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise Invalid(other) from None
    logged = (document := parsed(payload)).get("ledger")
    if isinstance(logged, dict) and "checkpoint" in logged:
        about = document["record_metadata"] if kind == RECEIPT else document
        _check_logged({about.get(one) for one in NAMED[kind]}, logged, checkpoint(str(logged["checkpoint"]), pin, now))
    return document


def _check_logged(about: set[Any], logged: dict[str, Any], point: dict[str, Any]) -> None:
    entry = parsed(words := str(logged.get("entry")).encode())
    if not isinstance(objects := entry.get("objects"), list) or not about <= set(objects):
        raise Invalid("The entry of the log is about something else.")
    if (entry.get("tenant"), entry.get("epoch")) != (point["tenant"], point["epoch"]):
        raise Invalid("The entry is of another log than the checkpoint.")
    if not isinstance(position := logged.get("position"), int):
        raise Invalid("It does not say where in the log it stands.")
    check_inclusion(leaf_hash(words), position, point["size"], hashes(logged.get("proof")), point["root"])


def plain(text: str) -> str:
    """A name or address without what two people write differently: spaces, capitals, the form of accents."""
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", text).split()).lower())


def code_of(written: str) -> str:
    """A proof code as it was made, however it was typed: without dashes, and letters for digits that look like them."""
    return re.sub(r"[^0-9A-Z]", "", written.upper()).replace("0", "O").replace("1", "I").replace("8", "B")


def commitment(code: str, name: str, email: str) -> str:
    return hashlib.sha256(SUBJECT + "\n".join((code_of(code), plain(email), plain(name))).encode()).hexdigest()


def check_subject(document: dict[str, Any], name: str, email: str, code: str) -> None:
    if not (said := document.get("subject_commitment")):
        raise Invalid("This certificate says of nobody whose it is.")
    if commitment(code, name, email) != said:
        raise Invalid("This certificate is not about this person: name, address and proof code do not belong to it.")


def out_of_pdf(data: bytes) -> str:
    """The signed text that lies in a certificate's PDF, whose seal is for a reader of PDF files. Such a page holds one file
    with short facts: whoever sends another keeps nobody's machine busy."""
    for at in islice((found.start() for found in re.finditer(rb"/EmbeddedFile", data)), 16):
        begin, stream = data.rfind(b"<<", max(0, at - 4096), at), re.search(rb">>\s*stream\r?\n", data[at : at + 4096])
        if begin < 0 or stream is None or b"endobj" in (facts := data[begin : at + stream.start()]):
            continue
        with suppress(zlib.error):
            content = data[at + stream.end() : data.find(b"endstream", at + stream.end())]
            content = zlib.decompressobj().decompress(content, 1 << 24) if b"/FlateDecode" in facts else content
            text = content.decode("ascii", "replace").strip()
            if THREE_PARTS.fullmatch(text):
                return text
    raise Invalid("There is no signed text in this PDF.")


def kept(data: bytes, pin: Pin) -> dict[str, Any]:
    """What the checkpoint says in whatever its holder kept: a certificate, a receipt, a mail, a webhook's body, a note."""
    if re.search(rb"(?im)^content-transfer-encoding:", data):
        body = email.message_from_bytes(data, policy=email.policy.default).get_body(("plain",))
        data = body.get_content().encode() if body else b""
    text = (out_of_pdf(data) if data.startswith(b"%PDF") else data.decode()).replace("\r\n", "\n").strip() + "\n"
    if THREE_PARTS.fullmatch(text.strip()):
        text = str((certificate(text, pin, kind_of(text)).get("ledger") or {}).get("checkpoint"))
    elif text.startswith("{"):
        text = str(json.loads(text).get("checkpoint"))
    return checkpoint((IN_TEXT.search(text) or [text])[0], pin)


def check_log(lines: list[bytes], points: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """What holds and what does not, of an exported log and of checkpoints that were kept."""
    epochs, good, bad, latest = *_epochs(lines), ""
    for point in sorted(points, key=lambda one: (one["epoch"], one["size"])):
        tenant, there = epochs.get(point["epoch"], ("", []))
        size, root, latest, before = point["size"], point["root"], max(latest, point["at"]), latest
        what = f"Checkpoint of {point['at']}, epoch {point['epoch']}, {size} entries"
        if tenant not in ("", point["tenant"]):
            bad.append(f"{what}: it is of another log.")
        elif len(there) < size:
            bad.append(f"{what}: the log holds {len(there)} of them; {size - len(there)} are gone.")
        elif tree_root(there[:size]) != root:
            bad.append(f"{what}: the log was rewritten, it does not begin with what it held then.")
        elif point["at"] < before:
            bad.append(f"{what}: it is dated before one of a shorter log, of {before}.")
        else:
            good.append(f"{what}: the log still begins with them, unchanged.")
    return good, bad


def _epochs(lines: list[bytes]) -> tuple[dict[int, tuple[str, list[bytes]]], list[str], list[str]]:
    """The log's leaves by epoch; what was noticed on the way, and what is wrong with it."""
    epochs: dict[int, tuple[str, list[bytes]]] = {}
    good: list[str] = []
    last, newest, tenant = 0, 0, ""
    for number, line in enumerate(lines, 1):
        try:
            entry = parsed(line)
            epoch, sequence = entry.get("epoch", 1), entry["sequence"]
            if not isinstance(epoch, int) or not isinstance(sequence, int) or sequence <= last:
                raise Invalid("its number is not larger than the one before it.")
            if epoch < newest or (epoch > newest > 0 and entry.get("event") != OPENED):
                raise Invalid("it belongs to no epoch that was opened.")
            if entry["tenant"] != (tenant := tenant or entry["tenant"]):
                raise Invalid("it belongs to another log.")
        except (Invalid, KeyError) as error:
            return epochs, good, [f"Line {number}: {error}"]
        if epoch > newest > 0:
            good.append(f"Epoch {epoch} was opened after a restore: {', '.join(map(str, entry['objects']))}.")
        epochs.setdefault(epoch, (tenant, []))[1].append(leaf_hash(line))
        last, newest = sequence, epoch
    return epochs, good, []


def check_entries(lines: list[bytes], pin: Pin) -> str:
    """A part of a log, whose first line holds checkpoints and every other one an entry with its proof."""
    at = {one["epoch"]: one for one in (checkpoint(str(note), pin) for note in json.loads(lines[0])["checkpoints"])}
    unsigned = 0
    for number, line in enumerate(lines[1:], 2):
        said = json.loads(line)
        entry, proof = parsed(words := str(said["entry"]).encode()), said["proof"]
        point = at.get(entry.get("epoch", 1))
        if proof is None:
            unsigned += 1
        elif point is None or point["tenant"] != entry.get("tenant") or not isinstance(said["position"], int):
            raise Invalid(f"Line {number} belongs to no checkpoint of this file.")
        else:
            check_inclusion(leaf_hash(words), said["position"], point["size"], hashes(proof), point["root"])
    later = f"; {unsigned} are younger than the newest checkpoint, and not proved" if unsigned else ""
    return f"{len(lines) - 1 - unsigned} entries are in the log that the checkpoints in this file name{later}."


def check_extends(old: dict[str, Any], answer: dict[str, Any], pin: Pin) -> str:
    """That the log of a later checkpoint begins with the log of an earlier one."""
    new = checkpoint(str(answer.get("checkpoint")), pin)
    if (old["instance"], old["tenant"], old["epoch"]) != (new["instance"], new["tenant"], new["epoch"]):
        raise Invalid("The two checkpoints are of two different logs or epochs.")
    if new["at"] < old["at"]:
        raise Invalid(f"Its time goes backwards: {new['at']} comes after {old['at']}.")
    check_consistency(old["size"], new["size"], hashes(answer.get("consistency")), old["root"], new["root"])
    return f"The log of {new['at']} ({new['size']} entries) begins with the {old['size']} that you hold a checkpoint of."


def check_vectors(vectors: dict[str, Any]) -> tuple[int, list[str]]:
    """Runs published inputs through every check above; how many, and which of them came out otherwise than they should."""
    ran, wrong = 0, []
    for kind, cases in vectors.items():
        for case in cases if kind in CHECKS else []:
            ran, outcome = ran + 1, False
            with suppress(Invalid, ValueError):
                CHECKS[kind](case)
                outcome = True
            if outcome != case["holds"]:
                wrong.append(f"{kind}: {case['what']}")
    return ran, wrong


raw = bytes.fromhex
CHECKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "root": lambda v: check_consistency(1, 1, [], tree_root([leaf_hash(raw(one)) for one in v["leaves"]]), raw(v["root"])),
    "inclusion": lambda v: check_inclusion(raw(v["leaf"]), v["position"], v["size"], hashes(v["proof"]), raw(v["root"])),
    "consistency": lambda v: check_consistency(
        v["earlier"], v["later"], hashes(v["proof"]), raw(v["earlier_root"]), raw(v["later_root"])),
    "checkpoint": lambda v: checkpoint(v["note"], Pin(v["key"]), v.get("now")),
    "certificate": lambda v: certificate(v["jws"], Pin(v["key"])),
    "receipt": lambda v: certificate(v["jws"], Pin(v["key"]), RECEIPT),
    "subject": lambda v: check_subject(certificate(v["jws"], Pin(v["key"])), v["name"], v["email"], v["code"]),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("certificate", "log", "entries", "extends", "vectors"))
    parser.add_argument("file")
    parser.add_argument("answer", nargs="?", help="extends: what the server answered")
    parser.add_argument("--checkpoint", action="append", default=[], help="log: a receipt, mail, certificate or note")
    for name in ("key", "fingerprint", "name", "email", "code"):
        parser.add_argument(f"--{name}", default="")
    given = "\0".join(sys.argv[1:] if arguments is None else arguments)
    # A fingerprint may begin with a hyphen, and would be taken for another option.
    options = parser.parse_args(given.replace("--fingerprint\0", "--fingerprint=").split("\0"))
    try:
        return _run(options)
    except Invalid as error:
        print(f"NOT VALID: {error}")
        return 1
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        print(f"This file cannot be read: {error}")
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.what == "vectors":
        ran, wrong = check_vectors(json.loads(Path(options.file).read_bytes()))
        print("\n".join([*wrong, f"{ran - len(wrong)} of {ran} test vectors come out as they should."]))
        return 1 if wrong else 0
    pin = Pin(json.loads(Path(options.key).read_bytes()) if options.key else None, options.fingerprint)
    if not options.key and not options.fingerprint:
        raise Invalid("Name the key that you pinned, with --key or --fingerprint.")
    lines = list(filter(None, (data := Path(options.file).read_bytes()).split(b"\n")))
    if options.what == "certificate":
        token = out_of_pdf(data) if data.startswith(b"%PDF") else data.decode("ascii")
        document = certificate(token, pin, kind_of(token))
        if options.code or options.name or options.email:
            check_subject(document, options.name, options.email, options.code)
        print(json.dumps(document, ensure_ascii=False, indent=2))
        whose = ", about this very person." if options.code else "; whose it is was not asked (--name, --email, --code)."
        print("VALID: signed with the key that you pinned, unchanged" + whose)
        return 0
    if options.what in ("entries", "extends"):
        answer = Path(options.answer).read_bytes() if options.answer else b"{}"
        extends = options.what == "extends"
        print("VALID:", check_extends(kept(data, pin), json.loads(answer), pin) if extends else check_entries(lines, pin))
        return 0
    points = [kept(Path(one).read_bytes(), pin) for one in options.checkpoint]
    good, bad = check_log(lines, points)
    print("\n".join([*good, *(f"NOT VALID: {one}" for one in bad)] or ["Nothing was checked."]))
    if not points:
        print("Without a checkpoint that you kept yourself nothing shows whether entries were cut or rewritten.")
    return 1 if bad or not points else 0


if __name__ == "__main__":
    sys.exit(main())
