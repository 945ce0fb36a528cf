from __future__ import annotations

import json
import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import OctKey, OKPKey

from compliance import stores
from compliance.proof.certificates import Case, CertificateInvalid, build, sign, verify
from compliance.proof.scan import PassedScan, Scan, ScanFailed, StoreAnswer

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CLEAN = Scan("likeness-rescan", "0.1.0", NOW, NOW, tuple(StoreAnswer(name, "clean") for name in sorted(stores.names())))
CASE = Case(
    id="c", stage=1, issued_at=NOW, controller="Zebra Wörks", instance="https://likeness.example",
    software="likeness 0.1.0", subject_ref="5f", request_ref="r", trigger="person", requested_at=NOW, deleted_at=NOW,
    classes={"source": {"objects": 6, "bytes": 60}}, keys=[{"id": "k", "destroyed_at": "2026-03-02T09:30:00+00:00"}],
    informed=[], not_informed=[], holds=[], ledger={"sequence": 7, "hash": "ab"},
)  # fmt: skip
FIELDS = {
    "id", "stage", "controller", "processor", "terms", "instance", "software", "subject_ref", "request_ref", "legal_basis",
    "trigger", "classes", "keys", "verification", "residuals", "recipients_informed",
    "recipients_not_informed", "holds", "limits", "ledger", "claims",
    "scope", "subject_commitment", "kept", "paper", "statement", "issued_at", "requested_at", "deleted_at", "certificate",
}  # fmt: skip


@pytest.fixture(scope="module")
def key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


@pytest.fixture(scope="module")
def public(key: OKPKey) -> dict[str, Any]:
    return dict(key.as_dict(private=False))


@pytest.fixture(scope="module")
def signed(key: OKPKey) -> str:
    return sign(build(CASE, PassedScan(CLEAN)), key)


def test_a_certificate_verifies_with_its_key_and_says_what_it_has_to(signed: str, public: dict[str, Any]) -> None:
    document = verify(signed, public)
    assert set(document) == FIELDS
    assert document["verification"]["verifier"] == "likeness-rescan"
    assert document["verification"]["stores"]["table:photo"] == {"result": "clean"}
    assert document["statement"] == "Not found in the listed stores at this time by this verifier."
    assert "irrecoverabl" not in signed
    assert document == verify(
        f"{signed}\n", {"keys": [dict(OKPKey.generate_key("Ed25519").as_dict(private=False)), public]}
    )


def test_without_a_passed_scan_there_is_no_certificate() -> None:
    for impostor in (CLEAN, None, True, {"passed": True}):
        with pytest.raises(TypeError):
            build(CASE, impostor)  # type: ignore[arg-type]


@pytest.mark.parametrize("result", ["found", "not reachable"])
def test_a_scan_passes_only_when_every_store_answered_and_none_found_anything(result: Any) -> None:
    spoiled = (replace(CLEAN.answers[0], result=result, found=1), *CLEAN.answers[1:])
    for answers in (spoiled, CLEAN.answers[1:], ()):
        with pytest.raises(ScanFailed):
            PassedScan(replace(CLEAN, answers=answers))
    undeclared = (*CLEAN.answers, StoreAnswer("table:invented", "not reachable"))
    with pytest.raises(ScanFailed):
        PassedScan(replace(CLEAN, answers=undeclared))


def test_every_changed_byte_is_noticed(signed: str, public: dict[str, Any]) -> None:
    end = len(signed)
    for position in (*range(0, end - 90, 17), *range(end - 90, end)):
        other = "A" if signed[position] != "A" else "B"
        with pytest.raises(CertificateInvalid):
            verify(signed[:position] + other + signed[position + 1 :], public)
    for broken in (signed[:-4], signed + "AAAA", signed + "." + signed, "", "....", "{}", signed.rsplit(".", 1)[0]):
        with pytest.raises(CertificateInvalid):
            verify(broken, public)


def test_another_key_is_refused_also_under_the_right_kid(signed: str, key: OKPKey, public: dict[str, Any]) -> None:
    stranger = OKPKey.generate_key("Ed25519")
    with pytest.raises(CertificateInvalid):
        verify(signed, dict(stranger.as_dict(private=False)))
    forged = jws.serialize_compact(
        {"alg": "Ed25519", "kid": key.thumbprint(), "typ": "likeness-certificate+jws"},
        rfc8785.dumps(build(CASE, PassedScan(CLEAN))), stranger, algorithms=["Ed25519"],
    )  # fmt: skip
    for pinned in (public, {"keys": [public]}, {"keys": []}, {}):
        with pytest.raises(CertificateInvalid):
            verify(forged, pinned)


def test_no_other_algorithm_is_accepted(signed: str, key: OKPKey, public: dict[str, Any]) -> None:
    payload = signed.split(".")[1]
    none = {"alg": "none", "kid": key.thumbprint(), "typ": "likeness-certificate+jws"}
    with pytest.raises(CertificateInvalid):
        verify(f"{_encoded(none)}.{payload}.", public)
    secret = OctKey.import_key(public["x"])
    hs256 = jws.serialize_compact(
        {**none, "alg": "HS256"}, urlsafe_b64decode(payload + "=="), secret, algorithms=["HS256"]
    )
    with pytest.raises(CertificateInvalid):
        verify(hs256, public)
    with pytest.warns(SecurityWarning):
        eddsa = jws.serialize_compact({**none, "alg": "EdDSA"}, b"{}", key, algorithms=["EdDSA"])
    with pytest.raises(CertificateInvalid):
        verify(eddsa, public)


def test_something_else_signed_by_the_same_key_is_no_certificate(key: OKPKey, public: dict[str, Any]) -> None:
    for header, payload in (({"typ": "JWT"}, b'{"a":1}'), ({"typ": "likeness-certificate+jws"}, b'{"b": 1, "a": 2}')):
        token = jws.serialize_compact(
            {"alg": "Ed25519", "kid": key.thumbprint(), **header}, payload, key, algorithms=["Ed25519"]
        )
        with pytest.raises(CertificateInvalid):
            verify(token, public)


def test_the_command_line_verifies_offline_and_refuses_a_changed_file(
    tmp_path: Path, signed: str, public: dict[str, Any]
) -> None:
    (tmp_path / "key.jwk").write_text(json.dumps(public))
    good, bad = tmp_path / "good.jws", tmp_path / "bad.jws"
    good.write_text(signed)
    bad.write_text(signed[:-5] + ("A" if signed[-5] != "A" else "B") + signed[-4:])
    runner = "from likeness.cli.main import main; main()"
    command = [sys.executable, "-c", runner, "verify", "--key", str(tmp_path / "key.jwk")]
    assert subprocess.run([*command, str(good)], capture_output=True).returncode == 0
    assert subprocess.run([*command, str(bad)], capture_output=True).returncode == 1


def _encoded(header: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
