"""`make bench`: prints JSON. Training and likeness have targets of their own, since they take minutes."""

from __future__ import annotations

import json
import os
import platform

from benchmarks import dashboards, photos
from benchmarks.kernel import measure

if __name__ == "__main__":
    machine = {
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "load": os.getloadavg()[0],
    }
    over_http = {"dashboards": dashboards.measure(), "L3_photos": photos.measure()}
    print(json.dumps({"machine": machine} | measure() | over_http, indent=2))
