"""What happens on a GPU node to one order: open photos, train, render, judge, seal the results. Knows no Ray, no database.

Photos arrive as paths of encrypted objects and leave memory nowhere else: the scratch folder for checkpoints lies on a
memory file system, is sealed before it goes to the object store, and is wiped when the order ends.
"""

from __future__ import annotations

import gc
import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

from gpu_cluster import checkpoints
from gpu_cluster.bases import load
from gpu_cluster.faces import Faces
from gpu_cluster.judge import Calibration, Judge, Verdict, decide, split_held_out
from gpu_cluster.orders import LookShot, Order, Outcome, Person, Picture, Progress
from gpu_cluster.processors import Processors
from gpu_cluster.recipe import Recipe
from gpu_cluster.render import Shot, render
from gpu_cluster.scratch import scratch_folder, sweep_scratch
from gpu_cluster.train import Cancelled, Diverged, Subject, train
from likeness.errors import Gone, LikenessError, Unavailable
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.objects import Objects, person_path

SAMPLES = 4
"""Pictures that say whether an unfinished training will do already."""

Sets = dict[UUID, tuple[list[Image.Image], list[Image.Image]]]
"""By sitting: face crops to train on, and those held out for the judge."""

Passed = tuple[Verdict, LookShot, Image.Image]


class Studio:
    """A warm base model on one device. It serves orders of one tenant and is then thrown away with its process."""

    def __init__(self, recipe: dict[str, Any], licences: tuple[str, ...], device: str = "cpu") -> None:
        started = time.monotonic()
        sweep_scratch()
        self._device = device
        self._processors: Processors | None = None
        self.recipe = Recipe.from_dict(recipe)
        self.base = load(self.recipe, device, accepted=licences)
        self.faces = Faces()
        self.calibration = Calibration.of(self.recipe.source())
        self.load_seconds = time.monotonic() - started
        self._progress: dict[UUID, Progress] = {}
        self._cancelled: set[UUID] = set()
        self._lock = threading.Lock()

    def progress(self) -> dict[UUID, Progress]:
        """By sitting. Called from another thread while `work` runs."""
        with self._lock:
            return dict(self._progress)

    def cancel(self, sitting: UUID) -> None:
        """Takes effect within one training step or one rendered batch."""
        with self._lock:
            self._cancelled.add(sitting)

    def work(self, order: Order) -> list[Outcome]:
        """Runs the whole order. One person's failure is that person's outcome and leaves the others alone."""
        objects, keys = Objects(order.objects_url), KeyFolder(Path(order.key_folder))
        outcomes = {person.sitting: Outcome(person.sitting) for person in order.people}
        # Anew for each order, because a studio may have waited for hours, and what was busy then says nothing.
        self._processors = Processors() if self._device == "cpu" else None
        with scratch_folder() as scratch:
            sets = self._open_photos(order, objects, keys, outcomes)
            adapters = self._train(order, sets, scratch, objects, keys, outcomes)
            for person in order.people:
                outcome = outcomes[person.sitting]
                if person.sitting not in adapters or self._is_cancelled(person.sitting):
                    outcome.cancelled = outcome.cancelled or self._is_cancelled(person.sitting)
                    continue
                try:
                    lora = self._photograph(order, person, sets, adapters[person.sitting], objects, keys, outcome)
                    self._keep_adapter(order, person, lora, objects, keys, outcome)
                except Cancelled:
                    outcome.cancelled = True
                except Exception as error:  # The next person's headshots must not depend on this one's.
                    _failed(outcome, error)
        gc.collect()
        return list(outcomes.values())

    def _open_photos(self, order: Order, objects: Objects, keys: KeyFolder, outcomes: dict[UUID, Outcome]) -> Sets:
        sets = {}
        for person in order.people:
            try:
                key = keys.open(KeyRef(order.tenant, person.employee, KeyClass.SOURCE))
                photos = [Image.open(io.BytesIO(objects.get(path, key))).convert("RGB") for path in person.photos]
                crops = [self.faces.crop(photo, found[0]) for photo in photos if (found := self.faces.find(photo))]
                if len(crops) < 3:
                    raise TooFewFaces("Too few of the photos show a face that can be learned from.")
                chosen, kept = split_held_out(crops)
                sets[person.sitting] = ([crops[i] for i in chosen], [crops[i] for i in kept])
            except Exception as error:  # One unreadable set must not stop the pack.
                _failed(outcomes[person.sitting], error)
        return sets

    def _train(
        self,
        order: Order,
        sets: Sets,
        scratch: Path,
        objects: Objects,
        keys: KeyFolder,
        outcomes: dict[UUID, Outcome],
    ) -> dict[UUID, dict[str, Any]]:
        people = [person for person in order.people if person.sitting in sets]
        if not people:
            return {}
        started = time.monotonic()
        self._make_room()
        subjects = [self._subject(person, sets[person.sitting][0]) for person in people]
        by_key = {str(person.sitting): person for person in people}
        checkpoint = scratch / "checkpoint.safetensors"
        checkpoints.join(_opened_checkpoints(order, people, objects, keys), checkpoint, scratch, self.recipe)
        kept = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        for person in people:
            # Weights name sittings, and who verifies an erasure looks for the person.
            (scratch / str(person.employee)).touch()

        def report(step: int, steps: int, loss: float) -> None:
            nonlocal kept
            self._make_room()
            self._wipe_who_left(people, scratch)
            written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            if written and written != kept:
                kept = written
                self._keep_checkpoint(order, people, checkpoint, objects, keys)
            for person in people:
                self._tell(person.sitting, stage="training", step=step, steps=steps)

        try:
            trained = train(
                self.base,
                self.recipe,
                subjects,
                checkpoint=checkpoint,
                progress=report,
                cancelled=lambda: all(self._is_cancelled(p.sitting) for p in people),
                left=lambda: {str(p.sitting) for p in people if self._is_cancelled(p.sitting)},
                settled=lambda key, step, lora: self._will_do(order, by_key[key], sets, lora, outcomes, step),
            )
        except Cancelled:
            return {}
        except Diverged:
            trained = {}
        finally:
            _empty(scratch)
        seconds = time.monotonic() - started
        for person in people:
            outcome = outcomes[person.sitting]
            outcome.steps = outcome.steps or self.recipe.steps
            outcome.seconds |= {"load": round(self.load_seconds, 2), "train": round(seconds / len(people), 2)}
            if str(person.sitting) not in trained and not self._is_cancelled(person.sitting):
                outcome.failure = "The training did not settle on these photos. Please hand in a few other ones."
                outcome.error = "NotANumber"
        return {UUID(key): lora for key, lora in trained.items()}

    def _wipe_who_left(self, people: list[Person], scratch: Path) -> None:
        """The checkpoint on scratch holds everybody's weights: it goes when one leaves, and the next has the others'."""
        if any(self._is_cancelled(p.sitting) and (scratch / str(p.employee)).exists() for p in people):
            _empty(scratch)
            for person in people:
                if not self._is_cancelled(person.sitting):
                    (scratch / str(person.employee)).touch()

    def _keep_checkpoint(
        self, order: Order, people: list[Person], checkpoint: Path, objects: Objects, keys: KeyFolder
    ) -> None:
        """Seals everybody's part under their own key; a person who was erased meanwhile simply has none."""
        parts = checkpoints.split(checkpoint)
        for person in people:
            part = parts.get(str(person.sitting))
            if part is None or self._is_cancelled(person.sitting):
                continue
            try:
                key = keys.open_or_create(KeyRef(order.tenant, person.employee, KeyClass.MODEL))
            except (Gone, Unavailable):  # Without its key there is no checkpoint; the training goes on.
                continue
            path = person_path(order.tenant, person.employee, KeyClass.MODEL, uuid4())
            self._tell(person.sitting, checkpoint=path, checkpoint_bytes=objects.put(path, part, key))

    def _keep_adapter(
        self, order: Order, person: Person, lora: dict[str, Any], objects: Objects, keys: KeyFolder, outcome: Outcome
    ) -> None:
        data = save_safetensors({name: tensor.contiguous().cpu() for name, tensor in lora.items()})
        path = person_path(order.tenant, person.employee, KeyClass.MODEL, uuid4())
        key = keys.open_or_create(KeyRef(order.tenant, person.employee, KeyClass.MODEL))
        outcome.adapter_bytes = objects.put(path, data, key)
        outcome.adapter_path = path

    def _photograph(
        self,
        order: Order,
        person: Person,
        sets: Sets,
        lora: dict[str, Any],
        objects: Objects,
        keys: KeyFolder,
        outcome: Outcome,
    ) -> dict[str, Any]:
        """Renders and judges in rounds, training on once where too few pass; keeps the best, returns the adapter."""
        training = sets[person.sitting][0]
        judge = self._judge(person, sets)
        good: list[Passed] = []
        verdicts: list[Verdict] = []
        clock, trained_on, decision = {"render": 0.0, "judge": 0.0}, False, "make more"
        while decision in ("make more", "train on"):
            if decision == "train on":
                trained_on, lora = True, self._train_on(person, training, lora, clock)
            self._make_room()
            first = len(verdicts)
            count = self.recipe.pictures if first == 0 else max(2, self.recipe.pictures // 2)
            looks = [order.looks[(first + n) % len(order.looks)] for n in range(count)]
            shots = [Shot(self._prompt(look), person.seed * 1000 + first + n) for n, look in enumerate(looks)]
            marked = time.monotonic()
            for index, image in self._render(person, lora, shots):
                now = time.monotonic()
                clock["render"] += now - marked
                verdict = judge.look(image)
                verdicts.append(verdict)
                if verdict.passed:
                    good.append((verdict, looks[index], image))
                marked = time.monotonic()
                clock["judge"] += marked - now
                self._tell(person.sitting, stage="rendering", made=len(verdicts), passed=len(good))
            decision = decide(verdicts, self.recipe.shown, 2 * self.recipe.pictures, trained_on=trained_on)
        key = keys.open_or_create(KeyRef(order.tenant, person.employee, KeyClass.HEADSHOT))
        for number, (verdict, look, image) in enumerate(best(good)[: self.recipe.shown], start=1):
            if self._is_cancelled(person.sitting):
                raise Cancelled
            path = person_path(order.tenant, person.employee, KeyClass.HEADSHOT, uuid4())
            size = objects.put(path, _png(image), key)
            outcome.pictures.append(Picture(look.look, number, path, size, verdict.likeness_ratio))
        outcome.made, outcome.passed = len(verdicts), len(good)
        if outcome.pictures:
            ratios = [picture.likeness_ratio or 0.0 for picture in outcome.pictures]
            outcome.likeness_ratio = round(sum(ratios) / len(ratios), 4)
        else:
            outcome.failure = (
                "No headshot looked enough like you. A few more photos in other light and poses will help."
            )
            outcome.error = "NothingPassed"
        outcome.seconds |= {stage: round(seconds, 2) for stage, seconds in clock.items()}
        return lora

    def _render(
        self, person: Person, lora: dict[str, Any], shots: list[Shot]
    ) -> Iterator[tuple[int, Image.Image]]:
        def left() -> bool:
            return self._is_cancelled(person.sitting)

        return render(self.base, self.recipe, lora, shots, cancelled=left)

    def _prompt(self, look: LookShot) -> str:
        return self.base.prompt(look.backdrop, look.dress, look.framing, look.light)

    def _judge(self, person: Person, sets: Sets) -> Judge:
        training, held_out = sets[person.sitting]
        others = [photo for sitting, (_, held) in sets.items() if sitting != person.sitting for photo in held]
        return Judge(held_out, training, others, calibration=self.calibration, faces=self.faces)

    def _will_do(
        self,
        order: Order,
        person: Person,
        sets: Sets,
        lora: dict[str, Any],
        outcomes: dict[UUID, Outcome],
        step: int,
    ) -> bool:
        """Whether most of a few pictures of an unfinished training would pass; then `step` was its last."""
        if self._is_cancelled(person.sitting):
            return False
        self._make_room()
        shots = [Shot(self._prompt(look), person.seed * 1000 + n) for n, look in zip(range(SAMPLES), cycle(order.looks))]
        try:
            judge = self._judge(person, sets)
            made = self._render(person, lora, shots)
            enough = 2 * sum(judge.look(image).passed for _, image in made) > SAMPLES
        except Exception:
            # A look only saves time: whatever is wrong with this person is said when the headshots are made.
            return False
        if enough:
            outcomes[person.sitting].steps = step
        return enough

    def _subject(self, person: Person, photos: list[Image.Image]) -> Subject:
        """The loss is told where the head is, because captions never name all that is not the person."""
        heads, faces = [self.faces.head(photo) for photo in photos], [self.faces.front(photo) for photo in photos]
        return Subject(str(person.sitting), photos, [self.base.caption(photo) for photo in photos], heads, faces)

    def _train_on(
        self, person: Person, training: list[Image.Image], lora: dict[str, Any], clock: dict[str, float]
    ) -> dict[str, Any]:
        started, key = time.monotonic(), str(person.sitting)
        trained = train(
            self.base,
            self.recipe,
            [self._subject(person, training)],
            seed=1,
            start={key: lora},
            progress=lambda step, steps, loss: self._make_room(),
            cancelled=lambda: self._is_cancelled(person.sitting),
        )
        clock["train on"] = time.monotonic() - started
        return trained[key]

    def _make_room(self) -> None:
        """Said again and again, because other programs come and go, and Ray allows a process one thread otherwise."""
        if self._processors:
            torch.set_num_threads(self._processors.threads())

    def _tell(self, sitting: UUID, **changes: Any) -> None:
        with self._lock:
            self._progress[sitting] = replace(self._progress.get(sitting, Progress()), **changes)

    def _is_cancelled(self, sitting: UUID) -> bool:
        with self._lock:
            return sitting in self._cancelled


def best(good: list[Passed]) -> list[Passed]:
    """The likest of each look first, then the second of each, so that no look is crowded out by another."""
    ranks: Counter[UUID] = Counter()
    ranked = []
    for item in sorted(good, key=lambda item: item[0].likeness_ratio, reverse=True):
        ranked.append((ranks[item[1].look], item))
        ranks[item[1].look] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _opened_checkpoints(order: Order, people: list[Person], objects: Objects, keys: KeyFolder) -> Iterator[bytes]:
    """What earlier runs left; one that cannot be opened any more only costs its person a fresh start."""
    for person in people:
        if person.checkpoint:
            try:
                yield objects.get(person.checkpoint, keys.open(KeyRef(order.tenant, person.employee, KeyClass.MODEL)))
            except LikenessError:
                continue


class TooFewFaces(ValueError):
    """The photos show too few faces to learn from."""


def _failed(outcome: Outcome, error: Exception) -> None:
    outcome.error = type(error).__name__
    if isinstance(error, Unavailable):
        outcome.away = True
        return
    ours = isinstance(error, TooFewFaces | LikenessError)
    outcome.failure = str(error) if ours else "Something went wrong while your headshots were made."


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
