"""Dramatiq carries one kind of message, "something is due in this lane": in this process, or through RabbitMQ."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dramatiq
import pika
from dramatiq.broker import Broker
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit, TimeLimit

from likeness.ground.lanes import Lane
from likeness.jobs import claims
from likeness.jobs.liveness import Liveness
from likeness.kernel import Kernel

log = logging.getLogger(__name__)

TIME_LIMIT_MS = 5 * 60 * 1000
DEAD_LETTER_MS = 24 * 60 * 60 * 1000
SHIFT_SECONDS = 20.0
"""One message has a thread work so long, then it asks for another: together with the longest job well below the limit."""
CONFIRM_SECONDS = 20.0
"""A queue that has not taken a message by then never will. A connection that RabbitMQ blocks ends after 15 seconds."""
PAUSE_SECONDS = 1.0
"""After a message that was not taken."""


class InProcessBroker(StubBroker):
    def waits(self, queue_name: str) -> bool:
        """Whether a message is in the queue that nobody has taken yet."""
        return not self.queues[queue_name].empty()


class QuorumBroker(RabbitmqBroker):
    """RabbitMQ with replicated queues: a message survives the loss of a node, and a poison message is capped."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
        return arguments | {"x-queue-type": "quorum", "x-delivery-limit": 20}

    def _declare_xq_queue(self, queue_name: str) -> Any:
        # Dramatiq keeps dead letters for seven days; here they say nothing and are of use for a day.
        return self.channel.queue_declare(
            queue=f"{queue_name}.XQ", durable=True, arguments={"x-message-ttl": DEAD_LETTER_MS}
        )

    def waits(self, queue_name: str) -> bool:
        """Whether a message is in the queue that nobody has taken yet; False when the server cannot be asked."""
        try:
            self.declare_queue(queue_name, ensure=True)
            declared: Any = self._declare_queue(queue_name)  # type: ignore[no-untyped-call]
            return bool(declared.method.message_count)
        except pika.exceptions.AMQPError:
            del self.connection  # The next call opens another one.
            return False

    def renew(self, queue_name: str) -> None:
        """Deletes a queue that answers nobody, which lets go whoever waits for it; whoever needs it next declares it anew.
        What it held said no more than that something is due. Raises what pika raises."""
        try:
            self.channel.queue_delete(queue_name)
        finally:
            del self.connection


def broker_for(url: str) -> InProcessBroker | QuorumBroker:
    """The in-process broker for an empty address, otherwise RabbitMQ."""
    middleware = [AgeLimit(), TimeLimit()]
    joint = "&" if "?" in url else "?"
    broker = (
        QuorumBroker(
            url=f"{url}{joint}blocked_connection_timeout=15&heartbeat=30", confirm_delivery=True, middleware=middleware
        )
        if url
        else InProcessBroker(middleware=middleware)
    )
    # Each lane has a worker, and each worker adds its own: ten warnings at every start, of nothing.
    broker.logger.addFilter(lambda record: "middleware of the same type twice" not in str(record.msg))
    return broker


def queue_of(lane: Lane) -> str:
    return f"likeness.{lane}"


class Notifier:
    """Notifies from a thread of its own, so that a slow or absent broker never delays a request.

    Whoever gets the message works until nothing is due in the lane. So none is sent where one waits already: it will be
    taken after every row that is committed by now. One that cannot be delivered is dropped: the sweep notifies again
    for every lane with due rows.

    RabbitMQ can leave a quorum queue without a leader, for one when power is lost right after it was declared. Such a queue
    never confirms, and pika waits without end; so another thread looks how long it has been, and renews the queue.
    """

    def __init__(
        self, kernel: Kernel, broker: InProcessBroker | QuorumBroker, liveness: Liveness | None = None
    ) -> None:
        self.kernel, self.broker, self._liveness = kernel, broker, liveness or Liveness()
        self._wanted: set[Lane] = set()
        self._wake = threading.Condition()
        self._stopping = threading.Event()
        # Retries are the row's business, so the broker has no middleware for them.
        self._actors = {lane: self._actor(lane, broker) for lane in Lane}
        self._thread = threading.Thread(target=self._notify_all, name="notifier", daemon=True)
        self._telling: tuple[Lane, float] | None = None
        self._workers: list[dramatiq.Worker] = []

    def _actor(self, lane: Lane, broker: Broker) -> dramatiq.Actor[[], None]:
        def something_is_due() -> None:
            self._work(lane)

        declare: Callable[..., Any] = dramatiq.actor(
            actor_name=lane, queue_name=queue_of(lane), broker=broker, time_limit=TIME_LIMIT_MS
        )
        actor: dramatiq.Actor[[], None] = declare(something_is_due)
        return actor

    def _work(self, lane: Lane) -> None:
        """Works until nothing is due; the first job found wakes one more thread, which does the same."""
        until, woken = time.monotonic() + SHIFT_SECONDS, False

        def wake_another() -> None:
            nonlocal woken
            if not woken:
                woken = True
                self.notify(lane)

        self._liveness.step()
        try:
            while not self._stopping.is_set():
                if not claims.work_next(self.kernel, lane, claimed=wake_another):
                    return
                if time.monotonic() > until:
                    self.notify(lane)
                    return
        except Exception as error:  # The database went away: the sweep notifies when it is back.
            log.warning("a lane could not be worked", extra={"error": type(error).__name__, "lane": lane})
        finally:
            self._liveness.idle()

    def start(self) -> None:
        self.kernel.db.notify = self.notify
        threads = [self._thread]
        if isinstance(self.broker, QuorumBroker):
            renew = partial(self._renew_what_hangs, self.broker)
            threads.append(threading.Thread(target=renew, name="renewer", daemon=True))
        for thread in threads:
            thread.start()
        self._liveness.watch(threads)

    def answer(self, threads: Mapping[Lane, int]) -> None:
        """Starts the threads of this process: each lane has its own, so that none waits for another's jobs."""
        self.broker.emit_after("process_boot")  # What limits the time of a job starts with this signal.
        for lane, number in threads.items():
            if number:
                worker = dramatiq.Worker(
                    self.broker, queues={queue_of(lane)}, worker_threads=number, worker_timeout=200
                )
                # A message that a busy process keeps would leave an idle one unwoken.
                worker.queue_prefetch = number
                worker.start()
                self._workers.append(worker)
                self._liveness.watch([*worker.workers, *worker.consumers.values()])

    def notify(self, lane: str) -> None:
        with self._wake:
            self._wanted.add(Lane(lane))
            self._wake.notify()

    def stop(self, grace_seconds: float = 20) -> None:
        """Lets running jobs end within the grace period; what does not end keeps its lease and is taken up later."""
        self._stopping.set()
        stops = [threading.Thread(target=one.stop, args=(int(grace_seconds * 1000),)) for one in self._workers]
        for stop in stops:
            stop.start()
        for stop in stops:
            stop.join()
        with self._wake:
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self.broker.close()

    def _notify_all(self) -> None:
        while not self._stopping.is_set():
            self._liveness.idle()
            with self._wake:
                self._wake.wait_for(lambda: self._wanted or self._stopping.is_set())
                wanted, self._wanted = self._wanted, set()
            self._liveness.step()
            for lane in wanted:
                if not self._told(lane):
                    # A queue of the same name that comes at once hides from consumers that theirs is gone.
                    self._stopping.wait(PAUSE_SECONDS)

    def _told(self, lane: Lane) -> bool:
        """Whether the broker has a message for this lane."""
        self._telling = lane, time.monotonic()
        try:
            if not self.broker.waits(queue_of(lane)):
                self._actors[lane].send()
            return True
        except Exception as error:  # Whatever failed, the sweep notifies again.
            log.warning("the broker did not take a message", extra={"error": type(error).__name__})
            return False
        finally:
            self._telling = None

    def _renew_what_hangs(self, broker: QuorumBroker) -> None:
        while not self._stopping.wait(CONFIRM_SECONDS / 4):
            telling = self._telling
            if telling is None or time.monotonic() - telling[1] < CONFIRM_SECONDS:
                continue
            log.warning("a queue took no message and is renewed", extra={"lane": telling[0]})
            try:
                broker.renew(queue_of(telling[0]))
            except Exception as error:  # It is tried again.
                log.warning("a queue could not be renewed", extra={"error": type(error).__name__, "lane": telling[0]})
