"""The public page of what is kept and what proves it."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from compliance import stores
from compliance.records import keeping, proofs
from compliance.records.promises import PROMISES
from likeness.evidence.outside import Drill
from likeness.ground.db import utc_now
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
    kernel.db.outside.keep_drill(Drill(now, own=True, acts=2, people=1, whole=True))
    found = proofs.newest(kernel, now + timedelta(hours=1))
    assert found.looked_at is not None
    assert now - found.looked_at < timedelta(minutes=5)
    assert found.passed >= 1
    assert found.models >= 1
    assert found.drilled == Drill(now, own=True, acts=2, people=1, whole=True)
    proofs._known.clear()
    page = get(client, "/trust")
    for said in ("Deleted 7 days after you hand them in", "With a backup of this installation.",
                 "stays on its list until the directory says that they left",
                 "3 deletions and withdrawals that the backup had undone", "table:employee",
                 "tests/compliance/test_holds.py::", "Newest checkpoint"):  # fmt: skip
        assert said in page, said
    assert all(f"table:{name}" in page for name in stores.TABLES)
    for secret in (alice.tenant_id, bob.tenant_id, bob.id, "Nadia", "Zebra"):
        assert str(secret) not in page
    assert 'dir="rtl"' in get(client, "/trust?language=ar")


def test_where_things_are_is_what_the_settings_say(kernel: Kernel) -> None:
    here = {one.what: one.where for one in keeping.told(kernel.settings, words("en"))}
    changed = kernel.settings.model_copy(update={"objects_url": "s3://bucket/x", "key_store": "vault"})
    there = {one.what: one.where for one in keeping.told(changed, words("en"))}
    assert here["Selfies"] == "Sealed, in a folder of this installation"
    assert there["Selfies"] == "Sealed, in an object store"
    assert "Vault" in there["The keys that open sealed things"]
