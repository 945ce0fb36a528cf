"""A request of the old address that is under way while the address is corrected says nothing for who comes next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import Session

from batch.models import Employee
from batch.people import employees
from batch.visit import addresses, consents, notices
from compliance.erasure import erasures
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.browser.world import served
from tests.factories import sign_in_employee
from tests.handed_in import make_person
from tests.waiting import PATIENCE, until

Request = Callable[[httpx.Client, dict[str, str]], httpx.Response]
PURPOSES = ["headshots", "biometric"]


@pytest.fixture(scope="module")
def address(kernel: Kernel) -> Iterator[str]:
    with served(kernel) as address:
        yield address


def consent_by_api(phone: httpx.Client, about: dict[str, str]) -> httpx.Response:
    answer = {"purposes": PURPOSES, "notice_id": about["notice"], "typed_name": "Nadia Ümit"}
    return phone.post("/api/v1/visit/consent", json=answer)


def consent_on_the_page(phone: httpx.Client, about: dict[str, str]) -> httpx.Response:
    ticked = dict.fromkeys(PURPOSES, "yes")
    return phone.post("/visit/consent", data=ticked | {"notice_id": about["notice"], "typed_name": "Nadia Ümit"})


REQUESTS: list[Request] = [
    consent_by_api,
    consent_on_the_page,
    *(
        lambda phone, _, path=path: phone.post(path)  # type: ignore[misc]
        for path in (
            "/api/v1/visit/decline", "/visit/decline", "/api/v1/visit/withdraw", "/visit/withdraw",
            "/api/v1/visit/erasure", "/visit/erasure",
        )
    ),
]  # fmt: skip


def waits_for_a_lock(session: Session) -> bool:
    """Whether some other connection waits for a row: the request, which has been let in and has written nothing yet."""
    found = session.execute(text("select count(*) from pg_locks where not granted"))
    return bool(found.scalar_one())


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_an_answer_in_flight_while_the_address_is_corrected_counts_for_nobody(
    kernel: Kernel, address: str, number: int
) -> None:
    person = make_person(kernel, consented=False)
    with kernel.db.transaction(person.tenant_id) as session:
        about = {"notice": str(notices.current(session, "en").id)}
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=address, timeout=PATIENCE) as phone:
        sign_in_employee(phone, kernel, person)  # type: ignore[arg-type]
        request = threading.Thread(target=lambda: answers.append(REQUESTS[number](phone, about)))
        with kernel.db.transaction(person.tenant_id) as session:
            who = employees.profile(kernel.keys, employees.get(session, person.id))
            moved = replace(who, email=f"next-{who.email}")
            assert addresses.correct(session, kernel.keys, {person.id: moved}, utc_now(), caller="member:h") == set()
            request.start()
            until(lambda: waits_for_a_lock(session))
        request.join(PATIENCE)
    (answer,) = answers
    assert answer.status_code == 401, answer.text
    with kernel.db.transaction(person.tenant_id) as session:
        assert consents.of(session, person.id) == []
        assert erasures.open_of(session, person.id) is None
        now = employees.get(session, person.id)
        assert (now.opted_out_at, now.restricted_at) == (None, None)
        assert employees.profile(kernel.keys, now).email == moved.email


def test_who_is_still_signed_in_is_heard(kernel: Kernel, address: str) -> None:
    person: Employee = make_person(kernel, consented=False)
    with kernel.db.transaction(person.tenant_id) as session:
        about = {"notice": str(notices.current(session, "en").id)}
    with httpx.Client(base_url=address, timeout=PATIENCE) as phone:
        sign_in_employee(phone, kernel, person)  # type: ignore[arg-type]
        assert consent_by_api(phone, about).status_code == 201
        assert phone.post("/api/v1/visit/decline").status_code == 204
        assert phone.post("/api/v1/visit/erasure").status_code == 202
