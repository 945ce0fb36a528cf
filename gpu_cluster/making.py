"""One order from sealed photos to sealed headshots: open, train, render, judge, seal.

Photos arrive as paths of encrypted objects and leave memory nowhere else: the scratch folder for checkpoints lies on a
memory file system, is sealed before it goes to the object store, and is wiped when the order ends.
"""

from __future__ import annotations

import io
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

from gpu_cluster import checkpoints
from gpu_cluster.board import Board
from gpu_cluster.faces import Faces
from gpu_cluster.judge import Calibration, Judge, Verdict, decide, split_held_out, thumb
from gpu_cluster.orders import LookShot, Order, Outcome, Person, Picture
from gpu_cluster.processors import Processors
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base
from gpu_cluster.render import Shot, render
from gpu_cluster.train import Cancelled, Diverged, Subject, train
from likeness.errors import Gone, LikenessError, Unavailable
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.objects import Objects, person_path

log = logging.getLogger(__name__)

SAMPLES = 4
"""Pictures that say whether an unfinished training will do already."""
REFERENCES = 3
"""Selfies that a base of the strategy "reference" draws from; more of them cost time and add nothing."""
THE_SAME = 0.985
"""Correlation of two 32 x 32 grey thumbnails from which a headshot is nearly the same as another of its look."""

Sets = dict[UUID, tuple[list[Image.Image], list[Image.Image]]]
"""By sitting: face crops to train on or to draw from, and those held out for the judge."""
Adapter = dict[str, Any]


@dataclass(frozen=True)
class Equipment:
    """What a studio has loaded once and every order uses."""

    recipe: Recipe
    base: Base
    faces: Faces
    calibration: Calibration
    load_seconds: float


@dataclass(frozen=True)
class Passed:
    """A headshot that the judge let through."""

    verdict: Verdict
    look: LookShot
    image: Image.Image


class TooFewFaces(ValueError):
    """The photos show too few faces to learn from."""


class Making:
    """Holds what belongs to one order while it is made."""

    def __init__(
        self, equipment: Equipment, order: Order, board: Board, processors: Processors | None, scratch: Path
    ) -> None:
        self.equipment, self.order, self.board = equipment, order, board
        self.recipe, self.base, self.faces = equipment.recipe, equipment.base, equipment.faces
        self._processors, self._scratch = processors, scratch
        self._objects = Objects(order.objects_url, plain_http=order.objects_plain_http)
        self._keys = KeyFolder(Path(order.key_folder))
        self._outcomes = {person.sitting: Outcome(person.sitting) for person in order.people}
        self._sets: Sets = {}

    def run(self) -> list[Outcome]:
        """The outcome of each person."""
        for person in self.order.people:
            self._open_photos(person)
        trains = self.recipe.strategy == "lora"
        adapters = self._train() if trains else dict.fromkeys(self._sets)
        for person in self.order.people:
            outcome = self._outcomes[person.sitting]
            if person.sitting not in adapters or self.board.is_cancelled(person.sitting):
                outcome.cancelled = outcome.cancelled or self.board.is_cancelled(person.sitting)
                continue
            try:
                lora = self._photograph(person, adapters[person.sitting])
                if lora is not None:
                    self._keep_adapter(person, lora)
            except Cancelled:
                outcome.cancelled = True
            except Exception as error:  # The next person's headshots must not depend on this one's.
                self._failed(person, error)
        return list(self._outcomes.values())

    def _open_photos(self, person: Person) -> None:
        try:
            key = self._keys.open(KeyRef(self.order.tenant, person.employee, KeyClass.SOURCE))
            crops = []
            for path in person.photos:
                photo = Image.open(io.BytesIO(self._objects.get(path, key))).convert("RGB")
                crops += [self.faces.crop(photo, face) for face in self.faces.find(photo)[:1]]
                self.board.tell(person.sitting)
            if len(crops) < self.recipe.fewest_photos:
                raise TooFewFaces("Too few of the photos show a face that can be learned from.")
            chosen, kept = split_held_out(crops)
            self._sets[person.sitting] = ([crops[i] for i in chosen], [crops[i] for i in kept])
        except Exception as error:  # One unreadable set must not stop the pack.
            self._failed(person, error)

    # -- training

    def _train(self) -> dict[UUID, Adapter]:
        """Adapters by sitting, of those whose training ended well."""
        people, subjects = self._subjects()
        if not people:
            return {}
        started = time.monotonic()
        self._make_room()
        by_key = {str(person.sitting): person for person in people}
        checkpoint = self._scratch / "checkpoint.safetensors"
        checkpoints.join(self._opened_checkpoints(people), checkpoint, self._scratch, self.recipe)
        kept = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        for person in people:
            # Weights name sittings, and who verifies an erasure looks for the person.
            (self._scratch / str(person.employee)).touch()

        def report(step: int, steps: int, loss: float) -> None:
            nonlocal kept
            self._make_room()
            self._wipe_who_left(people)
            written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            if written and written != kept:
                kept = written
                self._keep_checkpoint(people, checkpoint)
            for person in people:
                self.board.tell(person.sitting, stage="training", step=step, steps=steps)

        try:
            trained = train(
                self.base,
                self.recipe,
                subjects,
                checkpoint=checkpoint,
                progress=report,
                cancelled=lambda: all(self.board.is_cancelled(p.sitting) for p in people),
                left=lambda: {str(p.sitting) for p in people if self.board.is_cancelled(p.sitting)},
                settled=lambda key, step, lora: self._will_do(by_key[key], lora, step),
            )
        except Cancelled:
            return {}
        except Diverged:
            trained = {}
        finally:
            _empty(self._scratch)
        seconds = time.monotonic() - started
        for person in people:
            outcome = self._outcomes[person.sitting]
            outcome.steps = outcome.steps or self.recipe.steps
            outcome.seconds |= {
                "load": round(self.equipment.load_seconds, 2), "train": round(seconds / len(people), 2),
            }  # fmt: skip
            if str(person.sitting) not in trained and not self.board.is_cancelled(person.sitting):
                outcome.failure = "The training did not settle on these photos. Please hand in a few other ones."
                outcome.error = "NotANumber"
        return {UUID(key): lora for key, lora in trained.items()}

    def _subjects(self) -> tuple[list[Person], list[Subject]]:
        """Who is trained; somebody of whom a picture cannot be read fails alone."""
        people, subjects = [], []
        for person in self.order.people:
            if person.sitting not in self._sets:
                continue
            try:
                subjects.append(self._subject(person))
                people.append(person)
            except Exception as error:
                self._failed(person, error)
        return people, subjects

    def _subject(self, person: Person) -> Subject:
        """The loss is told where the head is, because captions never name all that is not the person."""
        photos = self._sets[person.sitting][0]
        heads, faces = [self.faces.head(photo) for photo in photos], [self.faces.front(photo) for photo in photos]
        self.board.tell(person.sitting)
        return Subject(str(person.sitting), photos, [self.base.caption(photo) for photo in photos], heads, faces)

    def _opened_checkpoints(self, people: list[Person]) -> Iterator[bytes]:
        """What earlier runs left; one that cannot be opened any more only costs its person a fresh start."""
        for person in people:
            if person.checkpoint:
                try:
                    key = self._keys.open(KeyRef(self.order.tenant, person.employee, KeyClass.MODEL))
                    yield self._objects.get(person.checkpoint, key)
                except LikenessError:
                    continue

    def _wipe_who_left(self, people: list[Person]) -> None:
        """The checkpoint on scratch holds everybody's weights: it goes when one leaves, and the next has the others'."""
        if any(self.board.is_cancelled(p.sitting) and (self._scratch / str(p.employee)).exists() for p in people):
            _empty(self._scratch)
            for person in people:
                if not self.board.is_cancelled(person.sitting):
                    (self._scratch / str(person.employee)).touch()

    def _keep_checkpoint(self, people: list[Person], checkpoint: Path) -> None:
        """Seals everybody's part under their own key; a person who was erased meanwhile simply has none.

        A store that is full or away costs the checkpoint and not the training.
        """
        parts = checkpoints.split(checkpoint)
        for person in people:
            part = parts.get(str(person.sitting))
            if part is None or self.board.is_cancelled(person.sitting):
                continue
            try:
                path, size = self._seal(person, KeyClass.MODEL, part)
            except Gone:
                continue
            except (LikenessError, OSError) as error:
                log.warning("a checkpoint was not kept", extra={"error": type(error).__name__})
                return
            self.board.tell(person.sitting, checkpoint=path, checkpoint_bytes=size)

    def _will_do(self, person: Person, lora: Adapter, step: int) -> bool:
        """Whether most of a few pictures of an unfinished training would pass; then `step` was its last."""
        if self.board.is_cancelled(person.sitting):
            return False
        self._make_room()
        looks = [look for look, _ in zip(cycle(self.order.looks), range(SAMPLES), strict=False)]
        try:
            judge = self._judge(person)
            made = self._render(person, lora, [self._shot(person, look, n) for n, look in enumerate(looks)])
            enough = 2 * sum(judge.look(image).passed for _, image in made) > SAMPLES
        except Exception:
            # A look only saves time: whatever is wrong with this person is said when the headshots are made.
            return False
        if enough:
            self._outcomes[person.sitting].steps = step
        return enough

    def _train_on(self, person: Person, lora: Adapter) -> Adapter:
        key = str(person.sitting)
        trained = train(
            self.base,
            self.recipe,
            [self._subject(person)],
            seed=1,
            start={key: lora},
            progress=lambda step, steps, loss: self._breathe(person),
            cancelled=lambda: self.board.is_cancelled(person.sitting),
        )
        return trained[key]

    # -- headshots

    def _photograph(self, person: Person, lora: Adapter | None) -> Adapter | None:
        """Renders and judges in rounds, training on once where too few pass; keeps the best, returns the adapter."""
        outcome, judge = self._outcomes[person.sitting], self._judge(person)
        good: list[Passed] = []
        verdicts: list[Verdict] = []
        clock = {"render": 0.0, "judge": 0.0}
        trained_on, decision = lora is None, "make more"
        try:
            while decision in ("make more", "train on"):
                if decision == "train on" and lora is not None:
                    started, trained_on = time.monotonic(), True
                    lora = self._train_on(person, lora)
                    clock["train on"] = time.monotonic() - started
                self._round(person, lora, judge, good, verdicts, clock)
                decision = decide(verdicts, self.recipe.shown, 2 * self.recipe.pictures, trained_on=trained_on)
        except Cancelled:
            raise
        except Exception as error:
            # What has passed is good whatever went wrong afterwards, a second training that diverged for instance.
            if not good:
                raise
            log.warning("a sitting ends with what it has", extra={"error": type(error).__name__})
        for number, passed in enumerate(best(good)[: self.recipe.shown], start=1):
            if self.board.is_cancelled(person.sitting):
                raise Cancelled
            path, size = self._seal(person, KeyClass.HEADSHOT, _png(passed.image))
            outcome.pictures.append(Picture(passed.look.look, number, path, size, passed.verdict.likeness_ratio))
            self.board.tell(person.sitting)
        outcome.made, outcome.passed = len(verdicts), len(good)
        outcome.seconds |= {stage: round(seconds, 2) for stage, seconds in clock.items()}
        if outcome.pictures:
            ratios = [passed.verdict.likeness_ratio for passed in best(good)[: self.recipe.shown]]
            outcome.likeness_ratio = round(sum(ratios) / len(ratios), 4)
        else:
            outcome.failure, outcome.error = "No headshot looked enough like you, so none is shown.", "NothingPassed"
        return lora

    def _round(
        self,
        person: Person,
        lora: Adapter | None,
        judge: Judge,
        good: list[Passed],
        verdicts: list[Verdict],
        clock: dict[str, float],
    ) -> None:
        """Makes some more pictures, most of the look that is short of them."""
        self._make_room()
        first = len(verdicts)
        count = self.recipe.pictures if first == 0 else max(2, self.recipe.pictures // 2)
        looks = short_looks(self.order.looks, good, count)
        marked = time.monotonic()
        for index, image in self._render(person, lora, [self._shot(person, o, first + n) for n, o in enumerate(looks)]):
            now = time.monotonic()
            clock["render"] += now - marked
            verdict = judge.look(image)
            made = Passed(verdict, looks[index], image)
            if verdict.passed and any(nearly_the_same(made, other) for other in good):
                verdict = replace(verdict, passed=False, reasons=("it is nearly the same as another one",))
            verdicts.append(verdict)
            if verdict.passed:
                good.append(made)
            marked = time.monotonic()
            clock["judge"] += marked - now
            self.board.tell(person.sitting, stage="rendering", made=len(verdicts), passed=len(good))

    def _shot(self, person: Person, look: LookShot, number: int) -> Shot:
        prompt = self.base.prompt(look.backdrop, look.dress, look.framing, look.light)
        return Shot(prompt, person.seed * 1000 + number)

    def _render(
        self, person: Person, lora: Adapter | None, shots: list[Shot]
    ) -> Iterator[tuple[int, Image.Image]]:
        def left() -> bool:
            self.board.tell(person.sitting)
            return self.board.is_cancelled(person.sitting)

        references = self._sets[person.sitting][0][:REFERENCES] if self.recipe.strategy == "reference" else ()
        return render(self.base, self.recipe, lora, shots, references=references, cancelled=left)

    def _judge(self, person: Person) -> Judge:
        training, held_out = self._sets[person.sitting]
        others = [photo for sitting, (_, kept) in self._sets.items() if sitting != person.sitting for photo in kept]
        return Judge(held_out, training, others, calibration=self.equipment.calibration, faces=self.faces)

    # -- what all of it needs

    def _keep_adapter(self, person: Person, lora: Adapter) -> None:
        data = save_safetensors({name: tensor.contiguous().cpu() for name, tensor in lora.items()})
        outcome = self._outcomes[person.sitting]
        outcome.adapter_path, outcome.adapter_bytes = self._seal(person, KeyClass.MODEL, data)

    def _seal(self, person: Person, kind: KeyClass, data: bytes) -> tuple[str, int]:
        """The new object's path, and its size in bytes."""
        key = self._keys.open_or_create(KeyRef(self.order.tenant, person.employee, kind))
        path = person_path(self.order.tenant, person.employee, kind, uuid4())
        return path, self._objects.put(path, data, key)

    def _failed(self, person: Person, error: Exception) -> None:
        log.warning("a sitting failed", extra={"sitting": str(person.sitting), "error": type(error).__name__})
        outcome = self._outcomes[person.sitting]
        outcome.error = type(error).__name__
        if isinstance(error, Unavailable):
            outcome.away = True
            return
        ours = isinstance(error, TooFewFaces | LikenessError)
        outcome.failure = str(error) if ours else "Something went wrong while your headshots were made."

    def _breathe(self, person: Person) -> None:
        self._make_room()
        self.board.tell(person.sitting)

    def _make_room(self) -> None:
        """Said again and again, because other programs come and go, and Ray allows a process one thread otherwise."""
        if self._processors:
            torch.set_num_threads(self._processors.threads())


def short_looks(looks: tuple[LookShot, ...], good: list[Passed], count: int) -> list[LookShot]:
    """Whose turn the next `count` pictures are: always the look with the fewest, counting those already planned."""
    planned = Counter(passed.look.look for passed in good)
    turns = []
    for _ in range(count):
        look = min(looks, key=lambda look: planned[look.look])
        planned[look.look] += 1
        turns.append(look)
    return turns


def nearly_the_same(one: Passed, other: Passed) -> bool:
    if one.look.look != other.look.look:
        return False
    return float((thumb(one.image) * thumb(other.image)).mean()) > THE_SAME


def best(good: list[Passed]) -> list[Passed]:
    """The likest of each look first, then the second of each, so that no look is crowded out by another.

    Within a look, pictures that something is odd about come last.
    """
    ranks: Counter[UUID] = Counter()
    ranked = []
    for passed in sorted(good, key=lambda one: (not one.verdict.advice, one.verdict.likeness_ratio), reverse=True):
        ranked.append((ranks[passed.look.look], passed))
        ranks[passed.look.look] += 1
    return [passed for _, passed in sorted(ranked, key=lambda pair: pair[0])]


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
