from __future__ import annotations

import json
from copy import copy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gpu_cluster.drawn.people.draw import selfies
from gpu_cluster.engine.faces import Faces
from gpu_cluster.engine.judge import (
    PHOTOGRAPHS,
    Calibration,
    Judge,
    JudgeVerdict,
    NoFace,
    alike,
    decide,
    ita,
    split_held_out,
)

DRAWN = Calibration(impostor_distance=0.55, genuine_distance=0.24, false_match_distance=0.30)
GOOD, BAD = JudgeVerdict(True, 1.0), JudgeVerdict(False, 0.2, ("blurred",))


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [picture for picture, _ in selfies(21, 8, 512)]


@pytest.fixture(scope="module")
def judge(faces: Faces, photos: list[Image.Image]) -> Judge:
    training, held_out = split_held_out(photos)
    return Judge([photos[i] for i in held_out], [photos[i] for i in training], calibration=DRAWN, faces=faces)


def test_the_person_passes_and_strangers_do_not(judge: Judge) -> None:
    new = [judge.look(picture) for picture, _ in selfies(21, 14, 512)[8:]]
    strangers = [judge.look(selfies(seed, 1, 512)[0][0]) for seed in range(30, 36)]
    assert np.mean([verdict.likeness_ratio for verdict in new]) > 0.85
    assert max(verdict.likeness_ratio for verdict in strangers) < 0.5
    assert not any(verdict.passed for verdict in strangers)
    assert all("unlike" in verdict.reasons for verdict in strangers)


def test_what_is_no_liker_than_what_the_person_rejected_is_refused_and_the_bar_is_never_lowered(judge: Judge) -> None:
    picture = selfies(21, 9, 512)[8][0]
    before, own = judge.look(picture), copy(judge)
    assert before.passed
    own.least_ratio = before.likeness_ratio
    assert own.look(picture) == before
    own.least_ratio = before.likeness_ratio + 0.01
    assert own.look(picture).reasons == ("not_me",)
    stranger = selfies(30, 1, 512)[0][0]
    for own.least_ratio in (0.1, 0.9):
        assert own.look(stranger) == judge.look(stranger), "who is unlike anyway is told so"


def test_a_training_picture_counts_as_copying(judge: Judge, photos: list[Image.Image]) -> None:
    verdict = judge.look(photos[split_held_out(photos)[0][0]])
    assert "copied" in verdict.reasons


def test_faults_are_said_in_plain_words(judge: Judge, photos: list[Image.Image]) -> None:
    picture = photos[split_held_out(photos)[1][0]]
    assert judge.look(Image.new("RGB", (512, 512))).reasons == ("no_face",)
    assert "blurred" in judge.look(picture.filter(ImageFilter.GaussianBlur(5))).reasons
    red, green, blue = picture.split()
    tinted = Image.merge("RGB", (red.point(lambda v: v // 2), green, blue.point(lambda v: min(255, v + 90))))
    assert "skin" in judge.look(tinted).reasons
    # What a lamp does to skin is said and refuses nothing.
    warm = judge.look(Image.merge("RGB", (red, green, blue.point(lambda v: round(v * 0.62)))))
    assert "skin" not in warm.reasons
    assert warm.advice
    assert not judge.look(picture).advice
    small = Image.new("RGB", (1024, 1024), "grey")
    small.paste(picture.resize((320, 320)), (350, 350))
    assert "small" in judge.look(small).reasons
    double = Image.new("RGB", (1024, 512))
    double.paste(picture, (0, 0))
    double.paste(picture, (512, 0))
    assert "more_faces" in judge.look(double).reasons


def test_a_double_in_the_company_raises_the_bar(faces: Faces, photos: list[Image.Image]) -> None:
    training, held_out = split_held_out(photos)
    kept = [photos[i] for i in held_out]
    double = faces.of(photos[training[0]])
    assert double is not None
    lone, crowded = (Judge(kept, others=others, calibration=DRAWN, faces=faces) for others in ((), [double]))
    assert crowded.threshold > lone.threshold
    many = [double + np.full(128, 0.01 * i) for i in range(1000)]
    assert Judge(kept, others=many, calibration=DRAWN, faces=faces).threshold > lone.threshold


def test_without_a_face_there_is_no_judge(faces: Faces) -> None:
    with pytest.raises(NoFace):
        Judge([Image.new("RGB", (256, 256))], faces=faces)


@pytest.mark.parametrize(("count", "held_out"), [(1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (8, 2), (20, 2)])
def test_what_is_judged_by_is_never_trained_on(count: int, held_out: int) -> None:
    training, judged = split_held_out([Image.new("RGB", (8, 8))] * count)
    assert len(judged) == held_out
    assert sorted({*training, *judged}) == list(range(count))
    assert count == 1 or not set(training) & set(judged)


@pytest.mark.parametrize(
    ("good", "bad", "options", "answer"),
    [
        (12, 28, {}, "enough"),
        (0, 0, {}, "make more"),
        (4, 4, {}, "make more"),
        (1, 7, {}, "train on"),
        (1, 7, {"trained_on": True}, "ask for photos"),
        # One picture that is missing does not cost a second training.
        (11, 29, {}, "make more"),
        (11, 69, {}, "train on"),
    ],
)
def test_decisions(good: int, bad: int, options: dict[str, bool], answer: str) -> None:
    assert decide([GOOD] * good + [BAD] * bad, 12, 80, **options) == answer


def test_calibration_comes_with_the_base(tmp_path: Path) -> None:
    assert Calibration.of(tmp_path) == PHOTOGRAPHS
    figures = {
        "impostor_distance_mean": 0.55,
        "genuine_distance_mean": 0.24,
        "impostor_p001": 0.30,
        "people": 40,
    }
    (tmp_path / "judge.json").write_text(json.dumps(figures))
    assert Calibration.of(tmp_path) == DRAWN


def test_pictures_that_are_all_one_are_noticed(photos: list[Image.Image]) -> None:
    assert alike([photos[0]] * 3) > 0.99
    assert alike(photos) < 0.8
    assert alike(photos[:1]) == 0


def test_ita_orders_skins() -> None:
    assert ita(np.array([80.0, 8.0, 12.0])) > 55
    assert ita(np.array([30.0, 10.0, 15.0])) < -30
