"""By when a request has to be confirmed and answered, as each law counts.

GDPR article 12(3): one calendar month, two more with a reason. Where the month ends on a Sunday or a holiday, the earlier
day stays: an answer that comes too early breaks no law. CCPA regulations: receipt confirmed within 10 business days and
answered within 45 calendar days, 45 more once (section 7021); opt-out and limit within 15 business days, which nobody may
extend (sections 7026(f) and 7027(g)). Business days are California's: Monday to Friday without the holidays of the state.
Months and days are counted by the calendar of the company, in whose zone its people read them: half past midnight on the
31st of January in Berlin is still the 30th in UTC.
"""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays

from compliance.models import CALIFORNIAN, RequestKind
from likeness.ground.errors import Conflict

CALIFORNIA = ZoneInfo("America/Los_Angeles")
DAYS, DAYS_EXTENDED = 45, 90
ALARM_AFTER, OPT_OUT_WITHIN = 8, 15
"""Business days."""
RECORD_MONTHS, RECORD_GRACE = 24, timedelta(days=30)
WITHIN_BUSINESS_DAYS = frozenset({RequestKind.OPT_OUT, RequestKind.LIMIT})


class NotExtendable(Conflict):
    """The law gives no more time for this kind of request."""

    title = "The law gives no more time for this"


def due(kind: RequestKind, received: datetime, zone: str) -> datetime:
    if kind in WITHIN_BUSINESS_DAYS:
        return business_days_after(received, OPT_OUT_WITHIN)
    return days_after(received, DAYS, zone) if kind in CALIFORNIAN else months_after(received, 1, zone)


def extended(kind: RequestKind, received: datetime, zone: str) -> datetime:
    """The new last day, counted from the day on which the request came. Raises `NotExtendable`."""
    if kind in WITHIN_BUSINESS_DAYS:
        raise NotExtendable("The law gives no more time for an opt-out or a limit: 15 business days are all there is.")
    return days_after(received, DAYS_EXTENDED, zone) if kind in CALIFORNIAN else months_after(received, 3, zone)


def alarm_at(received: datetime) -> datetime:
    """When legal is told that a receipt is still not confirmed."""
    return business_days_after(received, ALARM_AFTER)


def forgotten_at(done: datetime) -> datetime:
    """Section 7101: the record of a request is kept for 24 months."""
    return months_after(done, RECORD_MONTHS, "UTC") + RECORD_GRACE


def months_after(at: datetime, months: int, zone: str) -> datetime:
    """The same day of a later month and the same time of day there, or that month's last day when there is none."""
    there = at.astimezone(ZoneInfo(zone))
    years, month = divmod(there.month - 1 + months, 12)
    year, month = there.year + years, month + 1
    day = min(there.day, calendar.monthrange(year, month)[1])
    return there.replace(year=year, month=month, day=day).astimezone(at.tzinfo)


def days_after(at: datetime, days: int, zone: str) -> datetime:
    """The same time of day there, also where the clocks change in between."""
    return (at.astimezone(ZoneInfo(zone)) + timedelta(days=days)).astimezone(at.tzinfo)


def business_days_after(at: datetime, count: int) -> datetime:
    """The same time of day, by California's clock, so many business days later."""
    there = at.astimezone(CALIFORNIA)
    day = there.date()
    while count:
        day += timedelta(days=1)
        count -= _is_business_day(day)
    return datetime.combine(day, there.timetz()).astimezone(at.tzinfo)


def _is_business_day(day: date) -> bool:
    return day.weekday() < 5 and day not in _holidays(day.year)


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("US", subdiv="CA", years=year))
