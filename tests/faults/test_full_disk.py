"""A disk that is really full: a photo is refused with 503, nothing of it stays behind, and with room again all goes on.

The disks are file systems in memory, small enough to be filled. Where no file system may be mounted the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from batch.models import Employee
from likeness.ground.db import Database
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tests import pictures
from tests.browser.world import served
from tests.factories import sign_in_employee
from tests.handed_in import make_person
from tests.waiting import PATIENCE

MB = 2**20
TUS = {"tus-resumable": "1.0.0"}


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Until not one byte is left."""
        with self._ballast.open("wb", buffering=0) as out, suppress(OSError):
            while True:
                out.write(bytes(self._free() or 1))
        assert self._free() == 0

    def make_room(self) -> None:
        self._ballast.unlink()

    def files(self) -> list[str]:
        found = (path for path in self.folder.rglob("*") if path.is_file() and path != self._ballast)
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def _free(self) -> int:
        left = os.statvfs(self.folder)
        return left.f_bavail * left.f_frsize


@contextmanager
def disk(size: int) -> Iterator[Disk]:
    folder = Path(tempfile.mkdtemp(prefix="likeness-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def add(phone: httpx.Client, data: bytes) -> httpx.Response:
    return phone.post("/api/v1/visit/photos", files={"photo": ("a.jpg", data)})


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "")


def photos_of(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        return sorted(session.execute(text("select path from photo where employee_id = :id"), {"id": person.id}).scalars())


def objects_of(kernel: Kernel, tenant: UUID) -> list[str]:
    return sorted(found.path for found in kernel.objects.list(f"tenants/{tenant}/employees"))


def test_a_full_object_store_is_said_and_leaves_nothing(kernel: Kernel) -> None:
    """Keys lie on the same disk: the first photo of somebody needs a new one, the next does not."""
    with (
        disk(8 * MB) as small,
        served(on(small, kernel)) as address,
        httpx.Client(base_url=address, timeout=PATIENCE) as phone,
    ):
        ours = on(small, kernel)
        alice, bob = make_person(ours), make_person(ours)
        sign_in_employee(phone, ours, alice)  # type: ignore[arg-type]
        assert add(phone, pictures.drawn(1)[0]).status_code == 201
        begun = phone.post("/api/v1/visit/uploads", headers=TUS | {"upload-length": "100000"})
        before = small.files()
        small.fill()
        for person in (alice, bob):
            sign_in_employee(phone, ours, person)  # type: ignore[arg-type]
            for picture in pictures.drawn(2, 3):
                answer = add(phone, picture)
                assert answer.status_code == 503
                assert answer.headers["retry-after"]
                # Of somebody whose first photo this is, the key is what finds no room.
                full = "store-full" if person == alice else "key-unavailable"
                assert said(answer)[1] == f"urn:likeness:{full}"
                page = phone.post("/visit/photos", files={"photo": ("a.jpg", picture)}, headers={"accept": "text/html"})
                assert page.status_code == 503
        sign_in_employee(phone, ours, alice)  # type: ignore[arg-type]
        part = {"upload-offset": "0", "content-type": "application/offset+octet-stream"}
        sent = phone.patch(begun.headers["location"], headers=TUS | part, content=bytes(100_000))
        assert said(sent) == (503, "urn:likeness:store-full")
        assert phone.head(begun.headers["location"], headers=TUS).headers["upload-offset"] == "0"
        assert small.files() == before
        assert photos_of(ours, alice) == objects_of(ours, alice.tenant_id)
        # Deleting needs no room, so a full disk keeps nobody's photo.
        (photo,) = phone.get("/api/v1/visit/photos").json()["photos"]
        assert phone.delete(f"/api/v1/visit/photos/{photo['id']}").status_code == 204
        assert objects_of(ours, alice.tenant_id) == []
        small.make_room()
        assert add(phone, pictures.drawn(2, 3)[0]).status_code == 201
        assert photos_of(ours, alice) == objects_of(ours, alice.tenant_id)


def on(small: Disk, kernel: Kernel) -> Kernel:
    """The kernel with its objects and the keys of people on this disk; the company's own are where they were."""
    settings = kernel.settings.model_copy(
        update={"home": small.folder, "objects_url": f"file://{small.folder}/objects", "key_folder": small.folder / "keys"}
    )
    if not settings.keys_path().exists():
        # Those of other companies stay away: with all whose tests came before, the disk would be full already.
        shutil.copytree(kernel.settings.keys_path(), settings.keys_path(), ignore=shutil.ignore_patterns("tenants"))
    parts = assemble(settings)
    return replace(kernel, settings=settings, objects=parts.objects, keys=parts.keys)


@contextmanager
def database_on(small: Disk, kernel: Kernel) -> Iterator[Kernel]:
    """Everything but the database stays where it is, so that what fails is the database alone."""
    server = EmbeddedPostgres(small.folder / "postgres")
    server.start()
    try:
        migrate(server.url("likeness_owner"))
        ours = replace(kernel, db=Database(server.url("likeness_app")))
        fingerprint.settle(ours.db, ours.keys)
        yield ours
        ours.db.close()
    finally:
        small.make_room() if (small.folder / "ballast").exists() else None
        server.stop()


def test_a_full_disk_under_the_database_is_said_and_leaves_no_object(kernel: Kernel) -> None:
    with disk(400 * MB) as small, database_on(small, kernel) as ours:
        alice = make_person(ours)
        selfies = pictures.drawn(3, 24, 64)
        with served(ours) as address, httpx.Client(base_url=address, timeout=PATIENCE) as phone:
            sign_in_employee(phone, ours, alice)  # type: ignore[arg-type]
            assert add(phone, selfies[0]).status_code == 201
            small.fill()
            answers = [add(phone, one) for one in selfies[1:]]
            refused = [answer for answer in answers if answer.status_code != 201]
            assert refused, "the database found room on a full disk"
            assert {answer.status_code for answer in refused} == {503}
            assert {said(answer)[1] for answer in refused} >= {"urn:likeness:database-full"}
            assert all(answer.headers["retry-after"] for answer in refused)
            small.make_room()
            taken = 1 + len(answers) - len(refused)
            assert len(photos_of(ours, alice)) == taken
            assert photos_of(ours, alice) == objects_of(ours, alice.tenant_id)
            assert add(phone, selfies[[answer.status_code for answer in answers].index(503) + 1]).status_code == 201
            assert photos_of(ours, alice) == objects_of(ours, alice.tenant_id)
