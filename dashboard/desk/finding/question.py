"""What the page of all people is asked by its address, and the address of the same question with some of it changed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar.datastructures import MultiDict

from batch.people.funnel import Stage
from batch.roster.searching import PeopleSearch, SortOrder
from likeness.locale.marks import N_
from tenants.plain import whole_number

ORDERS = {
    SortOrder.LIST: N_("place in the list"),
    SortOrder.NAME: N_("name, A to Z"),
    SortOrder.NAME_DOWN: N_("name, Z to A"),
    SortOrder.DEPARTMENT: N_("department, A to Z"),
    SortOrder.DEPARTMENT_DOWN: N_("department, Z to A"),
    SortOrder.SITE: N_("site, A to Z"),
    SortOrder.SITE_DOWN: N_("site, Z to A"),
    SortOrder.STAGE: N_("stage, first to last"),
    SortOrder.STAGE_DOWN: N_("stage, last to first"),
    SortOrder.NEWEST: N_("newest in their stage"),
    SortOrder.LONGEST: N_("longest in their stage"),
}
HEADINGS: tuple[tuple[str, SortOrder | None, SortOrder | None], ...] = (
    (N_("Name"), SortOrder.NAME, SortOrder.NAME_DOWN),
    (N_("E-mail"), None, None),
    (N_("Department"), SortOrder.DEPARTMENT, SortOrder.DEPARTMENT_DOWN),
    (N_("Site"), SortOrder.SITE, SortOrder.SITE_DOWN),
    (N_("Batch"), None, None),
    (N_("Stage"), SortOrder.STAGE, SortOrder.STAGE_DOWN),
    (N_("Since"), SortOrder.NEWEST, SortOrder.LONGEST),
)
"""Of the table, each with the order in which what it shows goes up, and the one in which it goes down."""


@dataclass(frozen=True)
class Heading:
    name: str
    sort: str = ""
    """As `aria-sort` has it, of the column that the page is sorted by."""
    order: SortOrder | None = None
    """What a click on it asks for: up, then down, then the order of the lists."""
    opens: bool = False
    """Every name has to be opened for it."""


def heading(asked: PeopleSearch, name: str, up: SortOrder | None, down: SortOrder | None) -> Heading:
    if up is None or down is None:
        return Heading(name)
    following = {up: ("ascending", down), down: ("descending", SortOrder.LIST)}
    return Heading(name, *following.get(asked.order, ("", up)), opens=up == SortOrder.NAME)


def asked_by(values: MultiDict[Any]) -> tuple[PeopleSearch, int]:
    """What the address asks for. Anything odd in it means everybody, as an old bookmark may hold it."""
    batch = None
    with suppress(ValueError):
        batch = UUID(str(values.get("batch", "")))
    days = whole_number(str(values.get("days", "")), 999)
    order = str(values.get("order", ""))
    return PeopleSearch(
        words=str(values.get("q", "")).strip()[:200],
        stages=tuple(Stage(one) for one in dict.fromkeys(values.getall("stage", [])) if one in set(Stage)),
        department=str(values.get("department", "")).strip()[:200],
        site=str(values.get("site", "")).strip()[:200],
        manager=str(values.get("manager", "")).strip()[:254],
        batch_id=batch,
        waiting=timedelta(days=days) if days else None,
        order=SortOrder(order) if order in set(SortOrder) else SortOrder.LIST,
    ), max(1, whole_number(str(values.get("page", "1")), 9_999) or 1)


def address(asked: PeopleSearch, **changes: Any) -> str:
    """The address of the same question with some of it changed."""
    values: dict[str, Any] = {
        "q": asked.words, "stage": [str(one) for one in asked.stages], "department": asked.department,
        "site": asked.site, "manager": asked.manager, "batch": asked.batch_id or "",
        "days": asked.waiting.days if asked.waiting else "",
        "order": asked.order,
    } | changes  # fmt: skip
    if values["order"] == SortOrder.LIST:
        values["order"] = ""
    return urlencode({name: value for name, value in values.items() if value}, doseq=True)
