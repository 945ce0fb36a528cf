"""The record of requests serves no other purpose (CCPA regulations, section 7101): who reads it stands here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("platform/likeness", "tenants", "batch", "gpu_cluster", "compliance", "dashboard")
STATEMENT = re.compile(r'\b(from|join|into|update|table|truncate)\s+(only\s+)?(public\.)?"?request"?\b(?!\.)', re.I)
READERS = {
    "compliance/requests.py": "the record itself",
    "compliance/desk/answering.py": "carries out and answers",
    "compliance/desk/api.py": "the person's, HR's and legal's edge of requests",
    "compliance/desk/finding.py": "legal sees what the person whom it found has asked for",
    "compliance/desk/informing.py": "tells recipients of what was asked for",
    "compliance/desk/letters.py": "writes about a request",
    "compliance/erasure/erasures.py": "an erasure that the person asks for is a request, and ends it",
    "compliance/erasure/receipts.py": "confirms the receipt of one",
    "compliance/erasure/staying.py": "a deletion that is called off ends none",
    "compliance/records/controls.py": "counts what was answered in time, as evidence of the process",
    "compliance/rights/lasting.py": "whoever waits for an answer is kept until they have it",
    "compliance/rights/packages.py": "a package that was taken answers one",
    "dashboard/legal/requests.py": "legal's page of requests",
    "dashboard/visit/rights.py": "the person's page of requests",
}
"""Beside these the registry is read as a whole: for the person's own package (`rights/reading.py`), and by the re-scan,
which looks for ids and keeps nothing."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def reads(module: ast.Module) -> bool:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module in ("compliance", "compliance.requests", "compliance.models"):
            wanted = {"compliance": {"requests"}, "compliance.models": {"Request"}}.get(node.module)
            if wanted is None or wanted & {one.name for one in node.names}:
                return True
        if isinstance(node, ast.Import) and any(one.name == "compliance.requests" for one in node.names):
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _sql(node.value):
            return True
        if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "'request'":
            return True
    return False


def _sql(words: str) -> bool:
    """A sentence of a docstring says "from request to answer" as well."""
    if not STATEMENT.search(words):
        return False
    return bool(re.search(r"\b(select|insert|update|delete|truncate)\b", words, re.IGNORECASE)) and "employee_id" in words


def test_nobody_else_reads_the_record_of_requests() -> None:
    found = {name for name, module in modules() if reads(module)}
    assert found == set(READERS), found ^ set(READERS)


def test_a_module_that_would_read_it_is_noticed() -> None:
    for words in (
        "from compliance import holds, requests", "from compliance.models import Request", "import compliance.requests",
        "SQLModel.metadata.tables['request']",
        'text("select employee_id from request where tenant_id = :tenant")',
        'text("update \\"request\\" set kind = 1 where employee_id = :id")',
    ):  # fmt: skip
        assert reads(ast.parse(words)), words
    for words in ("from compliance import holds", "from litestar import Request", 'x = "from request to answer"'):
        assert not reads(ast.parse(words)), words
