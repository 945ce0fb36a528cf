"""Where a person stands, as every page of theirs shows it, and what becomes of each kind of their things."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import ACTIVE, AddressChange, Employee, PhotoState, Sitting
from batch.people import employees, ways
from batch.people.employees import EmployeeProfile
from batch.photos import photos, resumable
from batch.sittings import copies, headshots, sittings
from batch.sittings.copies import HeldCopies
from batch.sittings.runs import Weights
from batch.visit import addresses, consents, invitations
from compliance import holds
from compliance.erasure import erasures
from compliance.models import Hold
from likeness.ground.db import tenant_of
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.locale.words import Words
from tenants import tenants
from tenants.models import Tenant

MODEL = "model"


@dataclass(frozen=True)
class ThingKept:
    """What becomes of one kind of a person's things: `days` are left of `of`, or there is nothing, `otherwise`."""

    kind: str
    name: str
    of: int
    otherwise: str
    due: datetime | None
    days: int
    held_until: datetime | None
    """A legal hold covers some of it, and keeps that past its day."""


@dataclass(frozen=True)
class Me:
    """Where the person stands, as every page of theirs shows it."""

    employee: Employee
    words: Words
    """What they read."""
    profile: EmployeeProfile
    tenant: Tenant
    consented: bool
    sitting: Sitting | None
    photos: int
    arriving: int
    """Photos of which a part has come."""
    headshots: int
    released: int
    fates: tuple[ThingKept, ...]
    held_until: datetime | None
    """While a legal hold stands nothing of theirs is deleted, whatever day was announced before."""
    deleting: bool
    keys: dict[KeyClass, tuple[datetime | None, datetime | None]]
    """When each key was made, and when it was destroyed."""
    untold: frozenset[KeyClass]
    """Keys that are there for a hold alone that the person must not learn of."""
    copies: HeldCopies
    """What the employer downloaded, which nothing here can delete."""
    hidden_until: datetime | None
    """Until then HR sees of somebody who said no what it sees of everybody who has not answered."""
    new_address: str | None
    address: AddressChange | None
    """Another address that the employer entered, and that only the person can confirm."""

    @property
    def language(self) -> str:
        return self.words.language

    @property
    def modelled(self) -> bool:
        """There is a model of the person, or their company offers to make one."""
        return any(fate.kind == MODEL for fate in self.fates)

    @property
    def has_model(self) -> bool:
        return any(fate.kind == MODEL and fate.due for fate in self.fates)

    @property
    def stopped(self) -> bool:
        """It was asked that their photos are not used for now: by them, or by whoever read the line before them."""
        return self.employee.restricted_at is not None and self.employee.opted_out_at is None and not self.deleting

    @property
    def active(self) -> bool:
        return self.sitting is not None and self.sitting.state in ACTIVE


def standing(session: Session, kernel: Kernel, employee_id: UUID, now: datetime) -> Me:
    employee = employees.get(session, employee_id)
    tenant = tenants.get(session)
    # Of a photo that could not be used the picture is gone already.
    handed_in = [
        photo
        for photo in photos.of(session, employee_id)
        if photo.due_at > now and photo.state != PhotoState.REJECTED
    ]
    arriving = [upload.due_at for upload in resumable.of(session, employee_id, now) if upload.received]
    made = headshots.of(session, employee_id, now)
    given = {release.headshot_id for release in headshots.releases(session, employee_id)}
    weights = session.exec(
        select(Weights.due_at).where(
            col(Weights.tenant_id) == tenant_of(session), col(Weights.employee_id) == employee_id
        )
    ).all()
    stand = [hold for hold in holds.told(session, employee_id)
             if hold.confirmed_at and hold.lifted_at is None and hold.expires_at > now]  # fmt: skip
    held = [hold.expires_at for hold in stand]
    refs = {cls: KeyRef(tenant_of(session), employee_id, cls) for cls in KeyClass}
    change, invited = addresses.pending_of(session, employee_id), invitations.standing(session, employee_id)
    running = invited is not None and invited.expires_at > now and employee.opted_out_at is not None
    reads = employees.words(kernel.keys, employee, tenant)
    source = tenant.source_days
    after = reads.ngettext(
        "Deleted {n} day after you hand them in, at the latest.",
        "Deleted {n} days after you hand them in, at the latest.",
        source,
    )
    made_after = reads.ngettext(
        "Deleted {n} day after they are made, at the latest.",
        "Deleted {n} days after they are made, at the latest.",
        tenant.headshot_days,
    )
    # Where no model can be made, there is nothing to say of one.
    models = [] if not ways.modelled(tenant) and not weights else [
        _fate(MODEL, reads.gettext("The model of you"), source,
              reads.gettext("Goes with your last selfie, at the latest."), list(weights), now, stand)
    ]  # fmt: skip
    fates = (
        _fate("selfies", reads.gettext("Your selfies"), source, after,
              [photo.due_at for photo in handed_in] + arriving, now, stand),
        *models,
        _fate("headshots", reads.gettext("Your headshots"), tenant.headshot_days, made_after,
              [headshot.due_at for headshot in made], now, stand),
    )  # fmt: skip
    silent = holds.silent(session, employee_id, now)
    return Me(
        employee=employee,
        words=reads,
        profile=employees.profile(kernel.keys, employee),
        tenant=tenant,
        consented=consents.is_current(session, employee_id),
        sitting=sittings.latest_of(session, employee_id),
        photos=len(handed_in),
        arriving=len(arriving),
        headshots=len(made),
        released=sum(headshot.id in given for headshot in made),
        fates=fates,
        held_until=max(held, default=None),
        deleting=not holds.held_now(session, employee_id, now) and erasures.open_of(session, employee_id) is not None,
        keys={cls: (kernel.keys.made_at(ref), kernel.keys.destroyed_at(ref)) for cls, ref in refs.items()},
        untold=frozenset(CLASSES[one.kind] for one in fates if silent and not one.due),
        copies=copies.of(session, employee_id),
        hidden_until=invited.expires_at if invited is not None and running else None,
        new_address=addresses.new_address(kernel.keys, change) if change else None,
        address=change,
    )  # fmt: skip


CLASSES = {"selfies": KeyClass.SOURCE, MODEL: KeyClass.MODEL, "headshots": KeyClass.HEADSHOT}


def _fate(
    kind: str, name: str, of: int, otherwise: str, due: list[datetime], now: datetime, stand: list[Hold]
) -> ThingKept:
    last = max((one for one in due if one > now), default=None)
    days = -(-(last - now) // timedelta(days=1)) if last else 0
    held = [one.expires_at for one in stand if not one.classes or CLASSES[kind] in one.classes]
    return ThingKept(kind, name, of, otherwise, last, days, max(held, default=None))
