"""Fifty headshot jobs on a real Ray of this machine: its logs, its spill, its names and the caches of libraries say nothing
of anybody; and where a node does hold something, the agent on it finds that."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest

from compliance.scanning import files, nodes
from compliance.scanning.traces import Traces
from gpu_cluster.bases.recipe import named
from gpu_cluster.cluster import granting
from gpu_cluster.cluster.fleet import Fleet, ray
from gpu_cluster.drawn.people.draw import selfies
from gpu_cluster.engine.orders import LookShot, Order, Outcome, PersonOrder
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from likeness.store.objects import Objects, person_path

pytestmark = [pytest.mark.scale, pytest.mark.timeout(1800)]

JOBS = 50
CANARY = b"canary-in-the-photo-of-somebody"
"""In the comment of each JPEG: a photo that was written somewhere as it was opened has it."""
RECIPE = replace(named("portrait-small"), steps=2, checkpoint_every=2, pictures=1, shown=1, render_steps=1, look_every=0)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries keep what they keep below here."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def fleet(own_home: Path) -> Iterator[Fleet]:
    fleet = Fleet("", RECIPE.as_dict(), ())
    yield fleet
    fleet.close()


class Company:
    def __init__(self, folder: Path) -> None:
        self.tenant, self.url = uuid4(), (folder / "objects").as_uri()
        self.objects, self.keys = Objects(self.url), KeyFolder(folder / "keys")
        self.keys.begin()
        self.keys.begin_tenant(self.tenant)
        self.people: list[UUID] = []

    def order(self, number: int) -> Order:
        employee = uuid4()
        self.people.append(employee)
        self.keys.open_or_create(KeyRef(self.tenant, employee, KeyClass.PROFILE))
        key = self.keys.open_or_create(KeyRef(self.tenant, employee, KeyClass.SOURCE))
        paths = []
        for image, _ in selfies(number, 6, 512):
            opened, path = io.BytesIO(), person_path(self.tenant, employee, KeyClass.SOURCE, uuid4())
            image.save(opened, "JPEG", quality=90, comment=CANARY)
            self.objects.put(path, opened.getvalue(), key)
            paths.append(path)
        person = PersonOrder(uuid4(), employee, 1, number, tuple(paths))
        looks = (LookShot(uuid4(), "light grey", "navy suit", "close-up", "soft light"),)
        return Order(uuid4(), self.tenant, (person,), looks, RECIPE.as_dict())

    def grant(self, order: Order, public: bytes) -> bytes:
        lasts = timedelta(hours=1)
        return granting.terms(self.keys, self.objects, order, order.people, lasts, self.url).sealed_to(public)


def done(fleet: Fleet, company: Company, order: Order) -> Outcome:
    fleet.start(order)
    deadline = time.monotonic() + 280
    while not (ended := fleet.finished()):
        assert time.monotonic() < deadline, "it did not happen in time"
        fleet.hand_over(company.grant)
        time.sleep(0.05)
    fleet.rest()
    assert ended[0].outcomes, ended[0].loss
    return ended[0].outcomes[0]


def with_canary(roots: list[Path]) -> list[str]:
    everything = [path for root in roots for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path) for path in everything if CANARY in path.read_bytes()]


def test_fifty_jobs_leave_nothing_of_anybody_and_a_node_that_holds_something_is_found(
    fleet: Fleet, own_home: Path, tmp_path: Path, kernel: Kernel
) -> None:
    companies = [Company(tmp_path / name) for name in ("zebra", "lens")]
    outcomes = [
        done(fleet, company, company.order(number)) for company in companies for number in range(JOBS // len(companies))
    ]
    assert len(outcomes) == JOBS
    assert not [one.error for one in outcomes if one.unforeseen]
    session = Path(ray._private.worker._global_node.get_session_dir_path()).resolve()
    roots = [next(one for one in (session, *session.parents) if one.name.startswith("lk-ray-")), own_home]
    assert any(path.is_file() and path.stat().st_size for path in roots[0].rglob("*.log")), "Ray wrote its logs here"
    assert with_canary(roots) == []
    people = [one for company in companies for one in company.people]
    for person in people:
        for said in (*files.scratch(Traces(person), roots), *files.caches(Traces(person), None)):
            assert (said.store, said.result) == (said.store, "clean"), said.where
    spelled = {word for person in people for word in (str(person), person.hex)}
    names = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [name for name in names if any(word in name for word in spelled)] == []
    # Whatever a library began to keep below the user's home is declared.
    known = {str(one.relative_to(own_home)) for one in files.cache_folders() if one.is_relative_to(own_home)}
    kept = {str(path.relative_to(own_home)) for path in own_home.rglob("*") if path.is_file()}
    assert [path for path in kept if not any(path.startswith(f"{folder}/") for folder in known)] == []

    # The agent on the node.
    settings = kernel.settings.model_copy(update={"ray_address": ray.get_runtime_context().gcs_address})
    ours = replace(kernel, settings=settings)
    (said,) = nodes.answer(ours, Traces(people[0]))
    assert (said.result, said.note) == ("clean", "1 nodes of the cluster looked through their own folders")
    left = files.MEMORY / f"likeness-canary-{uuid4().hex[:8]}"
    left.mkdir()
    try:
        (left / "7.spill").write_bytes(bytes(999) + people[0].bytes)
        (said,) = nodes.answer(ours, Traces(people[0]))
        assert (said.result, said.found) == ("found", 1)
        assert nodes.answer(ours, Traces(people[1]))[0].result == "clean"
    finally:
        shutil.rmtree(left)
