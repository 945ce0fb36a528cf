"""`likeness verify`: what is said of a key or a file that is not one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from joserfc.jwk import OKPKey

from compliance.proof import verifier
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


NEITHER = "This is no certificate and no consent receipt."
LEADS = "This is the receipt of a deletion, which nobody signed. Its page (/gone/…) has the certificate: check that."
TOKEN = "53617d29fc4b40aa9ce216ded38e03c3.lk2YUDsKsb0perTn0Ha3J3ao3ZrMVwEIVNN"


@pytest.mark.parametrize(("content", "said"), [
    (b"\xff\xd8\xff\xe0 a photo", NEITHER), (b"", NEITHER), ("Zürich".encode(), NEITHER), (b"hello", NEITHER),
    (b"%PDF-1.7\nnothing", "There is no signed text in this PDF."), (FORGED.encode(), "This is no certificate."),
    (b'{"keys": []}', NEITHER), (b'{"a": "b.c.d"}', NEITHER), (b"e30.e30", NEITHER), (b"a.b.c.d", NEITHER),
    (json.dumps({"receipt": TOKEN}).encode(), LEADS), (json.dumps({"receipt": TOKEN}, indent=2).encode(), LEADS),
])  # fmt: skip
def test_what_is_no_signed_paper_is_said_in_words(tmp_path: Path, key: Path, content: bytes, said: str) -> None:
    file = tmp_path / "page.pdf"
    file.write_bytes(content)
    result = CliRunner().invoke(main, ["verify", str(file), "--key", str(key)])
    assert result.exit_code == 1
    assert result.output == f"✗ not valid: {said}\n"
    alone = subprocess.run(  # The one file that outsiders use says the same.
        [sys.executable, verifier.__file__, "certificate", str(file), "--key", str(key)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if content.isascii():
        assert (alone.returncode, alone.stdout) == (1, f"NOT VALID: {said}\n")
