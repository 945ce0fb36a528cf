"""Face measures in memory go with their person, in the process that deletes and in every other."""

from __future__ import annotations

import pytest

from batch.photos import intake, photos
from batch.photos.measures import KNOWN, Measures
from compliance.rights import attending
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests import pictures
from tests.compliance.people import erase
from tests.factories import run_jobs
from tests.handed_in import make_person
from tests.waiting import until


@pytest.mark.parametrize("word", ["erased", "withdrew"])
def test_measures_go_with_their_person_in_every_process(kernel: Kernel, word: str) -> None:
    """`KNOWN` is of this process; the other is what a second worker holds."""
    alice, bob = make_person(kernel), make_person(kernel)
    another = Measures(ask_seconds=0.05)
    for person in (alice, bob):
        intake.add(kernel, person.tenant_id, person.id, pictures.drawn(4)[0], utc_now())
        run_jobs(kernel, tenant=person.tenant_id)
        with kernel.db.transaction(person.tenant_id) as session:
            (photo,) = photos.of(session, person.id)
        (known,) = KNOWN.of(person.id, {photo.id}).values()
        another.watch(person.tenant_id, person.id, photos.StillHere(kernel.db))
        another.keep(person.id, photo.id, known)
    if word == "erased":
        erase(kernel, alice)
        run_jobs(kernel, tenant=alice.tenant_id)
        assert KNOWN.people() & {alice.id, bob.id} == {bob.id}, "the process that erases still has them"
    else:
        with kernel.db.transaction(alice.tenant_id) as session:
            attending.withdraw(session, alice.id, utc_now())
    until(lambda: alice.id not in another.people())
    assert another.people() == {bob.id}
    another.forget(bob.id)
