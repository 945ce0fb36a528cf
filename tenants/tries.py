"""Links that lead nowhere, counted by where they came from.

A link holds 256 random bits, so nobody finds one by guessing, and a link that exists works whatever came before it: its
row is looked for first. What is counted here is the failures, so that a program that tries addresses is told to stop,
and so that it shows. Counted are network and company together, because whole companies stand behind one proxy: whoever
spoils the count of one company changes nothing for the others. The counts are in the database, for all replicas.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from litestar import Request
from sqlalchemy import UniqueConstraint, delete, text
from sqlmodel import Field, Session, col, select

from likeness.ground.db import PLATFORM, Moment, TenantRow, of_tenant
from likeness.ground.errors import Gone, TooMany, Unavailable
from likeness.identity import LeadsNowhere, tenant_in
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyFolder, blind_index
from likeness.web.guards import kernel_of
from tenants.models import Tenant

MOST = 20
WITHIN = timedelta(minutes=1)
KEPT = timedelta(hours=2)
"""Longer than the longest time that anything is counted over."""


class TooManyTries(TooMany):
    """Many links that lead nowhere came from this network."""


class WrongTry(TenantRow, table=True):
    """How often something was tried since a moment; by a keyed digest, so that no address of anybody is kept.

    The table is unlogged: a crash of the database forgets the counts, and nothing else.
    """

    __tablename__ = "wrong_try"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), of_tenant(), {"prefixes": ["UNLOGGED"]})

    key: bytes
    since: datetime = Moment()
    count: int = Field(ge=0)


COUNT = text(
    """
    insert into wrong_try (id, tenant_id, key, since, count) values (:id, :tenant, :key, now(), 1)
    on conflict (tenant_id, key) do update set
        count = case when wrong_try.since < now() - :within then 1 else wrong_try.count + 1 end,
        since = case when wrong_try.since < now() - :within then now() else wrong_try.since end
    returning count
    """
)


def count(session: Session, keys: KeyFolder, what: str, within: timedelta) -> int:
    """One more of `what`; how many there were within the time. For a transaction of the platform's own tenant."""
    key = blind_index(keys.index_key(PLATFORM), what)
    found = session.execute(COUNT, {"id": uuid4(), "tenant": PLATFORM, "key": key, "within": within})
    return int(found.scalar_one())


@contextmanager
def counted(request: Request[Any, Any, Any]) -> Iterator[None]:
    """Stands around the look-up of a token of the address. One that leads nowhere counts, and too many of these are
    answered `TooManyTries`; one that exists is never stopped, also when it was used or ran out."""
    try:
        yield
    except LeadsNowhere:
        kernel, number = kernel_of(request), 0
        # Without the database or the key nothing can be counted, and the answer is that of the look-up.
        with suppress(Unavailable, Gone):
            number = _wrong(kernel, network(request.client.host if request.client else ""), _company(request))
        if number > MOST:
            raise TooManyTries(
                "Many links that lead nowhere came from your network. Please wait a minute. A link that is in order"
                " works all the same: open it from its mail again, or copy the whole of it."
            ) from None
        raise


def _wrong(kernel: Kernel, network: str, company: UUID | None) -> int:
    with kernel.db.transaction(PLATFORM) as session:
        known = session.exec(select(Tenant.id).where(col(Tenant.id) == company)).one_or_none()
        # Companies that do not exist are one and the same: a program that makes them up counts as one.
        return count(session, kernel.keys, f"link|{network}|{known}", WITHIN)


def _company(request: Request[Any, Any, Any]) -> UUID | None:
    found = [tenant_in(str(value)) for value in request.path_params.values()]
    return found[0] if found else None


def network(host: str) -> str:
    """The address, or the 64 bits of an IPv6 address that one household or one server has to itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
    return str(address)


@jobs.every(timedelta(minutes=10))
def forget(kernel: Kernel, now: datetime) -> None:
    """Counts that are over."""
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(WrongTry).where(col(WrongTry.tenant_id) == PLATFORM, col(WrongTry.since) < now - KEPT))
