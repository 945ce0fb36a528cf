"""People further along for tests: with photos, sittings and headshots. Photos are marked as accepted, not inspected."""

from __future__ import annotations

import io
from dataclasses import asdict
from functools import cache
from typing import Any

from PIL import Image
from sqlmodel import Session

from batch import headshots, inspection, intake, photos, sittings
from batch.models import Employee, Headshot, Photo, PhotoState, Sitting, SittingState
from likeness.db import utc_now
from likeness.kernel import Kernel
from tenants import looks
from tests.factories import give_consent, make_employee, make_tenant


def make_person(kernel: Kernel, *, consented: bool = True, **terms: Any) -> Employee:
    """Somebody of a company of their own."""
    tenant = make_tenant(kernel, **terms)
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel)
        if consented:
            give_consent(session, kernel, employee)
    return employee


def make_photos(
    kernel: Kernel, person: Employee, count: int = 6, state: PhotoState = PhotoState.ACCEPTED
) -> list[Photo]:
    made = [
        intake.add(kernel, person.tenant_id, person.id, f"{state} {number}".encode(), utc_now())
        for number in range(count)
    ]
    with kernel.db.transaction(person.tenant_id) as session:
        for photo in made:
            found = photos.get(session, person.id, photo.id)
            found.state = state
            if state == PhotoState.ADVISED:
                found.findings = [asdict(inspection.FINDINGS["blurred"])]
    return made


def make_sitting(kernel: Kernel, person: Employee) -> Sitting:
    """Handed in with six photos, waiting for the cluster."""
    with kernel.db.transaction(person.tenant_id) as session:
        count = len(photos.accepted(session, person.id))
    if count < photos.NEEDED:
        make_photos(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        return sittings.submit(session, person.id, utc_now())


def run_sitting(kernel: Kernel, sitting: Sitting, count: int = 3) -> list[Headshot]:
    """Plays the cluster: claims the sitting, keeps so many headshots, and finishes."""
    with kernel.db.transaction(sitting.tenant_id) as session:
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        assert sittings.advance(session, sitting.id, fence, SittingState.TRAINING, SittingState.RENDERING)
    with kernel.db.transaction(sitting.tenant_id) as session:
        made = [keep(session, kernel, sittings.get(session, sitting.id), number) for number in range(count)]
        assert sittings.finish(session, sitting.id, fence)
    return made


def keep(session: Session, kernel: Kernel, sitting: Sitting, number: int = 0) -> Headshot:
    look = looks.list_looks(session)[0]
    return headshots.keep(
        session, kernel.objects, kernel.keys, sitting, look.id, number, picture(number), 1.2 - number / 10, utc_now()
    )


@cache
def picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (number * 20 % 256, 90, 120)).save(out, "PNG")
    return out.getvalue()


def make_headshots(kernel: Kernel, person: Employee, count: int = 3) -> list[Headshot]:
    return run_sitting(kernel, make_sitting(kernel, person), count)
