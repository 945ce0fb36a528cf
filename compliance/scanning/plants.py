"""What the re-scan has to find, planted one after the other into a site that exists for this alone.

A check that nobody has seen failing is not one: `likeness rescan --self-test` shows each of these being found, and that
the same site passes without them. The person does not exist.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import tempfile
import unicodedata
import zipfile
from base64 import b64encode, encodebytes
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from quopri import encodestring
from shutil import rmtree
from time import time
from urllib.parse import quote
from uuid import UUID, uuid4

from compliance import stores
from compliance.scanning import row_plants
from compliance.scanning.planting import EMAIL, NAME, SPELLINGS, Plant, Site
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass
from likeness.store.objects import person_path


def all_of(site: Site) -> Iterator[Plant]:
    yield from _objects(site)
    yield from _home()
    yield from _scratch()
    yield from _tombstones()
    yield from row_plants.schema()
    yield from row_plants.columns(site)


# Files


def _file(path: Path, data: bytes) -> Callable[[], object]:
    made = path = Path(os.path.normpath(path))
    while not made.parent.exists():
        made = made.parent
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return lambda: rmtree(made) if made.is_dir() else made.unlink()


def _objects(site: Site) -> Iterator[Plant]:
    strange, e = (stores.STRANGE.name,), site.employee
    for says, name in (
        ("a half-written object in the person's own folder", f"employees/{e}/headshot/_0123.part"),
        ("an object of a class that nobody declared", f"employees/{e}/embedding/{uuid4()}"),
        ("a preview beside the people's folders", f"previews/{e}.png"),
        ("a preview that names nobody", "previews/1.png"),
        ("a copy in another company's folder", f"../{site.other}/employees/{e}/headshot/{uuid4()}"),
        ("a copy in a folder that is hidden", f".trash/{e}/selfie.jpg"),
        ("a file beside the companies' folders", "../../copy.bin"),
        ("a thumbnail under a colleague", f"employees/{uuid4()}/headshot/{e}.thumb/1"),
        ("an object with an ending", f"employees/{e}/source/{uuid4()}.JPG"),
        ("an object in a folder within", f"employees/{uuid4()}/source/more/{uuid4()}"),
        ("a picture in a folder named as people's, in capitals", f"EMPLOYEES/{uuid4()}/source/{uuid4()}"),
        ("a packed copy of a folder", f"employees/{uuid4()}.tar.gz"),
        ("a packed copy of one object", f"employees/{uuid4()}/source/{uuid4()}.zip"),
        ("a file beside the companies' that is named after the person", f"../../{unicodedata.normalize('NFD', NAME)}.png"),
    ):
        yield Plant(says, strange, _in_folder(name))
    for says, name in (
        ("a picture under a colleague that no row names", f"employees/{uuid4()}/headshot/{uuid4()}"),
        ("a model of nobody who is known", f"employees/{uuid4()}/model/{uuid4()}"),
        ("a file of a class that has none", f"employees/{uuid4()}/profile/{uuid4()}"),
        ("a raw workbook that no batch names", f"workbooks/{uuid4()}"),
    ):
        yield Plant(says, strange, _in_folder_of(-_DAYS, name))
    for says, seconds in (("a half-written file of long ago", -_DAYS), ("a half-written file of next year", _DAYS)):
        name = f"employees/{uuid4()}/source/_1.part"
        yield Plant(says, strange, _in_folder_of(seconds, name))
    named = f"employees/{uuid4()}/headshot/{SPELLINGS[3].replace('_', '-')}"
    yield Plant(
        "a file under a colleague that is called after the person", (stores.OBJECTS[KeyClass.HEADSHOT].name,),
        lambda site: _file(site.folder / named, b"x"),
    )  # fmt: skip
    yield Plant("a link out of the objects' folder", strange, _link)
    for cls, place in stores.OBJECTS.items():
        yield Plant(f"an object of the class {cls}", (place.name,), partial(_object, cls=cls))
    yield Plant("the raw workbook", (stores.WORKBOOKS.name,), _raw)
    yield Plant("a key from a backup", (stores.KEYS[KeyClass.PROFILE].name, stores.SAMPLES.name), _restored_key)
    for cls in (KeyClass.SOURCE, KeyClass.HEADSHOT, KeyClass.LOG_DETAIL):
        yield Plant(f"a key of the class {cls}", (stores.KEYS[cls].name,), partial(_live_key, cls=cls))
    yield Plant("a key that lives", (stores.KEYS[KeyClass.MODEL].name,), lambda site: _live_key(site, KeyClass.MODEL))
    yield Plant(
        "a picture in the folder of keys", (stores.HOME.name,),
        lambda site: _file(site.home / "keys/tenants" / str(site.tenant) / str(site.employee) / "selfie.jpg", b"x"),
    )  # fmt: skip


_DAYS = 300 * 86_400.0


def _in_folder(name: str) -> Callable[[Site], Callable[[], object]]:
    return lambda site: _file(site.folder / name, b"x")


def _in_folder_of(seconds: float, name: str) -> Callable[[Site], Callable[[], object]]:
    """Last written so many seconds from now."""
    return lambda site: _aged(site.folder / name, b"x", seconds)


def _aged(path: Path, data: bytes, seconds: float) -> Callable[[], object]:
    """Last written so many seconds from now."""
    take_away = _file(path, data)
    os.utime(path, (time() + seconds, time() + seconds))
    return take_away


def _link(site: Site) -> Callable[[], object]:
    link = site.folder / "elsewhere"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/nonexistent")
    return link.unlink


def _object(site: Site, cls: KeyClass) -> Callable[[], object]:
    path = site.home / "objects" / person_path(site.tenant, site.employee, cls, uuid4())
    return _file(path, b"x")


def _raw(site: Site) -> Callable[[], object]:
    return _file(site.folder / "workbooks" / str(site.workbook), b"x")


def key_file(kernel: Kernel, tenant: UUID, owner: UUID) -> Path:
    return kernel.settings.keys_path() / "tenants" / str(tenant) / str(owner) / "profile.key"


def _restored_key(site: Site) -> Callable[[], object]:
    """With the marker of its destruction gone, as after a restored backup of the whole folder."""
    file = key_file(site.kernel, site.tenant, site.employee)
    marker = file.with_suffix(".destroyed")
    since = marker.read_bytes()
    marker.unlink()
    file.write_bytes(site.backup)

    def restore() -> None:
        file.unlink()
        marker.write_bytes(since)

    return restore


def _live_key(site: Site, cls: KeyClass) -> Callable[[], object]:
    folder = site.home / "keys/tenants" / str(site.tenant) / str(site.employee)
    return _file(folder / f"{cls}.key", b"x")


def _home() -> Iterator[Plant]:
    log, home = stores.LOG.name, stores.HOME.name
    for number, spelling in enumerate(SPELLINGS):
        yield Plant(f"the name in a log, spelling {number + 1}", (log,), _logged(f"hello {spelling}!"))
    yield Plant("the address in a log", (log,), _logged(f"to <{EMAIL.upper()}>."))
    yield Plant("the id in an older log", (log,), _at("likeness.log.1", lambda site: str(site.employee).encode()))
    yield Plant("the id without hyphens", (log,), _at("likeness.log.2", lambda site: site.employee.hex.encode()))
    yield Plant("debug.log", (log, home), _at("debug.log", lambda site: EMAIL.encode()))
    yield Plant("debug.log.gz", (log, home), _at("debug.log.gz", lambda site: gzip.compress(NAME.encode())))
    yield Plant("debug.log.xz", (log, home), _at("debug.log.xz", lambda site: lzma.compress(EMAIL.encode())))
    yield Plant("a log in a packed archive", (log, home), _at("old.log.tgz", lambda site: gzip.compress(_tar(NAME))))
    yield Plant(
        "a packed log within a ZIP", (log, home), _at("old.log.zip", lambda site: _zip(gzip.compress(NAME.encode())))
    )
    yield Plant("a log in UTF-16", (log, home), _at("debug.log", lambda site: NAME.encode("utf-16")))
    for says, data in (
        ("percent signs", quote(NAME)), ("percent signs, the address", quote(EMAIL, safe="")),
        ("base64", b64encode(NAME.encode()).decode()), ("base64, the address", b64encode(EMAIL.encode()).decode()),
        ("base64 over several lines", encodebytes(f"{'x' * 99} {NAME}".encode()).decode()),
        ("a mail's own way", encodestring(NAME.encode()).decode()), ("hexadecimal", f"\\x{NAME.encode().hex()}"),
        ("HTML", NAME.replace("Ó", "&Oacute;")), ("letters and accents apart", unicodedata.normalize("NFD", NAME)),
        ("signs that are not seen in between", NAME.replace("y", "y\u200b")),
    ):  # fmt: skip
        yield Plant(f"the name or the address in a log, spelled by {says}", (log,), _logged(f"of {data} then"))
    yield Plant("a log in UTF-16, the other way", (log, home), _at("debug.log", lambda site: NAME.encode("utf-16-be")))
    yield Plant("the id in base64", (log,), _logged_as(lambda site: b64encode(str(site.employee).encode())))
    yield Plant("a database log", (log,), _at("postgres/postgres.log.1", lambda site: NAME.encode()))
    yield Plant("the mailbox", (home,), _at("mailbox/1.eml", lambda site: f"To: {EMAIL}".encode()))
    yield Plant("a ZIP beside the exports", (home,), _at("exports/package.zip", lambda site: _zip(b"x")))
    yield Plant("a dump beside the database", (home,), _at("postgres/dump.sql", lambda site: b"x"))
    yield Plant("debug.log.zst", (log, home), _at("debug.log.zst", lambda site: b"\x28\xb5\x2f\xfd\x04\x00"))
    for name in ("signer/selfie.jpg", "counter/selfie.jpg", "lock/selfie.jpg", "lost+found/selfie.jpg", "keys/selfie.jpg"):
        yield Plant(f"a picture as {name}", (home,), _at(name, lambda site: b"x"))
    yield Plant("a data folder that nobody initialises any more", (home,), _left_behind)
    yield Plant("a file under an opaque name", (home,), _at("tmp.bin", lambda site: b"\x00\x01"))


def _left_behind(site: Site) -> Callable[[], object]:
    folder = site.home / "postgres/unfinished-0123abcd"
    take_away = _file(folder / "people.sql", b"x")
    os.utime(folder, (0, 0))
    return take_away


def _tombstones() -> Iterator[Plant]:
    for says, name, data in (
        ("a note in the folder of tombstones", "tombstones/readme.txt", b"x"),
        ("a name in a tombstone", f"tombstones/{uuid4()}.json", f'{{"name": "{NAME}"}}'.encode()),
        ("a narrowing act with words", f"tombstones/acts/{uuid4()}.jsonl", b'{"act": "x", "note": "y"}\n'),
        ("a picture beside the certificates", f"tombstones/certificates/{uuid4()}/1.png", b"x"),
    ):
        yield Plant(says, (stores.TOMBSTONES.name,), _at(name, partial(_always, data)))


def _always(data: bytes, _: Site) -> bytes:
    return data


def _logged(words: str) -> Callable[[Site], Callable[[], object]]:
    return _at("likeness.log.3", lambda site: words.encode())


def _logged_as(data: Callable[[Site], bytes]) -> Callable[[Site], Callable[[], object]]:
    return _at("likeness.log.3", data)


def _at(name: str, data: Callable[[Site], bytes]) -> Callable[[Site], Callable[[], object]]:
    return lambda site: _file(site.home / name, data(site))


def _zip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner", data)
    return packed.getvalue()


def _tar(words: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("inner.log")
        entry.size = len(words.encode())
        archive.addfile(entry, io.BytesIO(words.encode()))
    return packed.getvalue()


def _scratch() -> Iterator[Plant]:
    cached = Path(tempfile.gettempdir()) / f"torchinductor_{uuid4().hex[:8]}"
    for says, name in (("a file in a cache of compiled code that names the person", "1.nbi"),
                       ("a file in a cache that is named after the person", SPELLINGS[3])):  # fmt: skip
        yield Plant(says, (stores.CACHES.name,), partial(_cache, cached / name))
    for says, name, data in (
        ("Ray's log", "session/logs/worker.log", lambda site: b"x" * (1 << 20) + str(site.employee).encode()),
        ("Ray's spill, the id as bytes", "spill/1", lambda site: b"\x00" * 999 + site.employee.bytes),
        ("the name in Ray's spill", "spill/2", lambda site: NAME.encode()),
        ("a file that is named after the person", f"{SPELLINGS[3]}", lambda site: b"x"),
    ):
        yield Plant(says, (stores.SCRATCH.name,), partial(_left_in_scratch, name, data))


def _cache(path: Path, site: Site) -> Callable[[], object]:
    return _file(path, str(site.employee).encode())


def _left_in_scratch(name: str, data: Callable[[Site], bytes], site: Site) -> Callable[[], object]:
    return _file(site.scratch / name, data(site))
