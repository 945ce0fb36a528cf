"""The process that takes photos in is killed again and again: what it said it took is there, and nothing else stays."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from batch.photos import intake, photos
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from tests.handed_in import make_person

KILLS = 30
UPLOADING = """
import os, random, signal, sys, time
from hashlib import sha256
from uuid import UUID
from batch.photos import intake
from likeness.ground.db import utc_now
from likeness.kernel import assemble
from likeness.ground.settings import Settings

home, url, tenant, person, told, kills = sys.argv[1:]
intake.MOST = 100_000

def upload():
    kernel = assemble(Settings(home=home, database_url=url, profile="embedded"))
    out = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        data = os.urandom(200_000)
        photo = intake.add(kernel, UUID(tenant), UUID(person), data, utc_now())
        os.write(out, f"{photo.id} {sha256(data).hexdigest()}\\n".encode())

for _ in range(int(kills)):
    pid = os.fork()
    if pid == 0:
        upload()
    before, started = os.path.getsize(told), time.monotonic()
    while os.path.getsize(told) == before and time.monotonic() < started + 10:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.1))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


@pytest.mark.faults
def test_what_was_taken_survives_and_nothing_else_stays(kernel: Kernel, tmp_path: Path) -> None:
    person = make_person(kernel)
    told = tmp_path / "told"
    told.touch()
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", UPLOADING, str(kernel.settings.home), kernel.settings.database_url,
         str(person.tenant_id), str(person.id), str(told), str(KILLS)],
        check=True, timeout=240, env=os.environ | {"PYTHONPATH": f"{root}:{root / 'platform'}"},
    )  # fmt: skip
    taken = [line.split() for line in told.read_text().splitlines()]
    assert len(taken) >= KILLS
    key = kernel.keys.open(KeyRef(person.tenant_id, person.id, KeyClass.SOURCE))
    with kernel.db.transaction(person.tenant_id) as session:
        rows = {photo.id: photo for photo in photos.of(session, person.id)}
    for photo_id, digest in taken:
        assert sha256(kernel.objects.get(rows[UUID(photo_id)].path, key)).hexdigest() == digest
    intake.sweep_orphans(kernel, utc_now() + timedelta(hours=2))
    objects = kernel.settings.home / "objects"
    stored = {str(file.relative_to(objects)) for file in objects.rglob(f"{person.id}/**/*") if file.is_file()}
    assert stored == {photo.path for photo in rows.values()}
