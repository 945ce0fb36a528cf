"""Five hundred access packages in one run: a memory that does not grow, and none that takes minutes."""

from __future__ import annotations

import os
import time
from uuid import UUID

import psutil
import pytest

import batch.sittings.runs  # noqa: F401 - the neighbour's tables, as every process of the product knows them
from batch.photos import intake
from compliance.rights import packages
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.factories import give_consent, make_batch, make_employee, make_tenant

pytestmark = [pytest.mark.scale, pytest.mark.timeout(1800)]

PEOPLE, PHOTOS, BYTES, MB = 500, 8, 128 * 1024, 1 << 20


def resident() -> float:
    return psutil.Process().memory_info().rss / MB


def made(kernel: Kernel) -> tuple[UUID, list[UUID]]:
    tenant = make_tenant(kernel)
    people: list[UUID] = []
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
    for start in range(0, PEOPLE, 50):
        with kernel.db.transaction(tenant) as session:
            for number in range(start, start + 50):
                person = make_employee(session, kernel, batch=batch, full_name=f"Nadia Ümit {number}")
                give_consent(session, kernel, person)
                people.append(person.id)
    for person in people:
        for _ in range(PHOTOS):
            intake.add(kernel, tenant, person, os.urandom(BYTES), utc_now())
    return tenant, people


def test_five_hundred_packages_are_made_with_the_memory_of_a_few(kernel: Kernel) -> None:
    tenant, people = made(kernel)
    size, slowest, held = 0, 0.0, list[float]()
    began = time.monotonic()
    for person in people:
        one = time.monotonic()
        size += sum(map(len, packages.pieces(kernel, tenant, person, utc_now(), caller=f"employee:{person}")))
        slowest = max(slowest, time.monotonic() - one)
        held.append(resident())
    took, first, most = time.monotonic() - began, max(held[: PEOPLE // 10]), max(held)
    print(f"{PEOPLE} packages, {size / MB:.0f} MB, {took:.0f} s, slowest {slowest:.1f} s, {first:.0f} to {most:.0f} MB")
    assert size > PEOPLE * PHOTOS * BYTES
    assert slowest < 120
    assert most - first < 40, f"{first:.0f} MB after {PEOPLE // 10} packages, {most:.0f} MB after {len(people)}"
