"""Why the judge refuses a headshot, and how that is said to the person whose look came to nothing. Plain data."""

from __future__ import annotations

from collections.abc import Mapping

from likeness.locale.marks import N_

LATER, NO_WALL = "later", "no_wall"
"""Of studio portraits, which are refused for nothing else; other photos of the person change neither."""

UNFORESEEN = "unforeseen"
"""Of a photo on which the program itself went wrong."""

DOUBTS: Mapping[str, str] = {
    "no_face": N_("no face could be seen in its pictures"),
    "more_faces": N_("its pictures showed more than one face"),
    "unlike": N_("its pictures did not look enough like you"),
    "not_me": N_("its pictures were no more like you than one that you said is not you"),
    "stranger": N_("its pictures could have been taken for somebody else"),
    "small": N_("your face was too small in its pictures"),
    "blurred": N_("its pictures were not sharp"),
    "dark": N_("its pictures were too dark"),
    "bright": N_("its pictures were too bright"),
    "skin": N_("the colour of your skin was off in its pictures"),
    "copied": N_("its pictures only repeated one of your photos"),
    "repeated": N_("its pictures were nearly the same"),
    LATER: N_("of studio portraits at most six are made, in your company's first looks"),
    NO_WALL: N_("the picture of its backdrop cannot be used"),
}
"""Each goes on from “Nothing came of the look Studio:”."""
