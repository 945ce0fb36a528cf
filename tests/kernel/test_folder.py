"""`likeness inspect` and `likeness cutout`: a folder of photos, no server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
from click.testing import CliRunner
from PIL import Image

from gpu_cluster.cutout.backdrop import NoBackdrop
from likeness.cli.main import main
from likeness.run import folder as folders
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


def test_names_are_printed_as_they_are_and_what_is_passed_over_is_named(tmp_path: Path) -> None:
    """Square brackets are no instructions, a long line is not broken, and a film does not vanish without a word."""
    name = "holiday [edited] " + "very " * 20 + "long [bold].jpg"
    (tmp_path / name).write_bytes(pictures.without_face())
    (tmp_path / "clip.mp4").write_bytes(b"film")
    (tmp_path / "inner").mkdir()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    for command in (["inspect"], ["cutout", "--out", str(tmp_path / "out")]):
        result = CliRunner().invoke(main, [*command, str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert f"✗ {name}" in result.stdout
        assert "Not looked at: clip.mp4, gone.jpg, inner. Photos end in .jpg" in result.stderr
        assert ".DS_Store" not in result.stderr
    lines = CliRunner().invoke(main, ["cutout", "--out", str(tmp_path / "out"), str(tmp_path)]).stdout.splitlines()
    assert lines[0].endswith("We could not find a face in this photo. Take one facing the camera.")
    with_json = CliRunner().invoke(main, ["inspect", str(tmp_path), "--json"])
    assert [line["photo"] for line in json.loads(with_json.stdout)] == [name]


def test_two_photos_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    photos = [tmp_path / "me.jpg", tmp_path / "me.png", tmp_path / "Me.JPG", tmp_path / "you.png"]
    assert folders.titles(photos) == {
        photos[0]: "me-jpg", photos[1]: "me-png", photos[2]: "Me-JPG-2", photos[3]: "you",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("out", "sentence"), [("/proc/nowhere/out", "/proc/nowhere/out cannot be written"), ("", "does not exist")]
)
def test_a_place_that_cannot_be_written_is_said_before_the_work(folder: Path, out: str, sentence: str) -> None:
    named = ["--out", out] if out else ["--out", "x", "--backdrop"]
    result = CliRunner().invoke(main, ["cutout", str(folder), *named, *([] if out else ["/nowhere/wall.jpg"])])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert sentence in result.output


def test_a_wall_is_a_picture_of_any_kind_that_photos_may_have(tmp_path: Path) -> None:
    """HEIC too, upright; one that cannot be opened is said."""
    heic = Path(__file__).parents[1] / "cases/p3-nclx-no-icc.heic"
    assert folders.behind(str(heic)).shape == folders.behind("office").shape
    lying = tmp_path / "lying.jpg"
    image = Image.new("RGB", (900, 900), "white")
    image.paste("black", (0, 0, 900, 450))
    exif = image.getexif()
    exif[0x0112] = 6  # Turned by a quarter: what lies on top is on the right.
    image.save(lying, exif=exif)
    wall = folders.behind(str(lying))
    assert wall[:, -50:].mean() < 0.1 < 0.9 < wall[:, :50].mean()
    lying.write_bytes(b"no picture")
    with pytest.raises(NoBackdrop, match="is no picture that can be read"):
        folders.behind(str(lying))


def test_nothing_but_the_answer_is_written_and_errors_still_are(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "photos"
    one.mkdir()
    (one / "me.JFIF").write_bytes((folder / "1.jpg").read_bytes())
    # A process of its own: the runtime greets once, when its first network is loaded.
    likeness = Path(sys.executable).with_name("likeness")
    for asked in (["inspect"], ["cutout", "--out", str(tmp_path / "out")]):
        ran = subprocess.run([str(likeness), *asked, str(one)], capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        assert "me.JFIF" in ran.stdout
    with folders.without_greeting():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: out of memory\n")
    assert capfd.readouterr().err == "ERROR: out of memory\n"
