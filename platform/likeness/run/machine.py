"""What this machine must have before a start: memory, room on its disk, the base's weights, and no mistyped variable.

Nothing here waits for a server, so that `likeness up` can say it at every start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

import psutil

from gpu_cluster.bases.recipe import FREE_LICENCE, PHOTOGRAPHS, Recipe, recipes
from gpu_cluster.bases.weights import WeightsChanged, doubts, folders, missing, pinned, verify
from likeness.ground.settings import Settings
from likeness.keys.master import MASTER_KEY
from likeness.sandbox.around import AROUND
from likeness.sandbox.belts import BELTS
from likeness.sandbox.child import ChildFailed, Children
from tenants.models import CUTOUT, REFERENCE

GIB = 2**30
LEAST_MEMORY = {True: 4 * GIB, False: GIB}
"""Embedded or not. The test of the demo holds everything together below 4 GB."""
LITTLE_DISK, NO_DISK = 2 * GIB, GIB // 4
"""A hundred people who hand in eight photos of 3 MB are 2.4 GB; below the second number PostgreSQL itself may fail in the
middle of its work."""
OTHERS = {"LIKENESS_TEST_SERVERS", "LIKENESS_KEYCLOAK_ADMIN_PASSWORD"}
"""Read by the tests alone, and by one command alone."""


def hindrances(settings: Settings) -> Iterator[str]:
    """Why this machine must not start."""
    recipe = recipes().get(settings.recipe)
    if recipe is None and settings.recipe != CUTOUT:
        yield _unknown_recipe(settings.recipe)
    if recipe is not None and recipe.world != PHOTOGRAPHS:
        yield (
            f"LIKENESS_RECIPE is {recipe.name}, a base that knows drawn people only and refuses photographs. It is for"
            f" the demo. Set it to {CUTOUT}, or to a base of photographs where there is a GPU."
        )
    if recipe is not None and (recipe.strategy == "reference") != recipe.name.endswith(REFERENCE):
        yield (
            f"The recipe {recipe.name} must be called …{REFERENCE} if it draws from selfies, and otherwise not: what"
            " people are asked to agree to goes by its name."
        )
    for folder, free in full(settings):
        yield f"The disk of {folder} is full: {free / GIB:.2f} GB are free. Nothing was started; make room first."


def belts(settings: Settings) -> Iterator[str]:
    """What this system puts around whoever opens faces, and what it refuses."""
    with suppress(ChildFailed):
        held = Children("likeness.sandbox.confinement", "reached", keep=False).belts()
        yield _worn("Photos and workbooks are opened behind an allowlist of system calls, and further", held, BELTS)
    if settings.ray_address:
        yield "What is around the studios on the Ray cluster each says in the log of its own node."
        return
    # In a process of its own, because none of it can be taken off again.
    code = "from likeness.sandbox.around import close_in; print('|'.join(close_in()))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if not ended.returncode:
        yield _worn("Studios train and draw with", ended.stdout.strip().split("|"), AROUND)


def _worn(what: str, held: list[str], known: tuple[str, ...]) -> str:
    missing = [belt for belt in known if belt not in held]
    said = f"{what}: {', '.join(held) or 'nothing'}."
    return said + (f" This system refuses: {', '.join(missing)}." if missing else "")


def full(settings: Settings) -> list[tuple[Path, int]]:
    """Folders that are written to and whose disks are full, each with the bytes that are free."""
    return [(folder, free) for folder, free in room(settings) if free < NO_DISK]


def worries(settings: Settings) -> Iterator[str]:
    """What will fail later, or was probably meant otherwise; a start is possible."""
    yield from unknown_variables(os.environ)
    yield from _keys_left_behind(settings)
    recipe = recipes().get(settings.recipe)
    if recipe is not None and recipe.world == PHOTOGRAPHS:
        yield from _base(recipe, settings)
    for folder, free in room(settings):
        if NO_DISK <= free < LITTLE_DISK:
            yield f"The disk of {folder} has {free / GIB:.1f} GB left. Photos of a hundred people may take more."
    if (memory := _memory()) < (least := LEAST_MEMORY[settings.embedded]):
        yield f"There are {memory / GIB:.1f} GB of memory, and {least / GIB:.0f} GB are needed."


def _keys_left_behind(settings: Settings) -> Iterator[str]:
    """On one machine, whose database need not run to be asked."""
    database, master = settings.home / "postgres/data", settings.keys_path() / MASTER_KEY
    if settings.embedded and settings.key_store == "folder" and database.exists() and not master.exists():
        yield (
            f"{settings.keys_path()} holds no master key, and {settings.home / 'postgres'} holds a database. Put the key"
            " folder back that belongs to it; only where a first start was interrupted does the next one make the key."
        )


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """A mistyped setting would have no effect, without a word."""
    known = {f"LIKENESS_{name.upper()}" for name in Settings.model_fields} | OTHERS
    for name in sorted(environment):
        if name.upper().startswith("LIKENESS_") and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1, cutoff=0.75)
            yield f"{name} is no setting and has no effect." + (f" Did you mean {near[0]}?" if near else "")


def _base(recipe: Recipe, settings: Settings) -> Iterator[str]:
    if recipe.licence != FREE_LICENCE and recipe.licence not in settings.licences:
        yield (
            f"The recipe {recipe.name} needs the licence {recipe.licence}. Read it, then add it to"
            " LIKENESS_ACCEPTED_LICENCES."
        )
    if settings.ray_address:
        # The weights and the GPU are needed on the cluster's nodes, not here.
        if not settings.fixed_weights:
            yield (
                "Nodes of the cluster compare their weights only with what was fixed on each: `likeness weights pin` on one"
                " that you trust prints LIKENESS_WEIGHTS, and set here it holds for all of them."
            )
        return
    if what := missing(recipe):
        yield f"The weights of the recipe {recipe.name} are not here: {what} docs/models.md says how to get them."
    elif not all(map(pinned, folders(recipe))):
        yield f"The weights of the recipe {recipe.name} are not fixed: once you trust them, `likeness weights pin` does it."
    for one in doubts(recipe):
        yield f"The weights of the recipe {recipe.name} may have changed: {one}. They are compared before they are loaded."
    yield (
        f"The recipe {recipe.name} needs a GPU, and without LIKENESS_RAY_ADDRESS models are trained on this machine's"
        " processors, which takes hours for each person."
    )


def changed(settings: Settings) -> Iterator[str]:
    """Whether the weights are those that were fixed: every file is read, some 10 s for 7 GB. Not on a cluster."""
    recipe = recipes().get(settings.recipe)
    if recipe is None or recipe.world != PHOTOGRAPHS or settings.ray_address:
        return
    try:
        verify(recipe, settings.fixed_weights)
    except WeightsChanged as error:
        yield (
            f"The weights of the recipe {recipe.name} are not loaded: {error}. Put back what was fixed, or fix what is"
            " there with `likeness weights pin` if you trust it. Until then no model is made."
        )


def _unknown_recipe(name: str) -> str:
    known = sorted({CUTOUT, *(one.name for one in recipes().values() if one.world == PHOTOGRAPHS)})
    near = get_close_matches(name, known, n=1)
    return (
        f"LIKENESS_RECIPE is {name!r}, which is no recipe."
        + (f" Did you mean {near[0]}?" if near else "")
        + f" Choose one of: {', '.join(known)}."
    )


def room(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Free bytes of each disk that is written to, each disk once."""
    folders = [settings.keys_path(), settings.tombstones_path()]
    if settings.embedded:
        folders.insert(0, settings.home)
    if settings.objects_address().startswith("file:///"):
        folders.append(Path(settings.objects_address().removeprefix("file://")))
    seen = set()
    for folder in folders:
        there = existing(folder)
        if (disk := there.stat().st_dev) not in seen:
            seen.add(disk)
            yield folder, psutil.disk_usage(str(there)).free


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _memory() -> int:
    """Of the machine, or of the container where that has less."""
    total = int(psutil.virtual_memory().total)
    limit = Path("/sys/fs/cgroup/memory.max")
    words = limit.read_text().strip() if limit.exists() else "max"
    return min(total, int(words)) if words.isdigit() else total
