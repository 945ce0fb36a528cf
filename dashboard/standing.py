"""Where a person stands, as every page of theirs shows it, and what becomes of each kind of their things."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session, col, select

from batch import (
    addresses,
    consents,
    copies,
    employees,
    headshots,
    invitations,
    photos,
    resumable,
    sittings,
    texts,
    ways,
)
from batch.copies import Held
from batch.employees import EmployeeProfile
from batch.models import ACTIVE, AddressChange, Employee, Sitting
from gpu_cluster.models import Weights
from likeness.db import tenant_of
from likeness.kernel import Kernel
from tenants import tenants
from tenants.models import Tenant


@dataclass(frozen=True)
class Fate:
    """What becomes of one kind of a person's things: `days` are left of `of`, or there is nothing, `otherwise`."""

    name: str
    of: int
    otherwise: str
    due: datetime | None
    days: int


@dataclass(frozen=True)
class Me:
    """Where the person stands, as every page of theirs shows it."""

    employee: Employee
    profile: EmployeeProfile
    tenant: Tenant
    consented: bool
    sitting: Sitting | None
    photos: int
    headshots: int
    released: int
    fates: tuple[Fate, ...]
    copies: Held
    """What the employer downloaded, which nothing here can delete."""
    hidden_until: datetime | None
    """Until then HR sees of somebody who said no what it sees of everybody who has not answered."""
    new_address: str | None
    address: AddressChange | None
    """Another address that the employer entered, and that only the person can confirm."""

    @property
    def language(self) -> str:
        return texts.language_for(self.profile.language)

    @property
    def modelled(self) -> bool:
        """There is a model of the person, or their company offers to make one."""
        return any(fate.name == "The model of you" for fate in self.fates)

    @property
    def active(self) -> bool:
        return self.sitting is not None and self.sitting.state in ACTIVE


def standing(session: Session, kernel: Kernel, employee_id: UUID, now: datetime) -> Me:
    employee = employees.get(session, employee_id)
    tenant = tenants.get(session)
    handed_in = [photo for photo in photos.of(session, employee_id) if photo.due_at > now]
    arriving = [upload.due_at for upload in resumable.of(session, employee_id, now) if upload.received]
    made = headshots.of(session, employee_id, now)
    given = {release.headshot_id for release in headshots.releases(session, employee_id)}
    weights = session.exec(
        select(Weights.due_at).where(
            col(Weights.tenant_id) == tenant_of(session), col(Weights.employee_id) == employee_id
        )
    ).all()
    change, invited = addresses.pending_of(session, employee_id), invitations.standing(session, employee_id)
    running = invited is not None and invited.expires_at > now and employee.opted_out_at is not None
    source, after = tenant.source_days, "Deleted {n} days after you hand them in, at the latest."
    # Where no model can be made, there is nothing to say of one.
    models = [] if ways.kind(tenant) == "portrait" and not weights else [
        _fate("The model of you", source, "Goes with your last selfie, at the latest.", list(weights), now)
    ]  # fmt: skip
    return Me(
        employee=employee,
        profile=employees.profile(kernel.keys, employee),
        tenant=tenant,
        consented=consents.is_current(session, employee_id),
        sitting=sittings.latest_of(session, employee_id),
        photos=len(handed_in),
        headshots=len(made),
        released=sum(headshot.id in given for headshot in made),
        fates=(
            _fate("Your selfies", source, after, [photo.due_at for photo in handed_in] + arriving, now),
            *models,
            _fate("Your headshots", tenant.headshot_days, "Deleted {n} days after they are made, at the latest.",
                  [headshot.due_at for headshot in made], now),
        ),
        copies=copies.of(session, employee_id),
        hidden_until=invited.expires_at if invited is not None and running else None,
        new_address=addresses.new_address(kernel.keys, change) if change else None,
        address=change,
    )  # fmt: skip


def _fate(name: str, of: int, otherwise: str, due: list[datetime], now: datetime) -> Fate:
    last = max((one for one in due if one > now), default=None)
    days = -(-(last - now) // timedelta(days=1)) if last else 0
    return Fate(name, of, otherwise, last, days)
