import ast
import io
import json
import logging
import os
from pathlib import Path

import pytest
from dramatiq import Worker

from likeness.ground import telemetry
from likeness.jobs.notify import broker_for


def logged(act: object) -> list[dict[str, object]]:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    try:
        telemetry.configure("info", stream)
        act()  # type: ignore[operator]
    finally:
        logging.getLogger().handlers[:] = before
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_log_file_is_kept_within_bounds_and_loses_the_oldest_lines_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "LOG_BYTES", 2000)
    monkeypatch.setattr(telemetry, "LOG_FILES", 3)
    (tmp_path / "likeness.log").write_text('{"count": -1}\n')  # Of the run before, which is continued.
    before = logging.getLogger().handlers[:]
    try:
        telemetry.configure("info", file=tmp_path / "likeness.log")
        for number in range(10):
            logging.getLogger("batch.photos").info("photo checked", extra={"count": number})
        (first, *_) = (tmp_path / "likeness.log").read_text().splitlines()
        for number in range(10, 200):
            logging.getLogger("batch.photos").info("photo checked", extra={"count": number})
    finally:
        logging.getLogger().handlers[:] = before
    assert json.loads(first) == {"count": -1}
    files = [tmp_path / f"likeness.log{end}" for end in (".2", ".1", "")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 2000 for file in files)
    counts = [json.loads(line)["count"] for file in files for line in file.read_text().splitlines()]
    assert counts == list(range(200 - len(counts), 200))


def test_log_files_are_for_their_owner_alone_those_of_older_versions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "LOG_BYTES", 200)
    for name in ("likeness.log", "likeness.log.1"):
        (tmp_path / name).write_text("{}\n")
        (tmp_path / name).chmod(0o644)
    before, mask = logging.getLogger().handlers[:], os.umask(0o022)
    try:
        telemetry.configure("info", file=tmp_path / "likeness.log")
        opened = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        for number in range(10):
            logging.getLogger("batch.photos").info("photo checked", extra={"count": number})
    finally:
        logging.getLogger().handlers[:] = before
        os.umask(mask)
    assert opened == {"likeness.log": 0o600, "likeness.log.1": 0o600}
    assert len(list(tmp_path.iterdir())) > 2
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_only_allowed_fields_are_kept() -> None:
    log = logging.getLogger("batch.photos")
    (line,) = logged(lambda: log.info("photo checked", extra={"job": "1", "email": "canary@example.com"}))
    assert line["message"] == "photo checked"
    assert line["job"] == "1"
    assert "canary" not in json.dumps(line)


def test_an_exceptions_words_are_not_kept_but_its_places_are() -> None:
    def fail() -> None:
        try:
            raise ValueError("canary@example.com is no address")
        except ValueError:
            logging.getLogger("likeness.jobs").exception("job failed")

    (line,) = logged(fail)
    assert line["error"] == "ValueError"
    assert "test_telemetry.py" in str(line["where"])
    assert "canary" not in json.dumps(line)


def test_what_other_libraries_say_is_not_kept() -> None:
    (line,) = logged(lambda: logging.getLogger("httpx").error("GET https://x/i/canary-token"))
    assert "canary" not in json.dumps(line)
    assert line["logger"] == "httpx"


def test_each_field_that_is_logged_is_one_that_is_written() -> None:
    """A field that is not allowed is left out without a word."""
    root = Path(telemetry.__file__).parents[3]
    floors = [root / ("platform/likeness" if floor == "likeness" else floor) for floor in telemetry.OURS]
    for path in (path for floor in floors for path in floor.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                named = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
                assert named <= telemetry.ALLOWED, f"{path}:{node.value.lineno}"


def test_a_start_leaves_no_warning_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A program works each lane with a worker of its own, which dramatiq finds worth a warning; others are kept."""
    broker = broker_for("")
    workers = [Worker(broker, worker_threads=1) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.stop()
    assert [record for record in caplog.records if record.name == broker.logger.name] == []
    broker.logger.warning("Something else.")
    assert "Something else." in caplog.messages
