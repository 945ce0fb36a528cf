"""The agent on each node of the cluster: looks through its logs, its spill, its scratch and the caches of its libraries,
and answers for it.

It runs in a process of its own, which takes the id on its input and has every node look for it. The key of the digests
stays here, because no key leaves for the cluster but in a lease; no path leaves a node, a count alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import UUID

from compliance import stores
from compliance.proof.scan import StoreAnswer
from compliance.scanning import files
from compliance.scanning.traces import Traces
from likeness.kernel import Kernel

SECONDS = 120


def answer(kernel: Kernel, traces: Traces, since: float | None = None) -> list[StoreAnswer]:
    name, address = stores.NODES.name, kernel.settings.ray_address
    if not address:
        return [StoreAnswer(name, "not applicable", note="Ray runs on this machine alone, which `scratch` answers for")]
    asked = {"address": address, "employee": str(traces.employee), "since": since}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "compliance.scanning.nodes"],
            input=json.dumps(asked), capture_output=True, text=True, timeout=SECONDS, check=True,
        )  # fmt: skip
        counts = json.loads(done.stdout.splitlines()[-1])
    except Exception as error:  # No answer is no clean answer.
        return [StoreAnswer(name, "not reachable", note=type(error).__name__)]
    silent, found = counts["silent"], counts["found"]
    note = f"{counts['nodes']} nodes of the cluster looked through their own folders for the id"
    if counts["gone"]:
        note += f"; {counts['gone']} that left the cluster could not be asked"
    if found:
        return [StoreAnswer(name, "found", found, note)]
    if silent:
        return [StoreAnswer(name, "not reachable", note=f"{silent} of {counts['nodes']} nodes did not answer")]
    return [StoreAnswer(name, "clean", note=note)]


def look(employee: str, since: float | None) -> int:
    """On one node: in how many files or names the id is."""
    roots, traces = [*files.scratch_folders(), *Path(tempfile.gettempdir()).glob("ray")], Traces(UUID(employee))
    said = [*files.scratch(traces, roots), *files.caches(traces, since)]
    if silent := [one.note for one in said if one.result == "not reachable"]:
        raise RuntimeError(silent[0])
    return sum(one.found for one in said)


def main() -> None:
    # Ray reads these when it is imported; the scheduler sets them alike.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = json.load(sys.stdin)
    ray.init(address=asked["address"], namespace="likeness-rescan", log_to_driver=False, configure_logging=False)
    known = ray.nodes()
    nodes = [one["NodeID"] for one in known if one["Alive"]]
    task = ray.remote(num_cpus=0, max_retries=0)(look)
    pending = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            asked["employee"], asked["since"]
        )
        for node in nodes
    ]
    found = silent = 0
    for one in pending:
        try:
            found += ray.get(one, timeout=SECONDS / 2)
        except Exception:  # It is counted as silent, which is never clean.
            silent += 1
    print(json.dumps({"nodes": len(nodes), "found": found, "silent": silent + (not nodes),
                      "gone": len(known) - len(nodes)}))  # fmt: skip


if __name__ == "__main__":
    main()
