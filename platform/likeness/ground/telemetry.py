"""Logs as JSON lines with fields that are allowed, not fields that are not forbidden: nothing personal slips through."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

ALLOWED = {
    "job", "kind", "attempt", "tenant", "employee", "sitting", "run", "erasure", "certificate", "route", "method", "status",
    "seconds", "count", "error", "sweep", "event", "lane", "order", "loss", "look", "departure", "why", "checkpoint",
    "package",
}  # fmt: skip
LOG_BYTES, LOG_FILES = 10 * 2**20, 5
"""The newest 50 MiB, a quarter of a million lines, tell of weeks; the re-scan of every erasure reads them all."""
OURS = ("likeness", "tenants", "batch", "gpu_cluster", "compliance", "dashboard")


class JsonLines(logging.Formatter):
    """One JSON object a line. Messages of other libraries are replaced by the logger's name, since they may quote data."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.split(".")[0] in OURS
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": str(record.msg) if ours else "(a library's message is not kept)",
        }
        line |= {key: value for key, value in record.__dict__.items() if key in ALLOWED}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["where"] = places(traceback.extract_tb(record.exc_info[2]))
        return json.dumps(line, default=str)


def places(stack: Iterable[traceback.FrameSummary]) -> list[str]:
    """File, line and function of each frame: an exception's message may quote data, its places cannot."""
    return [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in stack]


class OwnersFile(RotatingFileHandler):
    """Log files are for their owner alone, those too that an older version left open to others."""

    def _open(self) -> TextIOWrapper:
        def private(path: str, flags: int) -> int:
            file = os.open(path, flags, 0o600)
            os.fchmod(file, 0o600)
            return file

        return TextIOWrapper(open(self.baseFilename, "ab", opener=private), encoding=self.encoding, errors=self.errors)


def configure(level: str = "info", stream: IO[str] | None = None, *, file: Path | None = None) -> None:
    """Logs to the file, which is kept within bounds, or to the stream, whose owner looks after it."""
    handler: logging.Handler = logging.StreamHandler(stream or sys.stderr)
    if file is not None:
        for older in file.parent.glob(f"{file.name}.*"):
            older.chmod(0o600)
        handler = OwnersFile(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
