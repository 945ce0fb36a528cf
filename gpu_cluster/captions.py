"""What a selfie is said to show while its person is learned.

Clothes and rooms that a caption names are not learned as part of the person. A base may ship a small reader of its own
world beside its weights; without one all selfies have the same words, and only the head counts in the loss.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gpu_cluster.portraits.probe import Probe
from gpu_cluster.portraits.scene import SUBJECT_TOKEN, place

SURE = 0.5
"""Share of the reader's belief under which it is not quoted."""


class Captions:
    """`base` is the base's folder, where `probe.safetensors` lies if it ships a reader."""

    def __init__(self, base: str) -> None:
        file = Path(base) / "probe.safetensors"
        self._probe = Probe.load(file) if file.is_file() else None

    def of(self, photo: Image.Image) -> str:
        words = f"a photo of {SUBJECT_TOKEN} person"
        if self._probe is None:
            return words
        seen = self._probe.read(photo)
        if seen.dress_confidence >= SURE:
            words += f" in {seen.dress}"
        if seen.backdrop_confidence >= SURE:
            words += f", {place(seen.backdrop)}"
        return words
