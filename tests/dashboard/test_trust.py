"""The public page of what is kept and what proves it."""

from __future__ import annotations

import ast
import gc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlmodel import select

from compliance import stores
from compliance.models import Certificate
from compliance.records import keeping, proofs
from compliance.records.promises import PROMISES
from compliance.rights import attending
from compliance.scanning import files
from likeness.evidence.outside import Drill, Outside
from likeness.ground.db import Database, utc_now
from likeness.kernel import Kernel
from likeness.locale.words import words
from tests.compliance.people import erase, full_person
from tests.dashboard.markup import get
from tests.factories import run_jobs

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.test)
def test_every_promise_names_a_test_that_is_there(promise: Any) -> None:
    file, _, function = promise.test.partition("::")
    there = {one.name for one in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(one, ast.FunctionDef)}
    assert function in there


def test_the_page_says_what_is_kept_and_what_was_proved_and_names_nobody(
    client: TestClient[Any], kernel: Kernel
) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    now = utc_now()
    drill = Drill(now, own=True, acts=11, people=1, whole=True)
    kernel.db.outside.keep_drill(drill)
    found = proofs.newest(kernel, (now.replace(day=1) + timedelta(days=32)).replace(day=1))
    assert found.passed >= 1
    assert found.drilled == drill
    proofs._known.clear()
    page = get(client, "/trust")
    for said in ("Deleted 7 days after you hand them in", "With a backup of this installation.",
                 "stays on its list until the directory says that they left",
                 "12 deletions and withdrawals that the backup had undone", "table:employee",
                 "tests/compliance/test_holds.py::", "Newest checkpoint"):  # fmt: skip
        assert said in page, said
    assert all(f"table:{name}" in page for name in stores.TABLES)
    for secret in (alice.tenant_id, bob.tenant_id, bob.id, "Nadia", "Zebra"):
        assert str(secret) not in page
    assert 'dir="rtl"' in get(client, "/trust?language=ar")


def test_what_one_installation_told_goes_with_it(kernel: Kernel) -> None:
    """The next database may be made where the last one stood in memory, and under that number."""
    proofs._known.clear()
    first = replace(kernel, db=Database(kernel.settings.database_url))
    first.db.outside = kernel.db.outside
    proofs.newest(first, utc_now())
    first.db.close()
    del first
    gc.collect()
    assert len(proofs._known) == 0


def test_of_two_trial_restores_in_one_second_the_later_one_is_told(tmp_path: Path) -> None:
    record = Outside(tmp_path)
    first = Drill(utc_now().replace(microsecond=1), own=True, acts=11, people=1, whole=True)
    later = replace(first, at=first.at + timedelta(microseconds=1), acts=0)
    for one in (first, later, replace(first, at=first.at - timedelta(seconds=1))):
        record.keep_drill(one)
    assert record.last_drill() == later
    # Installations before this one named them to the second.
    (tmp_path / "drills" / f"{later.at:%Y%m%dT%H%M%S}.json").write_text("{}")
    assert record.last_drill() == later
    assert all(files.TOMBSTONES["drills"].fullmatch(one.name) for one in (tmp_path / "drills").iterdir())


def test_the_public_page_does_not_tell_that_somebody_withdrew(client: TestClient[Any], kernel: Kernel) -> None:
    """Many installations serve one company: whoever knows its people would read off who of them it was, and when."""

    def told(drill: Drill | None = None) -> str:
        if drill:
            kernel.db.outside.keep_drill(drill)
        proofs._known.clear()
        return get(client, "/trust").partition('id="looked"')[2].partition('id="promises"')[0]

    alice, bob = full_person(kernel), full_person(kernel)
    # The page tells the minute of a trial restore, which both of these have.
    at = utc_now().replace(second=1)
    before = told(Drill(at, own=True, acts=0, people=0, whole=True))
    for person in (alice, bob):
        with kernel.db.transaction(person.tenant_id) as session:
            attending.withdraw(session, person.id, utc_now())
        run_jobs(kernel, tenant=person.tenant_id, ahead=timedelta(minutes=11))
        with kernel.db.transaction(person.tenant_id) as session:
            assert session.exec(select(Certificate).where(Certificate.tenant_id == person.tenant_id)).all()
    assert told() == before
    held = Drill(at + timedelta(seconds=1), own=True, acts=1, people=0, whole=True)
    assert told(held) == before, "nor that a backup held somebody"
    many = replace(proofs.newest(kernel, utc_now()), passed=proofs.LEAST, failed=3)
    few = replace(many, passed=proofs.LEAST - 1)
    for found, said in ((many, True), (few, False)):
        proofs._known[kernel.db] = found
        page = get(client, "/trust")
        assert ("10 certificates were issued. 3 looks found" in page) == said
        assert ("Too few deletions were certified" in page) != said
    proofs._known.clear()


def test_where_things_are_is_what_the_settings_say(kernel: Kernel) -> None:
    here = {one.what: one.where for one in keeping.told(kernel.settings, words("en"))}
    changed = kernel.settings.model_copy(update={"objects_url": "s3://bucket/x", "key_store": "vault"})
    there = {one.what: one.where for one in keeping.told(changed, words("en"))}
    assert here["Selfies"] == "Sealed, in a folder of this installation"
    assert there["Selfies"] == "Sealed, in an object store"
    assert "Vault" in there["The keys that open sealed things"]
