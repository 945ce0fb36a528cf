"""Whether a portrait may be shown as it is, has to be looked at by the person first, or is refused, and what they read."""

from typing import Literal, NamedTuple

from likeness.locale.marks import N_

Verdict = Literal["ship", "look", "refuse"]


class Limit(NamedTuple):
    """A measure past `look` is shown with a question, past `refuse` not at all. One sentence and one action each."""

    measure: str
    look: float
    refuse: float
    sentence: str
    action: str


NEVER = float("inf")
# Found on 103 photographs that were chosen to be hard and on 95 photographs of well-known people. `stray` and `unsure`
# are as strict as they are because what they find is seldom seen on a phone and always seen in print.
LIMITS = {
    "no_face": Limit(
        "no_face", 0.5, 0.5, N_("We could not find a face in this photo."), N_("Choose one facing the camera.")
    ),
    "other_person": Limit(
        "touching", 0.5, 0.5, N_("Another person is too close to you in this photo."), N_("Choose a photo with only you.")
    ),
    "too_small": Limit(
        "enlarged", 2.4, 4.5, N_("Your face is small in this photo and becomes blurred."), N_("Move closer to the camera.")
    ),
    "turned": Limit(
        "turned", 28, 42, N_("Your face is turned far to the side."), N_("Turn a little towards the camera.")
    ),
    "head_cut": Limit(
        "crown_cut", 0.03, 0.10, N_("The photo ends above your face and cuts your head."),
        N_("Hold the phone further away: shoulders and all your hair in the picture."),
    ),
    "hair_cut": Limit(
        "side_cut", 0.03, 0.25, N_("The photo ends beside your head and cuts your hair."),
        N_("Hold the phone further away: shoulders and all your hair in the picture."),
    ),
    "too_close": Limit(
        "gap", 0.07, 0.15, N_("Your shoulders are not all in the photo."),
        N_("Hold the phone further away: shoulders and all your hair in the picture."),
    ),
    "same_colour": Limit(
        "same_colour", 0.38, 0.60, N_("Your hair or clothes and the background are the same colour."),
        N_("Stand before a wall of another colour."),
    ),
    "beside": Limit(
        "beside", 10, 30, N_("Somebody or something is right beside your head."), N_("Choose a photo with only you.")
    ),
    "rising": Limit(
        "rise", 0.1, NEVER, N_("A hand or somebody behind you may be beside your shoulder."),
        N_("Check that only you are left."),
    ),
    "outline": Limit(
        "apart", 0.045, 0.12,
        N_("We are not sure where you end and the background begins."), N_("Stand before a plain wall."),
    ),
    "soft": Limit("soft", 4.4, 9, N_("The edge of your hair is not clear."), N_("Stand before a plain wall.")),
    "unsure": Limit("unsure", 3.5, 10, N_("The edge of your body is not clear."), N_("Stand before a plain wall.")),
    "leak": Limit("leak", 0.8, 3, N_("Part of the background may have stayed."), N_("Stand before a plain wall.")),
    # A tenth of a face height, as for `rising`: what is shipped otherwise has none of it, or less.
    "patch": Limit(
        "stretch", 0.1, NEVER, N_("Part of the background may have stayed."), N_("Stand before a plain wall.")
    ),
    "lost": Limit("lost", 0.8, 4, N_("Part of you may be missing."), N_("Stand before a plain wall.")),
    "stray": Limit(
        "stray", 0.08, NEVER, N_("Something behind you may have stayed at your edge."), N_("Stand before a plain wall.")
    ),
    "holes": Limit("holes", 0.3, 1.2, N_("There are holes in the picture of you."), N_("Stand before a plain wall.")),
    # Pale and pinkish skin in daylight reaches 6, a stage's violet light 13.
    "cast": Limit("cast", 7, 15, N_("Coloured light falls on your face."), N_("Turn towards a window.")),
    "hair_over_frame": Limit(
        "over_top", 0.02, NEVER, N_("Your hair goes beyond the frame."), N_("Hold the phone further away.")
    ),
    "eyes_shut": Limit("shut", 0.5, NEVER, N_("An eye looks closed."), N_("Choose a photo with open eyes.")),
    # See FacePoints.mouth_round: between the widest smile and a shout.
    "mouth_open": Limit(
        "mouth", 0.41, NEVER, N_("Your mouth is wide open."), N_("Choose a photo with a calmer face.")
    ),
    # See hands.before: of people whose hand is in the frame it is past this of nearly all, of others of one in thirty.
    "hand": Limit("hand", 0.7, NEVER, N_("A hand may be in the picture."), N_("Check that it may stay.")),
    "somebody_near": Limit(
        "near", 0.5, NEVER, N_("There was somebody else in the photo."), N_("Check that only you are left.")
    ),
}  # fmt: skip


def verdict(measures: dict[str, float]) -> tuple[Verdict, tuple[str, ...]]:
    """What is done with a portrait of these measures, and the names of the limits it is past, the worst first."""
    refused = [name for name, limit in LIMITS.items() if measures.get(limit.measure, 0.0) > limit.refuse]
    doubted = [
        name for name, limit in LIMITS.items() if name not in refused and measures.get(limit.measure, 0.0) > limit.look
    ]
    return ("refuse" if refused else "look" if doubted else "ship"), (*refused, *doubted)
