"""The database as its own catalogue lists it, every schema of it, in transactions that only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, NullPool, TextClause, create_engine, text

from compliance import stores
from compliance.proof.scan import StoreAnswer, asked
from compliance.scanning import catalogue
from compliance.scanning.traces import Traces
from likeness.ground.db import PLATFORM
from likeness.kernel import Kernel
from likeness.keys.keys import KeyDestroyed, SealBroken

WORDED = ("text", "varchar", "bpchar", "json", "jsonb", "bytea", "name", "_text", "_varchar", "xml")
LONGEST = 1 << 20
"""Of a text; of bytes a two-hundredth, because what is sealed is no text."""
RANDOM = "[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}|[0-9a-f]{32,}"
"""Ids and digests, which are no words: without them most rows of a log read the same."""
CATALOGUE = text(
    """
    select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum),
           array_agg(t.typname::text order by a.attnum)
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid
    where c.relkind in ('r', 'p', 'm', 'f', 'v') and n.nspname <> 'information_schema'
      and n.nspname not like 'pg\\_%' and (:only = '' or c.relname = :only)
    group by n.nspname, c.relname order by 1, 2
    """
)  # `information_schema` would hide those that the role may not read.
WRITABLE = text(
    "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public'"
    " and c.relkind in ('r', 'p') and has_table_privilege(c.oid, 'insert, update, delete, truncate')"
)


def answers(kernel: Kernel, tenant: UUID, traces: Traces) -> list[StoreAnswer]:
    """Of every table."""
    declared = {*(f"table:{name}" for name in stores.TABLES), stores.CATALOGUE.name}
    try:
        with _connection(kernel) as connection:
            found = list(looked(kernel, connection, tenant, traces))
    except Exception as error:  # Whatever keeps a store from answering: it is not clean.
        return [StoreAnswer(name, "not reachable", note=type(error).__name__) for name in sorted(declared)]
    missing = declared - {one.store for one in found}
    return found + [StoreAnswer(name, "not applicable", note="there is no such table") for name in sorted(missing)]


def looked(kernel: Kernel, connection: Connection, tenant: UUID, traces: Traces, only: str = "") -> Iterator[StoreAnswer]:
    """Of every table, or of one alone."""
    there = connection.execute(CATALOGUE, {"only": only}).all()
    connection.rollback()
    if not only:
        yield catalogue.answer(connection, traces)
    for schema, name, columns, types in there:
        table = stores.TABLES.get(name) if schema == "public" else None
        if table is None:
            label = name if schema == "public" else f"{schema}.{name}"
            yield StoreAnswer(f"table:{label}", "found", 1, "this table is not registered", (label,))
            continue
        strange = [one for one in columns if one and one not in table.columns]
        if strange:
            note = f"a column is not registered: {', '.join(strange)}"
            yield StoreAnswer(f"table:{name}", "found", len(strange), note, (name,))
        else:
            kinds = dict(zip(columns, types, strict=True))
            yield asked(f"table:{name}", _counting(kernel, connection, table, kinds, tenant, traces), _note(table))
    connection.rollback()  # No lock of a look outlives it.


def company_answers(kernel: Kernel, tenant: UUID, stays: Mapping[str, str]) -> list[StoreAnswer]:
    """How many rows are a company's, of every table that can have some; `stays` says why those of a table are kept."""
    declared = {f"table:{name}" for name in stores.of_companies()}
    try:
        with _connection(kernel) as connection:
            found = list(_company_looked(connection, tenant, stays))
    except Exception as error:  # Whatever keeps a store from answering: it is not clean.
        return [StoreAnswer(name, "not reachable", note=type(error).__name__) for name in sorted(declared)]
    missing = declared - {one.store for one in found}
    return found + [StoreAnswer(name, "not applicable", note="there is no such table") for name in sorted(missing)]


def _company_looked(connection: Connection, tenant: UUID, stays: Mapping[str, str]) -> Iterator[StoreAnswer]:
    there = connection.execute(CATALOGUE, {"only": ""}).all()
    read_only(connection, tenant)
    for schema, name, columns, _ in there:
        if "tenant_id" not in columns:
            continue
        label = f"table:{name}" if schema == "public" else f"table:{schema}.{name}"
        if schema == "public" and name in stays:
            yield StoreAnswer(label, "not applicable", note=f"kept: {stays[name]}")
            continue
        count = text(f'select count(*) from "{schema}"."{name}" where tenant_id = :tenant')  # noqa: S608 - from the catalogue
        yield asked(label, partial(_counted, connection, count, tenant))


def _counted(connection: Connection, count: TextClause, tenant: UUID) -> int:
    return int(connection.execute(count, {"tenant": tenant}).scalar_one())


def named_objects(kernel: Kernel, tenant: UUID) -> tuple[set[int], set[str]]:
    """What the rows of a company name in the store, as hashes of paths and the ids of raw workbooks; and the ids of those
    whose own erasure is under way, which answers for theirs."""
    with _connection(kernel) as connection:
        read_only(connection, tenant)
        mine = {"tenant": tenant}
        paths: set[int] = set()
        for table in stores.naming_objects():
            query = text(f'select path from "{table}" where tenant_id = :tenant and path is not null')  # noqa: S608 - registry
            rows = connection.execute(query, mine, execution_options={"stream_results": True, "yield_per": 5000})
            paths.update(map(hash, rows.scalars()))
        raw = text("select workbook_id from batch where tenant_id = :tenant and workbook_id is not null")
        going = text("select employee_id from erasure where tenant_id = :tenant and state <> 'certified'")
        known = {str(one) for one in connection.execute(raw, mine).scalars()}
        return paths, known | {str(one) for one in connection.execute(going, mine).scalars()}


def rights(kernel: Kernel) -> dict[str, str]:
    """With what rights this look is made, as the database says it."""
    with _connection(kernel) as connection:
        writes = connection.execute(WRITABLE).scalar_one()
    return {
        "process": "its own",
        "database": "a role that cannot write" if not writes else "the program's own role, which could write",
        "objects_and_keys": "the program's own access",
    }


@contextmanager
def _connection(kernel: Kernel) -> Iterator[Connection]:
    engine = reading(kernel)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def reading(kernel: Kernel) -> Engine:
    return create_engine(kernel.settings.rescan_database_url or kernel.settings.database_url, poolclass=NullPool)


def _note(table: stores.Table) -> str:
    return f"the id stays in {', '.join(table.may_name)}: {table.why}" if table.may_name else ""


def _counting(
    kernel: Kernel, connection: Connection, table: stores.Table, kinds: dict[str, str], tenant: UUID, traces: Traces
) -> Callable[[], int]:
    """How many rows name the person anywhere but in the columns that may, and how many texts say who it was."""

    def count() -> int:
        try:
            # Some rows, such as what operators wrote, are of no company.
            return sum(map(partial(_of, kernel, connection, table, kinds, traces), {tenant, PLATFORM}))
        except Exception:
            connection.rollback()
            raise

    return count


def _of(
    kernel: Kernel, connection: Connection, table: stores.Table, kinds: dict[str, str], traces: Traces, tenant: UUID
) -> int:
    read_only(connection, tenant)
    statement = text(
        f'select count(*) from "{table.name}" t where '  # noqa: S608 - the name is in the registry
        "(to_jsonb(t) - cast(:kept as text[]))::text ilike any (cast(:needles as text[]))"
    )
    needles = [f"%{needle}%" for needle in traces.ids]
    found = int(connection.execute(statement, {"kept": list(table.may_name), "needles": needles}).scalar_one())
    if traces.knows_words:
        asked_for = [one for one in kinds if kinds[one] in WORDED and f"{table.name}.{one}" not in stores.PUBLISHED]
        found += sum(_words(connection, table.name, {one: kinds[one] for one in asked_for}, traces))
    if not found:  # Else it is known already, and what was written in clear there opens under no key.
        for column, context in stores.SEALED_BY_DESK.get(table.name, {}).items():
            found += sum(_opened(kernel, connection, table.name, column, context, traces, tenant))
    return found


def _opened(
    kernel: Kernel, connection: Connection, table: str, column: str, context: str, traces: Traces, tenant: UUID
) -> Iterator[bool]:
    """Of every text that somebody at a desk wrote, whether it says who it was; what nobody can open says nothing."""
    rows = connection.execute(
        text(f'select tenant_id, id, "{column}" from "{table}" where octet_length("{column}") > 0')  # noqa: S608 - as above
    ).all()
    for owner, row, sealed in rows:
        if owner != tenant:
            continue
        try:
            words = kernel.keys.open(stores.desk_key(owner, row)).open(bytes(sealed), context)
        except (KeyDestroyed, SealBroken):
            continue
        yield traces.in_text(words.decode("utf-8", "replace"))


def _words(connection: Connection, table: str, kinds: dict[str, str], traces: Traces) -> Iterator[bool]:
    """Whether it says who it was, of the texts of each row together and of its bytes one by one."""
    texts = [f"""left("{one}"::text, {LONGEST})""" for one, kind in kinds.items() if kind != "bytea"]
    if texts:
        told = f"regexp_replace(concat_ws(chr(10), {', '.join(texts)}), '{RANDOM}', '0', 'g')"
        yield from map(traces.in_words, _streamed(connection, f'select distinct {told} from "{table}"'))  # noqa: S608 - as above
    for one in (one for one, kind in kinds.items() if kind == "bytea"):
        short = f'select "{one}" from "{table}" where octet_length("{one}") < {LONGEST // 200}'  # noqa: S608 - as above
        yield from (traces.in_words(bytes(each).decode("utf-8", "replace")) for each in _streamed(connection, short))


def _streamed(connection: Connection, statement: str) -> Iterator[Any]:
    options = {"stream_results": True, "yield_per": 500}
    yield from connection.execute(text(statement), execution_options=options).scalars()


def read_only(connection: Connection, tenant: UUID) -> None:
    connection.execute(text("set transaction read only"))
    connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
