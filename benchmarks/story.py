"""`make story PHOTOS=folder`: how many photos somebody hands in until eight of them count.

    python -m benchmarks.story [--photos FOLDER] [--drawn 8] [--runs 40] --out story.json

Somebody goes through the photos on their phone and hands in one after the other, most of them good ones and now and then
a wrong one: what MIX says. Each is looked at by the product's own inspection, and after each the product's own set is
arranged anew, as after an upload. The person does what the page offers: taps their face in a group picture, says which
photos show them when asked, and uses two against advice. Counted are uploads until `asked` photos count, over many orders.

FOLDER has one sub-folder a person; who has fewer than eight photos there is asked for as many as there are, so that what
compares between people is `extra`: uploads beyond those that were asked for. Drawn people have as many photos as anybody
needs, and are asked for eight. Whatever is blurred, dark, repeated or shared with somebody else is made of these photos.

`refused` says of the person's own good photos how many did not count at the end, and why; `strangers_counted` how many of
somebody else did, which must never happen.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from batch.models import Photo, PhotoState
from batch.people.ways import MODEL
from batch.photos import groups, sets
from batch.photos.decisions import USED_ANYWAY
from batch.photos.measures import Measure
from batch.vision import inspection
from batch.vision.inspection import Inspection
from gpu_cluster.drawn.people.draw import selfies
from likeness.ground.db import utc_now
from likeness.run import folder

MIX = {"group": 0.04, "blurred": 0.03, "dark": 0.02, "copy": 0.03, "stranger": 0.01}
"""How often a photo that is handed in is one of these, one in eight in all; a group picture is as good as another once a
face is tapped."""
HARD = {kind: 2 * share for kind, share in MIX.items()}
SUPPLY = 14
"""Good photos that a drawn person has on their phone; one of them goes into a group picture."""
SIDE, STRANGERS = 1280, 3
DRAWN_APART = 0.4
"""Drawn people all have one draughtsman and lie closer together than photographs of people do."""


@dataclass(frozen=True)
class PhoneFile:
    """One file on the phone, as the product sees it."""

    kind: str
    mine: bool
    seen: Inspection
    tapped: Inspection | None = None
    """After the person tapped their face, where the picture shows several."""


@dataclass
class Phone:
    name: str
    asked: int
    good: list[PhoneFile]
    wrong: dict[str, list[PhoneFile]]
    copies: dict[int, PhoneFile]
    """By the place of the good photo that it is a copy of."""


@dataclass
class Set:
    """What was handed in, arranged after each upload as the product does it."""

    photos: list[Photo] = field(default_factory=list)
    measured: dict[UUID, Measure] = field(default_factory=dict)
    shots: dict[UUID, PhoneFile] = field(default_factory=dict)

    def hand_in(self, shot: PhoneFile) -> None:
        seen = shot.tapped if shot.seen.needs_choice and shot.tapped else shot.seen
        nobody = UUID(int=0)
        photo = Photo(
            id=uuid4(), tenant_id=nobody, employee_id=nobody, consent_id=nobody, path="", digest="", due_at=utc_now(),
            state=sets.state_of(seen), findings=[asdict(finding) for finding in seen.findings],
        )  # fmt: skip
        self.photos.append(photo)
        self.measured[photo.id], self.shots[photo.id] = sets.measure_of(seen), shot
        sets.arrange(self.photos, self.measured)
        if sets.unclear(self.photos):
            self._say_who()
        self._use_anyway()

    def _say_who(self) -> None:
        shown = sets.compared(self.photos)
        mine = {photo.id for photo in shown if self.shots[photo.id].mine}
        sets.say(self.photos, mine, {photo.id for photo in shown} - mine)
        sets.arrange(self.photos, self.measured)

    def _use_anyway(self) -> None:
        for photo in self.photos:
            good = self.shots[photo.id].kind in ("good", "group")
            if good and photo.state == PhotoState.ADVISED and self._overruled() < USED_ANYWAY:
                photo.used_anyway = True
                sets.settle(self.photos)

    def _overruled(self) -> int:
        return sum(photo.used_anyway for photo in self.photos)

    @property
    def count(self) -> int:
        return sum(photo.state == PhotoState.ACCEPTED for photo in self.photos)


@dataclass
class StoryFigures:
    uploads: list[int] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    short: int = 0
    """Orders in which all good photos were handed in and too few of them counted."""
    good: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    strangers_counted: int = 0

    def figures(self) -> dict[str, Any]:
        def of(counts: Sequence[int], name: str) -> dict[str, Any]:
            if not counts:
                return {f"{name}_median": None, f"{name}_p95": None, f"{name}_most": None}
            ninety_fifth = int(np.percentile(counts, 95, method="higher"))
            return {f"{name}_median": median(counts), f"{name}_p95": ninety_fifth, f"{name}_most": max(counts)}

        refused = sum(self.refused.values())
        return {
            "orders": len(self.extra) + self.short,
            "orders_of_eight": len(self.uploads),
            **of(self.uploads, "uploads"),
            **of(self.extra, "extra"),
            "short": self.short,
            "refused_share": round(refused / self.good, 4) if self.good else None,
            "refused": dict(self.refused.most_common()),
            "strangers_counted": self.strangers_counted,
        }


def replay(phone: Phone, mix: dict[str, float], runs: int, told: StoryFigures) -> None:
    for number in range(runs):
        chance = random.Random(f"{phone.name} {number}")
        handed = Set()
        for shot in order(phone, mix, chance):
            handed.hand_in(shot)
            if handed.count >= phone.asked:
                break
        note(handed, phone.asked, told)


def order(phone: Phone, mix: dict[str, float], chance: random.Random) -> Iterator[PhoneFile]:
    """The good photos, mixed, and before each perhaps a wrong one; no file twice, and a copy after what it is a copy of."""
    wrong = {kind: chance.sample(shots, len(shots)) for kind, shots in phone.wrong.items()}
    given: list[int] = []
    for at in chance.sample(range(len(phone.good)), len(phone.good)):
        while (kind := _kind(mix, chance)) != "good":
            if kind == "copy" and given:
                copied = phone.copies.get(given.pop(chance.randrange(len(given))))
                if copied:
                    yield copied
            elif wrong.get(kind):
                yield wrong[kind].pop()
        given.append(at)
        yield phone.good[at]


def _kind(mix: dict[str, float], chance: random.Random) -> str:
    (kind,) = chance.choices(["good", *mix], [1 - sum(mix.values()), *mix.values()])
    return kind


def note(handed: Set, asked: int, told: StoryFigures) -> None:
    if handed.count >= asked:
        told.extra.append(len(handed.photos) - asked)
        if asked == MODEL.asked:
            told.uploads.append(len(handed.photos))
    else:
        told.short += 1
    for photo in handed.photos:
        shot = handed.shots[photo.id]
        told.strangers_counted += not shot.mine and photo.state == PhotoState.ACCEPTED
        if shot.kind == "good":
            told.good += 1
            if photo.state != PhotoState.ACCEPTED:
                codes = [one["code"] for one in photo.findings if one["kind"] != "mended"]
                told.refused[codes[-1] if codes else photo.state] += 1


def phone_of(name: str, photos: Sequence[bytes], strangers: Sequence[bytes], asked: int) -> Phone:
    """Everything is inspected once; the orders are played with what was seen. Where there is a photo to spare, a group
    picture is made of it, which is a moment of its own."""
    together, good = (photos[-1:], photos[:-1]) if len(photos) > asked else ((), photos)
    few = {at: opened(good[at]) for at in random.Random(name).sample(range(len(good)), min(3, len(good)))}
    wrong = {
        "blurred": [_shot("blurred", jpeg(blurred(one))) for one in few.values()],
        "dark": [_shot("dark", jpeg(one.point(lambda value: value * 0.15))) for one in few.values()],
        "stranger": [PhoneFile("stranger", False, inspection.inspect(data)) for data in strangers],
        "group": [_group(opened(mine), opened(other)) for mine, other in zip(together, strangers, strict=False)],
    }
    copies = {
        at: _shot("copy", jpeg(one.resize((one.width * 15 // 16, one.height * 15 // 16)), 80)) for at, one in few.items()
    }
    return Phone(name, asked, [_shot("good", data) for data in good], wrong, copies)


def blurred(one: Image.Image) -> Image.Image:
    return one.filter(ImageFilter.GaussianBlur(min(one.size) / 90))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _shot(kind: str, data: bytes) -> PhoneFile:
    seen = inspection.inspect(data)
    return PhoneFile(kind, True, seen, _tapped(seen, left=None) if seen.needs_choice else None)


def _group(mine: Image.Image, other: Image.Image) -> PhoneFile:
    """The person on the left, somebody else on the right."""
    height = min(mine.height, other.height)
    parts = [one.resize((one.width * height // one.height, height)) for one in (mine, other)]
    both = Image.new("RGB", (sum(part.width for part in parts), height))
    both.paste(parts[0], (0, 0))
    both.paste(parts[1], (parts[0].width, 0))
    seen = inspection.inspect(jpeg(both))
    return PhoneFile("group", True, seen, _tapped(seen, left=parts[0].width / both.width) if seen.needs_choice else None)


def _tapped(seen: Inspection, left: float | None) -> Inspection | None:
    """As after the person tapped their face: the one on their side of the picture, or the largest."""
    if not seen.picture:
        return None
    there = [box for box in seen.boxes if left is None or (box[0] + box[2]) / 2 < left * seen.width]
    box = max(there, key=lambda box: box[2] - box[0], default=None)
    return inspection.inspect(seen.picture, tapped=box) if box else None


def of_folder(photos: Path) -> list[Phone]:
    """The others of the folder are the strangers of each."""
    people = {
        place.name: [_small(path) for path in folder.photos(place)] for place in sorted(photos.iterdir()) if place.is_dir()
    }
    return [phone_of(name, mine, strangers(people, name), min(MODEL.asked, len(mine))) for name, mine in people.items()]


def strangers(people: Mapping[str, Sequence[bytes]], name: str) -> list[bytes]:
    return [photos[0] for other, photos in people.items() if other != name][:STRANGERS]


def _small(path: Path) -> bytes:
    """As a phone would send it, no larger than the inspection looks at; a smaller one is sent as it is."""
    with Image.open(path) as picture:
        if max(picture.size) <= SIDE:
            return path.read_bytes()
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((SIDE, SIDE))
    return jpeg(upright)


def of_drawn(count: int) -> list[Phone]:
    drawn = {
        f"drawn {seed}": [jpeg(image) for image, _ in selfies(seed, SUPPLY, 768)] for seed in range(101, 101 + count)
    }
    return [phone_of(name, mine, strangers(drawn, name), MODEL.asked) for name, mine in drawn.items()]


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


@contextmanager
def closer_together(apart: float) -> Iterator[None]:
    with patch.object(groups, "TOGETHER", apart):
        yield


def measure(phones: Sequence[Phone], runs: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"people": len(phones), "photos": sum(len(phone.good) for phone in phones)}
    for name, mix in (("usual", MIX), ("hard", HARD)):
        told = StoryFigures()
        for phone in phones:
            replay(phone, mix, runs, told)
        figures[name] = told.figures()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--drawn", type=int, default=8)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    # The same two photos are compared in thousands of orders.
    groups.same_look = cache(groups.same_look)
    figures: dict[str, Any] = {"mix": MIX, "hard": HARD}
    if arguments.photos:
        figures["photographs"] = measure(of_folder(arguments.photos), arguments.runs)
    if arguments.drawn:
        phones = of_drawn(arguments.drawn)
        with closer_together(DRAWN_APART):
            figures["drawn"] = measure(phones, arguments.runs)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
