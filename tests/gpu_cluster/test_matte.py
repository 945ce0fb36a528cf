from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.faces import Faces
from gpu_cluster.matte import wall
from gpu_cluster.portraits.draw import Person, Scene, draw
from gpu_cluster.recipes.base import Base, oval, sized
from gpu_cluster.train import Subject


def drawn_wall(person: Person, scene: Scene) -> Tensor:
    """(16, 16), how much of each place is wall: what changes when everything but the backdrop stays."""
    before, behind = (
        np.asarray(draw(person, replace(scene, backdrop=backdrop), 128), int)
        for backdrop in ("a white backdrop", "a dark grey backdrop")
    )
    changed = Image.fromarray(((np.abs(before - behind).max(2) > 8) * 255).astype(np.uint8))
    return torch.from_numpy(np.array(changed.resize((16, 16), Image.Resampling.BOX), np.float32)) / 255


def test_the_base_tells_a_person_from_the_wall_behind(small_base: Base) -> None:
    faces, of_wall, of_head = Faces(), [], []
    for seed, backdrop in ((3, "a white backdrop"), (4, "a bookshelf"), (5, "a dark grey backdrop"), (6, "a beach")):
        person = Person.drawn(seed)
        scene = replace(Scene.drawn(np.random.default_rng(seed)), backdrop=backdrop, framing="head and shoulders")
        photo = draw(person, scene, 512)
        face, head = faces.front(photo), faces.head(photo)
        assert face is not None
        assert head is not None
        told, truth = wall(small_base, photo, face, head)[0], drawn_wall(person, scene)
        # Inside the head's oval, above the chin and off the middle of the face: what geometry cannot tell.
        asked = (oval(photo, head, 16, 16)[0] > 0.5) & (oval(photo, sized(face, 0.7), 16, 16)[0] == 0)
        asked[round(face[3] * 16) :] = False
        of_wall.append(told[asked & (truth > 0.99)].mean())
        of_head.append(told[asked & (truth < 0.01)].mean())
    assert float(torch.stack(of_wall).min()) > 0.6
    assert float(torch.stack(of_head).max()) < 0.2


def test_without_anything_beside_the_head_nothing_is_wall(
    tiny_base: Base, make_subject: Callable[..., Subject]
) -> None:
    photo = make_subject("ada", 1).photos[0].resize((16, 16))
    nothing = wall(tiny_base, photo, (0.2, 0.2, 0.8, 0.8), (-1.0, -1.0, 2.0, 2.0))
    assert nothing.shape == (1, *tiny_base.encode_image([photo]).shape[-2:])
    assert float(nothing.abs().max()) == 0.0
