"""Deliveries: one message for one endpoint, written with what it tells of, sent by a job, and tried for a day.

The message says which event it was, when and ids, and to whoever reads acts the company's newest signed checkpoint, so
that whoever keeps it is a witness of the log. It is signed as Standard Webhooks has it. A receiver may get a message
twice, under the same id: an answer that was lost is asked for again. Whatever is about a person hangs under them and
goes with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, delete, func
from sqlmodel import Field, Session, col, select
from standardwebhooks import Webhook

from likeness import checkpoints, outbound
from likeness.ground.db import Moment, TenantRow, belongs_to, newest_first, row_of, tenant_of, utc_now
from likeness.ground.errors import Gone, NotFound
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.outbound import ReceiverAnswer
from tenants import tenants
from tenants.members import members, permissions
from tenants.members.permissions import Permission
from tenants.models import Member
from tenants.webhooks import endpoints, events
from tenants.webhooks.endpoints import Endpoint
from tenants.webhooks.events import Event

PAUSES = tuple(timedelta(seconds=one) for one in (5, 60, 5 * 60, 30 * 60, 3600, 2 * 3600))
"""After the first failure, the second and so on; the last one for all that follow: about fifteen tries in a day."""
KEEP_TRYING = timedelta(hours=24)
KEPT = timedelta(days=7)
"""So long a message is listed and can be sent again."""
TRIES_KEPT = 30


class DeliveryMissing(NotFound):
    """There is no such message, it is older than a week, or it went to another member's endpoint."""

    title = "There is no such message"


@dataclass
class Try:
    at: datetime
    outcome: str
    """One of `outbound.Outcome`."""
    status: int | None
    seconds: float


STATES = {"waiting": N_("waiting"), "delivered": N_("delivered"), "given up": N_("given up")}
"""What pages call them."""


class Delivery(TenantRow, table=True):
    __tablename__ = "webhook_delivery"
    __table_args__ = (belongs_to("webhook_endpoint", "endpoint_id"), belongs_to("employee", "employee_id"))

    endpoint_id: UUID = Field(index=True)
    employee_id: UUID | None = Field(default=None, index=True)
    """Whom it is about, so that it goes with them; the message names the line of the list instead."""
    event: str
    body: str
    """As it is sent: ids, a time, and for some a checkpoint."""
    created_at: datetime = Moment()
    wanted_at: datetime = Moment()
    """Since when it is tried; sending it again begins a new day."""
    next_at: datetime | None = Moment(nullable=True)
    """When it is tried next; None when that is over."""
    delivered_at: datetime | None = Moment(default=None, nullable=True)
    tries: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Each with its time, what came of it, the answer's status and its seconds."""

    @property
    def told(self) -> list[Try]:
        """Oldest first."""
        return [Try(**one | {"at": datetime.fromisoformat(one["at"])}) for one in self.tries]

    @property
    def state(self) -> str:
        if self.next_at is not None:
            return "waiting"
        return "delivered" if self.delivered_at is not None else "given up"


def happened(session: Session, event: Event, ids: Mapping[str, UUID], now: datetime, *, about: UUID | None = None) -> int:
    """Leaves a message for each endpoint that is told of it, in this transaction; returns how many.

    `ids` are opaque and known to whoever may see the event; `about` is the employee whom it concerns.
    """
    listening = endpoints.told_of(session, event)
    for endpoint in listening:
        leave(session, endpoint, event, ids, now, about=about)
    return len(listening)


def leave(
    session: Session, endpoint: Endpoint, event: Event, ids: Mapping[str, UUID], now: datetime, *, about: UUID | None = None
) -> Delivery:
    # How long the log is tells whoever sees names whether somebody was deleted, or only said no.
    reads = Permission.ACTS_READ in permissions.of(members.get(session, endpoint.member_id).roles)
    point = checkpoints.shown(session) if reads else None
    body = {
        "type": str(event),
        "timestamp": now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": {name: str(value) for name, value in ids.items()},
    } | ({"checkpoint": point.note} if point is not None else {})
    delivery = Delivery(
        id=uuid4(), tenant_id=tenant_of(session), endpoint_id=endpoint.id, employee_id=about, event=event,
        body=json.dumps(body, ensure_ascii=False), created_at=now, wanted_at=now, next_at=now,
    )  # fmt: skip
    session.add(delivery)
    session.flush()
    jobs.send(session, deliver, str(delivery.id))
    return delivery


def of_endpoint(
    session: Session, endpoint: Endpoint, most: int, *, before: tuple[datetime, UUID] | None = None
) -> list[Delivery]:
    """Newest first, at most so many of the week, those `before` the moment and the id of one."""
    query = select(Delivery).where(
        col(Delivery.tenant_id) == tenant_of(session), col(Delivery.endpoint_id) == endpoint.id
    )
    return list(session.exec(newest_first(query, col(Delivery.created_at), col(Delivery.id), most, before)))


def lost(session: Session, endpoint: Endpoint) -> int:
    """How many of the week were given up."""
    given_up = (col(Delivery.delivered_at).is_(None), col(Delivery.next_at).is_(None))
    return session.exec(
        select(func.count(col(Delivery.id))).where(
            col(Delivery.tenant_id) == tenant_of(session), col(Delivery.endpoint_id) == endpoint.id, *given_up
        )
    ).one()


def again(session: Session, member: Member, endpoint_id: UUID, delivery_id: UUID, now: datetime) -> Delivery:
    """Sends one message again, under the same id. Raises `EndpointMissing` and `DeliveryMissing`."""
    endpoint = endpoints.mine(session, member, endpoint_id)
    delivery = session.exec(
        select(Delivery).where(
            col(Delivery.tenant_id) == tenant_of(session),
            col(Delivery.endpoint_id) == endpoint.id,
            col(Delivery.id) == delivery_id,
        )
    ).one_or_none()
    if delivery is None:
        raise DeliveryMissing("There is no such message, or it is older than a week.")
    _again(session, endpoint, [delivery], now)
    return delivery


def all_again(session: Session, member: Member, endpoint_id: UUID, now: datetime) -> int:
    """Sends everything again that was not delivered, oldest first. Raises `EndpointMissing`."""
    endpoint = endpoints.mine(session, member, endpoint_id)
    lost = select(Delivery).where(
        col(Delivery.tenant_id) == tenant_of(session),
        col(Delivery.endpoint_id) == endpoint.id,
        col(Delivery.delivered_at).is_(None),
    )
    found = list(session.exec(lost.order_by(col(Delivery.created_at))))
    _again(session, endpoint, found, now)
    return len(found)


def test(session: Session, member: Member, endpoint_id: UUID, now: datetime) -> Delivery:
    """A message that tells of nothing. Raises `EndpointMissing`."""
    endpoint = endpoints.mine(session, member, endpoint_id)
    _awake(session, endpoint)
    return leave(session, endpoint, Event.TEST, {}, now)


def _again(session: Session, endpoint: Endpoint, found: list[Delivery], now: datetime) -> None:
    _awake(session, endpoint)
    for delivery in found:
        delivery.wanted_at = delivery.next_at = now
        delivery.delivered_at = None
        session.add(delivery)
        jobs.send(session, deliver, str(delivery.id), key=f"{delivery.id}:{uuid4()}")


def _awake(session: Session, endpoint: Endpoint) -> None:
    """Somebody says that it can be reached: it is asked at once."""
    endpoint.failures, endpoint.rests_until, endpoint.stopped_at = 0, None, None
    session.add(endpoint)


@jobs.actor(lane=Lane.WEBHOOKS, attempts=100, lease=timedelta(minutes=2))
def deliver(attempt: jobs.Attempt, delivery_id: str) -> None:
    """One try. The next one is a job of its own, so that a process that dies costs no try and loses none."""
    kernel, now = attempt.kernel, utc_now()
    with attempt.transaction() as session:
        delivery = _waiting(session, UUID(delivery_id))
        endpoint = _endpoint(session, delivery) if delivery else None
        allowed = endpoint is not None and delivery is not None and _allowed(session, endpoint, delivery)
    if delivery is None or endpoint is None or delivery.next_at is None or delivery.next_at > now:
        return  # Another job of the same message is due then.
    if not allowed:
        with attempt.finishing() as session:
            if kept := _waiting(session, delivery.id):
                kept.next_at = None
        return
    if endpoint.rests_until is not None and endpoint.rests_until > now:
        with attempt.finishing() as session:
            if kept := _waiting(session, delivery.id):
                _wait(session, kept, endpoint.rests_until)
        return
    try:
        where = endpoints.opened(kernel.keys, endpoint)
    except Gone:
        return  # It was removed a moment ago.
    moment = utc_now()
    signatures = [Webhook(one).sign(str(delivery.id), moment, delivery.body) for one in where.secrets(moment)]
    headers = {
        "content-type": "application/json",
        "user-agent": "Likeness",
        "webhook-id": str(delivery.id),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    answer = outbound.post(where.url, delivery.body.encode(), headers, kernel.settings.hooks_inside)
    with attempt.finishing() as session:
        if kept := _waiting(session, delivery.id):
            _note(session, kept, answer, utc_now())


def _note(session: Session, delivery: Delivery, answer: ReceiverAnswer, now: datetime) -> None:
    endpoint = _endpoint(session, delivery, locked=True)
    if endpoint is None:
        return
    tried = {"at": now.isoformat(), "outcome": str(answer.outcome), "status": answer.status, "seconds": answer.seconds}
    delivery.tries = [*delivery.tries, tried][-TRIES_KEPT:]
    if answer.costly:
        endpoint.failures += 1
        endpoint.rests_until = now + _pause(endpoint.failures)
    else:
        endpoint.failures, endpoint.rests_until = 0, None
    failed = sum(one.at >= delivery.wanted_at for one in delivery.told)
    then = max(now + _pause(failed), endpoint.rests_until or now)
    if answer.taken:
        delivery.delivered_at, delivery.next_at = now, None
    elif answer.gone:
        endpoint.stopped_at, delivery.next_at = now, None
    elif then > delivery.wanted_at + KEEP_TRYING:
        delivery.next_at = None
    else:
        _wait(session, delivery, then)
    session.add_all([delivery, endpoint])


def _wait(session: Session, delivery: Delivery, until: datetime) -> None:
    delivery.next_at = until
    session.add(delivery)
    jobs.send(session, deliver, str(delivery.id), key=f"{delivery.id}:{uuid4()}", due=until)


def _pause(failures: int) -> timedelta:
    return PAUSES[min(max(failures, 1), len(PAUSES)) - 1]


def _allowed(session: Session, endpoint: Endpoint, delivery: Delivery) -> bool:
    """Asked again at each try: what its maker may not see any more, or while it wants nothing, is not sent."""
    maker = members.get(session, endpoint.member_id)
    if delivery.event == Event.TEST:
        return maker.disabled_at is None
    return endpoint.stopped_at is None and delivery.event in events.open_to(maker)


def _waiting(session: Session, delivery_id: UUID) -> Delivery | None:
    found = row_of(session, Delivery, delivery_id)
    return found if found is not None and found.next_at is not None else None


def _endpoint(session: Session, delivery: Delivery, *, locked: bool = False) -> Endpoint | None:
    return row_of(session, Endpoint, delivery.endpoint_id, locked=locked)


@jobs.every(timedelta(hours=1), deletes=True)
def forget(kernel: Kernel, now: datetime) -> None:
    """Messages go after a week, sent or not."""

    def old(session: Session) -> None:
        session.execute(
            delete(Delivery).where(col(Delivery.tenant_id) == tenant_of(session), col(Delivery.created_at) < now - KEPT)
        )

    tenants.for_each(kernel, old)
