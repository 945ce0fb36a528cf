"""People further along for tests: with photos, sittings and headshots. Photos are marked as accepted, not inspected."""

from __future__ import annotations

import io
from dataclasses import asdict
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from PIL import Image, ImageChops
from sqlmodel import Session, select

from batch.marks import iptc
from batch.models import Employee, Headshot, Photo, PhotoState, Sitting, SittingState
from batch.people import ways
from batch.photos import intake, photos
from batch.sittings import headshots, sittings
from batch.vision import inspection
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path
from tenants import looks
from tests.factories import give_consent, make_employee, make_tenant


def make_person(kernel: Kernel, *, consented: bool = True, profile: dict[str, str] | None = None, **terms: Any) -> Employee:
    """Somebody of a company of their own, with other words in their profile where some are given."""
    tenant = make_tenant(kernel, **terms)
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel, **profile or {})
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


def get_sitting(session: Session, sitting_id: UUID) -> Sitting:
    return session.exec(select(Sitting).where(Sitting.id == sitting_id)).one()


def make_sitting(kernel: Kernel, person: Employee) -> Sitting:
    """Handed in with six photos, waiting for the cluster."""
    with kernel.db.transaction(person.tenant_id) as session:
        count = len(photos.accepted(session, person.id))
    if count < ways.MODEL.needed:
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
        made = [keep(session, kernel, get_sitting(session, sitting.id), number) for number in range(count)]
        assert sittings.finish(session, sitting.id, fence)
    return made


def keep(session: Session, kernel: Kernel, sitting: Sitting, number: int = 0) -> Headshot:
    return kept(session, kernel, sitting, looks.list_looks(session)[0].id, number, picture(number), 1.2 - number / 10)


def kept(
    session: Session, kernel: Kernel, sitting: Sitting, look_id: UUID, number: int, data: bytes, ratio: float
) -> Headshot:
    """As the cluster leaves a picture: sealed under its person's key, with a row."""
    key = kernel.keys.open_or_create(KeyRef(sitting.tenant_id, sitting.employee_id, KeyClass.HEADSHOT))
    path = person_path(sitting.tenant_id, sitting.employee_id, KeyClass.HEADSHOT, uuid4())
    kernel.objects.put(path, data, key)
    return headshots.record(
        session, sitting.id, sitting.employee_id, look_id=look_id, number=number, path=path, size=len(data),
        likeness_ratio=ratio, now=utc_now(),
    )  # fmt: skip


@cache
def picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (number * 20 % 256, 90, 120)).save(out, "PNG")
    return out.getvalue()


def shows(file: bytes, number: int) -> bool:
    """Whether it is this picture, marked as one that a model drew: every pixel is as it was, but for what is not seen."""
    with Image.open(io.BytesIO(file)) as seen, Image.open(io.BytesIO(picture(number))) as made:
        most = max(high for _, high in ImageChops.difference(seen.convert("RGB"), made).getextrema())
        return seen.size == made.size and most < 8 and iptc.read(file) == iptc.GENERATED


def make_headshots(kernel: Kernel, person: Employee, count: int = 3) -> list[Headshot]:
    return run_sitting(kernel, make_sitting(kernel, person), count)
