"""The ways of making headshots that a company may offer: a model of each person, or a studio portrait of their own photo.

Each has a purpose of consent of its own, needs its own number of photos, and is told of in the notice only where it is
offered.
"""

from __future__ import annotations

from typing import NamedTuple

from batch.models import Purpose
from tenants.models import CUTOUT, Tenant


class Photos(NamedTuple):
    """How many accepted photos a sitting starts from, and how many are asked for."""

    needed: int
    asked: int


# Of one photo there is one portrait; of three, the person has a choice, and their own tone is known.
PORTRAIT, MODEL = Photos(1, 3), Photos(6, 8)


def photos_for(recipe: str) -> Photos:
    return PORTRAIT if recipe == CUTOUT else MODEL


def needed(tenant: Tenant) -> int:
    """From how many photos on something can be made for this company's people."""
    return min(photos_for(recipe).needed for recipe in tenant.recipes)


def purpose_of(recipe: str) -> Purpose:
    return Purpose.PORTRAIT if recipe == CUTOUT else Purpose.HEADSHOTS


def asked(tenant: Tenant) -> list[Purpose]:
    """What the company's people are asked about: each way that it offers, then the check that goes with each."""
    return [*dict.fromkeys(purpose_of(recipe) for recipe in tenant.recipes), Purpose.BIOMETRIC]


def kind(tenant: Tenant) -> str:
    """`model`, `portrait` or `both`."""
    offered = {purpose_of(recipe) for recipe in tenant.recipes}
    return "both" if len(offered) == 2 else "portrait" if Purpose.PORTRAIT in offered else "model"


def words(tenant: Tenant, language: str) -> dict[str, str]:
    """The sentences of the notice that depend on what the company offers."""
    offered = kind(tenant)
    told = {name: told[offered].format(controller=tenant.name) for name, told in WORDS[language].items()}
    return told | {"needed": str(needed(tenant))}


WORDS: dict[str, dict[str, dict[str, str]]] = {
    "en": {
        "made": {
            "model": "professional headshots made by a computer",
            "portrait": "professional headshots made of your own photos by a computer",
            "both": "professional headshots made by a computer",
        },
        "asked": {
            "model": """You are asked about two things, one at a time. Nothing is ticked for you.
(a) Headshots: about eight selfies that you hand in are used to train a small model of you alone and to make your
    headshots with it.
(b) Face measurements: """,
            "portrait": """You are asked about two things, one at a time. Nothing is ticked for you.
(a) Studio portrait: you hand in about three photos, one is enough. Your own photos are cut out, framed, evened out a
    little in light and set on a backdrop of {controller}. No model of you is made, nothing is trained, and no part of
    your face is drawn by a computer: what is shown was in your photo.
(b) Face measurements: """,
            "both": """You are asked about three things, one at a time. Nothing is ticked for you. You may agree to (a),
to (b) or to both.
(a) Headshots: about eight selfies that you hand in are used to train a small model of you alone and to make your
    headshots with it.
(b) Studio portrait: you hand in about three photos, one is enough. Your own photos are cut out, framed, evened out a
    little in light and set on a backdrop of {controller}. No model of you is made for it, nothing is trained, and no
    part of your face is drawn by a computer.
(c) Face measurements: """,
        },
        "few": {"model": "about eight selfies", "portrait": "about three photos", "both": "three to eight photos"},
        "train": {
            "model": "They train nothing else.",
            "portrait": "They train nothing at all.",
            "both": "They train nothing else.",
        },
        "kept": {
            "model": "Your selfies and the model of you",
            "portrait": "Your photos",
            "both": "Your photos and, if you agreed to one, the model of you",
        },
        "never": {
            "model": "Your photos, your model and your headshots train no other model: nobody else's, none that is shared,"
            " and not ours.",
            "portrait": "Your photos and your headshots train no model: none of you, nobody else's, none that is shared,"
            " and not ours.",
            "both": "Your photos, your model if there is one, and your headshots train no other model: nobody else's,"
            " none that is shared, and not ours.",
        },
    },
    "de": {
        "made": {
            "model": "professionelle Porträts anbieten, die ein Computer erstellt",
            "portrait": "professionelle Porträts anbieten, die ein Computer aus Ihren eigenen Fotos erstellt",
            "both": "professionelle Porträts anbieten, die ein Computer erstellt",
        },
        "asked": {
            "model": """Sie werden nach zwei Dingen gefragt, nach jedem einzeln. Nichts ist für Sie angekreuzt.
(a) Porträts: Mit etwa acht Selfies, die Sie abgeben, wird ein kleines Modell allein von Ihnen trainiert, mit dem Ihre
    Porträts entstehen.
(b) Gesichtsmaße: """,
            "portrait": """Sie werden nach zwei Dingen gefragt, nach jedem einzeln. Nichts ist für Sie angekreuzt.
(a) Studioporträt: Sie geben etwa drei Fotos ab, eines genügt. Ihre eigenen Fotos werden freigestellt, gleich gerahmt,
    im Licht leicht angeglichen und vor einen Hintergrund von {controller} gesetzt. Es entsteht kein Modell von Ihnen,
    nichts wird trainiert, und kein Teil Ihres Gesichts wird von einem Computer gezeichnet: Was man sieht, war auf Ihrem
    Foto.
(b) Gesichtsmaße: """,
            "both": """Sie werden nach drei Dingen gefragt, nach jedem einzeln. Nichts ist für Sie angekreuzt. Sie können
(a), (b) oder beidem zustimmen.
(a) Porträts: Mit etwa acht Selfies, die Sie abgeben, wird ein kleines Modell allein von Ihnen trainiert, mit dem Ihre
    Porträts entstehen.
(b) Studioporträt: Sie geben etwa drei Fotos ab, eines genügt. Ihre eigenen Fotos werden freigestellt, gleich gerahmt,
    im Licht leicht angeglichen und vor einen Hintergrund von {controller} gesetzt. Dafür entsteht kein Modell von Ihnen,
    nichts wird trainiert, und kein Teil Ihres Gesichts wird von einem Computer gezeichnet.
(c) Gesichtsmaße: """,
        },
        "few": {"model": "etwa acht Selfies", "portrait": "etwa drei Fotos", "both": "drei bis acht Fotos"},
        "train": {
            "model": "Damit wird nichts anderes trainiert.",
            "portrait": "Damit wird nichts trainiert.",
            "both": "Damit wird nichts anderes trainiert.",
        },
        "kept": {
            "model": "Ihre Selfies und das Modell von Ihnen",
            "portrait": "Ihre Fotos",
            "both": "Ihre Fotos und, falls Sie ihm zugestimmt haben, das Modell von Ihnen",
        },
        "never": {
            "model": "Ihre Fotos, Ihr Modell und Ihre Porträts trainieren kein anderes Modell: kein fremdes, kein"
            " gemeinsames, auch nicht unseres.",
            "portrait": "Ihre Fotos und Ihre Porträts trainieren kein Modell: keines von Ihnen, kein fremdes, kein"
            " gemeinsames, auch nicht unseres.",
            "both": "Ihre Fotos, Ihr Modell, falls es eines gibt, und Ihre Porträts trainieren kein anderes Modell:"
            " kein fremdes, kein gemeinsames, auch nicht unseres.",
        },
    },
}
