import io
import json
import logging

from likeness import telemetry


def logged(act: object) -> list[dict[str, object]]:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    try:
        telemetry.configure("info", stream)
        act()  # type: ignore[operator]
    finally:
        logging.getLogger().handlers[:] = before
    return [json.loads(line) for line in stream.getvalue().splitlines()]


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
