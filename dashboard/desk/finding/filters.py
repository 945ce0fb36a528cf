"""What the list of people can be narrowed by, one menu each. Departments, sites and managers are sealed: a menu of them is
filled when it is opened, so that the page itself waits for none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session

from batch.people import employees
from batch.people.departments import Grouping
from batch.roster.searching import PeopleSearch
from dashboard.desk.finding.question import ORDERS
from likeness.keys.keys import KeyFolder
from likeness.locale.marks import N_
from likeness.locale.words import Words

Address = Callable[..., str]
"""The end of the page's address with some of it changed."""
DAYS = (1, 3, 7, 14)
MOST_SHOWN = 100
"""Of a menu, the largest; whoever seeks another types it."""
WORDS = {
    Grouping.DEPARTMENT: (N_("Department"), N_("Every department")),
    Grouping.SITE: (N_("Site"), N_("Every site")),
    Grouping.MANAGER: (N_("Manager"), N_("Every manager")),
}


@dataclass(frozen=True)
class Offer:
    words: str
    address: str
    chosen: bool = False
    people: int | None = None


@dataclass(frozen=True)
class Filter:
    """`offers` is None until the menu is opened; `fetched` says that it was just now."""

    name: str
    label: str
    chosen: str
    offers: Sequence[Offer] | None
    fetch: str = ""
    fetched: bool = False
    more: bool = False
    """There are others, which have to be typed."""


def of_page(
    said: Words, asked: PeopleSearch, named: Mapping[UUID, str], opened: Filter | None, address: Address
) -> list[Filter]:
    """All of them, in the order in which they stand."""
    menus = [menu(asked, by, opened, address) for by in Grouping]
    return [*menus, batches(said, asked, named, address), _days(said, asked, address), _orders(said, asked, address)]


def menu(asked: PeopleSearch, by: Grouping, opened: Filter | None, address: Address) -> Filter:
    """As it was opened, or closed."""
    if opened is not None and opened.name == by:
        return opened
    fetch = "&".join(part for part in (address(), f"choose={by}") if part)
    return Filter(by, WORDS[by][0], _said(asked, by), None, fetch)


def opened(
    session: Session, keys: KeyFolder, said: Words, asked: PeopleSearch, by: Grouping, address: Address
) -> Filter:
    """With how many people of whom this transaction may see; of the batch, where one is chosen."""
    known = employees.groups(session, keys, by, batch_id=asked.batch_id, most=MOST_SHOWN + 1)
    chosen = _said(asked, by)
    folded = " ".join(chosen.split()).casefold()
    offers = [
        Offer(one.name, address(**{by: one.name}), one.name.casefold() == folded, one.people) for one in known if one.name
    ]
    every = Offer(said.gettext(WORDS[by][1]), address(**{by: ""}), not chosen)
    return Filter(by, WORDS[by][0], chosen, [every, *offers], fetched=True, more=len(known) > MOST_SHOWN)


def wanted(choose: str) -> Grouping | None:
    return Grouping(choose) if choose in set(Grouping) else None


def batches(said: Words, asked: PeopleSearch, named: Mapping[UUID, str], address: Address) -> Filter:
    chosen = named.get(asked.batch_id, "") if asked.batch_id else ""
    offers = [Offer(name, address(batch=one), one == asked.batch_id) for one, name in named.items()]
    every = Offer(said.gettext("Every batch"), address(batch=""), not asked.batch_id)
    return Filter("batch", N_("Batch"), chosen, [every, *offers])


def _said(asked: PeopleSearch, by: Grouping) -> str:
    return {Grouping.DEPARTMENT: asked.department, Grouping.SITE: asked.site, Grouping.MANAGER: asked.manager}[by]


def _days(said: Words, asked: PeopleSearch, address: Address) -> Filter:
    waiting = asked.waiting.days if asked.waiting else 0
    counts = sorted({*DAYS, waiting} - {0})
    words = {count: said.ngettext("{n} day or more", "{n} days or more", count) for count in counts}
    offers = [Offer(one, address(days=count), count == waiting) for count, one in words.items()]
    every = Offer(said.gettext("Any time"), address(days=""), not waiting)
    return Filter("days", N_("In their stage for"), words.get(waiting, ""), [every, *offers])


def _orders(said: Words, asked: PeopleSearch, address: Address) -> Filter:
    offers = [Offer(said.gettext(words), address(order=one), one == asked.order) for one, words in ORDERS.items()]
    return Filter("order", N_("Sorted by"), "" if offers[0].chosen else said.gettext(ORDERS[asked.order]), offers)
