"""`likeness inspect` and `likeness cutout`: a folder of photos, no server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import skimage.data
from click.testing import CliRunner
from PIL import Image

from likeness.cli.main import main
from tests import pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person's photo twice, another picture of the same, somebody else's, and a cup of coffee."""
    where = tmp_path_factory.mktemp("photos")
    photo = Image.fromarray(skimage.data.astronaut()).resize((1536, 1536))
    photo.save(where / "1.jpg", quality=95)
    (where / "2-again.jpg").write_bytes((where / "1.jpg").read_bytes())
    photo.crop((150, 0, 1400, 1300)).save(where / "3-closer.png")
    (where / "4-coffee.jpg").write_bytes(pictures.without_face())
    (where / "notes.txt").write_text("not a photo")
    return where


def test_verdicts_in_order_as_json(folder: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    lines = json.loads(result.stdout)
    assert [line["photo"] for line in lines] == ["1.jpg", "2-again.jpg", "3-closer.png", "4-coffee.jpg"]
    # The closer one is cut from the same photo, and the better of the two counts.
    assert [line["accepted"] for line in lines] == [True, False, False, False]
    assert lines[2]["findings"][0]["code"] == "near_duplicate"
    assert lines[1]["findings"][0]["code"] == "near_duplicate"
    assert lines[3]["findings"][0]["code"] == "no_face"
    assert "embedding" not in result.stdout


def test_portraits_of_a_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["cutout", str(folder), "--backdrop", "#c8ccd0", "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    lines = json.loads(result.stdout)
    said = {line["photo"]: line["verdict"] for line in lines}
    assert said["4-coffee.jpg"] == "refuse"
    shown = [line["photo"] for line in lines if line["verdict"] != "refuse"]
    assert shown
    names = {path.name for path in out.iterdir()}
    stem = Path(shown[0]).stem
    assert {f"{stem}-square.jpg", f"{stem}-portrait.jpg", f"{stem}-circle.png", f"{stem}-directory.jpg"} <= names
    with Image.open(out / f"{stem}-directory.jpg") as picture:
        assert picture.size == (648, 648)
        assert not picture.getexif()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--backdrop", "beach"], "'beach' is no backdrop"), ([], "There is no photo in")],
)
def test_one_sentence_when_it_cannot_be(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = CliRunner().invoke(main, ["cutout", str(empty), "--out", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 1
    assert sentence in result.output
