"""The same tests over the in-process broker and over a real RabbitMQ."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pika
import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from likeness.ground.clock import CLOCK
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.lanes import Lane
from likeness.jobs import claims, jobs, notify
from likeness.jobs.jobs import Attempt, Job, JobState
from likeness.jobs.liveness import Liveness
from likeness.jobs.notify import Notifier, QuorumBroker, broker_for, queue_of
from likeness.kernel import Kernel
from tenants.models import Look, Tenant
from tests.kernel.rabbit import Rabbit, installed, rabbit
from tests.kernel.test_liveness import Watch
from tests.waiting import PATIENCE, until

seen: list[tuple[str, int]] = []
gate = threading.Event()
THREADS = dict.fromkeys(Lane, 2)


@jobs.actor(lane=Lane.GENERAL, attempts=3, lease=timedelta(seconds=30))
def note(attempt: Attempt, word: str) -> None:
    seen.append((word, attempt.number))


@jobs.actor(lane=Lane.GENERAL, attempts=2, lease=timedelta(seconds=30))
def stumble(attempt: Attempt, word: str) -> None:
    seen.append((word, attempt.number))
    raise RuntimeError("a message with alice@example.com in it")


@jobs.actor(lane=Lane.GENERAL, attempts=5, lease=timedelta(seconds=30))
def furnish(attempt: Attempt, word: str) -> None:
    with attempt.finishing() as session:
        session.add(
            Look(tenant_id=attempt.tenant, name=word, backdrop="grey", dress="suit", framing="close-up", light="soft")
        )
        gate.wait(PATIENCE)


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()
    gate.set()


@pytest.fixture
def tenant(kernel: Kernel) -> UUID:
    made = uuid4()
    with kernel.db.transaction(made) as session:
        session.add(Tenant(id=made, name="Company"))
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[Rabbit | None]:
    if not installed():
        yield None
        return
    with rabbit() as running:
        yield running


@pytest.fixture(params=["in-process", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def notifier(request: pytest.FixtureRequest, kernel: Kernel) -> Iterator[Notifier]:
    url = ""
    if request.param == "rabbitmq":
        server = request.getfixturevalue("server")
        if server is None:
            pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
        url = server.url
    notifier = Notifier(kernel, broker_for(url))
    notifier.start()
    notifier.answer(THREADS)
    yield notifier
    notifier.stop(grace_seconds=5)
    kernel.db.notify = lambda lane: None


def send(kernel: Kernel, tenant: UUID, function: object, word: str, **options: object) -> UUID | None:
    with kernel.db.transaction(tenant) as session:
        return jobs.send(session, function, word, **options)  # type: ignore[arg-type]


def job(kernel: Kernel, job_id: UUID | None) -> Job:
    with kernel.db.transaction(PLATFORM) as session:
        return session.exec(select(Job).where(Job.id == job_id)).one()


def due_is_notified(kernel: Kernel) -> bool:
    """As the sweep does, which comes again and again."""
    claims.notify_due(kernel, utc_now())
    return True


def test_a_job_runs_once_after_the_commit(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    job_id = send(kernel, tenant, note, "alpha")
    until(lambda: job(kernel, job_id).state == JobState.DONE)
    assert seen == [("alpha", 1)]
    assert job(kernel, job_id).due is None


def test_a_rollback_leaves_no_job(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    with pytest.raises(ZeroDivisionError), kernel.db.transaction(tenant) as session:
        jobs.send(session, note, "never")
        _ = 1 / 0
    time.sleep(0.5)
    assert seen == []


def test_the_same_key_is_one_job(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    assert send(kernel, tenant, note, "beta") is not None
    assert send(kernel, tenant, note, "beta") is None
    until(lambda: seen == [("beta", 1)])


def test_a_lost_message_is_rung_again_by_the_sweep(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    kernel.db.notify = lambda lane: None
    job_id = send(kernel, tenant, note, "gamma")
    kernel.db.notify = notifier.notify
    assert claims.notify_due(kernel, utc_now()) >= 1
    until(lambda: job(kernel, job_id).state == JobState.DONE)
    assert seen == [("gamma", 1)]


def test_ringing_three_times_runs_once(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    job_id = send(kernel, tenant, note, "delta")
    for _ in range(3):
        notifier.notify(Lane.GENERAL)
    until(lambda: job(kernel, job_id).state == JobState.DONE)
    time.sleep(0.3)
    assert seen == [("delta", 1)]


def test_a_failure_is_tried_again_later_and_then_called_dead(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    sent = utc_now()
    job_id = send(kernel, tenant, stumble, "epsilon")
    until(lambda: job(kernel, job_id).state == JobState.READY and job(kernel, job_id).attempt == 1)
    again = job(kernel, job_id).due
    assert again is not None
    assert again >= sent + timedelta(seconds=2), "not at once"
    until(lambda: due_is_notified(kernel) and job(kernel, job_id).state == JobState.DEAD)
    assert [number for _, number in seen] == [1, 2]
    assert job(kernel, job_id).error == "RuntimeError"


def test_an_unknown_id_and_a_future_job_do_nothing(kernel: Kernel, tenant: UUID, notifier: Notifier) -> None:
    job_id = send(kernel, tenant, note, "later", due=utc_now() + timedelta(hours=1))
    assert job_id is not None
    assert not any(claims.work(kernel, unknown) for unknown in (uuid4(), job_id))
    notifier.notify(Lane.GENERAL)
    time.sleep(0.5)
    assert seen == []


def test_whoever_lost_the_lease_writes_nothing(kernel: Kernel, tenant: UUID) -> None:
    job_id = send(kernel, tenant, furnish, "sofa")
    assert job_id is not None
    gate.clear()
    slow = threading.Thread(target=claims.work, args=(kernel, job_id))
    slow.start()
    until(lambda: job(kernel, job_id).state == JobState.RUNNING)
    claims.release_leases(kernel)
    fast = threading.Thread(target=claims.work, args=(kernel, job_id))
    fast.start()
    until(lambda: job(kernel, job_id).attempt == 2)
    gate.set()
    slow.join()
    fast.join()
    with kernel.db.transaction(tenant) as session:
        assert len(session.exec(select(Look)).all()) == 1
    assert job(kernel, job_id).state == JobState.DONE


def test_while_the_clocks_disagree_no_job_is_taken_from_who_holds_it(
    kernel: Kernel, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, fresh = send(kernel, tenant, note, "held"), send(kernel, tenant, note, "fresh")
    assert held is not None
    assert fresh is not None
    assert claims._claim(kernel, held) is not None
    claims.release_leases(kernel)
    monkeypatch.setattr(CLOCK, "doubt", lambda: "This machine's clock is 2.0 hours ahead of the database's.")
    assert claims._claim(kernel, held) is None
    assert claims.work(kernel, fresh) is True, "what nobody holds is worked on"
    monkeypatch.undo()
    again = claims._claim(kernel, held)
    assert again is not None
    assert again.attempt == 2


def test_a_job_that_kills_its_worker_is_capped(kernel: Kernel, tenant: UUID) -> None:
    job_id = send(kernel, tenant, note, "poison")
    assert job_id is not None
    for _ in range(3):  # Claimed, and then the worker was gone.
        assert claims._claim(kernel, job_id) is not None
        claims.release_leases(kernel)
    assert claims.work(kernel, job_id) is False
    assert (job(kernel, job_id).state, job(kernel, job_id).error) == (JobState.DEAD, "WorkerDied")


@pytest.mark.parametrize(
    "values",
    [
        {"state": JobState.DEAD, "due": None},
        {"state": JobState.DONE, "due": None, "finished_at": None},
        {"state": JobState.DEAD, "finished_at": utc_now()},
        {"state": JobState.READY, "due": None},
    ],
)
def test_an_ended_job_says_when_and_is_not_due(kernel: Kernel, tenant: UUID, values: dict[str, object]) -> None:
    job_id = send(kernel, tenant, note, "half")
    with pytest.raises(IntegrityError, match="job_finished"), kernel.db.transaction(tenant) as session:
        session.execute(jobs.update(Job).where(Job.id == job_id).values(values))  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", ["alice@example.com", "Alice Smith", "", "x" * 81, "a\x00b", "näme"])
def test_only_opaque_ids_are_taken(kernel: Kernel, tenant: UUID, argument: str) -> None:
    with pytest.raises(ValueError, match="opaque ids"):
        send(kernel, tenant, note, argument)


def test_another_tenants_transaction_does_not_see_the_job(kernel: Kernel, tenant: UUID) -> None:
    send(kernel, tenant, note, "mine")
    stranger = uuid4()
    with kernel.db.transaction(stranger) as session:
        session.add(Tenant(id=stranger, name="Stranger"))
        assert session.exec(select(Job)).all() == []


@pytest.mark.rabbitmq
def test_rabbitmq_holds_nothing_of_a_job_in_a_quorum_queue(kernel: Kernel, tenant: UUID, server: Rabbit | None) -> None:
    if server is None:
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    notifier = Notifier(kernel, broker_for(server.url))
    notifier.start()
    job_id = send(kernel, tenant, note, "zeta")
    queue = queue_of(Lane.GENERAL)
    until(lambda: queue not in notifier.broker.queues_pending)  # type: ignore[union-attr]
    channel = pika.BlockingConnection(pika.URLParameters(server.url)).channel()
    bodies: list[bytes] = []

    def arrived() -> bool:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method:
            bodies.append(body)
        return bool(bodies)

    until(arrived)
    assert all(b"zeta" not in body and str(job_id).encode() not in body for body in bodies)
    # Declaring it with other arguments is refused, so the arguments are those of a quorum queue.
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="x-queue-type"):
        classic = broker_for(server.url)._build_queue_arguments(queue) | {"x-queue-type": "classic"}  # type: ignore[union-attr]
        channel.queue_declare(queue, durable=True, arguments=classic)
    notifier.stop()
    kernel.db.notify = lambda lane: None
    claims.work(kernel, job_id)  # type: ignore[arg-type]


def note_who_asks(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the threads that speak to the broker about messages to send."""
    asks: set[str] = set()
    for name in ("waits", "enqueue"):
        before = getattr(notifier.broker, name)

        def noted(*given: object, before: Callable[..., object] = before, **more: object) -> object:
            asks.add(threading.current_thread().name)
            return before(*given, **more)

        monkeypatch.setattr(notifier.broker, name, noted)
    return asks


@pytest.mark.rabbitmq
def test_a_broker_that_dies_loses_nothing(kernel: Kernel, tenant: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    watch = Watch()
    liveness = Liveness(watch)
    with rabbit() as server:
        notifier = Notifier(kernel, broker_for(server.url), liveness)
        asks = note_who_asks(notifier, monkeypatch)
        notifier.start()
        notifier.answer(THREADS)
        ids = []
        for number in range(40):
            if number == 20:
                server.kill()
            ids.append(send(kernel, tenant, note, f"n{number}"))
        for _ in range(2):  # Nobody is taken for stuck because the broker is away.
            watch.forward()
            until(lambda: not liveness.stuck())
        server.start()
        until(lambda: due_is_notified(kernel) and all(job(kernel, job_id).state == JobState.DONE for job_id in ids))
        assert asks == {"notifier"}, "a request must not wait for the broker"
        assert sorted(word for word, _ in seen if word[0] == "n") == sorted(f"n{number}" for number in range(40))
        notifier.stop(grace_seconds=5)
        kernel.db.notify = lambda lane: None


@pytest.mark.rabbitmq
def test_a_queue_that_a_power_cut_left_without_a_leader_is_renewed(
    kernel: Kernel, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ 3.10 loses the leader of the queue that it declared last; then nobody is ever answered."""
    if not installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    monkeypatch.setattr(notify, "CONFIRM_SECONDS", 2.0)
    queue = queue_of(Lane.GENERAL)
    with rabbit() as server:
        broker = broker_for(server.url)
        assert isinstance(broker, QuorumBroker)
        broker._declare_queue(queue)  # type: ignore[no-untyped-call]
        broker.channel.basic_publish("", queue, b"")
        server.kill()
        server.start()
        notifier = Notifier(kernel, broker_for(server.url))
        notifier.start()
        notifier.answer(THREADS)
        job_id = send(kernel, tenant, note, "again")
        until(lambda: due_is_notified(kernel) and job(kernel, job_id).state == JobState.DONE)
        notifier.stop(grace_seconds=5)
        kernel.db.notify = lambda lane: None


@pytest.mark.rabbitmq
def test_a_queue_is_renewed_below_its_consumers(kernel: Kernel, tenant: UUID, server: Rabbit | None) -> None:
    if server is None:
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    broker = broker_for(server.url)
    assert isinstance(broker, QuorumBroker)
    notifier = Notifier(kernel, broker)
    notifier.start()
    notifier.answer(THREADS)
    for word in ("before", "after"):
        job_id = send(kernel, tenant, note, word)
        until(lambda: due_is_notified(kernel) and job(kernel, job_id).state == JobState.DONE)  # noqa: B023 - it is called here.
        broker.renew(queue_of(Lane.GENERAL))
        time.sleep(notify.PAUSE_SECONDS)
    notifier.stop(grace_seconds=5)
    kernel.db.notify = lambda lane: None
