"""The re-scan: looks for what an erasure should have left nowhere, by other means than the eraser used.

The eraser goes through models, foreign keys and prefixes; this goes through the database's own list of tables and the
text of every row, lists objects for itself, asks the key folder for each key, and tries to open a kept sample. It only
reads, under a role of its own where one is configured. A store that does not answer is "not reachable", never clean.
"""

from __future__ import annotations

import re
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from batch import employees
from compliance import stores, tombstones
from compliance.scan import Answer, Scan
from likeness.db import utc_now
from likeness.errors import Gone, LikenessError
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef, SealBroken
from likeness.objects import TENANT_PATH

VERIFIER = "likeness-rescan"
SAMPLE_CONTEXT = "erasure/sample"
ADDRESS = re.compile(rb"[^\s\"'<>,;:()\[\]\\]{1,64}@[^\s\"'<>,;:()\[\]\\]{1,255}")
BLOCK = 1 << 20
OVERLAP = 512
RAY_FOLDERS, SCRATCH_FOLDERS = "lk-ray-*", "likeness-*"
MEMORY = Path("/dev/shm")  # noqa: S108 - looked into only


@dataclass(frozen=True)
class Subject:
    """Whom to look for. The id is random; the address is known by its keyed digest alone."""

    tenant: UUID
    employee: UUID
    email_index: bytes | None = None
    workbooks: tuple[UUID, ...] = ()
    samples: Mapping[str, str] = field(default_factory=dict)
    """By class of key: base64 of a text that was sealed before the key was destroyed."""


def scan(kernel: Kernel, subject: Subject) -> Scan:
    """Asks every registered store. Whether that passes is for `PassedScan` to say."""
    started = utc_now()
    answers = [
        *_tables(kernel, subject),
        _asked(stores.WORKBOOKS.name, lambda: _workbooks(kernel, subject)),
        *_objects(kernel, subject),
        *(_asked(place.name, lambda cls=cls: _key(kernel, subject, cls)) for cls, place in stores.KEYS.items()),  # type: ignore[misc]
        _samples(kernel, subject),
        _log(kernel, subject),
        _scratch(kernel, subject),
        Answer(
            stores.QUEUE.name, "not applicable", note="a message is the id of a job row, which table:job answers for"
        ),
        _asked(stores.TOMBSTONES.name, lambda: _tombstones(kernel)),
    ]
    return Scan(VERIFIER, version("likeness"), started, utc_now(), tuple(answers))


def _asked(store: str, count: Callable[[], int], note: str = "") -> Answer:
    try:
        found = count()
    except Exception as error:  # Whatever keeps a store from answering: it is not clean.
        return Answer(store, "not reachable", note=type(error).__name__)
    return Answer(store, "found" if found else "clean", found, note)


# Tables


def _tables(kernel: Kernel, subject: Subject) -> list[Answer]:
    url = kernel.settings.rescan_database_url
    engine = create_engine(url, poolclass=NullPool) if url else kernel.db.engine
    declared = {f"table:{name}" for name in stores.TABLES}
    try:
        there = _reflected(engine)
    except Exception as error:  # As above, for all of them.
        return [Answer(name, "not reachable", note=type(error).__name__) for name in sorted(declared)]
    answers = []
    for name in sorted(there):
        table = stores.TABLES.get(name)
        if table is None:
            answers.append(Answer(f"table:{name}", "not reachable", note="this table is not registered"))
            continue
        note = f"the id stays in {', '.join(table.may_name)}: {table.why}" if table.may_name else ""
        answers.append(_asked(f"table:{name}", lambda table=table: _rows(engine, table, subject), note))  # type: ignore[misc]
    missing = declared - {f"table:{name}" for name in there}
    return answers + [Answer(name, "not applicable", note="there is no such table") for name in sorted(missing)]


def _reflected(engine: Engine) -> set[str]:
    """The tables of the database's own catalogue; `information_schema` would hide those the role may not read."""
    with engine.connect() as connection:
        return set(
            connection.execute(
                text(
                    "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                    " where n.nspname = 'public' and c.relkind in ('r', 'p', 'm', 'f')"
                )
            ).scalars()
        )


def _rows(engine: Engine, table: stores.Table, subject: Subject) -> int:
    """How many rows name the person anywhere but in the columns that may."""
    with engine.connect() as connection:
        _read_only(connection, subject.tenant)
        statement = text(
            f'select count(*) from "{table.name}" t where '  # noqa: S608 - the name is in the registry
            "(to_jsonb(t) - cast(:kept as text[]))::text ilike any (cast(:needles as text[]))"
        )
        needles = [f"%{needle.decode()}%" for needle in _needles(subject)]
        return int(connection.execute(statement, {"kept": list(table.may_name), "needles": needles}).scalar_one())


def _read_only(connection: Connection, tenant: UUID) -> None:
    connection.execute(text("set transaction read only"))
    connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})


def _needles(subject: Subject) -> list[bytes]:
    return [str(subject.employee).encode(), subject.employee.hex.encode()]


# Objects and keys


def _objects(kernel: Kernel, subject: Subject) -> list[Answer]:
    found: dict[str, int] = {}
    try:
        # The whole of the company's people, not the person's own folder, so that a misfiled object is seen as well.
        for stored in kernel.objects.list(f"tenants/{subject.tenant}/employees"):
            if str(subject.employee) in stored.path:
                cls = stored.path.split("/")[4]
                found[cls] = found.get(cls, 0) + 1
    except Exception as error:  # As for tables.
        return [Answer(place.name, "not reachable", note=type(error).__name__) for place in stores.OBJECTS.values()]
    note = "" if kernel.objects.versions_purged() else "older versions of a versioned bucket could not be listed"
    return [
        Answer(place.name, "found" if found.get(cls) else "clean", found.get(cls, 0), note)
        for cls, place in stores.OBJECTS.items()
    ]


def _workbooks(kernel: Kernel, subject: Subject) -> int:
    wanted = {str(one) for one in (*subject.workbooks, subject.employee)}
    return sum(
        stored.path.rpartition("/")[2] in wanted
        for stored in kernel.objects.list(f"tenants/{subject.tenant}/workbooks")
        if TENANT_PATH.fullmatch(stored.path)
    ) + sum(kernel.keys.state(KeyRef(subject.tenant, one, KeyClass.PROFILE)) == "live" for one in subject.workbooks)


def _key(kernel: Kernel, subject: Subject, cls: KeyClass) -> int:
    ref = KeyRef(subject.tenant, subject.employee, cls)
    on_disk = ref in kernel.keys.refs(subject.tenant, subject.employee)
    return int(on_disk or kernel.keys.state(ref) != "destroyed")


def _samples(kernel: Kernel, subject: Subject) -> Answer:
    if not subject.samples:
        note = "the person had no key that opens, or the last look is over"
        return Answer(stores.SAMPLES.name, "not applicable", note=note)
    return _asked(
        stores.SAMPLES.name, lambda: sum(_opens(kernel, subject, cls, kept) for cls, kept in subject.samples.items())
    )


def _opens(kernel: Kernel, subject: Subject, cls: str, kept: str) -> bool:
    try:
        key = kernel.keys.open(KeyRef(subject.tenant, subject.employee, KeyClass(cls)))
        key.open(b64decode(kept), SAMPLE_CONTEXT)
    except (Gone, SealBroken):
        return False
    return True


# Files


def log_files(kernel: Kernel) -> list[Path]:
    """The log files that the embedded profile writes itself, older ones too; elsewhere logs go to the operator's store."""
    home = kernel.settings.home
    if not kernel.settings.embedded:
        return []
    return [*sorted(home.glob("likeness.log*")), *home.glob("postgres/postgres.log")]


def scratch_folders() -> list[Path]:
    below = Path(tempfile.gettempdir())
    return [*below.glob(RAY_FOLDERS), *(MEMORY.glob(SCRATCH_FOLDERS) if MEMORY.is_dir() else [])]


def _log(kernel: Kernel, subject: Subject) -> Answer:
    files = log_files(kernel)
    if not files:
        return Answer(stores.LOG.name, "not applicable", note="logs go to the operator's own store")
    index_key = kernel.keys.index_key(subject.tenant)

    def hits(file: Path) -> int:
        return sum(block.count(needle) for block in _blocks(file) for needle in _needles(subject)) + sum(
            employees.email_index(index_key, address) == subject.email_index
            for block in _blocks(file)
            for address in _addresses(block)
        )

    return _asked(stores.LOG.name, lambda: sum(hits(file) for file in files))


def _addresses(block: bytes) -> Iterator[str]:
    for found in set(ADDRESS.findall(block)):
        yield found.decode(errors="replace").strip(".")


def _scratch(kernel: Kernel, subject: Subject) -> Answer:
    note = "on this machine; nodes of the cluster keep scratch in memory and end with their order"
    return _asked(stores.SCRATCH.name, lambda: _hits_below(scratch_folders(), _needles(subject)), note)


def _hits_below(folders: Iterable[Path], needles: list[bytes]) -> int:
    found = 0
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            found += any(needle in str(path).encode() for needle in needles)
            if path.is_file() and not path.is_symlink():
                try:
                    found += any(needle in block for block in _blocks(path) for needle in needles)
                except FileNotFoundError:  # It ended meanwhile.
                    continue
    return found


def _blocks(file: Path) -> Iterator[bytes]:
    """The file in parts; each begins with the end of the one before, so that nothing hides on a border."""
    with file.open("rb") as opened:
        tail = b""
        while block := opened.read(BLOCK):
            yield tail + block
            tail = block[-OVERLAP:]


def _tombstones(kernel: Kernel) -> int:
    """Tombstones that hold more than random ids."""
    try:
        tombstones.read_all(kernel.settings.tombstones_path())
    except ValueError as error:
        raise LikenessError("a tombstone cannot be read") from error
    return 0
