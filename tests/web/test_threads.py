"""Turns: one company's rush is nobody else's wait, and what asks whether we are alive waits for nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from batch.delivery import api as delivery_api
from batch.photos import api as photos_api
from batch.sittings import api as sittings_api
from likeness.kernel import Kernel
from likeness.web import threads
from likeness.web.threads import PAGES, PHOTOS, PICTURES, PROBES, READINGS, Place, Room, TooMuchWaiting
from tenants.models import Role
from tests.factories import make_tenant, sign_in_member
from tests.waiting import PATIENCE, until


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """A call that lasts until the test lets go."""
    go = threading.Event()
    try:
        yield lambda: go.wait(2 * PATIENCE) and None
    finally:
        go.set()


def begin(room: Room, company: Any, call: Callable[[], Any], person: Any = None) -> Any:
    return threads.THREADS.begin(Place(room, company, person), call)


@pytest.mark.parametrize("room", [PAGES, READINGS, PHOTOS, PICTURES])
def test_a_company_that_fills_its_share_leaves_threads_to_the_others(room: Room) -> None:
    rush, other = uuid4(), uuid4()
    with held() as long:
        futures = [begin(room, rush, long) for _ in range(min(16, room.waiting_of_a_company))]
        assert begin(room, other, lambda: "at once").result(PATIENCE) == "at once"
        until(lambda: sum(future.running() for future in futures) == room.of_a_company)
        assert begin(PROBES, None, lambda: "alive").result(PATIENCE) == "alive"
    for future in futures:
        future.result(PATIENCE)


def test_a_picture_of_somebody_is_made_where_no_page_waits() -> None:
    routes = [*photos_api.routes, *sittings_api.routes, *delivery_api.routes]
    made = [one for one in routes if any(path.endswith("/picture") for path in one.paths)]
    assert len(made) == 4
    assert {one.opt.get("room") for one in made} == {PICTURES.name}


def test_turns_go_round_the_companies_however_much_each_brought() -> None:
    companies = [uuid4() for _ in range(3)]
    order: list[int] = []
    with held() as long:
        # Two companies hold both threads, so that everything below has to wait.
        first = [begin(READINGS, uuid4(), long) for _ in range(READINGS.at_once)]
        many = [begin(READINGS, companies[0], lambda: order.append(0)) for _ in range(6)]
        few = [begin(READINGS, companies[n], lambda n=n: order.append(n)) for n in (1, 2)]  # type: ignore[misc]
    for future in first + many + few:
        future.result(PATIENCE)
    assert set(order[:4]) == {0, 1, 2}, order


def test_who_waits_behind_too_much_of_their_own_is_told_and_others_are_not() -> None:
    rush, person, other = uuid4(), uuid4(), uuid4()
    with held() as long:
        futures = [begin(READINGS, rush, long, person) for _ in range(READINGS.waiting_of_a_person)]
        with pytest.raises(TooMuchWaiting) as told:
            begin(READINGS, rush, long, person)
        assert told.value.status == 429
        # A colleague still gets in, until the company's share is full, too.
        while len(futures) < READINGS.waiting_of_a_company + READINGS.of_a_company:
            futures.append(begin(READINGS, rush, long, uuid4()))
        with pytest.raises(TooMuchWaiting):
            begin(READINGS, rush, long, uuid4())
        assert begin(READINGS, other, lambda: 1).result(PATIENCE) == 1
    for future in futures:
        future.result(PATIENCE)
    assert begin(READINGS, rush, lambda: 2, person).result(PATIENCE) == 2


def test_what_fails_or_is_given_up_frees_its_turn() -> None:
    company = uuid4()
    with pytest.raises(ZeroDivisionError):
        begin(READINGS, company, lambda: 1 / 0).result(PATIENCE)
    with held() as long:
        first = begin(READINGS, company, long)
        second = begin(READINGS, company, lambda: "never")
        assert second.cancel()
    first.result(PATIENCE)
    assert begin(READINGS, company, lambda: "next").result(PATIENCE) == "next"


def test_a_call_in_a_room_of_its_own_keeps_the_turn_of_its_request() -> None:
    async def request() -> str:
        token = threads._place.set(Place(PAGES, "company", "person"))
        try:
            return await threads.run(READINGS, lambda: threading.current_thread().name)
        finally:
            threads._place.reset(token)

    assert asyncio.run(request()).startswith("readings")


def test_whoever_spells_their_session_otherwise_takes_the_turn_of_their_company(
    app: Litestar, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cookie may be quoted or encoded, and comes with others: were its turn that of an address, a company would have as
    many threads as its people have addresses."""
    taken: list[Place] = []
    begin_as_ever = threads.THREADS.begin

    def noted(place: Place, call: Callable[[], Any]) -> Any:
        taken.append(place)
        return begin_as_ever(place, call)

    monkeypatch.setattr(threads.THREADS, "begin", noted)
    tenant = make_tenant(kernel)
    with TestClient(app, base_url="http://localhost") as client:
        sign_in_member(client, kernel, tenant, Role.HR)
        value = client.cookies["likeness"]
        client.cookies.clear()
        encoded = "".join(f"%{ord(letter):02x}" for letter in value)
        quoted = '"' + "".join(f"\\{ord(letter):03o}" for letter in value) + '"'
        spellings = [f"likeness={value}", f"likeness={encoded}", f'likeness="{value}"', f"likeness={quoted}",
                     f"likeness=; a=b; likeness={encoded}", f"  likeness = {value} ;"]  # fmt: skip
        for spelling in spellings:
            taken.clear()
            assert client.get("/api/v1/batches", headers={"cookie": spelling}).status_code == 200, spelling
            if spelling is not spellings[0]:  # The first time nobody knows yet whose it is.
                assert {place.company for place in taken} == {tenant}, spelling
                assert all(place.person for place in taken)
        # What is not read as a session takes nobody's turn.
        for spelling in (f"xlikeness={value}", f"other={value}"):
            taken.clear()
            assert client.get("/api/v1/batches", headers={"cookie": spelling}).status_code == 401
            assert tenant not in {place.company for place in taken}
