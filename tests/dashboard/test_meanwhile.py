"""What somebody does on one page after something else happened on another: nothing is lost, and what is said is true."""

from __future__ import annotations

import re
from typing import Any

from litestar.testing import TestClient

from batch.sittings import headshots
from batch.visit import consents
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.dashboard.markup import get
from tests.factories import sign_in_employee
from tests.handed_in import make_headshots, make_person


def test_whoever_withdrew_on_another_page_hands_nothing_over(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    one = make_headshots(kernel, person)[0]
    sign_in_employee(client, kernel, person)
    assert "Hand this one over" in get(client, f"/visit/hand-over?headshot={one.id}")
    with kernel.db.transaction(person.tenant_id) as session:
        consents.withdraw(session, person.id, utc_now())
    for answer in (
        client.post("/visit/hand-over", data={"headshots": str(one.id)}),
        client.post(f"/visit/headshots/{one.id}/release"),
        client.get(f"/visit/hand-over?headshot={one.id}"),
    ):
        assert answer.status_code == 403
        assert "You have withdrawn your consent, so nothing is handed over." in answer.text
    by_program = client.post("/api/v1/visit/release", json={"headshot_ids": [str(one.id)]})
    assert by_program.status_code == 403
    with kernel.db.transaction(person.tenant_id) as session:
        assert headshots.releases(session, person.id) == []


def test_one_that_is_gone_leaves_the_others_to_choose_from(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    gone, stays, _ = make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    client.post(f"/visit/headshots/{gone.id}/delete")
    answer = client.post("/visit/hand-over", data={"headshots": f"{gone.id} {stays.id}"})
    assert answer.status_code == 404
    assert "Nothing was handed over" in answer.text
    assert "One that you had ticked is not here any more." in answer.text
    assert f'id="pick-{stays.id}"' in answer.text
    with kernel.db.transaction(person.tenant_id) as session:
        assert headshots.releases(session, person.id) == []


def test_a_code_that_another_phone_has_used_says_where_the_next_one_is(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    sign_in_employee(client, kernel, person)
    code = re.search(r"/p/[\w.-]+", client.post("/visit/phone").text)
    assert code is not None
    client.cookies.clear()
    assert client.post(code[0], follow_redirects=False).status_code == 303
    client.cookies.clear()
    second = client.post(code[0])
    assert second.status_code == 410
    assert "Show a new one on your other screen." in second.text
