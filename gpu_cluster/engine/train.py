"""Trains the adapters of several people in one step over one frozen base.

The same numbers come out whether a person is trained alone or in a pack, in one go or resumed: whatever is random in
a step is drawn from (seed, person, step), and nothing in the step looks across people.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor, nn
from torch._dynamo import config as dynamo_config
from torch._dynamo.exc import TorchDynamoException

from gpu_cluster.bases.base import Base, Box, Text, oval
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine.adapters import Lora, Pack
from gpu_cluster.engine.checkpoints import State

log = logging.getLogger(__name__)

BETAS = (0.9, 0.999)
EPSILON = 1e-8
# Reading a loss waits for the device, so it is read this often.
READ_LOSS_EVERY = 5
SHAPES = 64
"""Compiled forms of one class of blocks, one for each width, resolution and size of pack; torch gives up at eight."""


@dataclass(frozen=True)
class Trainee:
    """One person's training pictures and what each shows; `key` is an opaque id."""

    key: str
    photos: list[Image.Image]
    captions: list[str]
    heads: list[Box | None] = field(default_factory=list)
    """Where the head is in each photo, if that is known."""
    faces: list[Box | None] = field(default_factory=list)
    """Where in it the face itself is."""


class Cancelled(Exception):
    """The caller asked to stop; nothing of the unfinished work is returned."""


class Diverged(ArithmeticError):
    """The loss of everybody in the pack stopped being a number."""


def _silent(step: int, steps: int, loss: float) -> None:
    """The progress of a caller who does not ask."""


def _never() -> bool:
    return False


def _nobody() -> Collection[str]:
    return ()


@dataclass
class _People:
    """People who train together, at the same step; row i of every matrix is person i's."""

    keys: list[str]
    theta: Tensor
    first: Tensor
    second: Tensor
    step: int = 0

    def rows(self, chosen: Sequence[int]) -> _People:
        index = torch.tensor(chosen, dtype=torch.long, device=self.theta.device)
        theta, first, second = (part.index_select(0, index) for part in (self.theta, self.first, self.second))
        return _People([self.keys[i] for i in chosen], theta, first, second, self.step)

    def states(self) -> Iterator[tuple[str, State]]:
        """Copies on the CPU, which training does not touch any more."""
        copies = [part.to("cpu", copy=True) for part in (self.theta, self.first, self.second)]
        for row, key in enumerate(self.keys):
            yield key, State(self.step, *(part[row] for part in copies))


@dataclass
class _Data:
    """Everybody's cached latents and captions, one after the other, and where each person's begin."""

    latents: dict[int, Tensor]
    """By the side of the pictures that they were made of, in the order in which steps take turns."""
    weights: dict[int, Tensor]
    """What each place of these latents counts, (n, 1, height, width) with mean 1."""
    text: Text
    """Of each picture, and in a last row of no words at all."""
    first: dict[str, int]
    count: dict[str, int]


def train(
    base: Base,
    recipe: Recipe,
    subjects: Sequence[Trainee],
    *,
    seed: int = 0,
    resume: Mapping[str, State] | None = None,
    keep: Callable[[dict[str, State]], None] | None = None,
    progress: Callable[[int, int, float], None] = _silent,
    cancelled: Callable[[], bool] = _never,
    left: Callable[[], Collection[str]] = _nobody,
    settled: Callable[[str, int, Lora], bool] | None = None,
    start: Mapping[str, Lora] | None = None,
) -> dict[str, Lora]:
    """Each person's adapter by key, in peft's names, ready for diffusers' `load_lora_weights`.

    `progress(step, steps, loss)` is called every few steps with the mean loss, `cancelled()` before each step, as is
    `left()`, the keys of people who are not to be trained any longer: they are dropped, and the others go on.
    `settled(key, step, adapter)` is asked every `recipe.look_every` steps whether this adapter will do already; people
    for whom it does are finished, and the others go on without them. `start` are earlier adapters by key, to train on
    from. `keep` is given everybody's state after each look, every `recipe.checkpoint_every` steps where nobody looks,
    and at the end; it is waited for, so what takes long belongs into a thread of the caller's. Who is named in `resume`
    goes on from a state that `keep` was given, to the same bits. A person whose loss stops being a number is left out of
    the answer; a pack that does not fit into memory is split.

    Raises Cancelled, and Diverged when nobody is left.
    """
    data = _encode(base, recipe, subjects)
    waiting = _begun(base, recipe, subjects, seed, resume or {}, start or {})
    finished: list[_People] = []
    compiled = recipe.compiled
    while waiting:
        people = waiting.pop(0)

        def report(step: int, loss: float, current: _People = people) -> None:
            done = sum(len(p.keys) * recipe.steps for p in finished) + sum(len(p.keys) * p.step for p in waiting)
            progress((done + len(current.keys) * step) // len(subjects), recipe.steps, loss)

        begun = people.step
        until = _next_pause(recipe, begun, looks=settled is not None, kept=keep is not None)
        try:
            people = _train_together(base, recipe, people, data, seed, until, compiled, report, cancelled, left)
        except (torch.OutOfMemoryError, TorchDynamoException) as error:
            waiting[:0], compiled = _after(error, people, compiled)
            continue
        done, others = _parted(base, recipe, people, settled)
        # After the look and not before: a run that is resumed would go on from here without having looked.
        if keep is not None and begun < until:
            gone = left()
            keep({key: state for group in (done, others) for key, state in group.states() if key not in gone})
        waiting[:0] = [others] if others.keys else []
        finished.extend([done] if done.keys else [])
    gone = left()
    if not finished and any(subject.key not in gone for subject in subjects):
        raise Diverged("the loss of everybody in the pack stopped being a number")
    adapters = {key: lora for people in finished for key, lora in _export(base, recipe, people).items()}
    return {key: lora for key, lora in adapters.items() if key not in gone}


def _after(error: Exception, people: _People, compiled: bool) -> tuple[list[_People], bool]:
    """Who goes on after a step that failed, and whether compiled. Raises the error where nothing is left to try.

    Optimizer steps come last, so `people` is as it was before that step.
    """
    if isinstance(error, TorchDynamoException):
        if not compiled:
            raise error
        log.warning("blocks are not compiled, and training takes longer: %s", type(error).__name__)
        return [people], False
    everybody = range(len(people.keys))
    half = len(everybody) // 2
    if half == 0:
        raise error
    return [people.rows(everybody[:half]), people.rows(everybody[half:])], compiled


def _next_pause(recipe: Recipe, step: int, *, looks: bool, kept: bool) -> int:
    """The next step after which somebody looks at what was learned or keeps it, or the last."""
    every = recipe.look_every if looks and recipe.look_every else recipe.checkpoint_every if kept else 0
    return min(recipe.steps, (step // every + 1) * every) if every else recipe.steps


def _parted(
    base: Base, recipe: Recipe, people: _People, settled: Callable[[str, int, Lora], bool] | None
) -> tuple[_People, _People]:
    """Those who are done, and those who go on."""
    if people.step >= recipe.steps:
        return people, people.rows([])
    if settled is None or recipe.look_every == 0 or people.step % recipe.look_every:
        return people.rows([]), people
    will_do = [bool(settled(key, people.step, lora)) for key, lora in _export(base, recipe, people).items()]
    done, others = (people.rows([i for i, will in enumerate(will_do) if will == wanted]) for wanted in (True, False))
    done.step = recipe.steps  # A run that is resumed must not train them any further.
    return done, others


def _train_together(
    base: Base,
    recipe: Recipe,
    people: _People,
    data: _Data,
    seed: int,
    until: int,
    compiled: bool,
    report: Callable[[int, float], None],
    cancelled: Callable[[], bool],
    left: Callable[[], Collection[str]],
) -> _People:
    """Up to step `until`. Changes `people` in place; who left, or whose numbers are none any more, is not in it then."""
    while people.keys and people.step < until:
        pack = Pack(base.network, base.lora_targets(recipe.targets), recipe.rank, len(people.keys), people.theta.dtype)
        pack.theta = people.theta
        rates = pack.rates(recipe.a_rate)
        stay = torch.ones(len(people.keys), dtype=torch.bool)
        with pack.attached(), _compiled(base.network) if compiled else nullcontext():
            while people.step < until:
                if cancelled():
                    raise Cancelled
                gone = left()
                stay &= torch.tensor([key not in gone for key in people.keys])
                if not stay.all():
                    break
                # Everybody in the pack is at the same step, and so at the same side, whoever trains along.
                side = list(data.latents)[people.step % len(data.latents)]
                index, said, moments, noise = _draw(recipe, people, data, data.latents[side], seed)
                latents = data.latents[side][index]
                text = {name: tensor[said] for name, tensor in data.text.items()}
                t = base.sample_t(moments, side)

                pack.grad.zero_()
                answer = base.predict(base.noisy(latents, noise, t), t, text)
                error = (answer - base.target(latents, noise, t)).to(people.theta.dtype).square()
                error = (error * data.weights[side][index]).flatten(1).mean(1)
                # Each person's own mean, summed: no gradient depends on who trains along.
                losses = (error * base.weight(t)).view(len(people.keys), -1).mean(1)
                losses.sum().backward()
                _step(recipe, people, pack.grad, rates)

                people.step += 1
                if people.step % READ_LOSS_EVERY == 0 or people.step == until:
                    # A number that is lost stays lost in its row and reaches no other, so looking now and then will do.
                    stay = torch.isfinite(people.theta).all(1).cpu()
                    report(people.step, float(losses.detach().nanmean()))
        if not stay.all():
            remaining = people.rows([i for i, stays in enumerate(stay.tolist()) if stays])
            people.keys, people.theta = remaining.keys, remaining.theta
            people.first, people.second = remaining.first, remaining.second
    return people


@contextmanager
def _compiled(network: nn.Module) -> Iterator[None]:
    """The network with its repeated blocks compiled, one code for all blocks of a shape (regional compilation).

    A pack has one shape for each side that its pictures are shown at, and each is compiled once. Weights are inputs of that
    code, so the next pack of this size finds it ready, whoever is in it. Merging an adapter and rendering use the blocks as
    they were.
    """
    with dynamo_config.patch(recompile_limit=SHAPES):
        network.compile_repeated_blocks(dynamic=False)  # type: ignore[operator]
        try:
            yield
        finally:
            for part in network.modules():
                part._compiled_call_impl = None


def _draw(
    recipe: Recipe, people: _People, data: _Data, latents: Tensor, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which pictures, whose words, which moments (0..1) and which noise this step uses, employee-major.

    Pictures come in shuffled rounds and moments from equal parts of 0..1, so that few steps see all of both; the recipe's
    exponent then moves these towards little noise.
    """
    index, silent, uniform, noise = [], [], [], []
    device, dtype = latents.device, latents.dtype
    for key in people.keys:
        generator = _generator(seed, key, f"step {people.step}")
        first, count = data.first[key], data.count[key]
        for number in range(people.step * recipe.batch, (people.step + 1) * recipe.batch):
            order = torch.randperm(count, generator=_generator(seed, key, f"round {number // count}"))
            index.append(first + int(order[number % count]))
        uniform.append((torch.arange(recipe.batch) + torch.rand(recipe.batch, generator=generator)) / recipe.batch)
        noise.append(torch.randn(recipe.batch, *latents.shape[1:], generator=generator))
        silent.append(torch.rand(recipe.batch, generator=generator) < recipe.caption_dropout)
    chosen = torch.tensor(index, device=device)
    said = torch.where(torch.cat(silent).to(device), len(latents), chosen)
    moments = torch.cat(uniform).to(device) ** recipe.moments
    return chosen, said, moments, torch.cat(noise).to(device, dtype)


def _step(recipe: Recipe, people: _People, grad: Tensor, rates: Tensor) -> None:
    """AdamW with each person's gradient clipped by its own norm, cosine to zero after the warm-up.

    `rates` (numbers,) are multiples of the recipe's learning rate.
    """
    norm = torch.linalg.vector_norm(grad, dim=1, keepdim=True)
    grad.mul_((recipe.clip / (norm + 1e-6)).clamp(max=1.0))
    step = people.step + 1
    rate = recipe.learning_rate * min(1.0, step / max(1, recipe.warmup))
    rate *= 0.5 * (1 + math.cos(math.pi * people.step / recipe.steps))
    people.first.lerp_(grad, 1 - BETAS[0])
    people.second.lerp_(grad.square(), 1 - BETAS[1])
    spread = (people.second / (1 - BETAS[1] ** step)).sqrt_().add_(EPSILON).div_(rates)
    people.theta.mul_(1 - rate * recipe.weight_decay * rates)
    people.theta.addcdiv_(people.first, spread, value=-rate / (1 - BETAS[0] ** step))


def _encode(base: Base, recipe: Recipe, subjects: Sequence[Trainee]) -> _Data:
    """Latents and captions are computed once; the encoders are not touched again."""
    photos: list[Image.Image] = []
    captions: list[str] = []
    places: list[tuple[Box | None, Box | None]] = []
    first, count = {}, {}
    for subject in subjects:
        if not subject.photos or len(subject.photos) != len(subject.captions):
            raise ValueError("a subject needs pictures, and one caption for each")
        first[subject.key], count[subject.key] = len(photos), len(subject.photos)
        nowhere: list[Box | None] = [None] * len(subject.photos)
        photos += subject.photos
        captions += subject.captions
        places += zip(subject.heads or nowhere, subject.faces or nowhere, strict=True)
    latents = {
        side: torch.cat([base.encode_image(photos[i : i + 8], side) for i in range(0, len(photos), 8)])
        for side in (recipe.resolution, *recipe.also_at)
    }
    different = list(dict.fromkeys([*captions, ""]))
    words = base.encode_text(different)
    which = torch.tensor([different.index(caption) for caption in [*captions, ""]], device=base.device)
    weights = {
        side: torch.stack([_weights(recipe, *one, encoded) for one in zip(photos, places, strict=True)])
        for side, encoded in latents.items()
    }
    return _Data(latents, weights, {name: tensor[which] for name, tensor in words.items()}, first, count)


def _weights(recipe: Recipe, photo: Image.Image, places: tuple[Box | None, Box | None], latents: Tensor) -> Tensor:
    """(1, height, width): `recipe.face` over the face, 1 over the head, `recipe.outside` elsewhere, brought to mean 1."""
    height, width = latents.shape[-2:]
    head, face = places
    weights = latents.new_ones(1, height, width)
    if head is not None:
        inside = oval(photo, head, height, width).to(latents)
        weights = recipe.outside + (1 - recipe.outside) * inside
    if face is not None:
        weights = torch.lerp(
            weights, torch.full_like(weights, recipe.face), oval(photo, face, height, width).to(latents)
        )
    return weights / weights.mean().clamp_min(1e-6)


def _begun(
    base: Base,
    recipe: Recipe,
    subjects: Sequence[Trainee],
    seed: int,
    resume: Mapping[str, State],
    start: Mapping[str, Lora],
) -> list[_People]:
    """People in packs of at most `recipe.pack`, who are all at the same step; new people begin at step 0."""
    by_step: dict[int, list[str]] = {}
    for subject in subjects:
        by_step.setdefault(resume[subject.key].step if subject.key in resume else 0, []).append(subject.key)
    packs = []
    for step, keys in sorted(by_step.items(), reverse=True):
        for i in range(0, len(keys), recipe.pack):
            packs.append(_begin(base, recipe, keys[i : i + recipe.pack], seed, step, resume, start))
    return packs


def _begin(
    base: Base,
    recipe: Recipe,
    keys: list[str],
    seed: int,
    step: int,
    resume: Mapping[str, State],
    start: Mapping[str, Lora],
) -> _People:
    # float32 also when the base is in half precision: small steps would vanish in eight bits of mantissa.
    dtype = torch.promote_types(base.dtype, torch.float32)
    pack = Pack(base.network, base.lora_targets(recipe.targets), recipe.rank, len(keys), dtype)
    people = _People(keys, pack.theta, torch.zeros_like(pack.theta), torch.zeros_like(pack.theta), step)
    for row, key in enumerate(keys):
        if key in resume:
            state = resume[key]
            for matrix, value in (
                (people.theta, state.theta),
                (people.first, state.first),
                (people.second, state.second),
            ):
                matrix[row] = value.to(matrix)
        elif key in start:
            pack.load(row, start[key], base.network_name)
        else:
            pack.reset(row, _generator(seed, key, "start"))
    return people


def _export(base: Base, recipe: Recipe, people: _People) -> dict[str, Lora]:
    pack = Pack(base.network, base.lora_targets(recipe.targets), recipe.rank, len(people.keys), people.theta.dtype)
    pack.theta = people.theta
    return {key: pack.export(row, base.network_name) for row, key in enumerate(people.keys)}


def _generator(seed: int, key: str, purpose: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{key}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
