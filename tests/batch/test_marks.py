"""Every picture that leaves says of itself how it came about: in its metadata, signed, and in its pixels."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from copy import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image

from batch.marks import claim, credential, detector, iptc, seen, watermark
from batch.marks.boxes import NoPicture
from batch.models import Employee, Sitting, SittingState
from batch.sittings import framing, headshots
from batch.vision import presets
from compliance.rights import packages
from compliance.rights.contents import PackageSection
from likeness.cli.main import main
from likeness.evidence.outside import Outside
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.states import KeyUnavailable
from likeness.run import check
from likeness.run.app import create_app
from tenants.models import CUTOUT, Role
from tests.factories import sign_in_employee, sign_in_member
from tests.handed_in import keep, make_headshots, make_person

PHOTOGRAPH = Path(check.__file__).parents[1] / "demo/photographs/grace-hopper.jpg"
SECRET = bytes(range(32))


def encoded(kind: str, picture: Image.Image | None = None, **how: Any) -> bytes:
    out = io.BytesIO()
    (picture or Image.effect_noise((40, 40), 90).convert("RGB")).save(out, kind, **how)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """A photograph of 640 by 640 pixels."""
    with Image.open(PHOTOGRAPH) as file:
        side = min(file.size)
        return file.convert("RGB").resize((640, 640), Image.Resampling.LANCZOS, box=(0, 0, side, side))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("source", [iptc.GENERATED, iptc.COMPOSITE])
def test_a_mark_changes_no_pixel_and_is_read_again(kind: str, source: str) -> None:
    picture, own = encoded(kind), credential.derived(SECRET)
    marked = iptc.marked(picture, source)
    assert iptc.read(picture) is None
    assert iptc.read(marked) == source
    signed = claim.signed(marked, source, own, watermarked=False)
    assert claim.signed(marked, source, credential.derived(SECRET), watermarked=False) == signed, "the same to the byte"
    assert iptc.read(signed) == source
    with Image.open(io.BytesIO(picture)) as before, Image.open(io.BytesIO(signed)) as after:
        after.load()
        assert before.tobytes() == after.tobytes()
        assert "exif" not in after.info
        assert after.info.get("jfif") == before.info.get("jfif"), "the header stays first"


def test_what_is_no_picture_is_not_marked_and_not_read() -> None:
    for bad in (b"", b"GIF89a", b"\x89PNG", b"\xff\xd8" + struct.pack(">H", 9), b"PK\x03\x04" + bytes(40)):
        with pytest.raises(NoPicture):
            seen.look(bad)
    with pytest.raises(NoPicture):
        iptc.marked(b"GIF89a", iptc.GENERATED)


def test_everything_that_leaves_is_marked_by_how_it_was_made(
    kernel: Kernel, app: Litestar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, made, own = two_kinds(kernel)
    monkeypatch.setattr("likeness.cli.custody.running_kernel", lambda: kernel)
    root = tmp_path / "root.pem"
    root.write_text(CliRunner().invoke(main, ["signer", "marks"]).output)
    signer = credential.of(kernel)
    files: list[tuple[bytes, str]] = []
    with TestClient(app) as client:
        sign_in_employee(client, kernel, alice)
        for one, source in ((made, iptc.GENERATED), (own, iptc.COMPOSITE)):
            for preset in presets.PRESETS.values():
                files.append((framing.framed(headshots.opened(kernel, one), one, preset, 1.0, signer), source))
            files.append((client.get(f"/api/v1/visit/headshots/{one.id}/picture").content, source))
        sign_in_member(client, kernel, alice.tenant_id, Role.HR)
        answer = client.get(f"/api/v1/batches/{alice.batch_id}/archive")
        packed = zipfile.ZipFile(io.BytesIO(answer.content))
    pictures = [packed.read(name) for name in packed.namelist() if name.endswith((".jpg", ".png"))]
    assert sorted(iptc.read(one) or "" for one in pictures) == [iptc.COMPOSITE, iptc.GENERATED]
    files += [(one, iptc.read(one) or "") for one in pictures]
    assert len(files) == 12
    for file, source in files:
        assert iptc.read(file) == source
        said = seen.statement(file)
        assert said is not None
        assert (said.state, said.signer.partition(" ")[0]) == (seen.UNKNOWN, "Likeness"), said
        assert said.failures == ("signingCredential.untrusted",), "nothing but that nobody outside knows the signer"
        generated = ("c2pa.watermarked.unbound",) if source == iptc.GENERATED else ()
        assert (said.source, said.actions) == (source, ("c2pa.created", *generated))
        assert (said.thumbnails, said.ingredients) == (0, 0)
        trusted = seen.statement(file, root.read_text())
        assert trusted is not None
        assert (trusted.state, trusted.failures) == (seen.TRUSTED, ())
        for personal in (b"Nadia", b"nadia", str(alice.id).encode(), str(made.id).encode(), str(own.id).encode()):
            assert personal not in file
    # The person's copy of their data: marked around the pixels alone.
    pieces = packages.pieces(kernel, alice.tenant_id, alice.id, utc_now(), caller=f"employee:{alice.id}")
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as packed:
        copies = [packed.read(name) for name in packed.namelist() if name.startswith(f"{PackageSection.HEADSHOTS}/")]
        assert "Each file says of itself" in packed.read("START-HERE.html").decode()
    told = [seen.statement(one, root.read_text()) for one in copies]
    assert {(one.state, one.source, one.actions) for one in told if one} == {
        (seen.TRUSTED, source, ("c2pa.created",)) for source in (iptc.GENERATED, iptc.COMPOSITE)
    }
    assert {iptc.read(one) for one in copies} == {iptc.COMPOSITE, iptc.GENERATED}
    file = tmp_path / "one.jpg"
    file.write_bytes(files[0][0])
    plain = CliRunner().invoke(main, ["marks", str(file)])
    assert plain.exit_code == 0, plain.output
    assert "drawn by a model" in plain.output
    assert "no certificate that you named vouches for" in plain.output
    told = CliRunner().invoke(main, ["marks", str(file), "--json", "--root", str(root)])
    assert json.loads(told.output)["c2pa"]["state"] == "trusted"
    file.write_bytes(encoded("JPEG"))
    assert CliRunner().invoke(main, ["marks", str(file)]).exit_code == 1


def two_kinds(kernel: Kernel) -> tuple[Employee, Any, Any]:
    """A person with a headshot that a model drew and one that is their own photograph, both released."""
    alice = make_person(kernel, recipes=["portrait-small", CUTOUT])
    made = make_headshots(kernel, alice, 2)
    with kernel.db.transaction(alice.tenant_id) as session:
        sitting = Sitting(tenant_id=alice.tenant_id, employee_id=alice.id, seed=1, state=SittingState.RENDERING)
        session.add(sitting)
        session.flush()
        own = keep(session, kernel, sitting)
        sitting.state = SittingState.DONE
        own.likeness_ratio = None
        session.add(own)
        headshots.release(session, alice.id, [made[0].id, own.id], utc_now())
    return alice, made[0], own


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_was_changed_after_it_was_signed_says_so(kind: str, tmp_path: Path) -> None:
    own = credential.derived(SECRET)
    marked = claim.signed(iptc.marked(encoded(kind), iptc.GENERATED), iptc.GENERATED, own, watermarked=True)
    for at, codes in (
        (len(marked) - 20, {"assertion.dataHash.mismatch"}),
        (marked.index(b"trainedAlgorithmicMedia", marked.index(b"c2pa.created")), {"assertion.hashedURI.mismatch"}),
    ):
        changed = bytearray(marked)
        changed[at] ^= 1
        if kind == "PNG":
            changed = _checked(changed)
        said = seen.statement(bytes(changed))
        assert said is not None
        assert said.state == seen.CHANGED
        assert codes <= set(said.failures), said
    file = tmp_path / "changed.png"
    file.write_bytes(bytes(changed))
    told = CliRunner().invoke(main, ["marks", str(file)])
    assert told.exit_code == 2
    assert "was changed after it was signed" in told.output
    assert seen.statement(encoded(kind, opened(marked))) is None, "a program that saves it anew drops it"


def _checked(data: bytearray) -> bytearray:
    """The PNG with right sums, as whoever changes one would make it."""
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        data[at + 8 + length : at + 12 + length] = crc32(data[at + 4 : at + 8 + length]).to_bytes(4)
        at += 12 + length
    return data


def test_a_statement_whose_certificate_has_ended_is_invalid_and_its_picture_unchanged(tmp_path: Path) -> None:
    key, chain, _ = authority(ec.SECP256R1(), days=-1)
    der = tuple(x509.load_pem_x509_certificate(one).public_bytes(Encoding.DER) for one in chain[:2])
    private = load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    ended = credential.Credential(private, der)
    file = tmp_path / "ended.jpg"
    file.write_bytes(claim.signed(encoded("JPEG"), iptc.GENERATED, ended, watermarked=False))
    said = seen.statement(file.read_bytes())
    assert said is not None
    assert said.state == seen.INVALID
    assert "signingCredential.expired" in said.failures
    told = CliRunner().invoke(main, ["marks", str(file)])
    assert told.exit_code == 2
    assert "certificate has ended" in told.output
    assert "was changed after" not in told.output


def test_what_a_file_says_gives_no_commands_to_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "loud.jpg"
    file.write_bytes(iptc.marked(encoded("JPEG"), "\x1b]0;owned\x07"))
    told = CliRunner().invoke(main, ["marks", str(file)])
    assert "owned" in told.output
    assert "\x1b" not in told.output


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=["P-256", "P-384"])
def test_an_operators_own_certificate_signs_in_the_place_of_ours(
    kernel: Kernel, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    file = tmp_path / "marks.pem"
    kernel = replace(kernel, settings=kernel.settings.model_copy(update={"marks_credential": file}))
    key, chain, root = authority(curve)
    file.write_bytes(b"".join(chain) + key)
    signer = credential.of(kernel)
    picture = encoded("JPEG")
    marked = claim.signed(picture, iptc.COMPOSITE, signer, watermarked=False)
    assert claim.signed(picture, iptc.COMPOSITE, credential.of(kernel), watermarked=False) == marked
    said = seen.statement(marked, root.decode())
    assert said is not None
    assert (said.state, said.signer, said.failures) == (seen.TRUSTED, "Acme Pictures", ())
    assert credential.of(kernel).fingerprint != credential.derived(SECRET).fingerprint


def authority(
    curve: ec.EllipticCurve, days: int = 90, use: x509.ObjectIdentifier = credential.USES[1]
) -> tuple[bytes, list[bytes], bytes]:
    """A key, its certificate with the one above it, and the root above both; for so many days from now."""
    keys = [ec.generate_private_key(curve) for _ in range(3)]
    acme = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")
    called = ("Acme Root", "Acme Issuing", "Acme Pictures")
    names = [x509.Name([acme, x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in called]
    made, now = [], utc_now()
    for number, above in enumerate((0, 0, 1)):
        last = number == 2
        usage = x509.KeyUsage(last, False, False, False, False, not last, not last, False, False)
        builder = (
            x509.CertificateBuilder(names[above], names[number], keys[number].public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=not last, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[number].public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[above].public_key()), critical=False)
        )
        if last:
            builder = builder.add_extension(x509.ExtendedKeyUsage((use,)), critical=False)
        made.append(builder.sign(keys[above], SHA256()).public_bytes(Encoding.PEM))
    secret = keys[2].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret, [made[2], made[1], made[0]], made[0]


def test_a_signer_that_is_not_trusted_any_more_is_replaced_and_what_it_signed_goes_on_holding(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = copy(kernel.db)
    db.outside = Outside(tmp_path)
    kernel = replace(kernel, db=db)
    monkeypatch.setattr("likeness.cli.custody.running_kernel", lambda: kernel)

    def signed() -> bytes:
        return claim.signed(encoded("PNG"), iptc.GENERATED, credential.of(kernel), watermarked=False)

    def state(file: bytes, root: str) -> str:
        said = seen.statement(file, root)
        assert said is not None
        return said.state

    before, first = signed(), credential.of(kernel)
    files = [before]
    for _ in range(2):
        made = CliRunner().invoke(main, ["signer", "replace-marks", "--yes"])
        assert made.exit_code == 0, made.output
        assert credential.of(kernel).fingerprint == credential.of(kernel).fingerprint != first.fingerprint
        assert credential.of(kernel).root.decode() == made.output
        files.append(signed())
        assert (state(files[-1], made.output), state(before, made.output)) == (seen.TRUSTED, seen.UNKNOWN)
    printed = CliRunner().invoke(main, ["signer", "marks"]).output
    assert [state(file, printed) for file in files] == [seen.TRUSTED] * 3, "all that was ever signed"
    assert printed.count("signs now") == 1
    assert printed.index("signs now") < printed.index("-----BEGIN"), "the newest first"
    assert len({state(file, first.root.decode()) for file in files[1:]} - {seen.UNKNOWN}) == 0
    # Without its key nothing leaves: the one before is not trusted any more.
    newest = max((tmp_path / "marks").iterdir(), key=lambda file: json.loads(file.read_text())["since"])
    newest.write_text(json.dumps(json.loads(newest.read_text()) | {"sealed": "00" * 60}))
    with pytest.raises(KeyUnavailable):
        credential.of(kernel)


def test_without_its_certificate_nothing_leaves_unmarked(kernel: Kernel, tmp_path: Path) -> None:
    alice, made, _ = two_kinds(kernel)
    key, chain, root = authority(ec.SECP256R1())
    ended = authority(ec.SECP256R1(), days=-1)
    for_servers = authority(ec.SECP256R1(), use=ExtendedKeyUsageOID.SERVER_AUTH)
    ends = authority(ec.SECP256R1(), days=20)
    file = tmp_path / "marks.pem"
    away = replace(kernel, settings=kernel.settings.model_copy(update={"marks_credential": file}))
    for written, words in (
        (None, "no readable private key"), (key, "no readable private key"), (key + root, "not that of its key"),
        (chain[0] + authority(ec.SECP256R1())[0], "not that of its key"),
        (b"".join(chain) + authority(ec.SECP521R1())[0], "neither P-256"),
        (ended[0] + b"".join(ended[1]), "that holds today"), (for_servers[0] + b"".join(for_servers[1]), "not for signing"),
        (ends[0] + b"".join(ends[1]), "the certificate ends on"),
    ):  # fmt: skip
        if written is not None:
            file.write_bytes(written)
        assert [one for one in check._marks(away.settings) if words in one], words
    with TestClient(create_app(away)) as client:
        sign_in_employee(client, away, alice)
        assert client.get(f"/api/v1/visit/headshots/{made.id}/picture").status_code == 200, "as long as it holds"
        file.write_bytes(ended[0] + b"".join(ended[1]))
        refused = client.get(f"/api/v1/visit/headshots/{made.id}/picture")
        assert refused.status_code == 503
        file.write_bytes(key + b"".join(chain))
        assert client.get(f"/api/v1/visit/headshots/{made.id}/picture").status_code == 200
    assert not list(check._marks(away.settings))


def test_the_mark_in_the_pixels_is_not_seen_and_is_found_again(portrait: Image.Image, tmp_path: Path) -> None:
    marked = watermark.laid(portrait)
    assert marked.tobytes() == watermark.laid(portrait).tobytes()
    apart = np.asarray(marked, float) - np.asarray(portrait, float)
    assert 10 * np.log10(255**2 / np.mean(apart**2)) > 42, "decibels"
    wide = Image.new("RGB", (1400, 900), "white")
    wide.paste(marked.resize((720, 720), Image.Resampling.BICUBIC), (330, 97))
    changed = {
        "as it is": marked,
        "JPEG q60": opened(encoded("JPEG", marked, quality=60)),
        "JPEG q60, cropped by a fifth": opened(encoded("JPEG", marked.crop((64, 90, 576, 602)), quality=60)),
        "half and back": marked.resize((320, 320), Image.Resampling.BICUBIC).resize((640, 640), Image.Resampling.BICUBIC),
        "half": marked.resize((320, 320), Image.Resampling.LANCZOS),
        "on a screen": opened(encoded("JPEG", wide, quality=80)),
    }
    for name, picture in changed.items():
        found = detector.look(picture)
        assert found is not None
        assert found.there, (name, found)
    half = detector.look(changed["half"])
    assert half is not None
    assert half.scale == pytest.approx(0.5, abs=0.01)
    for without in (portrait, portrait.resize((512, 512)), Image.effect_noise((512, 512), 60), Image.new("L", (400, 400))):
        found = detector.look(without)
        assert found is not None
        assert not found.there, found
    assert detector.look(marked.resize((100, 100))) is None, "too small to say"


def test_only_what_a_model_drew_is_marked_in_its_pixels(kernel: Kernel, portrait: Image.Image) -> None:
    _, made, own = two_kinds(kernel)
    kept, signer = encoded("PNG", portrait), credential.of(kernel)
    for name in ("square", "circle"):
        for one, there in ((made, True), (own, False)):
            file = framing.framed(kept, one, presets.PRESETS[name], 1.0, signer)
            found = seen.look(file)
            assert found.watermark is not None
            assert found.watermark.there is there, (name, found.watermark)
    assert headshots.kind(framing.framed(kept, made, presets.PRESETS["square"], 1.0, signer)) == "png"
    own.loosening = 1.0
    assert iptc.read(framing.framed(kept, own, presets.PRESETS["portrait"], 1.0, signer)) == iptc.COMPOSITE
