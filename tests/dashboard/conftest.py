from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from likeness.app import create_app
from likeness.kernel import Kernel


@pytest.fixture
def client(kernel: Kernel) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(kernel)) as client:
        client.headers["accept"] = "text/html"
        yield client
