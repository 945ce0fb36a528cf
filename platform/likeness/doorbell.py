"""Dramatiq carries job ids: in this process, or through RabbitMQ with confirms and quorum queues."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq.broker import Broker
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit, ShutdownNotifications, TimeLimit

from likeness import jobs
from likeness.kernel import Kernel

log = logging.getLogger(__name__)

QUEUE = "likeness"
TIME_LIMIT_MS = 5 * 60 * 1000
DEAD_LETTER_MS = 24 * 60 * 60 * 1000


class QuorumBroker(RabbitmqBroker):
    """RabbitMQ with replicated queues: a message survives the loss of a node, and a poison message is capped."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
        return arguments | {"x-queue-type": "quorum", "x-delivery-limit": 20}

    def _declare_xq_queue(self, queue_name: str) -> Any:
        # Dramatiq keeps dead letters for seven days; here they hold ids only and are of use for a day.
        return self.channel.queue_declare(
            queue=f"{queue_name}.XQ", durable=True, arguments={"x-message-ttl": DEAD_LETTER_MS}
        )


def broker_for(url: str) -> Broker:
    """The in-process broker for an empty address, otherwise RabbitMQ."""
    middleware = [AgeLimit(), TimeLimit(), ShutdownNotifications()]
    if not url:
        return StubBroker(middleware=middleware)
    joint = "&" if "?" in url else "?"
    return QuorumBroker(
        url=f"{url}{joint}blocked_connection_timeout=15&heartbeat=30", confirm_delivery=True, middleware=middleware
    )


class Doorbell:
    """Rings from a thread of its own, so that a slow or absent broker never delays a request.

    A ring that cannot be delivered is dropped: the sweep rings again for every row that is still due.
    """

    def __init__(self, kernel: Kernel, broker: Broker) -> None:
        self.kernel, self.broker = kernel, broker
        self._waiting: queue.Queue[UUID | None] = queue.Queue(maxsize=100_000)
        # Retries are the row's business, so the broker has no middleware for them.
        declare = dramatiq.actor(actor_name="job", queue_name=QUEUE, broker=broker, time_limit=TIME_LIMIT_MS)
        self._actor = declare(self._work)
        self._thread = threading.Thread(target=self._ring_all, name="doorbell", daemon=True)
        self._worker: dramatiq.Worker | None = None

    def _work(self, job_id: str) -> None:
        jobs.work(self.kernel, UUID(job_id))

    def start(self) -> None:
        self.kernel.db.doorbell = self.ring
        self._thread.start()

    def answer(self, threads: int) -> None:
        """Starts the worker threads of this process."""
        self._worker = dramatiq.Worker(self.broker, worker_threads=threads, worker_timeout=200)
        self._worker.start()

    def ring(self, job_id: UUID) -> None:
        try:
            self._waiting.put_nowait(job_id)
        except queue.Full:
            log.warning("doorbell full; the sweep will ring again")

    def stop(self, grace_seconds: float = 20) -> None:
        """Lets running jobs end within the grace period; what does not end keeps its lease and is taken up later."""
        if self._worker is not None:
            self._worker.stop(timeout=int(grace_seconds * 1000))
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self.broker.close()

    def _ring_all(self) -> None:
        while (job_id := self._waiting.get()) is not None:
            try:
                self._actor.send(str(job_id))
            except Exception as error:  # Every kind of broker failure means the same here: the sweep rings again.
                log.warning("the broker did not take a message", extra={"error": type(error).__name__})
