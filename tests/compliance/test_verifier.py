from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from compliance.proof import verifier
from likeness.evidence import merkle, notes
from tests.compliance import vectors

PUBLIC = vectors.jwk(vectors.KEY)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


@pytest.mark.parametrize("size", sorted(vectors.CT_ROOTS))
def test_the_tree_is_that_of_certificate_transparency(size: int) -> None:
    hashed = [merkle.leaf_hash(bytes.fromhex(one)) for one in vectors.CT[:size]]
    assert merkle.root(hashed).hex() == verifier.tree_root(hashed).hex() == vectors.CT_ROOTS[size]
    assert merkle.roots([*hashed, b"x" * 32], {size, 99}) == {size: merkle.root(hashed)}


def test_a_thousand_proofs_hold_and_each_corrupted_one_is_refused() -> None:
    dice = random.Random(6962)
    for _ in range(1000):
        size = dice.randint(1, 200)
        log, position, earlier = leaves(size), dice.randrange(size), dice.randint(0, size)
        root = merkle.root(log)
        path = merkle.inclusion(log, position)
        verifier.check_inclusion(log[position], position, size, path, root)
        with pytest.raises(verifier.Invalid):
            verifier.check_inclusion(merkle.leaf_hash(b"forged"), position, size, path, root)
        if path:
            path[dice.randrange(len(path))] = bytes(32)
            with pytest.raises(verifier.Invalid):
                verifier.check_inclusion(log[position], position, size, path, root)
        grown, before = merkle.consistency(log, earlier), merkle.root(log[:earlier])
        verifier.check_consistency(earlier, size, grown, before, root)
        if earlier:
            with pytest.raises(verifier.Invalid):
                verifier.check_consistency(earlier, size, grown, bytes(32), root)
        if grown:
            grown[dice.randrange(len(grown))] = bytes(32)
            with pytest.raises(verifier.Invalid):
                verifier.check_consistency(earlier, size, grown, before, root)


def test_the_shipped_vectors_are_these_and_come_out_as_they_should() -> None:
    shipped = json.loads(vectors.FILE.read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(vectors.build())), "python -m tests.compliance.vectors"
    ran, wrong = verifier.check_vectors(shipped)
    assert (wrong, ran > 60) == ([], True)
    assert sum(not case["holds"] for kind in verifier.CHECKS for case in shipped[kind]) > ran / 2
    turned = {kind: [case | {"holds": not case["holds"]} for case in shipped[kind]] for kind in verifier.CHECKS}
    assert len(verifier.check_vectors(turned)[1]) == ran


def test_it_needs_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(Path(verifier.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"cryptography"}


def alone(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The file by itself, in a process that finds no module of the product."""
    copy = tmp_path / "verifier.py"
    copy.write_bytes(Path(verifier.__file__).read_bytes())
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(_packages())!r});"
         f"sys.argv = ['verifier.py', *{list(arguments)!r}]; exec(open({str(copy)!r}).read())"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip


def _packages() -> Path:
    import cryptography

    return Path(cryptography.__file__).parents[1]


def test_the_file_alone_checks_a_certificate_and_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps({"keys": [PUBLIC]}))
    (tmp_path / "one.jws").write_text(vectors.jws(vectors.document()))
    good = alone(tmp_path, "certificate", "one.jws", "--key", "key.json")
    assert (good.returncode, "whose it is was not asked" in good.stdout) == (0, True), good.stderr
    mine = ["--name", "Nadia Ümit", "--email", "nadia@zebra.example", "--code", vectors.CODE]
    pinned = ["--fingerprint", verifier.thumbprint(PUBLIC)]
    assert alone(tmp_path, "certificate", "one.jws", *pinned, *mine).returncode == 0
    theirs = ["--name", "Bo Linde", "--email", "bo@zebra.example", "--code", vectors.CODE]
    refused = alone(tmp_path, "certificate", "one.jws", *pinned, *theirs)
    assert (refused.returncode, "not about this person" in refused.stdout) == (1, True)
    assert alone(tmp_path, "certificate", "one.jws", "--fingerprint", "A" * 43).returncode == 1
    assert alone(tmp_path, "certificate", "missing.jws", *pinned).returncode == 2
    assert alone(tmp_path, "vectors", str(vectors.FILE)).returncode == 0


def kept(lines: list[bytes], **more: object) -> dict[str, object]:
    note = notes.sign(vectors.point([merkle.leaf_hash(line) for line in lines], **more), vectors.KEY)
    return verifier.checkpoint(note, verifier.Pin(PUBLIC))


def test_a_log_that_grew_holds_and_one_that_was_changed_does_not() -> None:
    lines = [vectors.entry(number) for number in range(1, 12)]
    early, late = kept(lines[:4]), kept(lines)
    assert verifier.check_log(lines, [early, late])[1] == []
    rewritten = [*lines[:2], vectors.entry(3, event="photo.hidden"), *lines[3:]]
    for changed, noticed in (
        (rewritten, "rewritten"),  # With every hash after it made anew, because there are none but the checkpoint's.
        (lines[:3], "1 are gone"),
        ([], "4 are gone"),
        ([*lines[:2], *[vectors.entry(number) for number in range(4, 12)]], "rewritten"),
        ([lines[1], lines[0], *lines[2:]], "not larger"),
        ([*lines[:3], lines[3].replace(b"photo", b"photo ")], "rewritten"),
        ([*lines[:3], lines[3].replace(b'"v":2', b'"v": 2')], "canonical"),
    ):
        found = verifier.check_log(changed, [early])[1]
        assert any(noticed in one for one in found), (noticed, found)


def test_a_restore_shows_its_gap_and_no_number_comes_twice() -> None:
    before = [vectors.entry(number) for number in range(1, 12)]
    opened = vectors.entry(12, epoch=2, event="epoch.opened", objects=["held:6", "known:11"])
    after = [*before[:6], opened, vectors.entry(13, epoch=2)]
    good, bad = verifier.check_log(after, [kept(before)])
    assert any("Epoch 2 was opened after a restore: held:6, known:11" in one for one in good)
    assert ["5 are gone" in one for one in bad] == [True]
    hidden = [*before[:6], vectors.entry(12, epoch=2), vectors.entry(13, epoch=2)]
    assert any("no epoch that was opened" in one for one in verifier.check_log(hidden, [])[1])
    again = [*before[:6], vectors.entry(6, epoch=2, event="epoch.opened")]
    assert any("not larger" in one for one in verifier.check_log(again, [])[1])


def test_two_checkpoints_show_that_the_log_only_grew() -> None:
    hashed = leaves(9)
    pin = verifier.Pin(PUBLIC)
    early = verifier.checkpoint(notes.sign(vectors.point(hashed[:5]), vectors.KEY), pin)
    proof = [one.hex() for one in merkle.consistency(hashed, 5)]
    answer = {"checkpoint": notes.sign(vectors.point(hashed), vectors.KEY), "consistency": proof}
    assert "9 entries" in verifier.check_extends(early, answer, pin)
    other = [merkle.leaf_hash(b"rewritten"), *hashed[1:]]
    forged = {"checkpoint": notes.sign(vectors.point(other), vectors.KEY),
              "consistency": [one.hex() for one in merkle.consistency(other, 5)]}  # fmt: skip
    shorter = {"checkpoint": notes.sign(vectors.point(hashed[:3]), vectors.KEY), "consistency": []}
    elsewhere = {"checkpoint": notes.sign(vectors.point(hashed, epoch=2), vectors.KEY), "consistency": proof}
    for bad in (forged, shorter, elsewhere, answer | {"consistency": []}):
        with pytest.raises(verifier.Invalid):
            verifier.check_extends(early, bad, pin)


def test_a_note_is_signed_as_others_read_it() -> None:
    note = notes.sign(vectors.point(leaves(3)), vectors.KEY)
    assert verifier.checkpoint(note, verifier.Pin(PUBLIC))["size"] == notes.read(note).size == 3
    text, _, last = note.partition("\n\n")
    assert text.splitlines()[:2] == [f"likeness.example/{vectors.TENANT}/1", "3"]
    assert last.startswith("\u2014 likeness.example ")
    raw = vectors.KEY.public_key().public_bytes_raw()
    named = sha256(b"likeness.example\n\x01" + raw).digest()[:4]
    assert notes.key_id("likeness.example", vectors.KEY.public_key()) == named
    for broken in (note.replace("\n3\n", "\n4\n"), note[:-3], "", note.replace("\n\n", "\n")):
        with pytest.raises(verifier.Invalid):
            verifier.checkpoint(broken, verifier.Pin(PUBLIC))
    for broken in (note[:-3], "", note.replace("\n\n", "\n"), note.replace("\n3\n", "\n-3\n")):
        with pytest.raises(notes.NoteInvalid):
            notes.read(broken)


def test_a_checkpoint_is_dated_neither_before_an_earlier_one_nor_later_than_now() -> None:
    lines = [vectors.entry(number) for number in range(1, 12)]
    early = kept(lines[:4])
    backwards = kept(lines, at=vectors.AT - timedelta(hours=1))
    for order in ([early, backwards], [backwards, early]):
        assert ["dated before one of a shorter log" in one for one in verifier.check_log(lines, order)[1]] == [True]
    hashed, pin = leaves(9), verifier.Pin(PUBLIC)
    proof = [one.hex() for one in merkle.consistency(hashed, 5)]
    old = verifier.checkpoint(notes.sign(vectors.point(hashed[:5]), vectors.KEY), pin)
    note = notes.sign(vectors.point(hashed, at=vectors.AT - timedelta(hours=1)), vectors.KEY)
    with pytest.raises(verifier.Invalid, match="backwards"):
        verifier.check_extends(old, {"checkpoint": note, "consistency": proof}, pin)
    now = vectors.AT.timestamp()
    for later, holds in ((timedelta(minutes=4), True), (timedelta(minutes=6), False), (timedelta(days=400), False)):
        logged = [merkle.leaf_hash(line) for line in vectors.a_log()]
        note = notes.sign(vectors.point(logged, at=vectors.AT + later), vectors.KEY)
        token = vectors.jws(vectors.document(ledger=vectors.document()["ledger"] | {"checkpoint": note}))
        if holds:
            verifier.checkpoint(note, pin, now)
            verifier.certificate(token, pin, now=now)
            continue
        with pytest.raises(verifier.Invalid, match="still to come"):
            verifier.checkpoint(note, pin, now)
        with pytest.raises(verifier.Invalid, match="still to come"):
            verifier.certificate(token, pin, now=now)
