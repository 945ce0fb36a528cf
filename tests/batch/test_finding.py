"""Names as they are sought and sorted by: in whichever spelling, of one company alone, and forgotten."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import Session

from batch.models import Employee
from batch.people import employees
from batch.people.employees import EmployeeProfile
from batch.people.finding import names, spelling
from batch.roster import searching
from batch.roster.searching import PeopleSearch, SortOrder
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyFolder
from tenants.members import members
from tests.compliance.people import erase
from tests.factories import make_batch, make_employee, make_tenant, run_jobs, sign_in_member
from tests.waiting import PATIENCE, until

SPELLINGS = (
    ("Jürgen Müller", ("müller", "MUELLER", "muller", "jürg", "mueller jurgen", "M\u00dcLLER", "Mu\u0308ller")),
    ("Peter Mueller", ("Müller", "mueller")),
    ("Karl Weiß", ("weiss", "WEISS", "Weiß")),
    ("Åse Øberg", ("ase", "aase", "oberg", "oeberg")),
    ("Łukasz Żak", ("lukasz", "zak")),
    ("I\u015f\u0131l Çelik", ("isil", "celik", "IŞIL")),
    ("Siobhán O\u2019Neil", ("o'neil", "oneil", "siobhan o\u2019n")),
    ("Anna-Lena Groß", ("anna lena", "anna-lena", "lena gross")),
    ("محمد الأحمد", ("الاحمد", "محمد", "الأحمَد")),
    ("فاطمة على", ("فاطمه علي",)),
    ("山田 太郎", ("山田太郎", "太郎 山田", "山田")),
    ("ヤマダ ハナコ", ("やまだ", "ﾔﾏﾀﾞ", "ヤマダハナコ")),
    ("Пётр Петров", ("петр", "ПЕТРОВ")),
)


@pytest.mark.parametrize(("name", "typed"), SPELLINGS)
def test_a_name_is_found_in_whichever_spelling(name: str, typed: tuple[str, ...]) -> None:
    found = spelling.of(EmployeeProfile(name, "x@x.example", "N-17"))
    assert [words for words in typed if not spelling.sought(words)(found)] == []
    assert spelling.sought("x@x")(found)
    assert spelling.sought("n-17")(found)
    for other in ("nobody", "müllerx", "17 18", "ﾀﾅｶ"):
        assert not spelling.sought(other)(found), other


def test_of_several_words_each_begins_one() -> None:
    found = spelling.of(EmployeeProfile("Person 001", "person1@x.example"))
    assert spelling.sought("person 00")(found)
    assert spelling.sought("erson")(found)
    assert not spelling.sought("person 01")(found)
    for odd in ("'", "\u0301", "%", "\\", "\x00 \n", "*" * 500):
        spelling.sought(odd)(found)


def seek(kernel: Kernel, session: Session, words: str = "", **changes: Any) -> list[str]:
    return [line.name for _, line in searching.people(
        session, kernel.keys, PeopleSearch(words, **changes), utc_now(), 100
    )]  # fmt: skip


def test_names_are_opened_once_and_anew_when_a_line_changes(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(other) as session:
        make_employee(session, kernel, full_name="Ada Other")
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        ada, bea = (make_employee(session, kernel, batch=batch, full_name=name) for name in ("Ada Ay", "Bea Bee"))
    opened = list[int]()
    before = KeyFolder.open_all

    def counting(self: KeyFolder, tenant: Any, owners: Any, cls: Any) -> Any:
        opened.append(len(list(owners)))
        return before(self, tenant, owners, cls)

    monkeypatch.setattr(KeyFolder, "open_all", counting)
    with kernel.db.transaction(tenant) as session:
        assert seek(kernel, session, "ada") == ["Ada Ay"]
        assert opened == [2, 1], "everybody's name, and whom the page shows"
        assert seek(kernel, session, "bee", order=SortOrder.NAME) == ["Bea Bee"]
        assert opened == [2, 1, 1]
    with kernel.db.transaction(tenant) as session:
        line = session.get_one(Employee, (bea.id, tenant))
        line.profile = EmployeeProfile("Cleo Sea", "c@x.example").sealed(
            kernel.keys.open(employees.profile_ref(tenant, bea.id))
        )
        session.add(line)
    with kernel.db.transaction(tenant) as session:
        assert seek(kernel, session, "bee") == []
        assert seek(kernel, session, "sea") == ["Cleo Sea"]
        assert seek(kernel, session, order=SortOrder.NAME_DOWN) == ["Cleo Sea", "Ada Ay"]
        assert searching.how_many(session, kernel.keys, PeopleSearch("a"), utc_now()) == 2
    with kernel.db.transaction(other) as session:
        assert seek(kernel, session, "a") == ["Ada Other"]
    assert {tenant, other} <= names._opened.keys()
    erase(kernel, ada)
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        assert seek(kernel, session, "ada") == []
    assert ada.id not in names._opened[tenant].names


def test_who_asks_at_the_same_time_waits_and_opens_nothing_once_more(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has the cursor in the field and presses Enter before names are open."""
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        for name in ("Ada", "Bea", "Cleo"):
            make_employee(session, kernel, batch=batch, full_name=name)
    opened, begun = list[int](), threading.Event()
    before = KeyFolder.open_all

    def slowly(self: KeyFolder, tenant: Any, owners: Any, cls: Any) -> Any:
        opened.append(len(list(owners)))
        begun.set()
        time.sleep(0.5)
        return before(self, tenant, owners, cls)

    monkeypatch.setattr(KeyFolder, "open_all", slowly)

    def first() -> None:
        with kernel.db.transaction(tenant) as session:
            searching.make_ready(session, kernel.keys)

    begins = threading.Thread(target=first)
    begins.start()
    assert begun.wait(PATIENCE)
    with kernel.db.transaction(tenant) as session:
        assert seek(kernel, session, "bea") == ["Bea"]
    begins.join(PATIENCE)
    assert opened == [3, 1], "all once, and whom the page shows"


def test_whose_key_is_destroyed_is_found_by_no_name_that_was_opened_before(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        ada = make_employee(session, kernel, full_name="Ada Ay")
    with kernel.db.transaction(tenant) as session:
        assert seek(kernel, session, "ada") == ["Ada Ay"]
        kernel.keys.destroy(employees.profile_ref(tenant, ada.id), utc_now())
        assert seek(kernel, session, "ada") == []
        assert seek(kernel, session, order=SortOrder.NAME) == [""]


def test_what_was_opened_is_forgotten_by_itself(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, keep = list[Any](), names._keep

    def note(tenant: Any, *about: Any, **more: Any) -> None:
        kept.append(tenant)
        keep(tenant, *about, **more)

    monkeypatch.setattr(names, "_keep", note)
    monkeypatch.setattr(names, "KEPT_SECONDS", 0.3)
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        make_employee(session, kernel, full_name="Ada Ay")
    with kernel.db.transaction(tenant) as session:
        assert seek(kernel, session, "ada") == ["Ada Ay"]
    assert tenant in kept
    until(lambda: tenant not in names._opened)


def test_so_many_are_kept_and_no_more(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_KEPT", 3)
    companies = [make_tenant(kernel) for _ in range(3)]
    for tenant in companies:
        with kernel.db.transaction(tenant) as session:
            batch = make_batch(session)
            for name in ("Ada", "Bea"):
                make_employee(session, kernel, batch=batch, full_name=name)
        with kernel.db.transaction(tenant) as session:
            assert sorted(seek(kernel, session, "a")) == ["Ada", "Bea"]
    assert sum(len(one.names) for one in names._opened.values()) <= 3


def test_who_is_bound_to_a_department_finds_nobody_else_by_name(app: Litestar, kernel: Kernel) -> None:
    tenant, client = make_tenant(kernel), TestClient(app)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        make_employee(session, kernel, batch=batch, full_name="Ada Design", department="Design")
        make_employee(session, kernel, batch=batch, full_name="Ada Sales", department="Sales")
    sign_in_member(client, kernel, tenant)
    assert {one["line"]["name"] for one in client.get("/api/v1/employees?q=ada").json()} == {"Ada Design", "Ada Sales"}
    member = sign_in_member(client, kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        members.bind_to(session, kernel.keys, member.id, ["Design"], caller="test")
    assert [one["line"]["name"] for one in client.get("/api/v1/employees?q=ada").json()] == ["Ada Design"]
    assert [one["line"]["name"] for one in client.get("/api/v1/employees?order=name").json()] == ["Ada Design"]
    sign_in_member(client, kernel, tenant)
    assert len(client.get("/api/v1/employees?order=name-down").json()) == 2


def test_one_thread_forgets_however_often_there_is_too_much_to_keep(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = make_tenant(kernel), make_tenant(kernel)
    for tenant, people in ((small, 1), (large, 4)):
        with kernel.db.transaction(tenant) as session:
            for _ in range(people):
                make_employee(session, kernel)
    names._opened.clear()
    monkeypatch.setattr(names, "MOST_KEPT", 2)
    for _ in range(4):
        for tenant in (small, large):
            with kernel.db.transaction(tenant) as session:
                names.of(session, kernel.keys)
    assert sum(thread.name == "names" for thread in threading.enumerate()) <= 1
