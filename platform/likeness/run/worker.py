"""The production processes besides the web server: one that works jobs, one that keeps time."""

from __future__ import annotations

import batch.api
import compliance.api
import gpu_cluster.api
import tenants.api
from likeness.ground.lanes import threads
from likeness.ground.stopping import until_told_to_stop
from likeness.jobs.liveness import Liveness
from likeness.jobs.notify import Notifier, broker_for
from likeness.kernel import Kernel
from likeness.run.scheduler import Scheduler

FLOORS = (tenants.api, batch.api, gpu_cluster.api, compliance.api)
"""Imported for their actors and sweeps as well, which register themselves."""


def work(kernel: Kernel) -> None:
    """Works jobs that RabbitMQ brings, until told to stop; then lets running ones end within 20 seconds."""
    kernel.db.check()
    liveness = Liveness()
    notifier = Notifier(kernel, broker_for(kernel.settings.broker_url), liveness)
    notifier.start()
    notifier.answer(threads(kernel.settings))
    until_told_to_stop(lambda: liveness.renew(kernel.settings.liveness_file))
    notifier.stop()


def schedule(kernel: Kernel) -> None:
    """Notifies of due jobs and runs the sweeps, until told to stop. Of several replicas one leads."""
    kernel.db.check()
    liveness = Liveness()
    notifier = Notifier(kernel, broker_for(kernel.settings.broker_url), liveness)
    notifier.start()
    scheduler = Scheduler(kernel, liveness)
    scheduler.start()
    until_told_to_stop(lambda: liveness.renew(kernel.settings.liveness_file))
    scheduler.stop()
    notifier.stop()
