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
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Json, Jsonb

from compliance import stores
from compliance.scanning import tables
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path

NAME, EMAIL = "Zyra Quillfeather-Ómarsdóttir", "zyra.quillfeather@planted.example"
SPELLINGS = (NAME, NAME.upper(), "Ómarsdóttir, Quillfeather Zyra", "zyra_quillfeather_omarsdottir.jpg")


@dataclass(frozen=True)
class Site:
    """Somewhere to plant: two companies, and a person of the first who was erased."""

    kernel: Kernel
    tenant: UUID
    other: UUID
    employee: UUID
    workbook: UUID
    scratch: Path
    owning: psycopg.Connection
    """Without the database's own rules about who refers to whom: leftovers keep to no rule."""
    backup: bytes
    """The file of the person's key, from before it was destroyed."""

    @property
    def home(self) -> Path:
        return self.kernel.settings.home

    @property
    def folder(self) -> Path:
        return self.home / "objects/tenants" / str(self.tenant)


@dataclass(frozen=True)
class Plant:
    says: str
    stores: tuple[str, ...]
    """Each of these has to answer that it found something."""
    put: Callable[[Site], Callable[[], object]]
    """Plants, and returns what takes it away again."""
    table: str = ""
    """Where it is in one table, that one is asked; there are hundreds of columns. `*` is for all of them."""


def all_of(site: Site) -> Iterator[Plant]:
    yield from _objects(site)
    yield from _home()
    yield from _scratch()
    yield from _tombstones()
    yield from _schema()
    yield from _columns(site)


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
    ):
        yield Plant(says, strange, lambda site, name=name: _file(site.folder / name, b"x"))  # type: ignore[misc]
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
        yield Plant(says, (stores.TOMBSTONES.name,), _at(name, lambda site, data=data: data))  # type: ignore[misc]


def _logged(words: str) -> Callable[[Site], Callable[[], object]]:
    return _at("likeness.log.3", lambda site: words.encode())


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
    cached = Path(tempfile.gettempdir()) / f"likeness-compiled-{uuid4().hex[:8]}"
    for says, name in (("a file in a cache of compiled code that names the person", "1.nbi"),
                       ("a file in a cache that is named after the person", SPELLINGS[3])):  # fmt: skip
        yield Plant(says, (stores.CACHES.name,), lambda site, at=cached / name: _file(at, str(site.employee).encode()))  # type: ignore[misc]
    for says, name, data in (
        ("Ray's log", "session/logs/worker.log", lambda site: b"x" * (1 << 20) + str(site.employee).encode()),
        ("Ray's spill, the id as bytes", "spill/1", lambda site: b"\x00" * 999 + site.employee.bytes),
        ("the name in Ray's spill", "spill/2", lambda site: NAME.encode()),
        ("a file that is named after the person", f"{SPELLINGS[3]}", lambda site: b"x"),
    ):
        yield Plant(
            says,
            (stores.SCRATCH.name,),
            lambda site, name=name, data=data: _file(site.scratch / name, data(site)),  # type: ignore[misc]
        )


# The database


def _schema() -> Iterator[Plant]:
    for says, store, make, drop in (
        ("a table that is not registered", "table:shadow", "create table shadow (words text)", "drop table shadow"),
        ("a table in another schema", "table:attic.people", "create schema attic; create table attic.people (words text)",
         "drop schema attic cascade"),
        ("a column that is not registered", "table:photo", "alter table photo add column note text",
         "alter table photo drop column note"),
        ("a view that is kept", "table:kept", "create materialized view kept as select 1 as one",
         "drop materialized view kept"),
        ("a large object", "table:pg_largeobject", "select lo_create(424242)", "select lo_unlink(424242)"),
    ):  # fmt: skip
        yield Plant(says, (store,), partial(_run, make=make, drop=drop), "*")


def _run(site: Site, make: str, drop: str) -> Callable[[], object]:
    site.owning.execute(make.encode())
    return lambda: site.owning.execute(drop.encode())


def _columns(site: Site) -> Iterator[Plant]:
    """Every column with words of every table that has a row: the name, the address and the id in it."""
    for table, columns, types, _ in site.owning.execute(COLUMNS).fetchall():
        if table in stores.TABLES:
            found = [*_in_clear(site, table, dict(zip(columns, types, strict=True))), *_sealed(site, table)]
            # Where nothing can be planted nobody saw it being found.
            yield from found or [Plant(f"anything in {table}", (f"table:{table}",), lambda site: lambda: None, table)]


def _in_clear(site: Site, table: str, kinds: dict[str, str]) -> Iterator[Plant]:
    declared = stores.TABLES[table]
    for column, kind in kinds.items():
        if kind == "uuid" and column in declared.person and column not in declared.may_name:
            yield _in_column(f"the id in {table}.{column}", table, column, kind, str(site.employee))
        words = {"the name": f"of {NAME}", "the address": f"<{EMAIL}>", "the id": str(site.employee)}
        if f"{table}.{column}" in stores.PUBLISHED:
            words = {"the id": words["the id"]}
        if column in declared.may_name:
            del words["the id"]
        for says, said in words.items() if kind in tables.WORDED else ():
            if _takes(site, table, column, kind, said):
                yield _in_column(f"{says} in {table}.{column}", table, column, kind, said)


def _sealed(site: Site, table: str) -> Iterator[Plant]:
    for column, context in stores.SEALED_BY_DESK.get(table, {}).items():
        for said in (f"for {NAME.upper()}", EMAIL, str(site.employee)):
            yield Plant(
                f"{said} in {table}.{column}, sealed", (f"table:{table}",),
                partial(_put_sealed, table=table, column=column, context=context, said=said), table,
            )  # fmt: skip


def _in_column(says: str, table: str, column: str, kind: str, said: str) -> Plant:
    return Plant(says, (f"table:{table}",), lambda site: _put(site, table, column, kind, said), table)


def _put_sealed(site: Site, table: str, column: str, context: str, said: str) -> Callable[[], object]:
    """As the desk's own functions seal it, under the key of the row."""
    read = sql.SQL("select id from {} where {} order by ctid limit 1")
    row = site.owning.execute(read.format(sql.Identifier(table), _of_company(site, table))).fetchone()
    assert row
    key = site.kernel.keys.open_or_create(KeyRef(site.tenant, row[0], KeyClass.PROFILE))
    return _put(site, table, column, "sealed", key.seal(said.encode(), context))


FILLERS = {
    "uuid": "gen_random_uuid()", "timestamptz": "now()", "date": "now()::date", "bool": "false", "json": "'{}'",
    "jsonb": "'{}'", "bytea": "decode('00', 'hex')", "_text": "'{}'", "_uuid": "'{}'", "_varchar": "'{}'",
}  # fmt: skip
RULED = {"job": {"due": "now()", "state": "'ready'"}}
"""What a table's own rules want otherwise than the filler of the kind."""


COLUMNS = """
    select c.relname, array_agg(a.attname::text), array_agg(t.typname::text), array_agg(a.attnotnull)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    where n.nspname = 'public' and c.relkind = 'r' group by c.relname order by c.relname
"""


def seed(site: Site) -> None:
    """One row of the company in every registered table, so that every column can be planted in."""
    site.owning.execute("set session_replication_role = replica")
    for table, columns, types, required in site.owning.execute(COLUMNS).fetchall():
        if "tenant_id" not in columns or table not in stores.TABLES:
            continue
        must = [one for one in zip(columns, types, required, strict=True) if one[2] and one[0] != "tenant_id"]
        values = {column: _filler(kind) for column, kind, _ in must} | RULED.get(table, {})
        values |= {column: "''" for column in stores.SEALED_BY_DESK.get(table, {})}
        names, fillers = ", ".join(f'"{one}"' for one in values), ", ".join(values.values())
        statement = f'insert into "{table}" (tenant_id, {names}) values (%s, {fillers})'  # noqa: S608 - the catalogue's names
        with suppress(psycopg.errors.UniqueViolation):  # The company has a row of it already.
            site.owning.execute(statement.encode(), [site.tenant])


def _filler(kind: str) -> str:
    return FILLERS.get(kind, "0" if kind[:3] in ("int", "flo", "num") else "'x'")


def _value(kind: str, said: str | bytes) -> object:
    if isinstance(said, bytes):
        return said
    if kind in ("json", "jsonb"):
        return _json(kind, {"said": said})
    if kind.startswith("_"):
        return [said]
    return said.encode() if kind == "bytea" else said


def _json(kind: str, value: object) -> object:
    return Jsonb(value) if kind == "jsonb" else Json(value)


def _of_company(site: Site, table: str) -> sql.Composable:
    if table == "alembic_version":
        return sql.SQL("true")
    return sql.SQL("{} = {}").format(
        sql.Identifier("id" if table == "tenant" else "tenant_id"), sql.Literal(str(site.tenant))
    )


def _set(site: Site, table: str, column: str, value: object, where: str | None = None) -> str | None:
    """Sets the column in one row of the company; the row's place afterwards, None where there is none."""
    statement = sql.SQL(
        "update {table} set {column} = %s where ctid = coalesce(%s::tid, (select min(ctid) from {table} where {mine}))"
        " returning ctid::text"
    ).format(table=sql.Identifier(table), column=sql.Identifier(column), mine=_of_company(site, table))
    row = site.owning.execute(statement, [value, where]).fetchone()
    return str(row[0]) if row else None


def _takes(site: Site, table: str, column: str, kind: str, said: str) -> bool:
    """Whether the database lets these words stand there: a row has to be there, and no rule of its own against it."""
    try:
        with site.owning.transaction(force_rollback=True):
            return _set(site, table, column, _value(kind, said)) is not None
    except psycopg.Error:
        return False


def _put(site: Site, table: str, column: str, kind: str, said: str | bytes) -> Callable[[], object]:
    read = sql.SQL("select {} from {} where {} order by ctid limit 1").format(
        sql.Identifier(column), sql.Identifier(table), _of_company(site, table)
    )
    (before,) = site.owning.execute(read).fetchone() or (None,)
    where = _set(site, table, column, _value(kind, said))

    def restore() -> None:
        value = _json(kind, before) if kind in ("json", "jsonb") and before is not None else before
        _set(site, table, column, value, where)

    return restore
