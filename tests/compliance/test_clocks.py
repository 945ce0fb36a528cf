"""By when each law wants an answer, on the days on which calendars are hard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compliance import clocks
from compliance.models import RequestKind


def at(day: str, hour: int = 20) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "received", "due"),
    [
        ("access", "2026-01-31", "2026-02-28"),
        ("access", "2028-01-31", "2028-02-29"),
        ("erasure", "2028-02-29", "2028-03-29"),
        ("access", "2026-10-25", "2026-11-25"),
        ("access", "2026-11-30", "2026-12-30"),
        ("access", "2026-03-31", "2026-04-30"),
        ("access", "2026-12-31", "2027-01-31"),
        ("know", "2026-01-31", "2026-03-17"),
        ("know", "2028-01-31", "2028-03-16"),
        ("delete", "2028-02-29", "2028-04-14"),
        ("correct", "2026-02-14", "2026-03-31"),
        # Fifteen business days without weekends, Thanksgiving and the day after it, which California keeps.
        ("opt-out", "2026-11-13", "2026-12-08"),
        ("limit", "2026-12-18", "2027-01-12"),
    ],
)
def test_each_law_has_its_own_last_day(kind: str, received: str, due: str) -> None:
    assert clocks.due(RequestKind(kind), at(received), "UTC").date().isoformat() == due


@pytest.mark.parametrize(
    ("zone", "kind", "received", "due"),
    [
        # Half past midnight on the 31st there is the 30th in UTC: the answer is due in February, not in March.
        ("Europe/Berlin", "access", "2026-01-31T00:30", "2026-02-28T00:30"),
        ("Europe/Berlin", "erasure", "2028-01-31T00:30", "2028-02-29T00:30"),
        ("Pacific/Auckland", "access", "2026-01-31T08:00", "2026-02-28T08:00"),
        ("Pacific/Kiritimati", "access", "2028-02-29T09:00", "2028-03-29T09:00"),
        ("America/Los_Angeles", "access", "2026-01-31T22:00", "2026-02-28T22:00"),
        ("Pacific/Honolulu", "erasure", "2026-12-31T23:59", "2027-01-31T23:59"),
        # Across the change of clocks the time of day stays, and with it the day.
        ("Europe/Berlin", "access", "2026-03-01T00:30", "2026-04-01T00:30"),
        ("Europe/Berlin", "delete", "2026-10-01T00:30", "2026-11-15T00:30"),
        ("America/Los_Angeles", "know", "2026-01-31T23:30", "2026-03-17T23:30"),
    ],
)
def test_months_and_days_are_those_of_the_companys_calendar(zone: str, kind: str, received: str, due: str) -> None:
    there = ZoneInfo(zone)
    asked = datetime.fromisoformat(received).replace(tzinfo=there).astimezone(UTC)
    assert clocks.due(RequestKind(kind), asked, zone) == datetime.fromisoformat(due).replace(tzinfo=there)


def test_more_time_ends_on_the_companys_last_day_of_the_month() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    asked = datetime(2027, 11, 30, 0, 30, tzinfo=berlin).astimezone(UTC)
    later = clocks.extended(RequestKind.ACCESS, asked, "Europe/Berlin")
    assert later == datetime(2028, 2, 29, 0, 30, tzinfo=berlin)


@pytest.mark.parametrize(
    ("kind", "received", "due"),
    [
        ("access", "2026-01-31", "2026-04-30"),
        ("access", "2027-11-30", "2028-02-29"),
        ("access", "2026-11-30", "2027-02-28"),
        ("know", "2026-01-31", "2026-05-01"),
    ],
)
def test_more_time_is_counted_from_the_first_day(kind: str, received: str, due: str) -> None:
    assert clocks.extended(RequestKind(kind), at(received), "UTC").date().isoformat() == due


@pytest.mark.parametrize("kind", ["opt-out", "limit"])
def test_nobody_extends_an_opt_out(kind: str) -> None:
    with pytest.raises(clocks.NotExtendable):
        clocks.extended(RequestKind(kind), at("2026-01-31"), "UTC")


def test_business_days_are_californias() -> None:
    # Monday at one in the morning UTC is still Sunday there, so that Monday is the first business day.
    assert clocks.business_days_after(at("2026-09-14", 1), 1).date().isoformat() == "2026-09-15"
    assert clocks.business_days_after(at("2026-09-14", 1), 1) - at("2026-09-14", 1) == timedelta(days=1)
    # The day on which the clocks change there keeps the time of day, not the number of hours.
    across = clocks.business_days_after(at("2026-10-30"), 1)
    assert across - at("2026-10-30") == timedelta(days=3, hours=1)
    assert clocks.alarm_at(at("2026-06-30")).date().isoformat() == "2026-07-13", "two business days before the tenth"


def test_the_record_goes_after_24_months_and_a_grace() -> None:
    assert clocks.forgotten_at(at("2026-02-28")).date().isoformat() == "2028-03-29"
    assert clocks.forgotten_at(at("2024-02-29")).date().isoformat() == "2026-03-30"
