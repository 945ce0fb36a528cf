"""Photos: verdicts on a real photograph in many states, and hostile files that end in a sentence.

The photograph is NASA's portrait of Eileen Collins, in the public domain, from scikit-image.
"""

import io
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFilter, PngImagePlugin
from skimage.data import astronaut, chelsea, coffee, rocket

from batch.vision import colours, faces, inspection, pictures, verdict
from batch.vision.inspection import Inspection, InspectorDown, inspect
from gpu_cluster.drawn.people.draw import selfies
from likeness.locale.words import words
from likeness.sandbox.child import Children

pillow_heif.register_heif_opener()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CASES = Path(__file__).parents[1] / "cases"
SECRET = "Eileen at 59.9139 N"


@cache
def portrait(side: int = 1200) -> Image.Image:
    """Head and shoulders; at 1,200 px the face square is 570 px."""
    whole: Any = astronaut()  # type: ignore[no-untyped-call]
    return Image.fromarray(whole).crop((60, 0, 370, 310)).resize((side, side), Image.Resampling.LANCZOS)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 90} if kind in ("JPEG", "WEBP") else {}), **options)
    return file.getvalue()


def codes(seen: Inspection) -> list[str]:
    return [finding.code for finding in seen.findings]


def opened(seen: Inspection) -> Image.Image:
    assert seen.picture
    return Image.open(io.BytesIO(seen.picture))


def judged(data: bytes, **about: Any) -> Inspection:
    """Judges without a child, for the many small cases."""
    return inspection._inspection(*verdict.judge(about, data))


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(image) * factor, 0, 255).astype(np.uint8))


@cache
def good() -> Inspection:
    return inspect(saved(portrait()))


# A photograph in its states


def test_a_good_photo_is_accepted_in_a_child() -> None:
    seen = good()
    assert (seen.accepted, seen.findings, seen.faces, seen.pose) == (True, (), 1, "front")
    assert (seen.width, seen.height) == opened(seen).size == (1200, 1200)
    assert 450 < seen.face_pixels < 700
    assert seen.embedding is not None
    assert len(seen.embedding) == 128
    [(left, top, right, bottom)] = seen.boxes
    assert left < 550 < right
    assert top < 480 < bottom


def test_without_consent_to_face_measures_none_are_taken() -> None:
    seen = inspect(saved(portrait()), measure=False)
    assert seen.accepted
    assert seen.embedding is None


def test_a_verdict_takes_less_than_2_seconds_of_processor() -> None:
    data = saved(portrait().resize((4000, 3000)))
    cat: Any = chelsea()  # type: ignore[no-untyped-call]
    nobody = saved(Image.fromarray(cat).resize((4000, 3000)))
    judged(data)
    for photo in (data, nobody):
        started = time.process_time()
        judged(photo)
        assert time.process_time() - started < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_every_format_becomes_a_clean_jpeg(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif.get_ifd(0x8825)[1] = "N"
    options: dict[str, Any] = {"exif": exif.tobytes(), "icc_profile": SRGB}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", SECRET)
        options["pnginfo"] = text
    if kind == "JPEG":
        options |= {"comment": SECRET, "xmp": f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode()}
    data = saved(portrait(), kind, **options) + SECRET.encode()
    assert SECRET.encode() in data
    seen = judged(data)
    assert seen.accepted
    assert ("heic" in codes(seen)) == (kind == "HEIF")
    assert seen.picture is not None
    assert SECRET.encode() not in seen.picture
    assert b"Exif" not in seen.picture
    assert b"ICC_PROFILE" not in seen.picture
    clean = opened(seen)
    assert clean.format == "JPEG"
    assert set(clean.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert dict(clean.getexif()) == {}


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    # The inverse of each turn: transposing back by 90 degrees undoes 270 and the other way round; the rest undo themselves.
    (turn,) = pictures.TURNS[{6: 8, 8: 6}.get(orientation, orientation)]
    wide = portrait().crop((0, 0, 1200, 1100))
    seen = judged(saved(wide.transpose(turn), exif=exif.tobytes()))
    assert codes(seen) == ["turned"]
    assert (seen.width, seen.height) == (1200, 1100)
    assert np.abs(np.asarray(opened(seen), dtype=int) - np.asarray(wide)).mean() < 4


def test_a_photo_that_lies_on_its_side_is_turned_without_exif() -> None:
    seen = judged(saved(portrait().transpose(Image.Transpose.ROTATE_90)))
    assert seen.accepted
    assert codes(seen) == ["turned"]
    assert np.abs(np.asarray(opened(seen), dtype=int) - np.asarray(portrait())).mean() < 4


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: image.filter(ImageFilter.GaussianBlur(8)), "blurred"),
        (lambda image: scaled(image, 0.2), "too_dark"),
        (lambda image: scaled(image, 1.7), "too_bright"),
    ],
)
def test_quality_is_advice_and_never_a_reject(change: Callable[[Image.Image], Image.Image], code: str) -> None:
    seen = judged(saved(change(portrait())))
    assert seen.accepted
    assert [(finding.code, finding.kind) for finding in seen.findings] == [(code, "advice")]


def test_a_dark_skin_in_good_light_is_not_too_dark() -> None:
    """The face at a third of its brightness, eyes and surroundings as they were."""
    pixels = np.asarray(portrait()).astype(float)
    face = faces.find(portrait()).faces[0].box
    inside = np.zeros(pixels.shape[:2], bool)
    inside[face[1] : face[3], face[0] : face[2]] = True
    skin = inside & (pixels.max(axis=2) < 240)
    pixels[skin] *= 0.4
    assert "too_dark" not in codes(judged(saved(Image.fromarray(pixels.astype(np.uint8)))))


def test_a_small_face_is_rejected_and_the_limit_can_be_set() -> None:
    small = saved(portrait(400))
    seen = judged(small)
    assert not seen.accepted
    assert codes(seen) == ["small_face"]
    assert seen.face_pixels < 256
    assert judged(small, min_face_pixels=100).accepted


def test_a_face_far_away_is_cut_from_the_full_resolution() -> None:
    wide = Image.new("RGB", (4000, 3000), "grey")
    wide.paste(portrait(900), (2000, 1500))
    seen = judged(saved(wide))
    assert seen.accepted
    assert codes(seen) == ["cropped"]
    assert seen.face_pixels >= 256
    assert max(seen.width, seen.height) <= 2048


def test_a_face_in_a_large_picture_is_where_it_is_also_when_the_picture_lies_on_its_side() -> None:
    wide = Image.new("RGB", (4000, 3000), "grey")
    wide.paste(portrait(1800), (2000, 800))
    found = [faces.find(wide), faces.find(wide.transpose(Image.Transpose.ROTATE_90))]
    assert [one.turned for one in found] == [False, True]
    for one in found:
        assert one.image.size == wide.size
        (face,) = one.faces
        assert face.box == pytest.approx(found[0].faces[0].box, abs=60)
        left, top, right, bottom = face.box
        assert 2300 < left < right < 3500
        assert 900 < top < bottom < 2100


@pytest.mark.parametrize("picture", [chelsea, coffee, rocket])
def test_no_face(picture: Callable[[], Any]) -> None:
    seen = judged(saved(Image.fromarray(picture()).convert("RGB")))
    assert not seen.accepted
    assert codes(seen) == ["no_face"]


def couple() -> Image.Image:
    """The person on the left, and on the right somebody mirrored and darker."""
    both = Image.new("RGB", (2400, 1200))
    both.paste(portrait(), (0, 0))
    both.paste(scaled(portrait(), 0.6).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (1200, 0))
    return both


def test_of_several_people_one_taps_her_own_face_and_the_others_are_cut_off() -> None:
    seen = inspect(saved(couple()))
    assert (seen.accepted, seen.needs_choice, codes(seen)) == (False, True, ["several_faces"])
    left, right = seen.boxes
    assert left[2] < 1024 < right[0]
    data = seen.picture or b""
    mine = inspect(data, tapped=left)
    assert mine.accepted
    assert codes(mine) == ["cropped"]
    assert mine.width < 1500
    assert inspect(mine.picture or b"").faces == 1
    assert inspect(data, tapped=(0, 0, 9, 9)).needs_choice


def test_a_face_that_fills_the_frame_is_found() -> None:
    tight = portrait().crop((300, 200, 800, 780)).resize((1000, 1160))
    assert judged(saved(tight)).accepted


@pytest.mark.parametrize(
    "image",
    [
        lambda: saved(portrait().convert("CMYK")),
        lambda: saved(portrait().convert("L")),
        lambda: saved(portrait().convert("RGBA"), "PNG"),
        lambda: saved(portrait().convert("P"), "PNG"),
        lambda: saved(Image.fromarray(np.asarray(portrait().convert("L")).astype(np.uint16) * 257), "PNG"),
        lambda: saved(portrait(), icc_profile=SRGB + b"\0" * (4 * 2**20)),
        lambda: saved(portrait(), icc_profile=b"nonsense"),
        lambda: saved(portrait(), exif=b"Exif\0\0nonsense"),
        lambda: saved(portrait(), progressive=True) + b"<html><script>alert(1)</script>" + b"PK\x03\x04",
        lambda: saved(portrait(), "PNG", save_all=True, append_images=[Image.new("RGB", (1200, 1200))] * 20),
        lambda: saved(portrait(), "WEBP", save_all=True, append_images=[Image.new("RGB", (1200, 1200))] * 5),
        lambda: saved(portrait(), "MPO", save_all=True, append_images=[Image.new("RGB", (1200, 1200))]),
    ],
)
def test_unusual_but_honest_files_are_fine(image: Callable[[], bytes]) -> None:
    seen = inspect(image())
    assert seen.accepted
    assert seen.findings == ()
    assert b"script" not in (seen.picture or b"")
    assert opened(seen).mode == "RGB"


@pytest.mark.parametrize(
    ("width", "height", "options"),
    [
        (8_160, 6_144, {}),
        (12_000, 9_000, {}),
        (16_320, 12_240, {"progressive": True}),
    ],
)
def test_a_jpeg_of_any_phone_is_taken_at_full_resolution(width: int, height: int, options: dict[str, Any]) -> None:
    """50, 108 and 200 megapixels: decoded at a part of its size."""
    large = Image.new("YCbCr", (width, height), (120, 128, 128))
    large.paste(portrait(1000).convert("YCbCr").resize((height // 2, height // 2)), (width // 4, height // 5))
    seen = inspect(saved(large, **options))
    assert seen.accepted
    assert codes(seen) == ["cropped"]
    assert seen.face_pixels > 400


def test_a_heic_without_a_profile_is_converted_from_the_numbers_it_gives() -> None:
    """A plain red of 200, 60, 59 in Display P3; in sRGB it is 217, 42, 51."""
    image = pictures.decode((CASES / "p3-nclx-no-icc.heic").read_bytes()).image
    assert image.getpixel((200, 200)) == pytest.approx((217, 42, 51), abs=2)


@pytest.mark.parametrize(
    ("numbers", "colour"),
    [
        ((12, 13), (217, 42, 51)),  # Display P3
        ((9, 13), (247, 0, 52)),  # BT.2020 with sRGB's curve
        ((1, 8), (228, 133, 132)),  # sRGB's colours, stored as light
    ],
)
def test_colours_by_number_mean_what_the_standard_says(numbers: tuple[int, int], colour: tuple[int, int, int]) -> None:
    icc = colours.profile({"color_primaries": numbers[0], "transfer_characteristics": numbers[1]})
    assert icc is not None
    changed: Any = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), (200, 60, 59)), ImageCms.ImageCmsProfile(io.BytesIO(icc)), pictures.SRGB
    )
    assert changed.getpixel((0, 0)) == pytest.approx(colour, abs=3)


def test_srgb_by_number_and_numbers_nobody_knows_need_no_profile() -> None:
    for primaries, curve in ((1, 13), (1, 1), (2, 2), (99, 99)):
        assert colours.profile({"color_primaries": primaries, "transfer_characteristics": curve}) is None


# Files that mean harm


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))

    header = struct.pack("!IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(rows or b"\0" * ((width // 8 + 1) * min(height, 12_000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def resized(data: bytes) -> bytes:
    """Says of itself that it is 9,000 pixels wide and 8,000 high: nothing may be decoded to find that too much."""
    if (at := data.find(b"ispe")) > 0:
        return b"".join(
            part if number == 0 else b"ispe" + part[:4] + struct.pack("!II", 9_000, 8_000) + part[12:]
            for number, part in enumerate(data.split(b"ispe"))
        )
    at = data.index(b"VP8L") + 9
    (bits,) = struct.unpack("<I", data[at : at + 4])
    return data[:at] + struct.pack("<I", bits >> 28 << 28 | 7_999 << 14 | 8_999) + data[at + 4 :]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: b"", "not a JPEG"),
        (lambda: b"\xff\xd8\xff", "not a JPEG|damaged"),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "not a JPEG"),
        (lambda: saved(portrait(), "GIF"), "not a JPEG"),
        (lambda: saved(portrait(), "TIFF"), "not a JPEG"),
        (lambda: saved(portrait(), "BMP"), "not a JPEG"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
        (lambda: png(12_000, 12_000), "50 million"),
        (lambda: png(60_000, 60_000), "50 million"),
        (lambda: png(2**31 - 1, 2**31 - 1, b"\0"), "50 million"),
        (lambda: resized(saved(portrait(600), "WEBP", lossless=True)), "50 million"),
        (lambda: resized(saved(portrait(600), "HEIF")), "50 million"),
        (lambda: png(100, 0), "not a JPEG|damaged"),
        (lambda: saved(portrait()) + b"\0" * (25 * 2**20), "25 MB"),
    ],
)
def test_a_bad_file_is_unreadable_and_says_why(make: Callable[[], bytes], sentence: str) -> None:
    seen = inspect(make())
    assert not seen.accepted
    assert codes(seen) == ["unreadable"]
    assert any(part in seen.findings[0].message for part in sentence.split("|"))
    assert seen.picture is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_a_truncated_file_is_unreadable(kind: str) -> None:
    data = saved(portrait(600), kind)
    for end in range(1, len(data) - 1024, max(1024, len(data) // 12)):
        assert codes(inspect(data[:end])) == ["unreadable"], end


def test_the_largest_picture_fits_into_the_child() -> None:
    large = Image.new("RGBA", (8000, 6200), "grey")
    large.paste(portrait(3000), (2000, 1000))
    seen = inspect(saved(large, "PNG", compress_level=1))
    assert "unreadable" not in codes(seen)
    assert seen.faces == 1


@given(st.data())
@hypothesis_settings(max_examples=40)
def test_flipped_bytes_never_raise(draw: st.DataObject) -> None:
    kind = draw.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "HEIF"]))
    data = bytearray(small_file(kind))
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    seen = inspect(bytes(data))
    assert seen.findings or seen.accepted


@cache
def small_file(kind: str) -> bytes:
    return saved(portrait(96), kind)


def test_a_failing_child_is_unreadable_and_an_absent_one_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def replaced(function: str) -> None:
        pool = Children("tests.batch.test_inspection", function, keep=False)
        monkeypatch.setattr(inspection, "_children", pool)

    for function in ("crash", "nonsense", "false_words"):
        replaced(function)
        assert codes(inspect(saved(portrait(96)))) == ["unreadable"]
    replaced("not_there")
    with pytest.raises(InspectorDown):
        inspect(saved(portrait(96)))


def crash(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    raise RuntimeError


def nonsense(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    return {"codes": ["no such code"]}, b""


def false_words(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    return {"codes": [], "boxes": [["a", 2]], "width": {}, "height": 1}, b"x"


# Several photos


def test_findings_are_short_and_have_an_action() -> None:
    everything = [*inspection.FINDINGS.values(), inspection.ANOTHER_PERSON, inspection.NEAR_DUPLICATE]
    for finding in everything:
        assert len(finding.message.split()) <= 15
        assert finding.action
    rejects = {finding.code for finding in everything if finding.kind == "reject"}
    assert rejects == {"unreadable", "no_face", "small_face"}


GREY, RED = (120, 120, 120), (200, 20, 20)


@pytest.mark.parametrize(
    ("poses", "dresses", "said"),
    [
        ([], [], "0 of 8: one from the side"),
        (["front"] * 5 + ["left"], [GREY, RED, None, GREY, GREY, GREY], "6 of 8: one more from the side"),
        (["front"] * 5 + ["left"], [GREY] * 6, "6 of 8: one more from the side, one in other clothes"),
        (["front"] * 5 + ["left", "right"], [GREY, RED] + [None] * 5, "7 of 8: 1 more, however you like"),
        (["left", "right"], [], "2 of 8: one from the front"),
        (["front"] * 7, [GREY] * 7, "7 of 8: one from the side"),
        (["front"] * 8, [GREY] * 8, "8 of 8: complete"),
        (["front"] * 9, [GREY] * 9, "9 photos: complete"),
    ],
)  # fmt: skip
def test_the_meter_speaks_of_the_set(poses: list[str], dresses: list[Any], said: str) -> None:
    assert inspection.meter(poses, dresses).said(words("en")) == said


# Drawn people, as in the demo


def test_drawn_people_are_accepted() -> None:
    for seed in (1, 3):
        photos = [judged(saved(picture)) for picture, _ in selfies(seed, count=4, size=768)]
        assert sum(seen.accepted for seen in photos) >= 3
