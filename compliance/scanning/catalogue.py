"""What the database keeps beside its rows: the names and texts of its parts, and what no row of a registered table shows.

Not read, because the role that only reads may not: the planner's statistics, whose samples of columns go with the next
`analyze`, freed pages and the write-ahead log. What identifies somebody there is sealed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from compliance import stores
from compliance.proof.scan import StoreAnswer
from compliance.scanning.traces import Traces

NOTE = "planner's statistics, freed pages and the write-ahead log are not read"
OURS = "n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'"
"""The schemas that are not PostgreSQL's own."""
NOT_OF_EXTENSIONS = "not exists (select 1 from pg_depend d where d.objid = {}.oid and d.deptype = 'e')"
STRANGE = text(
    f"""
    select 'prepared transaction' as kind, gid as name from pg_prepared_xacts where database = current_database()
    union all select 'large object', oid::text from pg_largeobject_metadata
    union all select 'schema', n.nspname from pg_namespace n where {OURS} and n.nspname <> 'public'
    union all select 'sequence', c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'S' and {OURS} and {NOT_OF_EXTENSIONS.format("c")}
    union all select 'type', t.typname from pg_type t join pg_namespace n on n.oid = t.typnamespace
        left join pg_class c on c.oid = t.typrelid
        where (t.typtype in ('e', 'd', 'r', 'm') or c.relkind = 'c') and {OURS} and {NOT_OF_EXTENSIONS.format("t")}
    union all select 'function', p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {OURS} and not (n.nspname = 'public' and p.proname = any (cast(:functions as text[])))
        and {NOT_OF_EXTENSIONS.format("p")}
    union all select 'statistics', s.stxname from pg_statistic_ext s
    union all select 'foreign server', f.srvname from pg_foreign_server f
    union all select 'publication', b.pubname from pg_publication b
    union all select 'event trigger', e.evtname from pg_event_trigger e
    """  # noqa: S608 - of constants
)
"""Parts that no migration makes: each could hold a copy, or carry one away."""
WORDS = text(
    """
    select description from pg_description union all select description from pg_shdescription
    union all select label from pg_seclabel union all select label from pg_shseclabel
    union all select enumlabel::text from pg_enum union all select proname || ' ' || prosrc from pg_proc
    union all select relname::text from pg_class union all select attname::text from pg_attribute
    union all select conname || ' ' || coalesce(pg_get_constraintdef(oid), '') from pg_constraint
    union all select pg_get_expr(adbin, adrelid) from pg_attrdef
    union all select polname || ' ' || coalesce(pg_get_expr(polqual, polrelid), '') from pg_policy
    union all select tgname || ' ' || encode(tgargs, 'escape') from pg_trigger
    union all select pg_get_indexdef(indexrelid) from pg_index where indpred is not null or indexprs is not null
    union all select rolname::text from pg_roles union all select datname::text from pg_database
    union all select spcname || ' ' || coalesce(array_to_string(spcoptions, ' '), '') from pg_tablespace
    union all select slot_name::text from pg_replication_slots
    union all select array_to_string(setconfig, ' ') from pg_db_role_setting
    """
)
"""Names, comments and definitions, in which a name or an id of somebody could stand."""


def answer(connection: Connection, traces: Traces) -> StoreAnswer:
    """Of this one database; what was found is named for the operator's terminal alone."""
    found = [*_strange(connection), *_named(connection, traces)]
    connection.rollback()
    name = stores.CATALOGUE.name
    return StoreAnswer(name, "found" if found else "clean", len(found), NOTE, tuple(found))


def _strange(connection: Connection) -> Iterator[str]:
    rows = connection.execute(STRANGE, {"functions": sorted(stores.FUNCTIONS)})
    yield from (f"{kind} {name}" for kind, name in rows)


def _named(connection: Connection, traces: Traces) -> Iterator[str]:
    words = {one for one in connection.execute(WORDS).scalars() if one}
    yield from (f"the words {one[:100]}" for one in sorted(words) if traces.in_text(one))
