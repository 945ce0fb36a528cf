"""What somebody without the key can make of a signed text, to be refused wherever it is checked."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64encode
from typing import Any

from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from compliance.proof import certificates

SEALLESS = b"%PDF-1.7\n1 0 obj\n<</Type/EmbeddedFile>>stream"
ENDLESS = b"%PDF-1.7\n1 0 obj\n<</Type/EmbeddedFile/Filter/FlateDecode>>stream\n"


def forgeries(token: str, ours: dict[str, Any]) -> dict[str, bytes]:
    """Of a true certificate and the public key that it was signed with."""
    head, body, tail = token.split(".")
    theirs, bare = OKPKey.generate_key("Ed25519"), {name: ours[name] for name in ("crv", "kty", "x")}
    kid, shown = certificates.fingerprint(ours), dict(theirs.as_dict(private=False))
    usual = {"alg": certificates.ALGORITHM, "typ": certificates.TYPE, "jwk": shown, "kid": kid}
    made = {
        "somebody's own key under our name": _signed(usual, body, theirs),
        "the same, and our key beside it": _signed(usual | {"jwk": bare}, body, theirs),
        "no key beside our name": _signed({name: usual[name] for name in ("alg", "typ", "kid")}, body, theirs),
        "an address where the key lies": _signed(usual | {"jku": "https://evil.example/keys.json"}, body, theirs),
        "several names": _signed(usual | {"kid": [kid, theirs.thumbprint()]}, body, theirs),
        "a name that is no text": _signed(usual | {"kid": {"kid": kid}}, body, theirs),
        "no algorithm": f"{_encoded(usual | {'alg': 'none'})}.{body}.",
        "no algorithm, and the signature": f"{_encoded(usual | {'alg': 'none'})}.{body}.{tail}",
        "our public key as a shared secret": jws.serialize_compact(
            {**usual, "alg": "HS256"}, b"{}", OctKey.import_key(ours["x"]), algorithms=["HS256"]
        ),
        "the header's names twice": _signed_words(
            json.dumps(usual)[:-1] + f', "jwk": {json.dumps(bare)}, "kid": {json.dumps(kid)}}}', body, theirs
        ),
        "the algorithm twice": ".".join((_text(json.dumps(usual)[:-1] + ', "alg": "none"}'), body, "")),
        "another header over the signature": f"{_encoded(usual | {'jwk': bare, 'more': 1})}.{body}.{tail}",
        "more in it": ".".join((head, _text('{"id":"x",') + body, tail)),
        "a letter that looks the same": f"{head}.{body.replace('a', chr(0x430), 1)}.{tail}",
        "a dot that looks the same": f"{head}{chr(0xFF0E)}{body}.{tail}",
        "padding": f"{head}.{body}=.{tail}==",
        "something behind it": f"{token}AAAA",
        "a part behind it": f"{token}.e30",
        "a line behind it": f"{token}\n{{}}",
        "an end of text behind it": f"{token}\0",
        "far too much behind it": token + "A" * 3_000_000,
    }
    found = {name: said.encode() for name, said in made.items()}
    return found | {
        "a page with very many files": b"%PDF-1.7\n" + b"<</EmbeddedFile>>" * 20_000,
        "a page whose file never ends": ENDLESS + zlib.compress(b"A" * 100_000_000, 9) + b"\nendstream\nendobj",
        "a page without a seal": SEALLESS + b"\n" + token.encode() + b"\nendstream\nendobj",
    }


def _signed(header: dict[str, Any], body: str, key: OKPKey) -> str:
    return _signed_words(json.dumps(header), body, key)


def _signed_words(header: str, body: str, key: OKPKey) -> str:
    """By hand, because a library refuses to write most of these."""
    words = f"{_text(header)}.{body}"
    private: Any = key.private_key
    return f"{words}.{urlsafe_b64encode(private.sign(words.encode())).rstrip(b'=').decode()}"


def _encoded(header: dict[str, Any]) -> str:
    return _text(json.dumps(header))


def _text(words: str) -> str:
    return urlsafe_b64encode(words.encode()).rstrip(b"=").decode()
