"""One portrait of one photo, from the photo to a verdict. No generation: what is shown was in the photo.

face -> canvas -> mask -> outline -> own colours -> light -> beyond the photo -> verdict; then, as often as there are
backdrops, `on`. About 0.7 s of one processor and 340 MB; the same photo gives the same bytes.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from batch.vision import landmarks
from batch.vision.presets import CANVAS, widest
from batch.vision.views import Floats
from gpu_cluster.cutout import alpha, check, frame, hands, light, limits, segment
from gpu_cluster.cutout.backdrop import composed
from gpu_cluster.cutout.limits import LIMITS, Verdict
from gpu_cluster.cutout.sight import Sight

# The inner part of the face that is person whatever the mask says.
INNER = 0.86


@dataclass(frozen=True)
class Portrait:
    """`reasons` are names of check.LIMITS, the worst first. `loosening` is what the square frame needs for all the hair."""

    verdict: Verdict
    reasons: tuple[str, ...]
    measures: dict[str, float]
    colour: Floats
    outline: Floats
    loosening: float

    def on(self, behind: Floats) -> Image.Image:
        """The canvas with this backdrop, of which presets are cut."""
        return composed(self.colour, self.outline, behind, self.measures["noise"])

    @property
    def advice(self) -> tuple[str, str] | None:
        """What was found and what to do about it, or None if nothing was."""
        if not self.reasons:
            return None
        limit = LIMITS[self.reasons[0]]
        return limit.sentence, limit.action


def portrait(sight: Sight, own: Floats | None) -> Portrait:
    """`own` is the person's own tone, see sight.own_tone."""
    view = sight.view
    canvas, inside = view.take(sight.photo), view.covered(sight.photo.size)
    face = landmarks.seen(view, sight.face)
    inner = face.oval((CANVAS, CANVAS), INNER)
    raw, apart = segment.person(canvas)
    mask, _ = segment.one_person(raw, inner)
    solved = alpha.outline(canvas, mask, inner, float(face.points[landmarks.CHIN, 1]))
    outline, _ = segment.one_person(solved, inner)
    seen = light.tone(canvas, face)
    colour, moved = light.finished(alpha.own_colours(canvas, outline), face, seen, own, sight.enlarged)
    box = widest()
    measures = {
        "enlarged": sight.enlarged,
        "turned": abs(sight.face.yaw),
        "shut": float(sight.shut),
        "mouth": sight.face.mouth_round,
        "apart": apart,
        "noise": light.noise(canvas, inner),
        "moved": moved,
        "cast": 0.0 if seen is None else light.cast(seen),
        "hand": hands.before(canvas, (outline > 0.5) & inside, box),
        **frame.lacking(outline, inside, box),
        **check.cut_quality(canvas, mask, outline, inside, face, box),
        **check.others(list(sight.others), sight.face, view, mask),
    }
    after = light.tone(colour, face)
    if seen is not None and after is not None:
        measures["ita"], measures["drift"] = light.ita(seen), light.ita(after) - light.ita(seen)
        measures["skin_moved"] = float(np.linalg.norm(after - seen))
    # No frame is loosened around a head whose hair ends flat with the photo.
    whole = measures["crown_cut"] <= LIMITS["head_cut"].look
    loosening = frame.room_needed(outline) if whole else 1.0
    colour, outline = frame.beyond(colour, outline, inside)
    # What went on beyond the photo's edge and does not hang together with the person is nobody's.
    outline, _ = segment.one_person(outline, inner)
    verdict, reasons = limits.verdict(measures)
    return Portrait(verdict, reasons, measures, colour, outline, loosening)
