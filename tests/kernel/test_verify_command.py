"""`likeness verify`: what is said of a key or a file that is not one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from joserfc.jwk import OKPKey

from likeness.cli.main import main

FORGED = "e30.e30.e30"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False)))
    return path


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0 a photo", b"{", b"[]", b'{"kty": "RSA"}', b'{"keys": []}'])
def test_a_key_that_is_none_says_nothing_about_the_certificate(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.json").write_bytes(content)
    (tmp_path / "certificate.jws").write_text(FORGED)
    asked = ["verify", str(tmp_path / "certificate.jws"), "--key", str(tmp_path / "key.json")]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 2
    assert "holds no public key (JWK or JWKS, Ed25519)" in result.output
    assert "not valid" not in result.output


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0 a photo", b"", "Zürich".encode(), FORGED.encode()])
def test_what_is_no_certificate_is_said_in_words(tmp_path: Path, key: Path, content: bytes) -> None:
    (tmp_path / "page.pdf").write_bytes(content)
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "page.pdf"), "--key", str(key)])
    assert result.exit_code == 1
    assert result.output == "✗ not valid: This is no certificate.\n"
