"""What the program tells a Prometheus, read as one reads it."""

from __future__ import annotations

from typing import Any

from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families


def figure(client: TestClient[Any], name: str) -> float:
    """One figure of `/metrics`. Raises `KeyError` where it is not told."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {family.name: family.samples[0].value for family in text_string_to_metric_families(answer.text)}[name]
