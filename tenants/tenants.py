"""Companies: how one begins, which terms it chose, and which ones there are."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import true, update
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.ground.db import PLATFORM, newest_first, tenant_of, utc_now
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.identity import forget_ended
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyFolder
from likeness.locale.languages import LANGUAGES
from likeness.locale.marks import N_
from likeness.locale.words import is_zone
from likeness.mail import sender, senders
from tenants import backdrops, looks
from tenants.models import CUTOUT, Tenant
from tenants.plain import one_line

log = logging.getLogger(__name__)

MOST_LEAVER_DAYS = 30
RETENTION = ("source_days", "headshot_days")
"""Terms that decide when something is deleted; they are changed after a fresh sign-in only."""
TERMS = (
    "name", "contact", "authority", "source_days", "headshot_days", "employee_quota", "recipes", "language", "time_zone",
    "colour", "free_crops", "sender_name",
)  # fmt: skip
LONGEST_SENDER = 60
COLOUR = re.compile(r"#[0-9a-f]{6}")


class TenantMissing(NotFound):
    """There is no such company, or it left."""

    title = "There is no such company"


class QuotaExceeded(Conflict):
    """The roster would hold more people than the company's contract says."""

    title = "The list would be longer than your contract allows"


def check_quota(session: Session, there: int, adding: int) -> None:
    """`there` people are on the list already. Raises `QuotaExceeded`."""
    quota = get(session).employee_quota
    if there + adding > quota:
        raise QuotaExceeded(
            "This would make {n} people; the company's limit is {quota}. Ask the operator for more.",
            n=there + adding, quota=quota,
        )


def offers(base: str) -> list[str]:
    """What a new company offers where models are trained on this base, or there is none."""
    return [CUTOUT] if base == CUTOUT else [base, CUTOUT]


class TermsRefused(Unprocessable):
    """A company may shorten the days until deletion, never lengthen them."""

    title = "These terms cannot be set"


def found(kernel: Kernel, name: str, **terms: Any) -> UUID:
    """Opens a transaction of its own under a new id, because a company cannot be made from inside another one."""
    tenant = uuid4()
    with kernel.db.transaction(tenant) as session:
        made = create(session, kernel.keys, name, **terms)
        made.base = kernel.settings.recipe
    return tenant


def note_base(kernel: Kernel) -> None:
    """Writes beside what each company chose what this installation has now: what cannot be made is not offered. Opens
    transactions of its own."""
    base = kernel.settings.recipe
    with kernel.db.transaction(PLATFORM) as session:
        others = session.exec(select(Tenant.id).where(col(Tenant.id) != PLATFORM, col(Tenant.base) != base)).all()
    for tenant in others:
        with kernel.db.transaction(tenant) as session:
            session.execute(update(Tenant).where(col(Tenant.id) == tenant).values(base=base))


def out_of_reach(session: Session, base: str) -> int:
    """How many companies chose what cannot be made with this base; for a transaction of the operators."""
    return sum(not {CUTOUT, base}.issuperset(one.recipes) for one in all_tenants(session))


def create(session: Session, keys: KeyFolder, name: str, **terms: Any) -> Tenant:
    """The company whose id the transaction carries, with its key and the looks to start from. Raises `TermsRefused`."""
    tenant = Tenant(id=tenant_of(session), name="")
    _apply(tenant, {"name": name, **terms})
    keys.begin_tenant(tenant.id)
    session.add(tenant)
    session.flush()
    for look in looks.DEFAULT:
        looks.add(session, **look)
    ledger.record(session, "tenant.created", objects=[tenant.id])
    return tenant


def get(session: Session) -> Tenant:
    """Read anew unless this transaction holds the row already."""
    tenant = session.get(Tenant, tenant_of(session))
    if tenant is None or tenant.left_at is not None:
        raise TenantMissing
    return tenant


def change(session: Session, *, caller: str, **terms: Any) -> Tenant:
    """New terms; the notice that employees read changes with them. Raises `TermsRefused`."""
    tenant = get(session)
    for days in ("source_days", "headshot_days"):
        if terms.get(days, 0) > getattr(tenant, days):
            raise TermsRefused("Days until deletion are shortened, never lengthened: people have agreed to these.")
    _apply(tenant, terms)
    session.add(tenant)
    terms_now = {name: str(getattr(tenant, name)) for name in ("source_days", "headshot_days")}
    ledger.record(session, "tenant.changed", caller=caller, objects=[tenant.id], facts=terms_now)
    return tenant


def change_directory(session: Session, *, leaver_days: int, invite_joiners: bool, caller: str) -> Tenant:
    """What follows when the company's directory says that somebody left or joined. Raises `TermsRefused`."""
    tenant = get(session)
    if not 0 <= leaver_days <= MOST_LEAVER_DAYS:
        raise TermsRefused("Everything of somebody who left is deleted after 0 to {n} days.", n=MOST_LEAVER_DAYS)
    tenant.leaver_days, tenant.invite_joiners = leaver_days, invite_joiners
    session.add(tenant)
    ledger.record(session, "directory.changed", caller=caller, objects=[tenant.id])
    return tenant


def change_approval(session: Session, *, approves: bool, caller: str) -> Tenant:
    """Whether released headshots are approved before they are used. What was downloaded before stays."""
    tenant = get(session)
    tenant.approves = approves
    session.add(tenant)
    ledger.record(session, "approval.changed", caller=caller, objects=[tenant.id])
    return tenant


def all_ids(kernel: Kernel, *, left: bool = False) -> list[UUID]:
    """Every company that has not left, and those that did if `left`; the operators' own tenant is none."""
    here = true() if left else col(Tenant.left_at).is_(None)
    with kernel.db.transaction(PLATFORM) as session:
        return list(
            session.exec(select(Tenant.id).where(col(Tenant.id) != PLATFORM, here).order_by(col(Tenant.created_at)))
        )


def each_id(
    kernel: Kernel, act: Callable[[Kernel, UUID, datetime], object], now: datetime, *further: UUID, left: bool = False
) -> None:
    """Runs `act` for each company; one company's trouble must not keep the others' people waiting."""
    for tenant in (*all_ids(kernel, left=left), *further):
        try:
            act(kernel, tenant, now)
        except Exception:
            log.exception("a sweep failed for one company", extra={"tenant": str(tenant), "sweep": act.__qualname__})


def for_each(kernel: Kernel, act: Callable[[Session], None], *, left: bool = False) -> None:
    """Runs `act` in a transaction of each company, as `each_id` does."""

    @wraps(act)
    def once(kernel: Kernel, tenant: UUID, _: datetime) -> None:
        with kernel.db.transaction(tenant) as session:
            act(session)

    each_id(kernel, once, utc_now(), left=left)


@jobs.every(timedelta(hours=1), deletes=True)
def forget_ended_sessions(kernel: Kernel, now: datetime) -> None:
    """Sessions and one-time links that ran out are of no use to anybody."""
    for_each(kernel, lambda session: forget_ended(session, now))


@jobs.every(timedelta(hours=1), deletes=True)
def forget_backdrops(kernel: Kernel, now: datetime) -> None:
    """Pictures behind portraits go with the last look that names them."""
    for_each(kernel, lambda session: backdrops.forget_unnamed(session, now))


@jobs.every(timedelta(hours=6))
def look_at_senders(kernel: Kernel, now: datetime) -> None:
    """Whether the domains of senders in use still say that they are the companies'."""
    each_id(kernel, _look_at_sender, now)


def _look_at_sender(kernel: Kernel, tenant: UUID, _: datetime) -> None:
    with kernel.db.transaction(tenant) as session:
        mine = senders.of(session)
    if mine is None or mine.proven_at is None:
        return
    names = sender.Names(kernel.settings.dns_server)
    # Outside of any transaction, because DNS may take its time.
    checks = sender.own(mine.address, tenant, kernel.settings.smtp_url, mine.selector, names)
    with kernel.db.transaction(tenant) as session:
        senders.look_again(session, mine.id, checks)


def all_tenants(
    session: Session, most: int | None = None, *, before: tuple[datetime, UUID] | None = None
) -> list[Tenant]:
    """The same with names, newest first, for a transaction of the operators; any other sees its own company only. At most
    so many, those `before` the moment and the id of one."""
    query = select(Tenant).where(col(Tenant.id) != PLATFORM, col(Tenant.left_at).is_(None))
    return list(session.exec(newest_first(query, col(Tenant.created_at), col(Tenant.id), most, before)))


CALLED = {"name": N_("name"), "contact": N_("contact"), "authority": N_("authority")}


def _apply(tenant: Tenant, terms: dict[str, Any]) -> None:
    unknown = terms.keys() - set(TERMS)
    if unknown:
        raise TermsRefused("There is no such term: {names}.", names=", ".join(sorted(unknown)))
    for name, value in terms.items():
        if name in CALLED:
            value = one_line(value, 200, CALLED[name], needed=name == "name")
        if name == "sender_name":
            value = one_line(value, LONGEST_SENDER, N_("name of the sender"), needed=False)
        setattr(tenant, name, value)
    if not tenant.recipes or len(set(tenant.recipes)) != len(tenant.recipes):
        raise TermsRefused("A company offers at least one way of making headshots, and each once.")
    _check_words(tenant)
    if not 1 <= tenant.source_days <= 7:
        raise TermsRefused("Selfies are deleted after 1 to 7 days.")
    if not 1 <= tenant.headshot_days <= 30:
        raise TermsRefused("Headshots are deleted after 1 to 30 days.")
    if not 0 <= tenant.employee_quota <= 1_000_000:
        raise TermsRefused("The number of employees is between 0 and 1,000,000.")


def _check_words(tenant: Tenant) -> None:
    if tenant.language not in LANGUAGES:
        raise TermsRefused("Choose one of these languages: {names}.", names=", ".join(LANGUAGES))
    if not is_zone(tenant.time_zone):
        raise TermsRefused("Name the time zone as in Europe/Berlin.")
    if tenant.colour and not COLOUR.fullmatch(tenant.colour):
        raise TermsRefused("Write the colour as #1f5a8c, or leave it empty.")
    if set(tenant.sender_name) & set('@<>"'):
        # Programs show the name in the place of the address, so it must not look like one.
        raise TermsRefused("The name of the sender holds no address: leave out @, < and >, and quotation marks.")
