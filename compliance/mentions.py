"""What others wrote about somebody who is being erased: names of batches, looks, keys and groups, notes, reasons.

Every column in which the registry says that people write, in clear or sealed by a desk. Only the name and the address are
masked; the rest of the words is somebody else's record and stays.
"""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ColumnElement, bindparam, column, select, table, update
from sqlmodel import Session

from compliance import stores
from compliance.scanning.traces import Traces
from likeness import ledger
from likeness.ground.db import PLATFORM, tenant_of
from likeness.kernel import Kernel
from likeness.keys.keys import KeyDestroyed, SealBroken

MASK = "…"


def mask(kernel: Kernel, tenant: UUID, traces: Traces) -> int:
    """How many rows were changed, the operators' own among them, which a re-scan reads too. Raises `KeyUnavailable`."""
    changed = 0
    for whose in (tenant, PLATFORM) if traces.knows_words else ():
        with kernel.db.transaction(whose) as session:
            for name in stores.TABLES:
                masked = {*_in_clear(session, name, traces), *_sealed(session, kernel, name, traces)}
                for row in sorted(masked, key=str):
                    ledger.record(session, "words.masked", objects=[f"{name}:{row}"])
                changed += len(masked)
    return changed


def _in_clear(session: Session, name: str, traces: Traces) -> set[UUID]:
    columns = stores.written(name)
    if not columns:
        return set()
    there = _rows(session, name, columns)
    taken = {one for row in there for one in row[1:] if isinstance(one, str)}
    changed, renamed = set(), dict[str, str]()
    for row, *values in there:
        new = [_masked(one, traces) for one in values]
        if traces.in_text("\n".join(map(_told, new))):  # The name begins in one column and ends in the next.
            new = [one and MASK for one in new]
        for where, before, after in zip(columns, values, new, strict=True):
            if before == after:
                continue
            if isinstance(before, str):
                # Two that had different names keep different ones, and versions of one look the same.
                after = renamed.setdefault(before, _free(after, taken))
                taken.add(after)
            if _write(session, name, row, where, before, after):
                changed.add(row)
    return changed


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} {number}", number + 1
    return name


def _sealed(session: Session, kernel: Kernel, name: str, traces: Traces) -> set[UUID]:
    changed = set()
    for where, context in stores.SEALED_BY_DESK.get(name, {}).items():
        for row, sealed in _rows(session, name, (where,)):
            if not sealed:
                continue
            try:
                key = kernel.keys.open(stores.desk_key(tenant_of(session), row))
                words = key.open(sealed, context).decode()
            except (KeyDestroyed, SealBroken):  # Nobody reads it any more, the re-scan neither.
                continue
            if traces.in_text(words):
                after = key.seal(_masked_text(words, traces).encode(), context)
                if _write(session, name, row, where, sealed, after):
                    changed.add(row)
    return changed


def _masked_text(words: str, traces: Traces) -> str:
    """Of a text, or of what several make together, written as JSON."""
    try:
        several = json.loads(words)
    except ValueError:
        several = None
    if not isinstance(several, dict | list):
        return str(_masked(words, traces))
    return json.dumps(_masked(several, traces))


def _masked(words: Any, traces: Traces) -> Any:
    if isinstance(words, str):
        for one in traces.ids:
            words = re.sub(one, MASK, words, flags=re.IGNORECASE)
        return traces.masked(words)
    if isinstance(words, dict):
        new: Any = {_masked(key, traces): _masked(one, traces) for key, one in words.items()}
        blank: Any = dict.fromkeys(new, MASK)
    elif isinstance(words, list):
        new = [_masked(one, traces) for one in words]
        blank = [MASK] * len(new)
    else:
        return words
    return blank if traces.in_text(_told(new)) else new


def _told(words: Any) -> str:
    return words if isinstance(words, str) else json.dumps(words, ensure_ascii=False)


def _rows(session: Session, name: str, columns: tuple[str, ...]) -> list[Any]:
    asked: Any = select(column("id"), *map(column, columns)).select_from(table(name))
    mine: ColumnElement[bool] = column("tenant_id") == tenant_of(session)
    return list(session.execute(asked.where(mine).order_by(column("id"))).all())


def _write(session: Session, name: str, row: UUID, where: str, before: Any, after: Any) -> bool:
    """Unless somebody else wrote there meanwhile: then the re-scan sees whether these words are better."""
    mine: list[ColumnElement[bool]] = [column("tenant_id") == tenant_of(session), column("id") == row]
    if isinstance(before, str | bytes):  # JSON cannot be compared.
        mine.append(column(where) == before)
    new = after if isinstance(after, str | bytes) else bindparam("new", after, type_=JSON)
    one: Any = update(table(name, column(where))).where(*mine).values({where: new}).returning(column("id"))
    return session.execute(one).first() is not None
