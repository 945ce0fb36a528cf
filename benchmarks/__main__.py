"""`make bench`: prints JSON. Training and likeness have targets of their own, since they take minutes.

    make bench ARGS="--only photos --people 500"     one part alone; the whole of L3, 4,000 photos
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from typing import Any

from benchmarks import dashboards, kernel, photos
from tests.browser import shoot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=("kernel", "dashboards", "photos", "pages"))
    parser.add_argument("--people", type=int, default=photos.PEOPLE, help=f"of photos; {photos.ALL_PEOPLE} are all of L3")
    asked = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "kernel": kernel.measure,
        "dashboards": lambda: {"dashboards": dashboards.measure()},
        "photos": lambda: {"L3_photos": photos.measure(asked.people)},
        "pages": lambda: {"first_paint": shoot.measure()},
    }
    figures: dict[str, Any] = {
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "load": os.getloadavg()[0],
        }
    }
    for name in asked.only or parts:
        figures |= parts[name]()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
