"""`make calibrate` on drawn people, of whom it is known who is who."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from benchmarks import calibrate
from gpu_cluster.drawn.people.draw import selfies
from gpu_cluster.engine.faces import Faces


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    for seed in (41, 42, 43):
        (folder / f"p{seed}").mkdir()
        for number, (image, _) in enumerate(selfies(seed, 3, 512)):
            image.save(folder / f"p{seed}" / f"{number}.jpg", quality=92)
    return folder


@pytest.fixture(scope="module")
def people(photos: Path) -> list[calibrate.FolderPerson]:
    return calibrate.read(photos, Faces())


def test_genuine_and_impostor_pairs_are_told_apart(people: list[calibrate.FolderPerson]) -> None:
    figures = calibrate.distances(people)
    counts = [len(one.photos) for one in people]
    assert (figures["people"], figures["photos"], figures["without_a_face"]) == (3, sum(counts), 9 - sum(counts))
    assert min(counts) > 1
    assert figures["genuine_pairs"] == sum(count * (count - 1) // 2 for count in counts)
    assert figures["impostor_pairs"] == sum(a * b for a, b in combinations(counts, 2))
    assert figures["genuine_distance_mean"] < figures["impostor_least"] < figures["impostor_distance_mean"]
    assert figures["impostor_p001"] is None, "a thousandth cannot be read off so few pairs"


def test_a_persons_own_photos_pass_and_strangers_stay_behind(people: list[calibrate.FolderPerson]) -> None:
    figures = calibrate.verdicts([calibrate.judge(one, people, Faces()) for one in people[:2]])
    assert figures["judged"] == len(people[0].photos) + len(people[1].photos)
    assert figures["under_0.70"] < 0.5
    assert figures["strangers_judged"] > figures["judged"]
    # Drawn people are nearer to each other than the photographed ones that the judge's usual figures are of.
    assert figures["strangers_passed"] <= 2
    assert figures["ratio_mean"] > figures["strangers_ratio_most"]


def test_a_photo_is_measured_once_however_many_people_there_are(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anew for each person it is compared with, a hundred people take a day."""
    embed, measured = Faces.embed, []

    def counted(faces: Faces, image: Any, face: Any) -> Any:
        measured.append(face)
        return embed(faces, image, face)

    monkeypatch.setattr(Faces, "embed", counted)
    assert calibrate.measure(photos)["photos"] == len(measured)


def test_groups_are_read_from_a_table_and_names_are_not_printed(photos: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("\ufeffperson,group\np41,north\np42,south\n\np43,south\n", encoding="utf-8")
    figures: dict[str, Any] = calibrate.measure(photos, groups)
    assert {name: part["people"] for name, part in figures["groups"].items()} == {"north": 1, "south": 2}
    north, south = figures["groups"]["north"], figures["groups"]["south"]
    assert (north["impostor_pairs"], north["impostor_distance_mean"]) == (0, None)
    assert 4 <= south["impostor_pairs"] <= 9
    assert "p41" not in json.dumps(figures)
    lines = calibrate.table(figures).splitlines()
    assert [line.split()[0] for line in lines] == ["group", "all", "north", "south"]
    assert len({len(line) for line in lines}) == 1


def test_without_people_to_compare_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["calibrate", "--photos", str(tmp_path), "--out", str(tmp_path / "out.json")])
    assert calibrate.main() == 1
    assert "at least two sub-folders" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
