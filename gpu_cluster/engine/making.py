"""One order from sealed photos to sealed headshots: open, train, render, judge, seal.

Photos arrive as paths of encrypted objects and leave memory nowhere else. What does not need the GPU (judging, writing
pictures, sealing) is done beside it in a thread, where there is a GPU.
"""

from __future__ import annotations

import io
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from uuid import UUID

import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

from gpu_cluster.bases.base import Base
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine import checkpoints
from gpu_cluster.engine.board import Board
from gpu_cluster.engine.checkpoints import Keeper, State
from gpu_cluster.engine.choosing import Contest, JudgedPicture
from gpu_cluster.engine.faces import Embedding, Faces
from gpu_cluster.engine.judge import Calibration, Judge, JudgeVerdict, decide, split_held_out
from gpu_cluster.engine.lease import Lease, OutsideLease
from gpu_cluster.engine.orders import LookShot, Order, Outcome, PersonOrder, Picture
from gpu_cluster.engine.render import Shot, render
from gpu_cluster.engine.train import Cancelled, Diverged, Trainee, train
from gpu_cluster.processors import Processors
from likeness.ground.errors import Gone, LikenessError, Unavailable
from likeness.keys.keys import KeyClass
from likeness.locale.marks import N_

log = logging.getLogger(__name__)

SAMPLES = 4
"""Pictures that say whether an unfinished training will do already."""
REFERENCES = 3
"""Selfies that a base of the strategy "reference" draws from; more of them cost time and add nothing."""

Sets = dict[UUID, tuple[list[Image.Image], list[Image.Image]]]
"""By sitting: face crops to train on or to draw from, and those held out for the judge."""
Adapter = dict[str, Any]


@dataclass(frozen=True)
class Equipment:
    """What a studio has loaded once and every order uses."""

    recipe: Recipe
    base: Base
    draws: Base
    """What pictures are made with: the base, or its twin."""
    faces: Faces
    calibration: Calibration
    load_seconds: float

    @property
    def on_gpu(self) -> bool:
        return self.base.device.type != "cpu"


NOTHING = N_("No headshot was good enough to be shown.")
NOT_ME = N_(
    "No headshot was more like you than the ones that you said are not you. Other photos of you help more than another try."
)


class TooFewFaces(ValueError):
    """The photos show too few faces to learn from."""


class AtOnce(Executor):
    """Does what it is given before it answers: where the base runs on the processors, a thread beside it would take
    away what it computes with."""

    def submit(self, work: Any, /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class Making:
    """One order, from the first photo to the last headshot; what it holds of people goes with it."""

    def __init__(self, equipment: Equipment, order: Order, lease: Lease, board: Board) -> None:
        self.equipment, self.order, self.board = equipment, order, board
        self.recipe, self.base, self.faces = equipment.recipe, equipment.base, equipment.faces
        # Anew for each order, because a studio may have waited for hours, and what was busy then says nothing.
        self._processors = None if equipment.on_gpu else Processors()
        # One thread, so that a person's pictures are judged in the order in which they were made.
        self._beside: Executor = ThreadPoolExecutor(1, "beside") if equipment.on_gpu else AtOnce()
        self._lease = lease
        self._outcomes = {person.sitting: Outcome(person.sitting) for person in order.people}
        self._sets: Sets = {}
        self._rendered = False
        """Whether this studio has drawn anything: the first picture may compile for minutes, as the first step does."""
        self._judges: dict[UUID, Future[Judge]] = {}
        self._strangers: dict[UUID, list[Embedding]] = {}
        self._keeper = Keeper(self._keep_checkpoint)

    def run(self) -> list[Outcome]:
        """The outcome of each person. One person's failure is that person's outcome and leaves the others alone."""
        with closing(self._keeper), self._beside:
            for person in self.order.people:
                self._open_photos(person)
            for person in self.order.people:
                if person.sitting in self._sets:
                    self._judges[person.sitting] = self._beside.submit(self._judge, person)
            trains = self.recipe.strategy == "lora"
            adapters = self._train() if trains else dict.fromkeys(self._sets)
            delivered = [self._photographed(person, adapters) for person in self.order.people]
            for future in delivered:
                if future is not None:
                    future.result()
        return list(self._outcomes.values())

    def _photographed(self, person: PersonOrder, adapters: dict[UUID, Any]) -> Future[None] | None:
        """Ends when this person's headshots are being written, while the next one's are made."""
        if person.sitting not in adapters or self.board.is_cancelled(person.sitting):
            self._outcomes[person.sitting].cancelled |= self.board.is_cancelled(person.sitting)
            return None
        try:
            contest, lora = self._photograph(person, adapters[person.sitting])
        except Exception as error:  # The next person's headshots must not depend on this one's.
            self._failed(person, error)
            return None
        return self._beside.submit(self._deliver, person, contest, lora)

    def _open_photos(self, person: PersonOrder) -> None:
        try:
            crops = []
            for path in person.photos:
                data = self._lease.get(person.employee, KeyClass.SOURCE, path)
                photo = Image.open(io.BytesIO(data)).convert("RGB")
                faces = self.faces.find(photo)[:1]
                crops += [self.faces.crop(photo, face) for face in faces]
                if not faces:
                    self._outcomes[person.sitting].unused[path] = "no_face"
                self.board.tell(person.sitting)
            if len(crops) < self.recipe.fewest_photos:
                raise TooFewFaces(N_("Too few of the photos show a face that can be learned from."))
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

        def report(step: int, steps: int, loss: float) -> None:
            self._make_room()
            for person in people:
                self.board.tell(person.sitting, stage="training", step=step, steps=steps)

        def trained_together(some: list[Trainee]) -> dict[str, Adapter]:
            try:
                return train(
                    self.base,
                    self.recipe,
                    some,
                    resume=self._opened_checkpoints([by_key[one.key] for one in some]),
                    keep=self._keeper.keep,
                    progress=report,
                    cancelled=lambda: all(self.board.is_cancelled(p.sitting) for p in people),
                    left=lambda: {str(p.sitting) for p in people if self.board.is_cancelled(p.sitting)},
                    settled=lambda key, step, lora: self._will_do(by_key[key], lora, step),
                )
            except Diverged:
                return {}

        try:
            trained = trained_together(subjects)
        except Cancelled:
            return {}
        except Exception as error:
            trained = self._one_by_one(trained_together, subjects, by_key, error)
        seconds = time.monotonic() - started
        for person in people:
            outcome = self._outcomes[person.sitting]
            outcome.steps = outcome.steps or self.recipe.steps
            outcome.seconds |= {
                "load": round(self.equipment.load_seconds, 2), "train": round(seconds / len(people), 2),
            }  # fmt: skip
            if str(person.sitting) not in trained and not outcome.error and not self.board.is_cancelled(person.sitting):
                outcome.failure = N_("The training did not settle on these photos. Please hand in a few other ones.")
                outcome.error = "NotANumber"
        return {UUID(key): lora for key, lora in trained.items()}

    def _one_by_one(
        self,
        trained_together: Callable[[list[Trainee]], dict[str, Adapter]],
        subjects: list[Trainee],
        by_key: dict[str, PersonOrder],
        error: Exception,
    ) -> dict[str, Adapter]:
        """After a pack that raised: each alone, because one person's picture may be all that is wrong. Raises `error` where
        nobody can be trained alone either, since then it is the machine."""
        log.warning("a pack is trained one by one", extra={"error": type(error).__name__})
        trained: dict[str, Adapter] = {}
        failed: list[tuple[PersonOrder, Exception]] = []
        for subject in subjects:
            try:
                trained |= trained_together([subject])
            except Exception as reason:
                failed.append((by_key[subject.key], reason))
        if len(failed) == len(subjects) and not any(isinstance(reason, Cancelled) for _, reason in failed):
            raise error
        for person, why in failed:
            self._failed(person, why)
        return trained

    def _subjects(self) -> tuple[list[PersonOrder], list[Trainee]]:
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

    def _subject(self, person: PersonOrder) -> Trainee:
        """The loss is told where the head is, because captions never name all that is not the person."""
        photos = self._sets[person.sitting][0]
        heads, faces = [self.faces.head(photo) for photo in photos], [self.faces.front(photo) for photo in photos]
        self.board.tell(person.sitting)
        return Trainee(str(person.sitting), photos, [self.base.caption(photo) for photo in photos], heads, faces)

    def _opened_checkpoints(self, people: list[PersonOrder]) -> dict[str, State]:
        """What earlier runs left; one that cannot be opened any more only costs its person a fresh start."""
        opened = {}
        for person in people:
            if person.checkpoint:
                try:
                    data = self._lease.get(person.employee, KeyClass.MODEL, person.checkpoint)
                    opened[str(person.sitting)] = checkpoints.read(data, self.recipe)
                except Exception as error:
                    log.warning("a checkpoint was not opened", extra={"error": type(error).__name__})
        return opened

    def _keep_checkpoint(self, key: str, state: State) -> None:
        """In the keeper's thread. A person who left or was erased meanwhile simply has none."""
        person = next(person for person in self.order.people if str(person.sitting) == key)
        if self.board.is_cancelled(person.sitting):
            return
        try:
            path, size = self._lease.put(person.employee, KeyClass.MODEL, checkpoints.dump(state, self.recipe))
        except Gone:
            return
        self.board.tell(person.sitting, checkpoint=path, checkpoint_bytes=size)

    def _will_do(self, person: PersonOrder, lora: Adapter, step: int) -> bool:
        """Whether most of a few pictures of an unfinished training would pass; then `step` was its last."""
        if self.board.is_cancelled(person.sitting):
            return False
        self._make_room()
        self._before_drawing(person, "looking")
        looks = [look for look, _ in zip(cycle(self.order.looks), range(SAMPLES), strict=False)]
        try:
            judge = self._judges[person.sitting].result()
            made = self._render(person, lora, [self._shot(person, look, n) for n, look in enumerate(looks)])
            judged = [self._beside.submit(judge.look, image) for _, image in made]
            enough = 2 * sum(future.result().passed for future in judged) > SAMPLES
        except Exception:
            # A look only saves time: whatever is wrong with this person is said when the headshots are made.
            return False
        if enough:
            self._outcomes[person.sitting].steps = step
        return enough

    def _train_on(self, person: PersonOrder, lora: Adapter) -> Adapter:
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

    def _photograph(self, person: PersonOrder, lora: Adapter | None) -> tuple[Contest, Adapter | None]:
        """Renders and judges in rounds, training on once where too few pass; what was made, and the last adapter."""
        judge, contest = self._judges[person.sitting].result(), Contest(self.order.looks)
        clock = {"render": 0.0, "judge": 0.0}
        trained_on, decision = lora is None, "make more"
        try:
            while decision in ("make more", "train on"):
                if decision == "train on" and lora is not None:
                    started, trained_on = time.monotonic(), True
                    lora = self._train_on(person, lora)
                    clock["train on"] = time.monotonic() - started
                self._round(person, lora, judge, contest, clock)
                decision = decide(contest.verdicts, self.recipe.shown, 2 * self.recipe.pictures, trained_on=trained_on)
        except Cancelled:
            raise
        except Exception as error:
            # What has passed is good whatever went wrong afterwards, a second training that diverged for instance.
            if not contest.good:
                raise
            log.warning("a sitting ends with what it has", extra={"error": type(error).__name__})
        self._outcomes[person.sitting].seconds |= {stage: round(seconds, 2) for stage, seconds in clock.items()}
        return contest, lora

    def _round(
        self, person: PersonOrder, lora: Adapter | None, judge: Judge, contest: Contest, clock: dict[str, float]
    ) -> None:
        """Makes some more pictures, most of the look that is short of them. The clock's "judge" is what it waited for."""
        self._make_room()
        self._before_drawing(person, "rendering")
        first = len(contest.verdicts)
        looks = contest.turns(self.recipe.pictures if first == 0 else max(2, self.recipe.pictures // 2))
        waiting: deque[tuple[LookShot, Image.Image, Future[JudgeVerdict]]] = deque()
        marked = time.monotonic()
        for index, image in self._render(person, lora, [self._shot(person, o, first + n) for n, o in enumerate(looks)]):
            now = time.monotonic()
            clock["render"] += now - marked
            waiting.append((looks[index], image, self._beside.submit(judge.look, image)))
            while waiting and waiting[0][2].done():
                self._enter(person, contest, *waiting.popleft())
            marked = time.monotonic()
            clock["judge"] += marked - now
        for one in waiting:
            self._enter(person, contest, *one)
        clock["judge"] += time.monotonic() - marked

    def _enter(
        self, person: PersonOrder, contest: Contest, look: LookShot, image: Image.Image, verdict: Future[JudgeVerdict]
    ) -> None:
        contest.enter(JudgedPicture(verdict.result(), look, image))
        self.board.tell(person.sitting, stage="rendering", made=len(contest.verdicts), passed=len(contest.good))

    def _before_drawing(self, person: PersonOrder, stage: str) -> None:
        self.board.tell(person.sitting, stage=stage if self._rendered else "loading")
        self._rendered = True

    def _shot(self, person: PersonOrder, look: LookShot, number: int) -> Shot:
        prompt = self.base.prompt(look.backdrop, look.dress, look.framing, look.light)
        return Shot(prompt, person.seed * 1000 + number)

    def _render(self, person: PersonOrder, lora: Adapter | None, shots: list[Shot]) -> Iterator[tuple[int, Image.Image]]:
        def left() -> bool:
            self.board.tell(person.sitting)
            return self.board.is_cancelled(person.sitting)

        references = self._sets[person.sitting][0][:REFERENCES] if self.recipe.strategy == "reference" else ()
        return render(self.equipment.draws, self.recipe, lora, shots, references=references, cancelled=left)

    def _judge(self, person: PersonOrder) -> Judge:
        training, held_out = self._sets[person.sitting]
        others = [one for sitting in self._sets if sitting != person.sitting for one in self._measured(sitting)]
        judge = Judge(
            held_out, training, others, calibration=self.equipment.calibration, faces=self.faces,
            least_ratio=person.least_ratio,
        )  # fmt: skip
        self.board.tell(person.sitting)
        return judge

    def _measured(self, sitting: UUID) -> list[Embedding]:
        """The faces of this person's selfies for the judges of everybody else, whom it must cost nothing when one of them
        cannot be measured: the person's own judge says so."""
        if sitting not in self._strangers:
            self._strangers[sitting] = []
            with suppress(Exception):
                found = [self.faces.of(photo) for photo in self._sets[sitting][1]]
                self._strangers[sitting] = [one for one in found if one is not None]
        return self._strangers[sitting]

    # -- what the person gets

    def _deliver(self, person: PersonOrder, contest: Contest, lora: Adapter | None) -> None:
        """Seals the headshots that are shown, and the model they were made with."""
        outcome = self._outcomes[person.sitting]
        outcome.made, outcome.passed, outcome.missed = len(contest.verdicts), len(contest.good), contest.missed()
        shown = contest.best(self.recipe.shown)
        try:
            for number, made in enumerate(shown, start=1):
                if self.board.is_cancelled(person.sitting):
                    raise Cancelled
                path, size = self._lease.put(person.employee, KeyClass.HEADSHOT, _png(made.image))
                outcome.pictures.append(Picture(made.look.look, number, path, size, made.verdict.likeness_ratio))
                self.board.tell(person.sitting)
            if lora is not None:
                data = save_safetensors({name: tensor.contiguous().cpu() for name, tensor in lora.items()})
                outcome.adapter_path, outcome.adapter_bytes = self._lease.put(person.employee, KeyClass.MODEL, data)
        except Exception as error:
            self._failed(person, error)
            return
        if shown:
            outcome.likeness_ratio = round(sum(made.verdict.likeness_ratio for made in shown) / len(shown), 4)
        else:
            outcome.failure, outcome.error = NOT_ME if contest.rejected_alone() else NOTHING, "NothingPassed"

    def _failed(self, person: PersonOrder, error: Exception) -> None:
        outcome = self._outcomes[person.sitting]
        if isinstance(error, Cancelled):
            outcome.cancelled = True
            return
        log.warning("a sitting failed", extra={"sitting": str(person.sitting), "error": type(error).__name__})
        outcome.error = type(error).__name__
        if isinstance(error, Unavailable):
            outcome.away = True
            return
        ours = isinstance(error, TooFewFaces | LikenessError) and not isinstance(error, OutsideLease)
        outcome.unforeseen = not ours
        outcome.failure = str(error) if ours else N_("Something went wrong while your headshots were made.")

    # -- the machine

    def _breathe(self, person: PersonOrder) -> None:
        self._make_room()
        self.board.tell(person.sitting)

    def _make_room(self) -> None:
        """Said again and again, because other programs come and go, and Ray allows a process one thread otherwise."""
        if self._processors:
            torch.set_num_threads(self._processors.threads())


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
