"""Portraits of a real photograph: framed alike, lit gently, on a backdrop, and checked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageOps

from batch.vision import landmarks, presets
from batch.vision.presets import CANVAS, EYE_LINE, FACE, PRESETS
from batch.vision.views import View
from gpu_cluster.cutout import check, frame, hands, light, limits, sight
from gpu_cluster.cutout.backdrop import NoBackdrop, backdrop, of_picture
from gpu_cluster.cutout.portrait import Portrait, portrait
from gpu_cluster.cutout.sight import Sight


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Eileen Collins, NASA, public domain."""
    return Image.fromarray(skimage.data.astronaut()).resize((1024, 1024), Image.Resampling.LANCZOS)


def seen(photo: Image.Image) -> Sight:
    found = sight.look(photo)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def made(photo: Image.Image) -> Portrait:
    return portrait(seen(photo), None)


@pytest.fixture(scope="module")
def canvas(made: Portrait) -> Image.Image:
    return made.on(backdrop("#c8ccd0"))


def test_the_person_is_there_and_the_room_is_not(made: Portrait, canvas: Image.Image) -> None:
    """Face, hair and suit are kept; the flag, the shuttle and the wall are gone."""
    face = landmarks.faces(canvas)[0]
    assert made.verdict in ("ship", "look")
    assert made.outline[face.oval((CANVAS, CANVAS), 0.9)].min() > 0.99
    above_eyes = round(CANVAS * EYE_LINE - 0.8 * FACE)
    assert made.outline[above_eyes + 30, CANVAS // 2] > 0.9, "the crown"
    corner = np.asarray(canvas)[: CANVAS // 6, : CANVAS // 6].reshape(-1, 3)
    assert np.abs(corner.mean(0) - (200, 204, 208)).max() < 2


def test_every_head_is_of_one_size_on_one_line(photo: Image.Image) -> None:
    """Other frames, sizes, tilts and the mirror: eyes within 1 % of the frame, heads within 3 %, by the ruler."""
    shown = [photo, photo.crop((200, 0, 824, 700)), photo.rotate(8, Image.Resampling.BICUBIC), ImageOps.mirror(photo)]
    shown.append(photo.resize((1700, 1700)))
    eyes, heights = [], []
    for one in shown:
        found = seen(one)
        face = landmarks.faces(Image.fromarray((found.view.take(found.photo) * 255).astype(np.uint8)))[0]
        eyes.append((face.right_eye + face.left_eye)[1] / 2 / CANVAS)
        heights.append(face.height / FACE)
        assert abs(face.roll) < 1.5
    assert max(eyes) - min(eyes) < 0.01
    assert heights == pytest.approx([1.0] * len(shown), rel=0.03)


def test_hair_that_the_photos_side_cuts_is_asked_about(photo: Image.Image, made: Portrait) -> None:
    """Clothes go on beyond the photo's edge; hair does not."""
    assert "hair_cut" in portrait(seen(photo.crop((380, 0, 1024, 1024))), None).reasons
    assert "hair_cut" not in made.reasons


def drawn_person(over_eyes: float, half: float = 0.3) -> np.ndarray:
    """The outline of somebody whose hair, so many face heights wide to either side, ends so many above the eyes."""
    rows, columns = np.mgrid[:CANVAS, :CANVAS] / FACE
    eyes, middle = CANVAS * EYE_LINE / FACE, CANVAS / FACE / 2
    hair = (abs(columns - middle) < half) & (rows > eyes - over_eyes) & (rows < eyes)
    head = (columns - middle) ** 2 / 0.16 + (rows - eyes - 0.1) ** 2 / 0.4 < 1
    return (head | hair | (rows > eyes + 0.9 + 0.3 * abs(columns - middle))).astype(np.float32)


@pytest.mark.parametrize("ends", [0.8, 1.0, 1.05, 1.15, 1.22, 1.27, 1.31])
@pytest.mark.parametrize("half", [0.15, 0.3, 0.7])
def test_a_photo_that_ends_in_the_hair_is_refused_however_high_it_ends(ends: float, half: float) -> None:
    """A bun, a turban and an afro that the photo's top edge cuts: in each frame, in the wider ones, in the loosened one."""
    outline, inside = drawn_person(2.0, half), np.ones((CANVAS, CANVAS), bool)
    inside[: round(CANVAS * EYE_LINE - ends * FACE)] = False
    found = frame.lacking(outline * inside, inside, presets.widest())
    assert limits.verdict(found) == ("refuse", ("head_cut",))
    whole = frame.lacking(drawn_person(ends - 0.03, half), inside, presets.widest())
    assert limits.verdict(whole) == ("ship", ())


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_a_cut_head_is_seen_where_the_mask_ends_a_little_under_the_edge_of_a_tilted_photo(slope: float) -> None:
    """The segmenter has a pixel for four and a half, and takes the hair's last ones for the background beyond them."""
    rows, columns = np.mgrid[:CANVAS, :CANVAS]
    edge = CANVAS * EYE_LINE - FACE + slope * (columns - CANVAS / 2)
    inside, person = rows >= edge, drawn_person(1.3) > 0.5
    cut = frame.lacking((person & (rows >= edge + 5)).astype(np.float32), inside, presets.widest())
    assert limits.verdict(cut)[1] == ("head_cut",)
    assert frame.lacking((person & (rows >= edge + 10)).astype(np.float32), inside, presets.widest())["crown_cut"] == 0


@pytest.mark.parametrize("half", [0.15, 0.7])
def test_hair_above_the_loosest_frame_is_asked_about(half: float) -> None:
    """Also where it ends before the canvas does."""
    asked = limits.LIMITS["hair_over_frame"].look
    assert check.over_top(drawn_person(1.29, half)) > asked > check.over_top(drawn_person(1.22, half))


def test_a_selfie_that_ends_with_the_tight_square_is_asked_about() -> None:
    """It would fade in the frame for print."""
    outline, inside = drawn_person(0.9), np.ones((CANVAS, CANVAS), bool)
    inside[round(PRESETS["square"].box()[3]) :] = False
    assert limits.verdict(frame.lacking(outline * inside, inside, presets.widest())) == ("look", ("too_close",))


def test_clothes_go_on_beyond_the_photo_without_stripes() -> None:
    """Under the last row there is the chest's pattern again, softer further down, and no row drawn out to lines; what
    is beside the person there stays out of it."""
    inside, alpha = np.ones((CANVAS, CANVAS), bool), np.zeros((CANVAS, CANVAS), np.float32)
    end, left, right = 900, 300, 850
    inside[end:], alpha[:, left:right] = False, 1
    checks = (np.add.outer(np.arange(CANVAS) // 12, np.arange(CANVAS) // 12) % 2).astype(np.float32)
    colour = np.repeat(checks[..., None], 3, 2)
    colour[:, :left] = colour[:, right:] = (0, 1, 0)
    colour[end:] = colour[end - 1]
    made, outline = frame.beyond(colour, alpha, inside)
    one, next_one, last = (made[end + row, left + 30 : right - 30, 0] for row in (6, 18, 66))
    assert np.corrcoef(colour[end - 6, left + 30 : right - 30, 0], one)[0, 1] > 0.9
    assert np.corrcoef(one, next_one)[0, 1] < -0.9, "the same again is a stripe"
    assert last.std() < one.std() / 2
    assert np.allclose(made[end : end + 20, : left - 40, 1], 1)
    assert np.array_equal(made[:end], colour[:end])
    assert (outline[end + 20, left + 30], outline[-1, left + 30]) == (1, 0)


def test_nothing_goes_on_where_the_person_ends_inside_the_photo() -> None:
    """A photo that is only narrower than the canvas: its colours stay as they are, beside it as well."""
    inside, alpha = np.ones((CANVAS, CANVAS), bool), np.zeros((CANVAS, CANVAS), np.float32)
    inside[:, :100], alpha[300:, 300:850] = False, 1
    colour = np.random.default_rng(1).random((CANVAS, CANVAS, 3), np.float32)
    made, outline = frame.beyond(colour, alpha, inside)
    assert np.array_equal(made, colour)
    assert np.array_equal(outline, alpha)
    alpha[600:, 90:300] = 1
    assert not np.array_equal(frame.beyond(colour, alpha, inside)[0], colour)


def test_what_rises_beside_the_shoulders_is_asked_about() -> None:
    """A head behind the person, or a hand; shoulders, long hair and a bald head alone only fall."""
    rows, columns = np.mgrid[:CANVAS, :CANVAS] / FACE
    middle = CANVAS / FACE / 2
    head = (columns - middle) ** 2 / 0.16 + (rows - 1.0) ** 2 / 0.3 < 1
    hair = (abs(columns - middle) < 0.7) & (rows > 1.0) & (rows < 2.0)
    shoulders = rows > 1.8 + 0.4 * abs(columns - middle)
    for alone in (head | shoulders, head | hair | shoulders):
        assert check.rising(alone, CANVAS / 2) < 0.02
    behind = (columns - middle - 1.0) ** 2 + (rows - 2.0) ** 2 < 0.1
    assert check.rising(head | shoulders | behind, CANVAS / 2) > limits.LIMITS["rising"].look


def test_a_fringe_is_no_tone_of_skin_and_pale_skin_no_coloured_light(photo: Image.Image) -> None:
    """Violet hair over the forehead, which is the largest of the three places that are looked at."""
    found = seen(photo)
    canvas, face = found.view.take(found.photo), landmarks.seen(found.view, found.face)
    fringed = canvas.copy()
    brows = int(face.points[[105, 334], 1].min())
    fringed[:brows] = (0.25, 0.1, 0.35)
    bare, covered = light.tone(canvas, face), light.tone(fringed, face)
    assert bare is not None
    assert covered is not None
    assert np.linalg.norm(covered - bare) < 10
    pale, violet, lamp = np.array([78, 14.1, 4.8]), np.array([54, 13.6, -6.7]), np.array([60, 45.0, -20.0])
    verdicts = [limits.verdict({"cast": light.cast(tone)})[0] for tone in (pale, violet, lamp)]
    assert verdicts == ["ship", "look", "refuse"]


def with_hand(photo: Image.Image, x: int, y: int, palm: int) -> Image.Image:
    """A raised hand, drawn plainly: forearm, palm, four fingers and a thumb."""
    shown = photo.copy()
    pen, skin, shade = ImageDraw.Draw(shown), (214, 160, 130), (140, 100, 80)
    pen.rectangle((x - 0.32 * palm, y + 0.4 * palm, x + 0.32 * palm, y + 1.3 * palm), fill=skin)
    pen.rounded_rectangle((x - 0.5 * palm, y - 0.5 * palm, x + 0.5 * palm, y + 0.55 * palm), 0.2 * palm, fill=skin)
    fingers = [((across, -0.4), (across * 1.25, -0.4 - long)) for across, long in
               ((-0.38, 0.75), (-0.13, 0.9), (0.13, 0.85), (0.38, 0.65))]  # fmt: skip
    for root, tip in (*fingers, ((-0.45, 0.3), (-0.95, -0.25))):
        ends = [(x + palm * across, y + palm * down) for across, down in (root, tip)]
        for width, colour in ((0.26, shade), (0.22, skin)):
            pen.line(ends, fill=colour, width=round(width * palm))
            pen.circle(ends[1], width / 2 * palm, fill=colour)
    return shown


def test_a_hand_before_the_person_is_asked_about(photo: Image.Image, made: Portrait) -> None:
    """One that is not on the person, somebody's behind them, is cut away anyway."""
    shown = seen(with_hand(photo, 430, 470, 70))
    assert "hand" not in made.reasons
    assert limits.LIMITS["hand"].look < portrait(shown, None).measures["hand"]
    canvas = shown.view.take(shown.photo)
    assert hands.before(canvas, np.zeros((CANVAS, CANVAS), bool), presets.widest()) == 0
    assert hands.before(canvas, np.ones((CANVAS, CANVAS), bool), (0, 0, CANVAS, CANVAS / 3)) < 0.5


def test_the_same_photo_gives_the_same_bytes(photo: Image.Image, canvas: Image.Image) -> None:
    again = portrait(seen(photo.copy()), None).on(backdrop("#c8ccd0"))
    assert again.tobytes() == canvas.tobytes()


def test_presets_are_cut_from_one_canvas(canvas: Image.Image) -> None:
    sizes = {"square": (1024, 1024), "portrait": (1024, 1280), "circle": (1024, 1024), "directory": (648, 648)}
    for name, size in sizes.items():
        picture = presets.cut(canvas, PRESETS[name])
        assert picture.size == size
        data, ending = presets.encoded(picture)
        assert ending == ("png" if name == "circle" else "jpg")
        assert len(data) < 4 * 2**20
    circle = presets.cut(canvas, PRESETS["circle"])
    assert circle.getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert circle.getpixel((512, 512))[3] == 255  # type: ignore[index]


@pytest.mark.parametrize("loosened", [1.0, 1.1, presets.LOOSEST])
def test_a_loosened_frame_stays_on_the_canvas_and_holds_more(loosened: float) -> None:
    for preset in PRESETS.values():
        left, top, right, bottom = preset.box(loosened)
        assert min(left, top) >= 0
        assert max(right, bottom) <= CANVAS + 1e-6
        assert (bottom - top) / (right - left) == pytest.approx(preset.ratio)
        assert right - left >= preset.box()[2] - preset.box()[0]


def test_much_hair_loosens_the_frame_for_the_company() -> None:
    """The crown of an afro, 0.74 face heights over the hairline, is cut by the tight frame and not by the loose one."""
    outline = np.zeros((CANVAS, CANVAS), np.float32)
    hairline = CANVAS * EYE_LINE - 0.42 * FACE
    crown = round(hairline - 0.74 * FACE)
    outline[crown:, 300:850] = 1
    needed = frame.room_needed(outline)
    assert PRESETS["square"].box()[1] > crown
    assert needed > 1
    assert PRESETS["square"].box(min(needed, presets.LOOSEST))[1] <= crown


def test_nothing_goes_on_above_the_photo_and_clothes_fade_below_it(photo: Image.Image) -> None:
    """A photo that ends at the chest and beside the shoulders leaves no bar, black or otherwise."""
    made = portrait(seen(photo.crop((250, 40, 760, 430))), None)
    alpha = made.outline
    last = alpha[-1]
    assert last.max() < 0.02
    column = alpha[round(CANVAS * EYE_LINE) :, CANVAS // 2]
    assert max(abs(float(one) - float(other)) for one, other in pairwise(column)) < 0.1
    canvas = np.asarray(made.on(backdrop("#ffffff")), int)
    assert (canvas[-1] > 245).all()


def test_two_people_are_one_or_refused(photo: Image.Image) -> None:
    pair = Image.new("RGB", (1500, 1024), "white")
    pair.paste(photo.crop((100, 0, 850, 1024)), (0, 0))
    pair.paste(ImageOps.mirror(photo).crop((420, 0, 1000, 1024)), (540, 0))
    made = portrait(seen(pair), None)
    assert made.verdict == "refuse" or "somebody_near" in made.reasons
    if made.verdict == "refuse":
        assert made.advice is not None


def test_a_shout_is_asked_about_and_a_smile_is_not(photo: Image.Image, made: Portrait) -> None:
    """A grimace is a good photo to every other measure."""
    found = seen(photo)
    points = found.face.points.copy()
    points[landmarks.LOWER_LIP] = points[landmarks.UPPER_LIP] + (0, 0.45 * found.face.interocular, 0)
    shouting = portrait(replace(found, face=found.face._replace(points=points)), None)
    assert shouting.verdict == "look"
    assert "mouth_open" in shouting.reasons
    assert "mouth_open" not in made.reasons


def test_a_piece_of_the_wall_that_was_taken_for_hair_is_asked_about(photo: Image.Image) -> None:
    """Dark hair before a light wall, and beside it a patch of that wall: a tenth of the outline, and easily seen."""
    found = seen(photo)
    face, inside = landmarks.seen(found.view, found.face), np.ones((CANVAS, CANVAS), bool)
    alone = drawn_person(0.9)
    rows, columns = np.mgrid[:CANVAS, :CANVAS] / FACE
    eyes, middle = CANVAS * EYE_LINE / FACE, CANVAS / FACE / 2
    patch = ((columns - middle - 0.4) ** 2 + (rows - eyes - 0.1) ** 2 < 0.09).astype(np.float32)
    colours = np.full((CANVAS, CANVAS, 3), 0.8, np.float32) - 0.6 * alone[..., None]
    for outline, asked in ((alone, False), (np.maximum(alone, patch), True)):
        found_out = check.cut_quality(colours, outline, outline, inside, face, presets.widest())
        assert ("patch" in limits.verdict(found_out)[1]) is asked
        assert "same_colour" not in limits.verdict(found_out)[1]


def test_a_turned_away_face_is_refused_with_one_sentence() -> None:
    verdict, reasons = limits.verdict({"turned": 50, "soft": 5})
    assert (verdict, reasons) == ("refuse", ("turned", "soft"))
    assert limits.verdict({"turned": 30}) == ("look", ("turned",))
    assert limits.verdict({"turned": 10}) == ("ship", ())


def test_sentences_are_short_and_say_what_to_do() -> None:
    for limit in limits.LIMITS.values():
        assert len(limit.sentence.split()) <= 15
        assert limit.action.endswith(".")
        assert limit.look <= limit.refuse


# Lab tones of cheeks in daylight, from very light to very dark skin (ITA 62 to -45).
TONES = [(76, 8, 13), (70, 10, 17), (63, 12, 19), (54, 14, 20), (45, 14, 19), (36, 12, 15), (31, 11, 13)]


@pytest.mark.parametrize("own", TONES)
@pytest.mark.parametrize("off", [(14, 0, 0), (-14, 0, 0), (0, 14, -12), (6, -8, 16), (-9, 6, -9)])
def test_light_moves_little_and_towards_the_person_alone(own: tuple[int, ...], off: tuple[int, ...]) -> None:
    """In every group of skin, from every light: at most 6 dE and 4 degrees, nearer to the person's own tone in
    lightness, and nowhere at all for a face that has its own tone already."""
    mine = np.array(own, float)
    photographed = mine + np.array(off, float)
    moved = light.shift(photographed, mine)
    assert np.linalg.norm(moved) <= light.MOST + 1e-6
    assert abs(light.ita(photographed + moved) - light.ita(photographed)) <= light.MOST_ITA + 1e-6
    if off[0]:
        assert abs(photographed[0] + moved[0] - mine[0]) < abs(off[0])
    assert np.linalg.norm(light.shift(mine, mine)) < 0.01


@pytest.mark.parametrize("own", TONES)
@pytest.mark.parametrize("off", [(14, 0, 0), (-14, 0, 0), (0, 14, -12), (6, -8, 16), (-9, 6, -9)])
def test_a_lit_face_drifts_by_no_more_than_was_meant(own: tuple[int, ...], off: tuple[int, ...]) -> None:
    """Measured on the picture that comes out, for each group of skin: 4 degrees and 6 dE, by the middle of the face with
    its shadows and shine, as eyes see it, and not by the tone that was aimed at."""
    mine, random = np.array(own, float), np.random.default_rng(5)
    spread = random.normal(0, (5, 1.5, 1.5), (64, 64, 3)) + np.linspace(-6, 6, 64)[:, None, None] * (1, 0, 0)
    # What no screen can show is in no photo.
    face = light.from_lab((mine + off + spread).astype(np.float32))
    before = np.median(light.to_lab(face).reshape(-1, 3), 0)
    colour, _ = light.lit(face, before, mine)
    after = np.median(light.to_lab(colour).reshape(-1, 3), 0)
    assert abs(light.ita(after) - light.ita(before)) <= light.MOST_ITA
    assert np.linalg.norm(after - before) <= light.MOST


@pytest.mark.parametrize(
    ("own", "off", "across"),
    [
        ((45, 14, 19), (0, 8, -8), (40, 0, 20)),
        ((33, 11, 9), (0, 8, -8), (-40, 20, 20)),
        ((63, 12, 19), (-6, 3, -4), (40, 0, 20)),
        ((76, 8, 13), (0, -6, 12), (40, 0, 20)),
    ],
)
def test_a_grainy_small_face_drifts_by_no_more_than_that_once_it_is_sharpened(
    photo: Image.Image, own: tuple[int, ...], off: tuple[int, ...], across: tuple[int, ...]
) -> None:
    """Lit from one side and enlarged four times: sharpening alone moves the middle of its cheeks and forehead."""
    found, side = seen(photo), CANVAS // 4
    view = View(found.view.matrix * np.array([4, 4, 1.0]), side)
    face, mine = landmarks.seen(view, found.face), np.array(own, float)
    slope = np.linspace(-1, 1, side)[None, :, None] * np.array(across, float)
    grain = np.random.default_rng(1).normal(0, (8, 5, 5), (side, side, 3))
    grainy = light.from_lab((mine + off + slope + grain).astype(np.float32))
    before = light.tone(grainy, face)
    assert before is not None

    def drift(made: np.ndarray) -> float:
        after = light.tone(made, face)
        assert after is not None
        return abs(light.ita(after) - light.ita(before))

    assert drift(light.sharpened(light.lit(grainy, before, mine)[0], 4.0)) > light.MOST_ITA
    assert drift(light.finished(grainy, face, before, mine, 4.0)[0]) <= light.MOST_ITA


@pytest.mark.parametrize("own", [*TONES, (80, 3, 4), (62, 3, 4), (34, 3, 4)])
def test_a_face_that_lost_its_colour_with_its_background_comes_out_in_the_tone_that_was_seen(
    photo: Image.Image, own: tuple[int, ...]
) -> None:
    """Of a face with hardly any colour the angle turns far by a small change, which less light does not take back."""
    found, side = seen(photo), CANVAS // 4
    view = View(found.view.matrix * np.array([4, 4, 1.0]), side)
    face, mine = landmarks.seen(view, found.face), np.array(own, float)
    spread = np.random.default_rng(3).normal(0, (4, 1.5, 1.5), (side, side, 3))
    before = light.tone(light.from_lab((mine + spread).astype(np.float32)), face)
    without = light.from_lab((mine + spread + (3, 1, -3)).astype(np.float32))
    assert before is not None
    made, _ = light.finished(without, face, before, mine, 1.0)
    after = light.tone(made, face)
    assert after is not None
    assert abs(light.ita(after) - light.ita(before)) <= light.MOST_ITA
    assert np.linalg.norm(after - before) <= light.MOST


@pytest.mark.parametrize("own", TONES)
def test_without_three_photos_lightness_is_left_alone(own: tuple[int, ...]) -> None:
    assert light.shift(np.array([own[0] + 10, *own[1:]], float), None)[0] == 0


def test_black_and_white_stays_black_and_white(photo: Image.Image) -> None:
    grey = portrait(seen(photo.convert("L").convert("RGB")), np.array([60.0, 12, 18]))
    assert grey.measures["moved"] == 0
    shown = np.asarray(grey.on(backdrop("#808080")), int)
    assert np.abs(shown[..., 0] - shown[..., 2]).max() <= 3


def test_lab_there_and_back() -> None:
    colours = np.random.default_rng(3).uniform(0, 1, (500, 3)).astype(np.float32)
    assert light.from_lab(light.to_lab(colours)) == pytest.approx(colours, abs=2e-3)


@pytest.mark.parametrize("words", ["#c8ccd0", "gradient:#334455", "office"])
def test_backdrops(words: str) -> None:
    wall = backdrop(words)
    assert wall.shape == (CANVAS, CANVAS, 3)
    assert 0 <= wall.min() <= wall.max() <= 1


@pytest.mark.parametrize("words", ["", "#12345", "gradient:", "gradient:red", "beach", "/etc/passwd", "office:#000000"])
def test_no_backdrop(words: str) -> None:
    with pytest.raises(NoBackdrop):
        backdrop(words)


def test_a_company_picture_fills_the_canvas_out_of_focus() -> None:
    stripes = np.zeros((300, 900, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(of_picture(Image.fromarray(stripes))) < 0.35


def test_the_best_photos_come_first_and_one_moment_comes_once(photo: Image.Image) -> None:
    """Blurred, tiny and twice the same: the sharp one leads, the copy and the hopeless one are left out."""
    blurred = photo.resize((150, 150)).resize((1024, 1024))
    tiny = Image.new("RGB", (2000, 2000), "grey")
    tiny.paste(photo.resize((340, 340)), (900, 800))
    sights = [seen(tiny), seen(blurred), seen(photo), seen(photo.crop((0, 0, 1020, 1020)))]
    order = sight.ranked(sights)
    assert order[0] in (2, 3)
    assert not {2, 3} <= set(order)
    assert 0 not in order


def test_no_face_is_no_portrait() -> None:
    assert sight.look(Image.fromarray(skimage.data.coffee())) is None
