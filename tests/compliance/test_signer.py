"""The key that signs certificates: apart, noted, never replaced silently, and with a history that goes on verifying."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from joserfc.jwk import OKPKey
from litestar.testing import TestClient

from compliance.proof import certificates, signing
from compliance.proof.paper import sealing
from compliance.proof.signing import SignerAway
from likeness.cli.main import main
from likeness.evidence.outside import Outside
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.run import check
from likeness.run.app import create_app
from tests.compliance.people import erase, full_person, reread
from tests.kernel.test_keys_away import work_due

PUBLIC = "/.well-known/likeness-certificates.jwks.json"


@pytest.fixture
def fresh(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """As at the first start: nothing is on the list, no certificate was issued, and all folders are empty."""
    monkeypatch.setattr(signing, "_issued", lambda kernel: False)
    (tmp_path / "keys").mkdir()
    places = {"signer_folder": "signer", "key_folder": "keys", "tombstone_folder": "stones"}
    settings = kernel.settings.model_copy(update={name: tmp_path / place for name, place in places.items()})
    db = copy(kernel.db)
    db.outside = Outside(settings.tombstones_path())
    return replace(kernel, settings=settings, db=db)


def key(kernel: Kernel) -> OKPKey:
    return signing.key(kernel, utc_now())


def token(key: OKPKey) -> str:
    return certificates.sign({"certificate": "deletion"}, key)


def test_it_is_made_once_apart_from_the_other_keys_and_published_without_its_private_half(fresh: Kernel) -> None:
    first, again = key(fresh), key(fresh)
    assert first.thumbprint() == again.thumbprint()
    folder = fresh.settings.signer_path()
    assert folder is not None
    assert (folder / "signing.jwk").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(fresh.settings.keys_path().glob("signing*"))
    published = signing.published(fresh)
    assert [key["kid"] for key in published["keys"]] == [first.thumbprint()]
    assert all("d" not in key for key in published["keys"])
    assert certificates.verify(token(first), published)


def test_a_process_without_a_signer_publishes_and_signs_nothing(fresh: Kernel) -> None:
    settings = fresh.settings.model_copy(update={"profile": "production", "signer_folder": None})
    web = replace(fresh, settings=settings)
    for asked in (key, signing.published):
        with pytest.raises(SignerAway):
            asked(web)
    made = key(fresh)
    assert signing.published(web)["keys"][0]["kid"] == made.thumbprint()
    with TestClient(app=create_app(web)) as client:
        assert client.get(PUBLIC).json()["keys"][0]["kid"] == made.thumbprint()
    with pytest.raises(SignerAway, match="LIKENESS_SIGNER_FOLDER"):
        key(web)


def test_one_of_an_older_version_is_taken_over_and_leaves_the_key_folder(fresh: Kernel) -> None:
    old, keys = OKPKey.generate_key("Ed25519"), fresh.settings.keys_path()
    (keys / "signing.jwk").write_text(json.dumps(old.as_dict(private=True)))
    (keys / "signing.made").touch()
    seal = sealing.new_credential(fresh.settings.public_url, utc_now())
    (keys / "paper-seal.pem").write_bytes(b"".join(seal))
    (keys / "paper-seal.made").touch()
    assert b"".join(signing.seal_credential(fresh, utc_now())) == b"".join(seal)
    assert key(fresh).thumbprint() == old.thumbprint()
    assert list(keys.iterdir()) == []
    assert key(fresh).thumbprint() == old.thumbprint()


@pytest.mark.parametrize("what", ["the file", "the folder", "another in its place", "the mark of an older version"])
def test_a_lost_signer_is_an_error_and_never_a_new_one(fresh: Kernel, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "signer"
    if what == "the mark of an older version":
        (fresh.settings.keys_path() / "signing.made").touch()
    else:
        first = key(fresh)
        assert signing.lost(fresh.settings) == ""
        folder.rename(tmp_path / "aside") if what == "the folder" else (folder / "signing.jwk").unlink()
        if what == "another in its place":
            (folder / "signing.jwk").write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
    for _ in range(2):
        with pytest.raises(SignerAway):
            key(fresh)
    if what == "the mark of an older version":
        return
    assert [key["kid"] for key in signing.published(fresh)["keys"]] == [first.thumbprint()]
    assert "likeness signer replace" in signing.lost(fresh.settings)
    for profile in ("embedded", "production"):
        asked = fresh.settings.model_copy(update={"profile": profile})
        assert any("likeness signer replace" in sentence for sentence in check.edges(asked)), profile


def test_certificates_issued_without_a_noted_key_forbid_a_new_one(fresh: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_issued", lambda kernel: True)
    with pytest.raises(SignerAway, match="signed here"):
        key(fresh)


def test_after_a_replacement_what_was_signed_before_still_verifies(
    fresh: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = key(fresh)
    before = token(first)
    (tmp_path / "signer" / "signing.jwk").unlink()
    monkeypatch.setattr("likeness.cli.custody.running_kernel", lambda: fresh)
    refused = CliRunner().invoke(main, ["signer", "replace"], input="n\n")
    assert refused.exit_code != 0
    with pytest.raises(SignerAway):
        key(fresh)
    told = CliRunner().invoke(main, ["signer", "replace"], input="y\n")
    assert told.exit_code == 0, told.output
    second = key(fresh)
    assert second.thumbprint() != first.thumbprint()
    assert second.thumbprint() in told.output
    published = signing.published(fresh)
    assert [key["kid"] for key in published["keys"]] == [second.thumbprint(), first.thumbprint()]
    assert certificates.verify(before, published)
    assert certificates.verify(token(second), published)
    assert signing.replace(fresh, utc_now())
    assert certificates.verify(before, signing.published(fresh))


def test_an_erasure_waits_for_the_signer_and_is_certified_afterwards(kernel: Kernel) -> None:
    key(kernel)
    alice = full_person(kernel)
    asked = erase(kernel, alice)
    folder: Any = kernel.settings.signer_path()
    aside = folder.parent.with_name(f"{folder.parent.name}-signer-aside")  # In the home it would be a finding.
    folder.rename(aside)
    try:
        for _ in range(12):
            work_due(kernel, alice.tenant_id)
        assert reread(kernel, asked).state == "verified"
        assert not folder.exists()
    finally:
        aside.rename(folder)
    work_due(kernel, alice.tenant_id)
    assert reread(kernel, asked).state == "certified"


def test_a_signer_whose_fingerprint_begins_with_an_underscore_is_on_the_list(tmp_path: Path) -> None:
    """One of 64 does; what a write left half-way begins so too, and is none."""
    outside = Outside(tmp_path)
    outside.keep_signer("_kid", {"kty": "OKP"}, utc_now())
    (tmp_path / "signers/_0123.part").write_bytes(b"{")
    assert [one["jwk"] for one in outside.signers()] == [{"kty": "OKP"}]
