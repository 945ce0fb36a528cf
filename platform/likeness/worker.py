"""The production processes besides the web server: one that works jobs, one that keeps time."""

from __future__ import annotations

import batch.api
import compliance.api
import gpu_cluster.api
import tenants.api
from likeness.doorbell import Doorbell, broker_for
from likeness.kernel import Kernel
from likeness.lanes import threads
from likeness.stopping import until_told_to_stop
from likeness.tend import Tending

FLOORS = (tenants.api, batch.api, gpu_cluster.api, compliance.api)
"""Imported for their actors and sweeps as well, which register themselves."""


def work(kernel: Kernel) -> None:
    """Works jobs that RabbitMQ brings, until told to stop; then lets running ones end within 20 seconds."""
    kernel.db.check()
    doorbell = Doorbell(kernel, broker_for(kernel.settings.broker_url))
    doorbell.start()
    doorbell.answer(threads(kernel.settings))
    until_told_to_stop()
    doorbell.stop()


def tend(kernel: Kernel) -> None:
    """Rings for due jobs and runs the sweeps, until told to stop. Of several replicas one leads."""
    kernel.db.check()
    doorbell = Doorbell(kernel, broker_for(kernel.settings.broker_url))
    doorbell.start()
    tending = Tending(kernel)
    tending.start()
    until_told_to_stop()
    tending.stop()
    doorbell.stop()
