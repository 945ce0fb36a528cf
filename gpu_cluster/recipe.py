"""Recipes: every number of a training and of its pictures, frozen, with the reason beside it.

Plain data: whoever only names a recipe does not wait for torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FREE_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Recipe:
    """Plain values only: a recipe is kept with its run as JSON."""

    name: str
    base: str
    """A diffusers folder, or the name of one on the hub. Relative folders are looked for beside this file."""
    licence: str
    resolution: int
    """Pixels of the square that the base works on."""
    steps: int
    learning_rate: float
    strategy: str = "lora"
    """"lora" trains an adapter; "reference" trains nothing and draws from one to three selfies, for previews and for
    people with fewer than six usable photos."""
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
    clip: float = 1.0
    """Largest gradient norm of one person; one bad picture must not throw a run."""
    weight_decay: float = 1e-4
    """Only keeps unused directions small; diffusers' script has the same."""
    flip: bool = False
    """Mirrored pictures double the data, but a parting or a mole then sits on both sides."""
    outside: float = 0.1
    """What a pixel outside the head counts in the loss, where the subject says where the head is: clothes and rooms
    of the selfies are not the person, and without captions of them they would be learned as if they were."""
    face: float = 1.0
    """What a pixel of the face itself counts beside one of the hair around it, where the subject says where the face is."""
    moments: float = 1.0
    """Exponent of the moments that a training draws, 0..1 with most noise at 1: above 1, more of them are of little noise,
    where faces are told apart, and fewer of much, which decides dress and backdrop."""
    prior: int = 0
    """Pictures of nobody in particular that the base draws before anybody is learned, and that each step also learns from
    (see `train`). A step costs twice as much; 0 leaves it out."""
    prior_weight: float = 1.0
    """What a picture of nobody counts beside one of the person."""
    look_every: int = 0
    """Steps between looks at the likeness to the held-out selfies, which end a person's training early; 0 never looks."""
    compiled: bool = False
    """Whether the network's repeated blocks are compiled: a minute once in a studio's life, then fewer, larger kernels. A
    small network on a CPU never earns that minute back."""
    checkpoint_every: int = 50
    """Steps that a lost machine costs at most."""
    render_steps: int = 20
    guidance: float = 3.0
    base_first: float = 0.0
    """Share of the steps that the base draws alone: what the words say of dress and backdrop takes shape before the
    adapter, which has seen other clothes, has a say."""
    anchor: float = 0.0
    """Share of the steps in which the middle of the face is held to one of the training pictures, while hair, clothes and
    backdrop form around it; its rim is let go earlier, and hair earlier still. At the end the head is drawn anew around
    what was held. A large base needs none of it."""
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
        return cls(**values)

    def source(self) -> str:
        """Where the base is loaded from: the folder beside this file when there is one."""
        beside = Path(__file__).parent / self.base
        return str(beside) if beside.is_dir() else self.base


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="portrait-small",
            base="portraits/base",
            licence=FREE_LICENCE,
            resolution=128,
            # On two cores people wait half a minute; 480 come no nearer on average.
            steps=240,
            # More steps of fewer pictures come nearer in the same time.
            batch=2,
            # A small network bears, and needs, forty times the rate of SDXL's adapters; 8e-3 for B as well loses words.
            learning_rate=4e-3,
            # With 1 and with 4 faces are further off after as many steps.
            a_rate=2.0,
            # The whole of it takes seconds; a checkpoint in the middle is enough.
            checkpoint_every=120,
            render_steps=12,
            # Between 2 and 3, where the words are followed alike (decision 0022).
            guidance=2.5,
            # Four of twelve: with three dress is followed less, and with five faces are further off.
            base_first=0.34,
            # Evenly weighted, the hair's many pixels are learned first.
            face=3.0,
            # Half of all steps below t = 330: evenly drawn moments follow the words less (decision 0023).
            moments=1.6,
            # Without it, a face is its person's at a distance and not yet from near.
            anchor=1.0,
            render_batch=8,
            pictures=12,
            shown=6,
        ),
        Recipe(
            name="sdxl",
            base="stabilityai/stable-diffusion-xl-base-1.0",
            licence="OpenRAIL++",
            resolution=1024,
            # 1,000 sample-steps: between DreamBooth's 800 and 1,200 for faces; some faces settle sooner.
            steps=1000,
            look_every=250,
            learning_rate=1e-4,
            targets="attention",
            dtype="bfloat16",
            compiled=True,
            pack=8,
            guidance=5.0,
            render_steps=25,
        ),
        Recipe(
            name="flux2-klein-4b",
            # Adapters are trained on the undistilled base.
            base="black-forest-labs/FLUX.2-klein-base-4B",
            licence=FREE_LICENCE,
            resolution=768,
            # Transformers learn a face in fewer steps than SDXL, and each costs five times as much.
            steps=600,
            look_every=200,
            learning_rate=1e-4,
            targets="attention",
            dtype="bfloat16",
            compiled=True,
            guidance=4.0,
            render_steps=28,
        ),
        Recipe(
            name="flux2-klein-4b-reference",
            # The distilled twin edits in four steps and ignores guidance.
            base="black-forest-labs/FLUX.2-klein-4B",
            licence=FREE_LICENCE,
            strategy="reference",
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
            steps=600,
            look_every=200,
            learning_rate=1e-4,
            targets="attention",
            dtype="bfloat16",
            pack=2,
            guidance=4.0,
            render_steps=28,
        ),
    )
}
