"""What a lease lets a studio do, and all that it does not: over a folder and over a real bucket."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from gpu_cluster.bases.recipe import named
from gpu_cluster.cluster import granting
from gpu_cluster.engine import lease as leases
from gpu_cluster.engine.lease import Lease, LeaseEnded, OutsideLease
from gpu_cluster.engine.orders import PORTRAITS_SHOWN, Order, PersonOrder
from likeness.ground.db import utc_now
from likeness.ground.errors import Unavailable
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyFolder, KeyRef, KeyUnavailable
from likeness.keys.recipient import Recipient
from likeness.keys.sealing import SealBroken
from likeness.sandbox.offline import offline
from likeness.store.objects import Objects, person_path
from likeness.store.storage import ObjectExists, ObjectMissing, PathRefused
from tenants.models import CUTOUT
from tests.kernel.test_clock import Shifted, needs_faketime
from tests.kernel.test_objects import s3  # noqa: F401

TENANT, OTHER = UUID(int=0xA), UUID(int=0xB)
PORTRAITS: dict[str, Any] = {"name": CUTOUT}


class Company:
    """Keys and objects, with people who have handed in one photo each."""

    def __init__(self, folder: Path, objects: Objects, url: str) -> None:
        self.objects, self.url = objects, url
        self.keys = KeyFolder(folder / "keys")
        self.keys.begin()
        for tenant in (TENANT, OTHER):
            self.keys.begin_tenant(tenant)

    def person(self, tenant: UUID = TENANT) -> PersonOrder:
        employee = uuid4()
        self.keys.open_or_create(KeyRef(tenant, employee, KeyClass.PROFILE))
        key = self.keys.open_or_create(KeyRef(tenant, employee, KeyClass.SOURCE))
        path = person_path(tenant, employee, KeyClass.SOURCE, uuid4())
        self.objects.put(path, b"a face", key)
        return PersonOrder(uuid4(), employee, 1, 1, (path,))

    def lend(self, order: Order, recipient: Recipient, lasts: timedelta = timedelta(minutes=5)) -> Lease:
        return Lease.opened(self.sealed(order, recipient, lasts), order, recipient)

    def sealed(self, order: Order, recipient: Recipient, lasts: timedelta = timedelta(minutes=5)) -> bytes:
        folder = self.url if self.url.startswith("file:") else ""
        return granting.terms(self.keys, self.objects, order, order.people, lasts, folder).sealed_to(recipient.public)


@pytest.fixture(params=["folder", "bucket"])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    if request.param == "folder":
        url = (tmp_path / "objects").as_uri()
        return Company(tmp_path, Objects(url), url)
    url = f"s3://plain/{uuid4().hex}"
    return Company(tmp_path, Objects(url, **request.getfixturevalue("s3")[1]), url)


def order_of(*people: PersonOrder, recipe: dict[str, Any] = PORTRAITS, tenant: UUID = TENANT) -> Order:
    return Order(uuid4(), tenant, people, (), recipe)


def test_a_lease_reads_the_photos_and_writes_what_the_keys_of_the_company_open(company: Company) -> None:
    alice = company.person()
    lease = company.lend(order_of(alice), Recipient())
    assert lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0]) == b"a face"

    def behind_the_filter() -> list[tuple[str, int]]:
        assert lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0]) == b"a face"
        return [lease.put(alice.employee, KeyClass.HEADSHOT, bytes([n])) for n in range(PORTRAITS_SHOWN)]

    made = offline(behind_the_filter)
    key = company.keys.open(KeyRef(TENANT, alice.employee, KeyClass.HEADSHOT))
    assert [company.objects.get(path, key) for path, _ in made] == [bytes([n]) for n in range(PORTRAITS_SHOWN)]
    sizes = {found.path: found.size for found in company.objects.list(f"tenants/{TENANT}")}
    assert all(sizes[path] == size for path, size in made)
    with pytest.raises(OutsideLease):
        lease.put(alice.employee, KeyClass.HEADSHOT, b"one too many")


def test_nothing_outside_the_order_opens(company: Company) -> None:
    alice, bob, eve = company.person(), company.person(), company.person(OTHER)
    lease = company.lend(order_of(alice), Recipient())
    headshot = person_path(TENANT, alice.employee, KeyClass.HEADSHOT, uuid4())
    for person in (bob, eve):
        with pytest.raises(OutsideLease):
            lease.get(person.employee, KeyClass.SOURCE, person.photos[0])
        with pytest.raises(PathRefused):
            lease.get(alice.employee, KeyClass.SOURCE, person.photos[0])
        with pytest.raises(OutsideLease):
            lease.put(person.employee, KeyClass.HEADSHOT, b"x")
    for cls in (KeyClass.PROFILE, KeyClass.MODEL, KeyClass.LOG_DETAIL):
        with pytest.raises(OutsideLease):
            lease.get(alice.employee, cls, person_path(TENANT, alice.employee, cls, "a"))
        with pytest.raises(OutsideLease):
            lease.put(alice.employee, cls, b"x")
    with pytest.raises(OutsideLease):
        lease.put(alice.employee, KeyClass.SOURCE, b"selfies are read and never written")
    with pytest.raises(OutsideLease):
        lease.get(alice.employee, KeyClass.HEADSHOT, headshot)


def test_an_order_of_models_lends_the_class_for_models_too(company: Company) -> None:
    alice = company.person()
    recipe = replace(named("portrait-small"), steps=100, checkpoint_every=50)
    lease = company.lend(order_of(alice, recipe=recipe.as_dict()), Recipient())
    # Two checkpoints, one more because a run may be taken up between two, and the adapter.
    for _ in range(4):
        path, _ = lease.put(alice.employee, KeyClass.MODEL, b"weights")
    with pytest.raises(OutsideLease):
        lease.put(alice.employee, KeyClass.MODEL, b"weights")
    again = replace(alice, checkpoint=path)
    lease = company.lend(order_of(again, recipe=recipe.as_dict()), Recipient())
    assert lease.get(alice.employee, KeyClass.MODEL, path) == b"weights"


def test_a_lease_ends_with_its_order_and_with_its_time(company: Company) -> None:
    alice, recipient = company.person(), Recipient()
    lease = company.lend(order_of(alice), recipient)
    lease.end()
    late = company.lend(order_of(alice), recipient, timedelta())
    for ended in (lease, late):
        with pytest.raises(LeaseEnded):
            ended.get(alice.employee, KeyClass.SOURCE, alice.photos[0])
        with pytest.raises(LeaseEnded):
            ended.put(alice.employee, KeyClass.HEADSHOT, b"x")


STUDIO = """
import pickle, sys
from base64 import b64decode
from datetime import UTC, datetime
from gpu_cluster.engine.lease import Lease
from likeness.keys.keys import KeyClass
from likeness.keys.recipient import Recipient

recipient = Recipient()
print(recipient.public.hex(), flush=True)
sealed, order = (b64decode(sys.stdin.readline()) for _ in range(2))
order = pickle.loads(order)
alice, lease = order.people[0], Lease.opened(sealed, order, recipient)
for _ in range(3):
    print(datetime.now(UTC).date(), lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0]).decode(), flush=True)
    sys.stdin.readline()
"""


@needs_faketime
def test_a_lease_lasts_as_long_where_the_clock_of_the_studios_machine_is_wrong(tmp_path: Path) -> None:
    url = (tmp_path / "objects").as_uri()
    company, clock = Company(tmp_path, Objects(url), url), Shifted(tmp_path)
    clock.set("+3d")
    order, days = order_of(company.person()), []
    with subprocess.Popen(
        [sys.executable, "-c", STUDIO],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | clock.environment,
    ) as studio:  # fmt: skip
        assert studio.stdin is not None
        assert studio.stdout is not None
        folder = granting.terms(company.keys, company.objects, order, order.people, timedelta(minutes=5), url)
        sealed = folder.sealed_to(bytes.fromhex(studio.stdout.readline()))
        studio.stdin.write("".join(f"{b64encode(one).decode()}\n" for one in (sealed, pickle.dumps(order))))
        for by in ("+1d", "-1d", "+0"):
            studio.stdin.flush()
            day, read = studio.stdout.readline().split(" ", 1)
            days.append(day)
            assert read == "a face\n"
            clock.set(by)
            studio.stdin.write("\n")
    assert len(set(days)) == 3


@pytest.mark.parametrize("write", [True, False])
def test_an_address_lasts_as_long_as_was_asked(s3: tuple[Path, dict[str, Any]], write: bool) -> None:  # noqa: F811
    objects = Objects("s3://plain/lasting", **s3[1])
    path = person_path(TENANT, uuid4(), KeyClass.HEADSHOT, uuid4())
    for lasts in (timedelta(minutes=2), timedelta(hours=12)):
        assert f"X-Amz-Expires={lasts.seconds}&" in objects.address(path, lasts, write=write)


def test_no_other_process_and_no_other_order_opens_a_lease(company: Company) -> None:
    alice, recipient = company.person(), Recipient()
    order, other = order_of(alice), order_of(alice)
    sealed = company.sealed(order, recipient)
    assert Lease.opened(sealed, order, recipient)
    with pytest.raises(SealBroken):
        Lease.opened(sealed, order, Recipient())
    with pytest.raises(SealBroken):
        Lease.opened(sealed, other, recipient)
    for cut in (b"", sealed[:40], sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(SealBroken):
            Lease.opened(cut, order, recipient)


def test_neither_a_lease_nor_its_private_key_can_be_sent_or_printed(company: Company) -> None:
    alice, recipient = company.person(), Recipient()
    order = order_of(alice)
    lease = company.lend(order, recipient)
    secret = company.keys.open(KeyRef(TENANT, alice.employee, KeyClass.SOURCE)).material()
    for thing in (lease, recipient):
        with pytest.raises(TypeError):
            pickle.dump(thing, io.BytesIO())
    said = f"{lease!r} {lease.__dict__.keys()} {order!r} {recipient!r}"
    assert leases.spelled(secret) not in said
    assert secret not in pickle.dumps((order, company.sealed(order, recipient)))


def test_whose_keys_are_destroyed_or_away_is_told_apart(company: Company, tmp_path: Path) -> None:
    alice, bob, cleo = company.person(), company.person(), company.person()
    company.keys.destroy(KeyRef(TENANT, alice.employee, KeyClass.SOURCE), utc_now())
    folder = tmp_path / "keys" / "tenants" / str(TENANT) / str(bob.employee)
    folder.rename(folder.with_name("aside"))
    lease = company.lend(order_of(alice, bob, cleo), Recipient())
    with pytest.raises(KeyDestroyed):
        lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0])
    with pytest.raises(KeyUnavailable):
        lease.get(bob.employee, KeyClass.SOURCE, bob.photos[0])
    assert lease.get(cleo.employee, KeyClass.SOURCE, cleo.photos[0]) == b"a face"


def test_an_object_that_is_gone_or_there_already_is_said_so(company: Company) -> None:
    alice = company.person()
    lease = company.lend(order_of(alice), Recipient())
    company.objects.delete(alice.photos[0])
    with pytest.raises(ObjectMissing):
        lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0])
    taken = lease.terms.write[f"{alice.employee}/{KeyClass.HEADSHOT}"][0][0]
    key = company.keys.open(KeyRef(TENANT, alice.employee, KeyClass.HEADSHOT))
    company.objects.put(taken, b"somebody else's", key)
    with pytest.raises(ObjectExists):
        lease.put(alice.employee, KeyClass.HEADSHOT, b"x")
    assert company.objects.get(taken, key) == b"somebody else's"


def test_a_store_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch, s3: Any, tmp_path: Path) -> None:  # noqa: F811
    url = f"s3://plain/{uuid4().hex}"
    company = Company(tmp_path, Objects(url, **s3[1]), url)
    alice = company.person()
    lease = company.lend(order_of(alice), Recipient())
    request, answers = httpx.request, iter(["lost", 500, "lost"])

    def stumbles(method: str, address: str, **options: Any) -> httpx.Response:
        """The first answer to each of the first calls is lost, though the object is stored."""
        what = next(answers, None)
        if what == 500:
            return httpx.Response(500)
        answer = request(method, address, **options)
        if what == "lost":
            raise httpx.ReadTimeout("the answer was lost at " + address)
        return answer

    monkeypatch.setattr(httpx, "request", stumbles)
    monkeypatch.setattr(leases, "PAUSE", 0.0)
    path, _ = lease.put(alice.employee, KeyClass.HEADSHOT, b"made")
    key = company.keys.open(KeyRef(TENANT, alice.employee, KeyClass.HEADSHOT))
    assert company.objects.get(path, key) == b"made"
    assert lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0]) == b"a face"
    monkeypatch.setattr(httpx, "request", lambda *_, **__: (_ for _ in ()).throw(httpx.ConnectError("https://secret")))
    with pytest.raises(Unavailable) as refused:
        lease.get(alice.employee, KeyClass.SOURCE, alice.photos[0])
    assert "secret" not in repr(refused.value)
    assert refused.value.__cause__ is None
