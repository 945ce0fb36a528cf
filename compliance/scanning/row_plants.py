"""What the re-scan has to find in the database: in every column with words, and beside the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import psycopg
from psycopg import sql
from psycopg.types.json import Json, Jsonb

from compliance import stores
from compliance.scanning import tables
from compliance.scanning.planting import EMAIL, NAME, Plant, Site
from likeness.keys.keys import KeyClass, KeyRef


def schema() -> Iterator[Plant]:
    for says, store, make, drop in (
        ("a table that is not registered", "table:shadow", "create table shadow (words text)", "drop table shadow"),
        ("a table in another schema", "table:attic.people", "create schema attic; create table attic.people (words text)",
         "drop schema attic cascade"),
        ("a column that is not registered", "table:photo", "alter table photo add column note text",
         "alter table photo drop column note"),
        ("a view that is kept", "table:kept", "create materialized view kept as select 1 as one",
         "drop materialized view kept"),
        ("a table in a schema of capitals", "table:Attic.People",
         'create schema "Attic"; create table "Attic"."People" (words text)', 'drop schema "Attic" cascade'),
        ("a view", "table:shown", "create view shown as select id from employee", "drop view shown"),
        ("a table of another kind", "table:shadow", "create unlogged table shadow (words text)", "drop table shadow"),
        ("a table in parts", "table:parted", "create table parted (words text) partition by list (words)",
         "drop table parted"),
        ("a table that inherits another", "table:heir", "create table heir () inherits (batch)", "drop table heir"),
        *((says, stores.CATALOGUE.name, make, drop) for says, make, drop in CATALOGUED),
    ):  # fmt: skip
        yield Plant(says, (store,), partial(_run, make=make, drop=drop), "*")


CATALOGUED = (
    ("a large object", "select lo_create(424242)", "select lo_unlink(424242)"),
    ("an empty schema", "create schema attic", "drop schema attic"),
    ("a sequence", "create sequence counted", "drop sequence counted"),
    ("a type with words", f"create type known as enum ('{NAME}')", "drop type known"),
    ("a domain", "create domain word as text", "drop domain word"),
    ("a composite type", "create type pair as (one text, two text)", "drop type pair"),
    ("a function", "create function told() returns text language sql as 'select 1::text'", "drop function told()"),
    ("statistics of columns together", "create statistics together on id, tenant_id from batch",
     "drop statistics together"),
    ("a publication", "create publication outward for table batch", "drop publication outward"),
    ("a server elsewhere", "create foreign data wrapper other; create server elsewhere foreign data wrapper other",
     "drop foreign data wrapper other cascade"),
    ("a comment on a table", f"comment on table batch is 'of {NAME}'", "comment on table batch is null"),
    ("a comment on a column", f"comment on column batch.id is '{EMAIL}'", "comment on column batch.id is null"),
    ("a comment on the database", f"comment on database likeness is '{NAME}'", "comment on database likeness is null"),
    ("a role that is named after the person", f'create role "{NAME}"', f'drop role "{NAME}"'),
    ("a value that a column begins with", f"alter table batch alter column mapping set default '{{\"x\": \"{NAME}\"}}'",
     "alter table batch alter column mapping drop default"),
    ("a rule with words", f"alter table batch add constraint of_old check (unsealed_name <> '{NAME}') not valid",
     "alter table batch drop constraint of_old"),
)  # fmt: skip
"""Beside the rows: what is planted, and how it goes again."""


def _run(site: Site, make: str, drop: str) -> Callable[[], object]:
    site.owning.execute(make.encode())
    return lambda: site.owning.execute(drop.encode())


def columns(site: Site) -> Iterator[Plant]:
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
RULED = {"job": {"due": "now()", "state": "'ready'"}, "certificate": {"erasure_id": "gen_random_uuid()"}}
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
