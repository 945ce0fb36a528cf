"""The verdict on one photo: strict about whose face it is, kind about how good the picture is.

Rejected is for six reasons only; everything else is mended or advice. Three of the six are found here: the file is
unreadable, there is no face, the face is too small. An exact duplicate is known by its bytes when it comes in, another
person by the whole set (`groups`, `sets`), and never for good. For nudity and minors there is no model here, so nothing
is said about them. Sunglasses, hats and filters cannot be told with the models in use either; they are not guessed at.
Head cover is never flagged.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from likeness.locale.marks import N_
from likeness.locale.words import Words
from likeness.sandbox.child import ChildFailed, Children, Limits

Kind = Literal["reject", "advice", "mended", "set"]
"""What a finding does: it ends the photo, it can be overruled, it says what was done, or it is about the set."""
Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]


class InspectorDown(Exception):
    """The photo was not judged; show "checking…" and ask again. Never a pass, never a fail."""


@dataclass(frozen=True)
class Finding:
    """One sentence of at most 15 words, and one thing to do."""

    code: str
    kind: Kind
    message: str
    action: str


FINDINGS: dict[str, Finding] = {
    "too_large": Finding("unreadable", "reject", N_("The file is larger than 25 MB."), N_("Choose a smaller photo")),
    "too_many_pixels": Finding(
        "unreadable", "reject", N_("The photo has more than 50 million pixels."), N_("Choose a smaller photo")
    ),
    "too_many_jpeg_pixels": Finding(
        "unreadable", "reject", N_("The photo has more than 200 million pixels."), N_("Choose a smaller photo")
    ),
    "too_much_memory": Finding(
        "unreadable",
        "reject",
        N_("The photo is stored in a way that needs too much memory."),
        N_("Choose a smaller photo"),
    ),
    "not_a_picture": Finding(
        "unreadable", "reject", N_("This is not a JPEG, PNG, WebP or HEIC photo."), N_("Choose another file")
    ),
    "damaged": Finding("unreadable", "reject", N_("The file is damaged or incomplete."), N_("Upload it again")),
    "no_face": Finding(
        "no_face", "reject", N_("We could not find a face in this photo."), N_("Take one facing the camera")
    ),
    "small_face": Finding(
        "small_face", "reject", N_("Your face is too small in this photo."), N_("Move closer to the camera")
    ),
    "several_faces": Finding(
        "several_faces", "mended", N_("There are several people in this photo."), N_("Tap your own face")
    ),
    "some_small": Finding(
        "some_small",
        "mended",
        N_("Faces that are too small cannot be chosen."),
        N_("Come closer if one of them is you"),
    ),
    "covered": Finding("covered", "mended", N_("We painted over other people's faces."), N_("Nothing to do")),
    "cropped": Finding("cropped", "mended", N_("We cut the photo around your face."), N_("Nothing to do")),
    "turned": Finding("turned", "mended", N_("We turned the photo upright."), N_("Nothing to do")),
    "heic": Finding("heic", "mended", N_("We converted the photo from HEIC."), N_("Nothing to do")),
    "blurred": Finding("blurred", "advice", N_("This photo looks blurred."), N_("Hold still and try again")),
    "too_dark": Finding("too_dark", "advice", N_("Your face is very dark in this photo."), N_("Turn towards a window")),
    "half_dark": Finding("half_dark", "advice", N_("Half of your face lies in the dark."), N_("Turn towards a window")),
    "too_bright": Finding(
        "too_bright", "advice", N_("Parts of your face are burnt out to white."), N_("Avoid direct light")
    ),
    "far_side": Finding("far_side", "advice", N_("Your face is turned far to the side."), N_("Turn back a little")),
}
# About the set, which this file does not know: said while they hold, and taken back when the set changes.
ANOTHER_PERSON = Finding(
    "another_person", "set", N_("This may be another person than on your other photos."), N_("Say whether this is you")
)
NEAR_DUPLICATE = Finding(
    "near_duplicate", "set", N_("Nearly the same as another photo; the better one counts."), N_("Add a different one")
)


@dataclass(frozen=True)
class Inspection:
    """What one photo shows.

    `accepted` is true when nothing rejects it and one face is chosen; with several faces it is false until the person
    taps one of `boxes` and the photo is inspected again with `tapped`. `picture` is a JPEG made from the pixels alone,
    upright, sRGB, without any metadata, at most 2,048 px long unless a small face is still to be tapped in it; boxes
    are (left, top, right, bottom) in it. `face_pixels` is the side of the square from hair to chin in that picture,
    1.27 times the height from hairline to chin. `pose` is the way the nose points as seen in the picture.

    `embedding` tells people apart and `look` shows the face: both stay in memory and are never stored.
    """

    accepted: bool
    findings: tuple[Finding, ...]
    picture: bytes | None = None
    width: int = 0
    height: int = 0
    faces: int = 0
    face_pixels: int = 0
    pose: str = ""
    embedding: tuple[float, ...] | None = None
    look: bytes = b""
    boxes: tuple[Box, ...] = ()
    dress: Colour | None = None

    @property
    def needs_choice(self) -> bool:
        return any(finding.code == "several_faces" for finding in self.findings)


# 1.5 GB hold a 50-megapixel PNG with transparency twice, beside the models' 200 MB.
_children = Children(
    "batch.vision.verdict",
    "judge",
    warm="warm_up",
    limits=Limits(memory=1536 * 2**20, processor_seconds=10, wall_seconds=25, file_bytes=32 * 2**20),
)


def inspect(data: bytes, *, tapped: Box | None = None, min_face_pixels: int = 256, measure: bool = True) -> Inspection:
    """Judges one photo in a child process. A crash there is the finding "unreadable"; raises InspectorDown.

    `tapped` is one of the `boxes` of the inspection that gave these bytes as its `picture`.
    With `measure=False` no embedding is made, for people who have not consented to face measures.
    """
    about = {"tapped": tapped, "min_face_pixels": min_face_pixels, "measure": measure}
    try:
        facts, picture = _children.run(about, data)
        return _inspection(facts, picture)
    except ChildFailed as failure:
        if failure.machine:
            raise InspectorDown(failure.reason) from None
    except (KeyError, TypeError, ValueError):
        pass  # A child that was taken over may say anything; what is not well formed counts as a crash.
    return Inspection(accepted=False, findings=(FINDINGS["damaged"],))


def _inspection(facts: dict[str, Any], picture: bytes) -> Inspection:
    findings = tuple(FINDINGS[code] for code in facts["codes"])
    if not picture:
        return Inspection(accepted=False, findings=findings)
    boxes = tuple(box(edges) for edges in facts["boxes"])
    red, green, blue = facts.get("dress") or (0, 0, 0)
    embedding = tuple(float(number) for number in facts.get("embedding") or ())
    return Inspection(
        accepted="face_pixels" in facts
        and len(boxes) == 1
        and not any(finding.kind == "reject" for finding in findings),
        findings=findings,
        picture=picture,
        width=int(facts["width"]),
        height=int(facts["height"]),
        faces=len(boxes),
        face_pixels=int(facts.get("face_pixels", 0)),
        pose=str(facts.get("pose", ""))[:10],
        embedding=embedding or None,
        look=base64.b64decode(str(facts.get("look", ""))),
        boxes=boxes,
        dress=(int(red), int(green), int(blue)) if facts.get("dress") else None,
    )


def box(edges: Sequence[Any]) -> Box:
    left, top, right, bottom = (int(edge) for edge in edges)
    return left, top, right, bottom


# Training wants both sides; the rest may look where it likes.
SIDES_WANTED = 2


@dataclass(frozen=True)
class Meter:
    """How far the set is, and what it still lacks."""

    count: int
    asked: int
    wishes: tuple[str, ...] = ()

    def said(self, words: Words) -> str:
        """One sentence, such as "6 of 8: one more from the side, one in other clothes"."""
        missing = self.asked - self.count
        if missing < 0:
            return words.ngettext("{n} photo: complete", "{n} photos: complete", self.count)
        if missing == 0:
            return words.gettext("{count} of {asked}: complete", count=self.count, asked=self.asked)
        wishes = [words.gettext(wish) for wish in self.wishes[:missing]]
        wishes = wishes or [words.ngettext("{n} more, however you like", "{n} more, however you like", missing)]
        said = words.enumerated(wishes)
        return words.gettext("{count} of {asked}: {wishes}", count=self.count, asked=self.asked, wishes=said)


def meter(poses: Sequence[str], dresses: Sequence[Colour | None] = (), *, asked: int = 8) -> Meter:
    """What the set still lacks."""
    count = len(poses)
    wishes: list[str] = []
    sides = sum(pose != "front" for pose in poses)
    if sides < SIDES_WANTED:
        wishes.append(N_("one more from the side") if sides else N_("one from the side"))
    if count and sides == count:
        wishes.append(N_("one from the front"))
    if count >= 3 and _one_dress(dresses):
        wishes.append(N_("one in other clothes"))
    return Meter(count, asked, tuple(wishes))


def _one_dress(dresses: Sequence[Colour | None]) -> bool:
    """Whether all clothes that were seen have about the same colour; 60 of 441 is a clear step in RGB."""
    seen = [dress for dress in dresses if dress is not None]
    return len(seen) >= 2 and all(math.dist(seen[0], dress) < 60 for dress in seen)
