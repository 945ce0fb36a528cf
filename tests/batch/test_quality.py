"""Light, sharpness and size of a face, whatever is around it; other people in the photo.

The photograph is NASA's portrait of Eileen Collins, in the public domain, from scikit-image.
"""

from __future__ import annotations

import io
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.signal import fftconvolve
from skimage.data import astronaut

from batch.vision import faces, inspection, verdict
from batch.vision.inspection import Inspection
from gpu_cluster.drawn.people.draw import selfies
from tests.pictures import jpeg

Numbers = np.ndarray[Any, np.dtype[Any]]


@cache
def portrait(side: int = 1200) -> Image.Image:
    whole: Any = astronaut()  # type: ignore[no-untyped-call]
    return Image.fromarray(whole).crop((60, 0, 370, 310)).resize((side, side), Image.Resampling.LANCZOS)


@cache
def drawn(seed: int) -> Image.Image:
    return selfies(seed, 1, 1024)[0][0]


def judged(image: Image.Image, **about: Any) -> Inspection:
    return inspection._inspection(*verdict.judge(about, jpeg(image)))


def codes(seen: Inspection) -> list[str]:
    return [finding.code for finding in seen.findings]


@cache
def face_of(image_key: str) -> tuple[Numbers, Numbers]:
    """Which pixels of a picture are the face, and which of them lie right of its middle."""
    image = {"portrait": portrait(), "drawn": drawn(4)}[image_key]
    mesh = faces.find(image).faces[0].mesh
    inside = mesh.oval(image.size, 1.15)
    right = np.arange(image.width)[None] > mesh.points[[10, 152], 0].mean()
    return inside, inside & right


def lit(image: Image.Image, inside: Numbers, *, face: float = 1.0, around: float | None = None) -> Image.Image:
    """The picture with the face at a part of its brightness and everything around it at one value."""
    pixels = np.asarray(image).astype(float)
    pixels[inside] *= face
    if around is not None:
        pixels[~inside] = around
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("which", ["portrait", "drawn"])
def test_a_white_wall_beside_the_face_is_not_too_bright(which: str) -> None:
    image = portrait() if which == "portrait" else drawn(4)
    assert "too_bright" not in codes(judged(lit(image, face_of(which)[0], around=255)))


def test_a_face_that_is_burnt_out_is_too_bright() -> None:
    assert "too_bright" in codes(judged(lit(portrait(), face_of("portrait")[0], face=1.8)))


@pytest.mark.parametrize("around", [255.0, 0.0])
def test_a_dark_face_is_found_before_a_window_and_in_a_dark_room(around: float) -> None:
    seen = judged(lit(portrait(), face_of("portrait")[0], face=0.25, around=around))
    assert codes(seen) == ["too_dark"]
    assert [finding.kind for finding in seen.findings] == ["advice"]


@pytest.mark.parametrize("around", [255.0, 20.0])
def test_a_well_lit_face_is_not_dark_whatever_is_behind_it(around: float) -> None:
    assert "too_dark" not in codes(judged(lit(portrait(), face_of("portrait")[0], around=around)))


def test_half_a_face_in_the_dark_is_said() -> None:
    half = face_of("portrait")[1]
    assert codes(judged(lit(portrait(), half, face=0.12))) == ["half_dark"]
    # Light from one side alone is how portraits are lit.
    assert codes(judged(lit(portrait(), half, face=0.6))) == []


def moved(image: Image.Image, pixels: int, degrees: float) -> Image.Image:
    """What a camera sees that moves so far while it looks."""
    side = pixels | 1
    kernel = np.zeros((side, side))
    for step in np.linspace(-pixels / 2, pixels / 2, pixels * 4):
        x = round(side // 2 + step * math.cos(math.radians(degrees)))
        y = round(side // 2 + step * math.sin(math.radians(degrees)))
        if 0 <= x < side and 0 <= y < side:
            kernel[y, x] += 1
    kernel /= kernel.sum()
    room = side // 2
    padded = np.pad(np.asarray(image, float), ((room, room), (room, room), (0, 0)), mode="edge")
    blurred = np.stack([fftconvolve(padded[..., at], kernel, "valid") for at in range(3)], -1)
    return Image.fromarray(np.clip(blurred, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("degrees", [0, 30, 90])
@pytest.mark.parametrize("pixels", [15, 30, 60])
def test_motion_blur_is_found_in_every_direction(pixels: int, degrees: int) -> None:
    """In a face of 560 px; at 60 px down the photo may be taken for one without a face at all, which is right too."""
    seen = judged(moved(portrait(), pixels, degrees))
    assert {"blurred", "no_face"} & set(codes(seen))


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_sharp_picture_in_any_light_has_no_advice(seed: int) -> None:
    assert [finding for finding in judged(drawn(seed)).findings if finding.kind == "advice"] == []


# Size


def framed(face_pixels: int, frame: int) -> Image.Image:
    """The same face at one size in different frames: as it is, cut closer, off centre, with room around, in a large one."""
    side = round(1200 * face_pixels / faces.find(portrait()).faces[0].pixels)
    image = portrait(side)
    if frame == 0:
        return image
    if frame == 1:
        return image.crop((side // 6, side // 12, side - side // 6, side - side // 6))
    if frame == 2:
        return image.crop((side // 8, 0, side, side - side // 10))
    room = {3: side // 2, 4: 2 * side}[frame]
    wide = Image.new("RGB", (side + room, side + room * 2 // 3), (120, 130, 140))
    wide.paste(image, (room // 3, room // 2))
    return wide


@pytest.mark.parametrize("frame", range(5))
@pytest.mark.parametrize(("pixels", "large"), [(230, False), (248, False), (264, True), (280, True)])
def test_the_ruler_does_not_move_with_the_frame(frame: int, pixels: int, large: bool) -> None:
    seen = judged(framed(pixels, frame))
    assert ("small_face" not in codes(seen)) == large
    assert seen.face_pixels == pytest.approx(pixels, rel=0.03)


# Several people


def crowd(*people: tuple[Image.Image, tuple[int, int]], size: tuple[int, int]) -> Image.Image:
    photo = Image.new("RGB", size, (150, 150, 150))
    for image, place in people:
        photo.paste(image, place)
    return photo


def test_only_faces_that_are_large_enough_are_asked_about() -> None:
    # The smaller face has 219 px and the larger one 450.
    photo = crowd((portrait(960), (0, 0)), (drawn(4).resize((410, 410)), (980, 300)), size=(1400, 960))
    seen = judged(photo)
    assert codes(seen) == ["several_faces", "some_small"]
    [box] = seen.boxes
    assert box[2] < 960


def test_with_too_small_faces_alone_nobody_is_asked_first() -> None:
    photo = crowd((portrait(420), (0, 0)), (drawn(4).resize((340, 340)), (500, 100)), size=(900, 460))
    seen = judged(photo)
    assert not seen.needs_choice
    assert codes(seen) == ["small_face"]


def test_what_can_be_tapped_is_large_enough_afterwards_also_in_a_large_photo() -> None:
    photo = crowd((portrait(600), (0, 800)), (drawn(4).resize((600, 600)), (2800, 800)), size=(4000, 3000))
    seen = judged(photo)
    assert codes(seen) == ["several_faces"]
    picture = Image.open(io.BytesIO(seen.picture or b""))
    for box in seen.boxes:
        after = judged(picture, tapped=box)
        assert after.accepted
        assert after.face_pixels >= verdict.LEAST


def test_the_other_persons_face_is_covered_in_what_is_kept() -> None:
    """Cheek by cheek: no cut leaves the other one out."""
    mine, other = portrait().crop((250, 0, 850, 1200)), drawn(4).resize((1200, 1200)).crop((300, 0, 900, 1200))
    photo = crowd((mine, (0, 0)), (other, (600, 0)), size=(1200, 1200))
    seen = judged(photo)
    assert codes(seen) == ["several_faces"]
    left = min(seen.boxes)
    kept = judged(Image.open(io.BytesIO(seen.picture or b"")), tapped=left)
    assert "covered" in codes(kept)
    clean = Image.open(io.BytesIO(kept.picture or b""))
    [face] = faces.find(clean).faces
    assert list(kept.boxes) == [pytest.approx(face.box, abs=20)]
    assert faces.find(clean).bystanders == []


def test_somebody_in_the_background_is_covered_without_a_question() -> None:
    photo = crowd((portrait(), (0, 0)), (drawn(4).resize((420, 420)), (1250, 100)), size=(1700, 1200))
    seen = judged(photo)
    assert seen.accepted
    assert codes(seen) == ["covered"]
    assert len(faces.find(Image.open(io.BytesIO(seen.picture or b""))).faces) == 1
