"""Folders and buckets, listed by this look itself. What is not of a kind that Likeness makes is a finding."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from time import time
from typing import IO, cast
from urllib.parse import unquote
from uuid import UUID

from compliance import stores
from compliance.proof.scan import StoreAnswer
from compliance.scanning import tables
from compliance.scanning.traces import Traces, blocks
from likeness.ground.files import is_part
from likeness.ground.settings import Settings
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import CLASS, ID

BLOCK = 1 << 20
DEEPEST = 3
"""Archives within archives that are opened; one that goes deeper is a finding by itself."""
LARGEST = 2 << 30
"""Of what comes out of one archive."""
YOUNG = 3600
"""Seconds in which a half-written file may belong to somebody who is writing it."""
UNNAMED = 26 * 3600
"""Seconds in which an object may be without a row; the sweep removes such ones within a day."""
SKEW = 300
"""Seconds by which another machine's clock may be ahead."""
RAY_FOLDERS, SCRATCH_FOLDERS = "lk-ray-*", "likeness-*"
MEMORY = Path("/dev/shm")  # noqa: S108 - looked into only
PERSON = re.compile(rf"tenants/({ID})/employees/({ID})/({CLASS})/[a-z0-9-][a-z0-9.-]*")
NUMBERS = re.compile(ID)
WORKBOOK = re.compile(rf"tenants/({ID})/workbooks/({ID})")
HOME = ("postgres", "objects", "keys", "signer", "tombstones", "lock", "likeness.log", "counter", "keycloak")
"""What `likeness up` makes in its folder; `postgres` is answered for by the tables and its own log.
`keycloak` holds accounts that are the employer's, nothing of a visit, and is not looked into."""
OF_SIGNER = re.compile(r"(?:signing|paper-seal)\.(?:jwk|pem|made)")
INSIDE = {
    "signer": OF_SIGNER,
    "counter": re.compile(rf"{ID}\.note|check"),
}
"""What Likeness makes in these folders of its home."""
KEY_ROOT = re.compile(rf"master\.key|{OF_SIGNER.pattern}")
UNFINISHED = "unfinished-"
"""How the name of a data folder begins that PostgreSQL is still being initialised in."""
KEY_FILE = re.compile(rf"tenants/{ID}/(?:tenant\.\w+|{ID}/(?:{CLASS})\.\w+)(?:\.[0-9a-f]{{16}})?")


class TooDeep(ValueError):
    """An archive that does not end."""


@dataclass
class Occurrences:
    count: int = 0
    where: list[str] = field(default_factory=list)
    """For the operator's own terminal: a path may hold a name."""

    def add(self, path: object) -> None:
        self.count += 1
        self.where.append(str(path))

    def answer(self, store: str, note: str = "") -> StoreAnswer:
        return StoreAnswer(store, "found" if self.count else "clean", self.count, note, tuple(self.where))


def guarded(names: Iterable[str], look: Iterable[StoreAnswer]) -> list[StoreAnswer]:
    try:
        return list(look)
    except Exception as error:  # Whatever keeps a store from answering: it is not clean.
        return [StoreAnswer(name, "not reachable", note=type(error).__name__) for name in names]


# Objects


def objects(
    kernel: Kernel, tenant: UUID, traces: Traces, workbooks: Iterable[UUID], known: Iterable[str] = ()
) -> list[StoreAnswer]:
    """`known` is the class and name of each that a row named: these are asked for one by one as well."""
    names = [*(place.name for place in stores.OBJECTS.values()), stores.WORKBOOKS.name, stores.STRANGE.name]
    mine = [f"tenants/{tenant}/employees/{traces.employee}/{name}" for name in known]
    return guarded(names, _objects(kernel, tenant, traces, {str(one) for one in workbooks}, mine))


def _objects(
    kernel: Kernel, tenant: UUID, traces: Traces, workbooks: set[str], mine: list[str]
) -> Iterator[StoreAnswer]:
    by_class = {cls: Occurrences() for cls in KeyClass}
    raw, strange = Occurrences(), Occurrences()
    old: list[tuple[str, str]] = []
    listed = [*_listed(kernel), *_older(kernel, tenant, traces)]
    missed = set(mine) - {path for path, _ in listed}
    for path, age in (*listed, *((path, 0.0) for path in sorted(missed) if kernel.objects.exists(path))):
        theirs = _theirs(path, traces)
        person, workbook = PERSON.fullmatch(path), WORKBOOK.fullmatch(path)
        known = person or workbook
        if person and theirs and person[1] == str(tenant):
            by_class[KeyClass(person[3])].add(path)
        elif workbook and (theirs or workbook[2] in workbooks):
            raw.add(path)
        elif theirs or (known is None and _misplaced(path, age, tenant)):
            strange.add(path)
        elif known is not None and known[1] == str(tenant) and _settled(path, age):
            old.append((path, known[2]))
    _add_unnamed(kernel, tenant, old, strange)
    for one in workbooks:
        if kernel.keys.state(KeyRef(tenant, UUID(one), KeyClass.PROFILE)) == "live":
            raw.add("the key of a workbook")
    for cls, place in stores.OBJECTS.items():
        if by_class[cls].count or kernel.objects.versions_purged():
            yield by_class[cls].answer(place.name)
        else:
            yield StoreAnswer(place.name, "not reachable", note="older versions of the bucket could not be listed")
    yield raw.answer(stores.WORKBOOKS.name)
    yield strange.answer(stores.STRANGE.name)


def _older(kernel: Kernel, tenant: UUID, traces: Traces) -> Iterator[tuple[str, float]]:
    """What a bucket keeps of objects that are deleted, in the places that are looked through; all of it just written, since
    how old it is says nothing."""
    for place in (f"employees/{traces.employee}", "workbooks"):
        for path in kernel.objects.older(f"tenants/{tenant}/{place}"):
            yield path, 0.0


def _misplaced(path: str, age: float, tenant: UUID) -> bool:
    return not _elsewhere(path, tenant) and not (is_part(path.rpartition("/")[2]) and young(age))


def _settled(path: str, age: float) -> bool:
    """Whether a row has to name it by now; Likeness names objects by random ids alone."""
    return not (young(age, UNNAMED) and NUMBERS.fullmatch(path.rpartition("/")[2]))


def _add_unnamed(kernel: Kernel, tenant: UUID, old: list[tuple[str, str]], found: Occurrences) -> None:
    """Objects in a place where such ones belong, which no row names: a copy, whoever's folder it lies in. What a crash left
    is swept away long before."""
    if not old:
        return
    paths, known = tables.named_objects(kernel, tenant)
    for path, owner in old:
        if hash(path) not in paths and owner not in known:
            found.add(path)


def young(age: float, seconds: float = YOUNG) -> bool:
    """A time in the future is nobody's who is still writing."""
    return -SKEW < age < seconds


def _theirs(path: str, traces: Traces) -> bool:
    """Also of a colleague's file that is called after the person; the ids of the path are no words."""
    named = traces.knows_words and traces.in_words(NUMBERS.sub("", path))
    return named or any(one in path.casefold() for one in traces.ids)


def _elsewhere(path: str, tenant: UUID) -> bool:
    """What is in another company's folder under names that say nothing of this person troubles that company alone."""
    return bool(re.match(f"tenants/{ID}/", path)) and not path.startswith(f"tenants/{tenant}/")


def _listed(kernel: Kernel) -> Iterator[tuple[str, float]]:
    """Every file by its path below the root, links and empty folders too, with its age in seconds."""
    address = kernel.settings.objects_address()
    if not address.startswith("file:///"):
        for stored in kernel.objects.list(""):
            yield stored.path, time() - stored.modified.timestamp()
        return
    root = Path(unquote(address.removeprefix("file://")))
    for folder, folders, files in os.walk(root, onerror=_raise):
        here = Path(folder)
        for name in [*files, *(one for one in folders if (here / one).is_symlink())]:
            try:
                found = (here / name).lstat()
            except FileNotFoundError:  # It went meanwhile.
                continue
            yield str((here / name).relative_to(root)), time() - found.st_mtime


def of_company(kernel: Kernel, tenant: UUID) -> int:
    """Every file whose path names the company: half-written ones, links, and what lies in a strange place too."""
    return sum(str(tenant) in path for path, _ in _listed(kernel))


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


# The folder of the embedded profile, and the folders of keys and tombstones


def home(kernel: Kernel) -> list[StoreAnswer]:
    """What lies beside what Likeness makes."""
    return guarded([stores.HOME.name], _home(kernel))


def _home(kernel: Kernel) -> Iterator[StoreAnswer]:
    found = Occurrences()
    for path in strangers(kernel.settings):
        found.add(path)
    if not kernel.settings.embedded and not found.count:
        yield StoreAnswer(stores.HOME.name, "clean", note="the folder of keys; this profile has no other folder of its own")
        return
    yield found.answer(stores.HOME.name)


def strangers(settings: Settings) -> list[Path]:
    """What nobody's certificate passes by, because it is not of Likeness's making."""
    beside = _beside(settings.home) if settings.embedded and settings.home.is_dir() else ()
    return sorted([*beside, *_no_keys(settings.keys_path())])


def _beside(home: Path) -> Iterator[Path]:
    for one in home.iterdir():
        rotated = one.name.startswith("likeness.log.") and one.name[13:].isdigit()
        if one.name in INSIDE and one.is_dir() and not one.is_symlink():
            yield from _strange_in(one, INSIDE[one.name])
        elif one.is_symlink() or (one.name not in HOME and not rotated):
            if one.is_symlink() or not one.is_dir() or _holds_anything(one):
                yield one
        elif one.name == "lock" and not one.is_file():
            yield one
    for one in (home / "postgres").glob("*"):
        begun = one.name.startswith(UNFINISHED) and young(time() - one.lstat().st_mtime)
        if one.name not in ("data", "server", "postgres.log") and not begun:
            yield one


def _no_keys(keys: Path) -> Iterator[Path]:
    for path in keys.rglob("*") if keys.is_dir() else ():
        name = str(path.relative_to(keys))
        part = is_part(path.name) and young(time() - path.lstat().st_mtime)
        known = KEY_FILE if name.startswith("tenants/") else KEY_ROOT
        if (path.is_symlink() or not path.is_dir()) and not known.fullmatch(name) and not part:
            yield path


def _strange_in(folder: Path, known: re.Pattern[str]) -> Iterator[Path]:
    for path in folder.rglob("*"):
        part = is_part(path.name) and young(time() - path.lstat().st_mtime)
        if path.is_symlink() or (not known.fullmatch(str(path.relative_to(folder))) and not part):
            yield path


def _holds_anything(folder: Path) -> bool:
    """What `lost+found` holds the system alone may look at where the program is not root; nobody else writes there."""
    try:
        return any(folder.iterdir())
    except PermissionError:
        return folder.name != "lost+found"


TOMBSTONES = {
    "": re.compile(rf"{ID}\.json|\.?lock"),
    "heads": re.compile(ID), "acts": re.compile(rf"{ID}\.jsonl"), "signers": re.compile(r"[\w-]+\.json"),
    "marks": re.compile(r"[0-9a-f]{64}\.json"),
    "drills": re.compile(r"\d{8}T\d{6}(\d{6})?\.json"),  # Those of earlier versions are named to the second.
    "notes": re.compile(rf"{ID}/\d{{9}}-\d{{12}}"), "certificates": re.compile(rf"{ID}/{ID}\.json"),
}  # fmt: skip
WORDS_OF_TOMBSTONES = frozenset({"tombstone", "tenant", "owner", "classes", "keys", "at"})
WORDS_OF_ACTS = frozenset({"act", "tenant", "at", "subject", "objects", "leaf", "facts"})


def tombstones(kernel: Kernel, traces: Traces) -> list[StoreAnswer]:
    """They name whom to delete again, by random id; a file of another kind, another field or a name is a finding."""
    return guarded([stores.TOMBSTONES.name], _tombstones(kernel.settings.tombstones_path(), traces))


def _tombstones(root: Path, traces: Traces) -> Iterator[StoreAnswer]:
    found = Occurrences()
    for path in root.rglob("*") if root.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            continue
        inside = str(path.relative_to(root))
        below, name = inside.split("/", 1) if "/" in inside else ("", inside)
        if is_part(path.name) and young(time() - path.lstat().st_mtime):
            continue
        kind = TOMBSTONES.get(below)
        if kind is None or not kind.fullmatch(name) or path.is_symlink() or _says_more(path, below, traces):
            found.add(path)
    yield found.answer(stores.TOMBSTONES.name)


def _says_more(path: Path, below: str, traces: Traces) -> bool:
    """Whether a record holds other fields than it may, or the name or address of the person."""
    data = path.read_bytes()
    if traces.knows_words and traces.in_words(data.decode("utf-8", "replace")):
        return True
    if below == "" and path.suffix == ".json":
        return set(json.loads(data)) != WORDS_OF_TOMBSTONES
    if below == "acts":
        whole = [json.loads(line) for line in data.split(b"\n") if line.endswith(b"}")]
        return any(set(one) not in (WORDS_OF_ACTS, {"void"}) for one in whole)
    return False


def log_files(kernel: Kernel) -> list[Path]:
    """The log files that the embedded profile writes itself, older ones too; elsewhere logs go to the operator's store."""
    home = kernel.settings.home
    if not kernel.settings.embedded:
        return []
    return [*sorted(home.glob("likeness.log*")), *home.glob("postgres/postgres.log")]


def logs(kernel: Kernel, traces: Traces) -> list[StoreAnswer]:
    """Every file in the home that could be a log, whatever its name, packed ones opened."""
    name = stores.LOG.name
    if not kernel.settings.embedded:
        return [StoreAnswer(name, "not applicable", note="logs go to the operator's own store")]
    home = kernel.settings.home
    files = [*log_files(kernel), *(one for one in home.glob("*.log*") if not one.name.startswith("likeness.log"))]
    return guarded([name], _hits([*files, *home.glob("postgres/*.log.*")], traces, name))


def scratch_folders() -> list[Path]:
    below = Path(tempfile.gettempdir())
    return [*below.glob(RAY_FOLDERS), *(MEMORY.glob(SCRATCH_FOLDERS) if MEMORY.is_dir() else [])]


def scratch(traces: Traces, roots: Iterable[Path] | None = None) -> list[StoreAnswer]:
    name = stores.SCRATCH.name
    return guarded([name], _hits(scratch_folders() if roots is None else roots, traces, name, "on this machine"))


CLOSED = (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"7z\xbc\xaf\x27\x1c", b"Rar!")
"""How zstd, lz4, 7z and RAR begin."""
COMPILED = b"\x7fELF"
LARGEST_CACHED = 64 << 20


def cache_folders() -> list[Path]:
    """Those of this user, whose processes fill them; moved ones too."""
    found = [Path(moved) for one in stores.KEPT_BY_LIBRARIES if (moved := os.environ.get(one.variable, ""))]
    places = {"~": Path.home(), "$TMP": Path(tempfile.gettempdir())}
    for one in stores.KEPT_BY_LIBRARIES:
        place, _, pattern = one.usual.partition("/")
        found += places[place].glob(pattern)
    return [one for one in dict.fromkeys(found) if one.is_dir() and one.stat().st_uid == os.geteuid()]


def caches(traces: Traces, since: float | None, roots: Iterable[Path] | None = None) -> list[StoreAnswer]:
    """What libraries keep of their own. What was written before the person was known, `since`, holds nothing of theirs."""
    return guarded([stores.CACHES.name], _cached(roots, traces, since))


def _cached(roots: Iterable[Path] | None, traces: Traces, since: float | None) -> Iterator[StoreAnswer]:
    found = Occurrences()
    for root in cache_folders() if roots is None else roots:
        for folder, folders, names in os.walk(root, onerror=_raised):
            for name in (*folders, *names):
                path = Path(folder, name)
                if traces.in_text(name) or (name in names and _worth_opening(path, since) and in_file(path, traces)):
                    found.add(path)
    yield found.answer(stores.CACHES.name, "compiled programs, and files of more than 64 MiB, by their names alone")


def _raised(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # What went away meanwhile holds nothing.
        raise error


def _worth_opening(path: Path, since: float | None) -> bool:
    try:
        facts = path.lstat()
        if not S_ISREG(facts.st_mode) or facts.st_size > LARGEST_CACHED or (since and facts.st_ctime < since):
            return False
        with path.open("rb") as opened:
            return opened.read(len(COMPILED)) != COMPILED
    except FileNotFoundError:
        return False


def _hits(roots: Iterable[Path], traces: Traces, store: str, note: str = "") -> Iterator[StoreAnswer]:
    found = Occurrences()
    for root in roots:
        for path in [root, *(root.rglob("*") if root.is_dir() else ())]:
            if traces.in_text(path.name) or (path.is_file() and not path.is_symlink() and in_file(path, traces)):
                found.add(path)
    yield found.answer(store, note)


def in_file(path: Path, traces: Traces) -> bool:
    try:
        with path.open("rb") as opened:
            return _in_stream(opened, traces, 0)
    except FileNotFoundError:  # It ended meanwhile.
        return False


def _in_stream(opened: IO[bytes], traces: Traces, depth: int) -> bool:
    start = opened.read(265)
    opened.seek(0)
    if depth > DEEPEST:
        raise TooDeep
    for magic, open_ in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if start.startswith(magic):
            return _unpacked(cast(IO[bytes], open_(opened)), traces, depth)
    if start.startswith(CLOSED):
        return True  # What this look cannot open it calls by its path, and never clean.
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(opened) as packed:
            return any(
                traces.in_text(one.filename) or _unpacked(packed.open(one), traces, depth) for one in packed.infolist()
            )
    if start[257:262] == b"ustar":
        with tarfile.open(fileobj=opened) as archive:
            return any(
                traces.in_text(one.name) or (one.isfile() and _unpacked(archive.extractfile(one), traces, depth))
                for one in archive
            )
    return any(traces.in_bytes(block) for block in blocks(iter(lambda: opened.read(BLOCK), b"")))


def _unpacked(inner: IO[bytes] | None, traces: Traces, depth: int) -> bool:
    """Through a file without a name, because what is packed may be packed once more."""
    if inner is None:
        return False
    with inner, tempfile.TemporaryFile() as out:
        taken = 0
        while piece := inner.read(BLOCK):
            taken += len(piece)
            if taken > LARGEST:
                raise TooDeep
            out.write(piece)
        out.seek(0)
        return _in_stream(out, traces, depth + 1)
