"""Whether the weights of a base are on this machine, and are those that the operator fixed, without loading them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from gpu_cluster.bases.recipe import Recipe
from likeness.locale.marks import Told

HEAVY = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2")
"""The parts of a diffusers folder that have weights."""


def missing(recipe: Recipe) -> str:
    """What is missing, in a sentence; empty when every file is there, those of the twin too."""
    return _missing(recipe) or (_missing(replace(recipe, base=recipe.twin)) if recipe.twin else "")


def _missing(recipe: Recipe) -> str:
    folder = _folder(recipe)
    if folder is None:
        return f"neither the folder {recipe.source()} nor a copy of it in the cache of Hugging Face's hub was found."
    parts = json.loads((folder / "model_index.json").read_text())
    for part in HEAVY:
        if (parts.get(part) or [None])[0] is not None and not _whole(folder / part):
            return f"{folder} is not complete: {part} has no weights, or not all of them."
    return ""


def _folder(recipe: Recipe) -> Path | None:
    folder = Path(recipe.source())
    if (folder / "model_index.json").is_file():
        return folder
    if recipe.source().count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache  # It takes a while, and a folder does not need it.

    found = try_to_load_from_cache(recipe.source(), "model_index.json")
    return Path(found).parent if isinstance(found, str) else None


def _whole(part: Path) -> bool:
    """A model in pieces has an index that names them; a download that broke off lacks some."""
    indexes = list(part.glob("*.safetensors.index.json"))
    named = {name for index in indexes for name in json.loads(index.read_text())["weight_map"].values()}
    if named:
        return all((part / name).is_file() for name in named)
    return any(part.glob("*.safetensors"))


SUMS = "SHA256SUMS"
"""Beside the weights: the digest of each of their files, as `sha256sum` writes and reads it. A line that begins with `#`,
which it passes over, names the revision that they are."""
REVISION = "# revision "


class WeightsChanged(ValueError):
    """A file of weights is not the one that the operator fixed, or another revision was fixed."""


class RevisionOther(ValueError):
    """The copy in the cache of Hugging Face's hub is another revision than the one that was named."""


def folders(recipe: Recipe) -> list[Path]:
    """Of the base and of its twin, as far as they are on this machine."""
    bases = [recipe.base, recipe.twin] if recipe.twin else [recipe.base]
    return [folder for base in bases if (folder := _folder(replace(recipe, base=base))) is not None]


def source(recipe: Recipe, base: str = "", fixed: Collection[str] = ()) -> str:
    """From where the base, or its twin, is loaded: once it is fixed, here or by `fixed`, from that very folder, since the
    hub's newest revision may be another one by now."""
    folder = _folder(replace(recipe, base=base or recipe.base))
    return str(folder) if folder and (fixed or pinned(folder)) else recipe.source(base)


def revision(folder: Path) -> str:
    """Which one the folder is, where it lies in the cache of Hugging Face's hub."""
    return folder.name if folder.parent.name == "snapshots" else ""


def pin(folder: Path, named: str = "") -> int:
    """From now on these files, and no others, are loaded from here; how many there are. `named` is the revision that they
    are; a copy in the hub's cache knows its own. Raises `RevisionOther`."""
    known = revision(folder)
    if known and named and not known.startswith(named):
        raise RevisionOther(f"{folder} is the revision {known}, not {named}.")
    which = known or named
    lines = [f"{_digest(folder / name)}  {name}\n" for name in _files(folder)]
    (folder / SUMS).write_text("".join([f"{REVISION}{which}\n"] if which else []) + "".join(lines))
    return len(lines)


def pinned(folder: Path) -> bool:
    return (folder / SUMS).is_file()


def fixed_revision(folder: Path) -> str:
    """Empty where none was named."""
    first = (folder / SUMS).read_text().partition("\n")[0] if pinned(folder) else ""
    return first.removeprefix(REVISION).strip() if first.startswith(REVISION) else ""


def contents(folder: Path) -> str:
    """SHA-256 of the names and digests of its files, as hexadecimal digits: the lines of `SUMS` without the revision, so
    that two machines that named it differently agree on the same files."""
    lines = [f"{_digest(folder / name)}  {name}\n" for name in _files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def verify(recipe: Recipe, fixed: Collection[str] = ()) -> None:
    """Raises `WeightsChanged`. Where nothing is fixed everything passes. 7 GB take some 10 s, once in a process.

    `fixed` are the `contents` that may be loaded, whoever asks: a machine whose files were changed may hold other digests
    beside them, too. Then nothing is downloaded either.
    """
    if fixed and (what := missing(recipe)):
        raise WeightsChanged(what)
    for folder in folders(recipe):
        _verify(folder)
        if fixed and contents(folder) not in fixed:
            raise WeightsChanged(f"{folder} does not hold what LIKENESS_WEIGHTS names")


def _verify(folder: Path) -> None:
    if strange := _other_revision(folder):
        raise WeightsChanged(strange)
    for name, digest in _compared(folder):
        if digest != _digest(folder / name):
            raise WeightsChanged(_changed(folder, name))


def doubts(recipe: Recipe) -> list[str]:
    """Why these may not be the weights that were fixed, without reading them: another revision, or files that are new or
    gone, or were written after their digests. What was written and dated back is found by `verify` alone."""
    try:
        return [one for folder in folders(recipe) for one in _doubts(folder)]
    except WeightsChanged as error:
        return [str(error)]


def _doubts(folder: Path) -> Iterator[str]:
    if strange := _other_revision(folder):
        yield strange
    since = (folder / SUMS).stat().st_mtime_ns if pinned(folder) else 0
    fixed = _fixed(folder)
    for name in sorted({*fixed, *_files(folder)}) if fixed else ():
        path = folder / name
        if name not in fixed or not path.is_file():
            yield Told("{path} is new", path=str(path)) if name not in fixed else Told("{path} is gone", path=str(path))
        elif path.stat().st_mtime_ns > since:
            yield Told("{path} was written after it was fixed", path=str(path))


def _compared(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file that was fixed with its digest. Raises `WeightsChanged` for one that is new or gone."""
    fixed = _fixed(folder)
    for name in sorted({*fixed, *_files(folder)}) if pinned(folder) else ():
        if name not in fixed or not (folder / name).is_file():
            raise WeightsChanged(_changed(folder, name))
        yield name, fixed[name]


def _fixed(folder: Path) -> dict[str, str]:
    """Raises `WeightsChanged` for lines that nobody can read."""
    lines = (folder / SUMS).read_text().splitlines() if pinned(folder) else []
    pairs = [line.split("  ", 1) for line in lines if not line.startswith("#")]
    if any(len(pair) != 2 for pair in pairs):
        raise WeightsChanged(f"{folder / SUMS} holds a line that is no digest and name")
    return {name: digest for digest, name in pairs}


def _other_revision(folder: Path) -> str:
    """A sentence where this copy of the hub is not fixed and an earlier one of the same base is."""
    if pinned(folder) or not revision(folder):
        return ""
    fixed = [other.name for other in folder.parent.iterdir() if pinned(other)]
    if not fixed:
        return ""
    return Told("{path} is not the revision that was fixed, {fixed}", path=str(folder), fixed=" / ".join(sorted(fixed)))


def _changed(folder: Path, name: str) -> str:
    return f"{folder / name} is not the file that was fixed in {SUMS}"


def _files(folder: Path) -> Iterator[str]:
    """Weights, and what says which classes they are loaded into."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".safetensors", ".json") and path.is_file():
            yield path.relative_to(folder).as_posix()


def _digest(path: Path) -> str:
    about = path.stat()
    return _read(path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


@cache
def _read(path: Path, *about: int) -> str:
    """Anew where anything is said differently `about` the file: its time of change cannot be dated back as that of its
    contents can."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
