"""What the product ships with may be used as Apache-2.0 code may: no package asks for more, nor does what a wheel hides."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FREE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public|Unlicense|Zlib|HPND|CC0|CNRI|Historical"
    r"|Boost|BSL-1\.0|Public Domain|X11)\b",
    re.IGNORECASE,
)
ASKS_MORE = re.compile(
    r"\b(A?GPL|GNU General|GNU Affero|SSPL|Commons Clause|NonCommercial|non-commercial|CC-BY-NC)", re.I
)
LESSER = re.compile(r"\bLGPL|Lesser General", re.I)
REPLACEABLE = {
    "dramatiq": "LGPL: as psycopg",
    "jwcrypto": "LGPL: as psycopg",
    "pi-heif": "BSD, with libheif and libde265 (LGPL) as libraries of their own",
    "psycopg": "LGPL: imported unchanged, and whoever runs it may put another one in its place",
    "psycopg-binary": "as psycopg",
    "pyseccomp": "LGPL: as psycopg",
}
BUNDLED = re.compile(r"lib(x264|x265|fdk|readline|gsl)[-.]", re.I)
SITE = Path(__import__("sysconfig").get_paths()["purelib"])


def shipped() -> dict[str, Distribution]:
    """Every package that an installation without the tools for tests has."""
    there = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    found: dict[str, Distribution] = {}
    waiting = [("likeness", frozenset({"cluster"}))]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen or name not in there:
            continue
        seen.add((name, extras))
        found[name] = there[name]
        for written in there[name].requires or []:
            wanted = Requirement(written)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": one}) for one in (*extras, "")):
                waiting.append((canonicalize_name(wanted.name), frozenset(wanted.extras)))
    del found["likeness"]
    return found


def licence(package: Distribution) -> str:
    about = package.metadata
    said = [
        about.get("License-Expression") or "",
        *(one for one in about.get_all("Classifier") or [] if "License" in one),
    ]
    # Some put the whole text there: its first line names it.
    return " | ".join([*said, (about.get("License") or "").strip().partition("\n")[0][:200]])


def test_every_package_that_ships_is_free_to_use() -> None:
    packages = shipped()
    assert len(packages) > 80
    doubtful = {}
    for name, package in packages.items():
        said = licence(package)
        if LESSER.search(said):
            if name not in REPLACEABLE:
                doubtful[name] = said
        elif not FREE.search(said) or (ASKS_MORE.search(said) and " OR " not in said):
            doubtful[name] = said
    assert not doubtful


def test_the_exceptions_are_needed() -> None:
    assert set(REPLACEABLE) <= set(shipped()), "an exception names what does not ship"


def test_no_wheel_that_ships_brings_a_library_that_asks_for_more() -> None:
    hidden = {
        name: str(file)
        for name, package in shipped().items()
        for file in package.files or []
        if BUNDLED.search(file.name) and Path(str(package.locate_file(file))).exists()
    }
    assert not hidden
    assert "pillow-heif" not in shipped()


def test_the_points_that_may_not_be_used_commercially_are_not_there() -> None:
    models = SITE / "face_recognition_models/models"
    assert (models / "dlib_face_recognition_resnet_model_v1.dat").is_file()
    assert not (models / "shape_predictor_68_face_landmarks.dat").exists()
