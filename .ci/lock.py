"""Makes the lock anew: for each package that constraints.txt pins, the hashes of its files, by what it is installed for.

    python .ci/lock.py UV [FOLDER]

A file of a package is installed only if its hash stands in the lock. The default index names the hashes of its own files.
Builds of torch without CUDA lie elsewhere: a folder of them is named once for each version, and their hashes stay.
"""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "locks"
SETS = {
    "build": ["--group", "build"],
    "runtime": ["pyproject.toml"],
    "cluster": ["pyproject.toml", "--extra", "cluster"],
    "dev": ["pyproject.toml", "--extra", "dev"],
    "tools": ["--group", "tools"],
}
BESIDE_RUNTIME = ("cluster", "dev")
TORCH = re.compile(r"torch$|cuda-|nvidia-|triton$")
"""With what its default build on Linux asks for alone."""
RUNS_ON = [
    {"python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython",
     "platform_python_implementation": "CPython", "sys_platform": platform, "platform_system": system,
     "platform_machine": machine}
    for platform, system, machine in (
        ("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"),
    )
]  # fmt: skip

Locked = dict[str, tuple[Requirement, set[str]]]
"""By name: the version, with its marker, and the hashes of its files."""


def resolved(uv: str, what: list[str]) -> Locked:
    asked = [uv, "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"]
    asked += ["--no-header", "--quiet", "--no-config", "--constraints", "constraints.txt", *what]
    told = subprocess.run(asked, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {name: one for name, one in read(told).items() if runs_here(one[0].marker)}


def read(text: str) -> Locked:
    found: Locked = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            said, *hashes = line.split("--hash=")
            one = Requirement(said.strip())
            found[canonicalize_name(one.name)] = (one, {value.strip() for value in hashes})
    return found


def runs_here(marker: Marker | None) -> bool:
    return marker is None or any(marker.evaluate(dict(one)) for one in RUNS_ON)


def written(locked: Locked) -> str:
    entries = [
        " \\\n".join([str(one), *(f"    --hash={value}" for value in sorted(hashes))])
        for _, (one, hashes) in sorted(locked.items())
    ]
    return "\n".join(["# Made by `make lock` from constraints.txt and pyproject.toml. Change those.", *entries, ""])


def without_cuda(pin: Requirement, folder: Path | None) -> Locked:
    """Builds of the pinned torch from a folder, or else those that were locked before."""
    known = read(path.read_text()) if (path := LOCKS / "torch-cpu.txt").exists() else {}
    for wheel in folder.glob("torch-*.whl") if folder else ():
        name, version, *_ = parse_wheel_filename(wheel.name)
        one, hashes = known.get(name, (None, set()))
        if one is None or str(one.specifier) != f"=={version}":
            one, hashes = Requirement(f"{name}=={version}"), set()
        known[name] = (one, hashes | {f"sha256:{sha256(wheel.read_bytes()).hexdigest()}"})
    return {name: one for name, one in known.items() if str(one[0].specifier).partition("+")[0] == str(pin.specifier)}


def key(one: Requirement) -> str:
    return f"{canonicalize_name(one.name)}{one.specifier}"


def check(sets: dict[str, Locked]) -> None:
    """Versions are pinned in constraints.txt and nowhere else."""
    pins = {key(Requirement(line)) for line in (ROOT / "constraints.txt").read_text().split()}
    found = {key(one) for locked in sets.values() for one, _ in locked.values()}
    if found != pins:
        missing, idle = " ".join(sorted(found - pins)), " ".join(sorted(pins - found))
        sys.exit(f"Nothing was written. Add to constraints.txt: {missing or '-'}\nTake out of it: {idle or '-'}")


def main(uv: str, folder: str = "") -> None:
    sets = {name: resolved(uv, what) for name, what in SETS.items()}
    sets["torch"] = {name: one for name, one in sets["runtime"].items() if TORCH.match(name)}
    for part in ("runtime", *BESIDE_RUNTIME):
        sets[part] = {name: one for name, one in sets[part].items() if name not in sets["torch"]}
    for part in BESIDE_RUNTIME:
        sets[part] = {name: one for name, one in sets[part].items() if one != sets["runtime"].get(name)}
    check(sets)
    sets["torch-cpu"] = without_cuda(sets["torch"]["torch"][0], Path(folder) if folder else None)
    if not sets["torch-cpu"]:
        print("No build of this torch without CUDA is locked: `make lock WHEELS=folder` adds those in a folder.")
    LOCKS.mkdir(exist_ok=True)
    for name, locked in sets.items():
        path, text = LOCKS / f"{name}.txt", written(locked)
        if not path.exists() or path.read_text() != text:  # What is newer than the installation is installed again.
            path.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
