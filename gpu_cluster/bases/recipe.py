"""Recipes: every number of a training and of its pictures, frozen, with the reason beside it.

Plain data: whoever only names a recipe does not wait for torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

FREE_LICENCE = "Apache-2.0"
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True)
class Recipe:
    """Plain values only: a recipe is kept with its run as JSON."""

    name: str
    base: str
    """A diffusers folder, or the name of one on the hub. Relative folders are looked for in `gpu_cluster`."""
    licence: str
    resolution: int
    """Pixels of the square that the base draws, and learns at."""
    steps: int
    learning_rate: float
    family: str = ""
    """Entry point of the group `likeness.families` that serves the base; empty: the class of its pipeline tells."""
    world: str = PHOTOGRAPHS
    """What the base knows. A base of another world than photographs is for the demo, and no company is offered it."""
    twin: str = ""
    """A base with the same layers that pictures are drawn with, such as one distilled to few steps; adapters are trained on
    `base`, which is the one that learns. A folder or a name as `base` is, and under the same licence."""
    also_at: tuple[int, ...] = ()
    """Sides at which training sees the same photos too, step by step in turn: a face is then known close and far away, and
    not at one number of pixels alone (512, 768 and 1024 together in ai-toolkit). Pictures are drawn at `resolution`."""
    strategy: str = "lora"
    """"lora" trains an adapter; "reference" trains nothing and draws from one to three selfies, for previews and for
    people with fewer than six usable photos."""
    fewest_photos: int = 3
    """Photos with a face that the strategy needs: an adapter from fewer shows one expression in one light."""
    loading_seconds: int = 40
    """What is expected at most between two signs of life while photos are opened and blocks are compiled. Three times as
    long in its stage, and at least two minutes, and a studio counts as hung. Not measured for the large bases."""
    step_seconds: int = 40
    """The same while it trains: for one step, and for the sealing of a checkpoint."""
    picture_seconds: int = 40
    """The same while it renders and judges: for one step of a batch of pictures."""
    a_rate: float = 1.0
    """Multiple of `learning_rate` for the adapter's A, which reads. Its B, which begins at zero and writes, has 1."""
    rank: int = 16
    """16 holds a face; 8 loses the finer marks and 32 only costs time."""
    batch: int = 1
    """Pictures of one person in one step."""
    pack: int = 4
    """People trained in one step over one frozen base. Their results do not depend on it."""
    targets: str = "all"
    """"attention", or "all": with feed-forward, projections and convolutions."""
    dtype: str = "float32"
    """Of the frozen base. Adapters and their moments are always float32."""
    warmup: int = 10
    """Steps to full learning rate: Adam's second moments mean nothing before."""
    caption_dropout: float = 0.0
    """Share of a training's pictures that are shown without words, so that guidance goes on meaning something (0.05 in
    ai-toolkit and in diffusers' Flux scripts)."""
    clip: float = 1.0
    """Largest gradient norm of one person; one bad picture must not throw a run."""
    weight_decay: float = 1e-4
    """Only keeps unused directions small; diffusers' script has the same."""
    outside: float = 0.1
    """What a pixel outside the head counts in the loss, where the subject says where the head is: clothes and rooms
    of the selfies are not the person, and without captions of them they would be learned as if they were."""
    face: float = 1.0
    """What a pixel of the face itself counts beside one of the hair around it, where the subject says where the face is."""
    moments: float = 1.0
    """Exponent of the moments that a training draws, 0..1 with most noise at 1: above 1, more of them are of little noise,
    where faces are told apart, and fewer of much, which decides dress and backdrop."""
    look_every: int = 0
    """Steps between looks at the likeness to the held-out selfies, which end a person's training early; 0 never looks."""
    compiled: bool = False
    """Whether the network's repeated blocks are compiled: a minute once in a studio's life, then fewer, larger kernels. A
    small network on a CPU never earns that minute back."""
    checkpoint_every: int = 50
    """Steps between checkpoints where nobody looks; otherwise each look keeps one, because the GPU has stopped already."""
    render_steps: int = 20
    guidance: float = 3.0
    render_batch: int = 4
    """Pictures rendered at once; memory allows more than this only gains a few percent on a CPU."""
    pictures: int = 40
    """Headshots that are made at first; more follow where fewer than `shown` pass the judge."""
    shown: int = 12
    """The best of those that pass, which the person sees."""
    smallest: int = 512
    """Pictures under this side are enlarged to it, so that faces can be judged and looked at."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def as_json(self) -> str:
        """The same text for the same numbers, so that a checkpoint can be asked whose it is."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Raises ValueError for a name that no recipe has: an older program must not drop what it does not know."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a recipe has no {', '.join(sorted(unknown))}")
        return cls(**{**values, "also_at": tuple(values.get("also_at", ()))})

    @staticmethod
    def expected_seconds(recipe: Mapping[str, Any], stage: str) -> float:
        """Of a recipe as an order carries it; that of a studio portrait names none."""
        name = {"training": "step_seconds", "looking": "picture_seconds", "rendering": "picture_seconds"}.get(stage)
        name = name or "loading_seconds"
        return float(recipe.get(name, 0))

    def source(self, base: str = "") -> str:
        """Where the base, or another one, is loaded from: the folder in `gpu_cluster` when there is one."""
        beside = Path(__file__).parents[1] / (base or self.base)
        return str(beside) if beside.is_dir() else base or self.base


class RecipeUnknown(ValueError):
    """No recipe has this name."""


def named(name: str) -> Recipe:
    """Raises RecipeUnknown, with the names there are."""
    found = recipes()
    if name not in found:
        raise RecipeUnknown(f"there is no recipe “{name}”; there are {', '.join(sorted(found))}")
    return found[name]


@cache
def recipes() -> Mapping[str, Recipe]:
    """The recipes below, and those that installed packages declare as entry points of `likeness.recipes`."""
    declared = [recipe for point in entry_points(group="likeness.recipes") for recipe in point.load()]
    return {recipe.name: recipe for recipe in (*OWN, *declared)}


FLUX = Recipe(
    name="flux2-klein-4b",
    # Adapters are trained on the undistilled base.
    base="black-forest-labs/FLUX.2-klein-base-4B",
    licence=FREE_LICENCE,
    resolution=768,
    also_at=(512,),
    # Transformers learn a face in fewer steps than SDXL, and each costs five times as much.
    steps=600,
    loading_seconds=300,
    step_seconds=60,
    picture_seconds=60,
    look_every=200,
    # Faces on these transformers ask for twice SDXL's rank (ai-toolkit's defaults).
    rank=32,
    learning_rate=1e-4,
    caption_dropout=0.05,
    targets="attention",
    dtype="bfloat16",
    compiled=True,
    guidance=4.0,
    render_steps=28,
)
OWN = (
    Recipe(
        name="sdxl",
        base="stabilityai/stable-diffusion-xl-base-1.0",
        licence="OpenRAIL++",
        resolution=1024,
        also_at=(512, 768),
        # 1,000 sample-steps: between DreamBooth's 800 and 1,200 for faces; some faces settle sooner.
        steps=1000,
        loading_seconds=300,
        step_seconds=60,
        picture_seconds=60,
        look_every=250,
        learning_rate=1e-4,
        caption_dropout=0.05,
        targets="attention",
        dtype="bfloat16",
        compiled=True,
        pack=8,
        guidance=5.0,
        render_steps=25,
    ),
    FLUX,
    replace(
        FLUX,
        name="flux2-klein-4b-distilled",
        # As above, but drawn by the distilled twin: four steps for twenty-eight, for the memory of a second transformer.
        # How like people become has not been measured.
        twin="black-forest-labs/FLUX.2-klein-4B",
        guidance=1.0,
        render_steps=4,
    ),
    Recipe(
        name="flux2-klein-4b-reference",
        # The distilled twin edits in four steps and ignores guidance.
        base="black-forest-labs/FLUX.2-klein-4B",
        licence=FREE_LICENCE,
        strategy="reference",
        fewest_photos=1,
        loading_seconds=300,
        step_seconds=60,
        picture_seconds=60,
        resolution=768,
        steps=0,
        learning_rate=0.0,
        dtype="bfloat16",
        guidance=1.0,
        render_steps=4,
        pictures=8,
        shown=4,
    ),
    Recipe(
        name="z-image",
        base="Tongyi-MAI/Z-Image",
        licence=FREE_LICENCE,
        resolution=768,
        also_at=(512,),
        steps=600,
        loading_seconds=300,
        step_seconds=60,
        picture_seconds=60,
        look_every=200,
        # Faces on these transformers ask for twice SDXL's rank (ai-toolkit's defaults).
        rank=32,
        learning_rate=1e-4,
        caption_dropout=0.05,
        targets="attention",
        dtype="bfloat16",
        pack=2,
        guidance=4.0,
        render_steps=28,
    ),
)
