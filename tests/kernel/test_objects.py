from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import httpx
import obstore
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from likeness.ground.errors import Unavailable
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, KeyRef
from likeness.keys.sealing import SealBroken
from likeness.store.objects import CHUNK, SEALED_CHUNK, Objects, person_path, tenant_path
from likeness.store.storage import HEADER, ObjectExists, ObjectMissing, PathRefused, StoreFull
from tests.ports import free_port
from tests.tls import Certificates
from tests.waiting import PATIENCE, answers, until

SERVERS = Path(os.environ.get("LIKENESS_TEST_SERVERS") or Path(__file__).parents[3] / "shared" / "servers")

ACME, OTHER = UUID(int=0xA), UUID(int=0xB)
ALICE, BOB = UUID(int=1), UUID(int=2)

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7]


class Place:
    """One store under test, with a way to plant bytes behind its back."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self.objects = objects
        self.folder = folder

    def plant(self, path: str, stored: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(stored)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A real S3 server over a folder whose sub-folders are the buckets."""
    data, versions = tmp_path_factory.mktemp("s3"), tmp_path_factory.mktemp("s3-versions")
    with s3_server("--versioning-dir", str(versions), str(data)) as options:
        (data / "plain").mkdir()
        yield data, options


@contextmanager
def s3_server(*arguments: str, tls: Certificates | None = None) -> Iterator[dict[str, Any]]:
    if not (SERVERS / "unpack").exists():
        pytest.skip(f"S3 is not tested: there are no test servers in {SERVERS}")
    programs = subprocess.run([SERVERS / "unpack"], check=True, capture_output=True, text=True).stdout.strip()
    port = free_port()
    command = [f"{programs}/bin/versitygw", "--port", f"127.0.0.1:{port}", "posix", *arguments]
    environment = {"ROOT_ACCESS_KEY": "likeness", "ROOT_SECRET_KEY": "not a secret", "PATH": os.environ["PATH"]}
    if tls:
        environment |= {"VGW_CERT": str(tls.certificate), "VGW_KEY": str(tls.key)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: answers(port))
            yield s3_options(port) | ({"endpoint": f"https://localhost:{port}"} if tls else {})
        finally:
            server.terminate()


def s3_options(port: int) -> dict[str, Any]:
    return {
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": "likeness",
        "secret_access_key": "not a secret",
        "region": "us-east-1",
        "client_options": {"allow_http": True},
    }


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(Objects(f"file://{tmp_path / 'objects'}"), tmp_path / "objects")
    data, options = request.getfixturevalue("s3")
    prefix = uuid4().hex
    return Place(Objects(f"s3://plain/{prefix}", **options), data / "plain" / prefix)


@pytest.fixture
def objects(place: Place) -> Objects:
    return place.objects


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def local(folder: Path) -> Objects:
    return Objects(f"file://{folder}")


def make_key(owner: UUID = ALICE, tenant: UUID = ACME, cls: KeyClass = KeyClass.SOURCE) -> DataKey:
    return DataKey(KeyRef(tenant, owner, cls), token_bytes(32))


def key_of(path: str) -> DataKey:
    """A key that fits the path."""
    parts = path.split("/")
    if parts[2] == "employees":
        return make_key(UUID(parts[3]), UUID(parts[1]), KeyClass(parts[4]))
    return make_key(tenant=UUID(parts[1]))


def photo(name: str = "photo-1.jpg", owner: UUID = ALICE, tenant: UUID = ACME) -> str:
    return person_path(tenant, owner, KeyClass.SOURCE, name)


# What comes back, on both stores


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_comes_back(objects: Objects, size: int) -> None:
    key, data = make_key(), token_bytes(size)
    stored = objects.put(photo(), data, key)
    assert objects.get(photo(), key) == data
    assert b"".join(objects.stream(photo(), key)) == data
    assert len(objects.raw(photo())) == stored
    assert [(found.path, found.size) for found in objects.list()] == [(photo(), stored)]


def test_an_object_larger_than_one_request_streams_in_chunks(objects: Objects) -> None:
    key, data = make_key(), token_bytes(17 * CHUNK + 5)
    objects.put(photo(), data, key)
    pieces = list(objects.stream(photo(), key))
    assert b"".join(pieces) == data
    assert {len(piece) for piece in pieces} == {CHUNK, 5}


def test_the_stored_bytes_show_nothing(objects: Objects) -> None:
    canary = b"canary-4711-" * 500
    objects.put(photo(), canary, make_key())
    assert b"canary" not in objects.raw(photo())


def test_keys_from_a_key_folder_work_and_a_destroyed_one_ends_reading(objects: Objects, tmp_path: Path) -> None:
    keys, ref = KeyFolder(tmp_path / "keys"), KeyRef(ACME, ALICE, KeyClass.SOURCE)
    keys.begin()
    keys.begin_tenant(ACME)
    keys.open_or_create(KeyRef(ACME, ALICE, KeyClass.PROFILE))
    objects.put(photo(), b"x", keys.open_or_create(ref))
    assert objects.get(photo(), keys.open(ref)) == b"x"


def test_a_path_is_created_once(objects: Objects) -> None:
    key = make_key()
    objects.put(photo(), b"first", key)
    with pytest.raises(ObjectExists):
        objects.put(photo(), b"second", key)
    assert objects.get(photo(), key) == b"first"


def test_of_many_who_create_at_once_one_wins_whole(objects: Objects) -> None:
    key, won, start = make_key(), [], threading.Barrier(8)

    def one(number: int) -> None:
        start.wait()
        with suppress(ObjectExists):
            objects.put(photo(), bytes([number]) * 100_000, key)
            won.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    assert objects.get(photo(), key) == bytes([winner]) * 100_000
    assert len(objects.list()) == 1


def test_a_missing_object_is_missing_before_the_first_chunk(objects: Objects) -> None:
    for use in (objects.raw, lambda path: objects.get(path, make_key()), lambda path: objects.stream(path, make_key())):
        with pytest.raises(ObjectMissing):
            use(photo())
    assert not objects.exists(photo())


def test_deleting_is_safe_to_repeat(objects: Objects) -> None:
    objects.put(photo(), b"x", make_key())
    assert objects.exists(photo())
    objects.delete(photo())
    objects.delete(photo())
    assert not objects.exists(photo())
    assert objects.list() == []


def test_a_deleted_path_may_be_used_again(objects: Objects) -> None:
    key = make_key()
    objects.put(photo(), b"x", key)
    objects.delete(photo())
    objects.put(photo(), b"y", key)
    assert objects.get(photo(), key) == b"y"


def test_listing_goes_by_folder_and_hides_other_tenants(objects: Objects) -> None:
    mine = [photo("a"), photo("b"), photo("a", BOB), tenant_path(ACME, "workbooks", "a.xlsx")]
    for path in [*mine, photo("a", ALICE, OTHER)]:
        objects.put(path, b"x", key_of(path))
    assert [found.path for found in objects.list(f"tenants/{ACME}")] == sorted(mine)
    assert [found.path for found in objects.list(f"tenants/{ACME}/employees/{ALICE}/")] == [photo("a"), photo("b")]
    assert objects.list(f"tenants/{ACME}/employees/{ALICE}/headshot") == []
    assert len(objects.list()) == 5
    age = datetime.now(UTC) - objects.list()[0].modified
    assert timedelta(minutes=-1) < age < timedelta(minutes=1)


def test_people_are_those_of_whom_anything_is_stored(objects: Objects) -> None:
    assert objects.people(ACME) == set()
    for path in (
        photo("a"),
        photo("b"),
        photo("a", BOB),
        photo("a", BOB, OTHER),
        tenant_path(ACME, "workbooks", ALICE),
    ):
        objects.put(path, b"x", key_of(path))
    assert (objects.people(ACME), objects.people(OTHER)) == ({ALICE, BOB}, {BOB})
    objects.delete_prefix(f"tenants/{ACME}/employees/{ALICE}")
    assert objects.people(ACME) == {BOB}


def test_deleting_a_prefix_takes_everything_below_and_nothing_else(objects: Objects) -> None:
    for path in (photo("a"), photo("b"), photo("a", BOB), photo("a", ALICE, OTHER)):
        objects.put(path, b"x", key_of(path))
    assert objects.delete_prefix(f"tenants/{ACME}/employees/{ALICE}") == 2
    assert objects.delete_prefix(f"tenants/{ACME}/employees/{ALICE}") == 0
    assert [found.path for found in objects.list()] == [photo("a", BOB), photo("a", ALICE, OTHER)]
    assert objects.delete_prefix(f"tenants/{ACME}") == 1
    assert [found.path for found in objects.list()] == [photo("a", ALICE, OTHER)]


@pytest.mark.parametrize("prefix", ["", "tenants", "tenants/", "/", "tenants/*", f"tenants/{ACME}/../{OTHER}"])
def test_no_prefix_deletes_more_than_one_tenant(local: Objects, prefix: str) -> None:
    local.put(photo(), b"x", make_key())
    with pytest.raises(PathRefused):
        local.delete_prefix(prefix)
    assert local.exists(photo())


def test_nothing_is_filed_under_a_person_class_or_tenant_whose_key_does_not_seal_it(objects: Objects) -> None:
    key = make_key()
    strangers = [
        photo(owner=BOB),
        photo(tenant=OTHER),
        person_path(ACME, ALICE, KeyClass.HEADSHOT, "a"),
        tenant_path(OTHER, "workbooks", "a"),
    ]
    for path in strangers:
        with pytest.raises(PathRefused):
            objects.put(path, b"x", key)
    assert objects.list() == []
    objects.put(tenant_path(ACME, "workbooks", "a"), b"x", key)


# Ciphertext of one presented as another


def test_what_was_sealed_for_one_never_opens_as_another(place: Place) -> None:
    """1,000 forgeries from two known objects: whole, header, chunks, order, length, bits, key, path. None opens."""
    objects, chance = place.objects, random.Random(4711)
    alices, bobs = make_key(ALICE), make_key(BOB)
    a, b, c = photo("a"), photo("b", BOB), photo("c")
    objects.put(a, token_bytes(2 * CHUNK + 99), alices)
    objects.put(b, token_bytes(2 * CHUNK + 99), bobs)
    objects.put(c, token_bytes(2 * CHUNK + 99), alices)
    stored = {path: objects.raw(path) for path in (a, b, c)}
    # On S3 each try costs a request, so most tries go through the same code with the folder.
    tries = 1000 if place.folder.name == "objects" else 60
    opened = 0
    for number in range(tries):
        victim, donor = chance.sample([a, b, c], 2)
        key = alices if victim != b else bobs
        forged = forge(chance, number % 9, stored[victim], stored[donor])
        if number % 9 == 8:  # the right bytes at the right path under a wrong key
            forged, key = stored[victim], chance.choice([make_key(BOB), make_key(), bobs if victim != b else alices])
        place.plant(victim, forged)
        try:
            objects.get(victim, key)
            opened += 1
        except SealBroken:
            pass
    assert opened == 0


def forge(chance: random.Random, how: int, victim: bytes, donor: bytes) -> bytes:
    mine, theirs = split(victim), split(donor)
    one, other = chance.sample(range(1, 4), 2)
    match how:
        case 0:  # another object's bytes under this path
            return donor
        case 1:  # another object's header
            return b"".join([theirs[0], *mine[1:]])
        case 2:  # another object's chunk at the same position
            mine[one] = theirs[one]
        case 3:  # two chunks change places
            mine[one], mine[other] = mine[other], mine[one]
        case 4:  # one chunk is left out
            del mine[one]
        case 5:  # one chunk is there twice
            mine.insert(one, mine[one])
        case 6:  # cut anywhere
            return victim[: chance.randrange(len(victim))]
        case 7:  # one bit
            bits = bytearray(victim)
            bits[chance.randrange(len(bits))] ^= 1 << chance.randrange(8)
            return bytes(bits)
    return b"".join(mine)


def split(stored: bytes) -> list[bytes]:
    body = stored[HEADER:]
    return [stored[:HEADER], *(body[start : start + SEALED_CHUNK] for start in range(0, len(body), SEALED_CHUNK))]


@pytest.mark.parametrize("added", [b"x", b"x" * SEALED_CHUNK])
def test_bytes_at_the_end_are_noticed(place: Place, added: bytes) -> None:
    key = make_key()
    place.objects.put(photo(), token_bytes(CHUNK), key)
    place.plant(photo(), place.objects.raw(photo()) + added)
    with pytest.raises(SealBroken):
        place.objects.get(photo(), key)


# Paths


HOSTILE = [
    "..", ".", "", " ", "a/../b", "../../etc/passwd", "/etc/passwd", "a/b", "%2e%2e", "..%2f..%2fx", "a%2fb", "a\x00b",
    "a\\b", "..\\x", "C:x", "a\n", "a\r\nb", "A", "ä", "\u2025", "\uff0e\uff0e", "\u2215", "a" * 81, "~", "_x.part",
    ".x", "*", "?", "a:b", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_makes_no_path(name: str) -> None:
    with pytest.raises(PathRefused):
        person_path(ACME, ALICE, KeyClass.SOURCE, name)
    with pytest.raises(PathRefused):
        tenant_path(ACME, "exports", name)
    with pytest.raises(PathRefused):
        tenant_path(ACME, name, "x")


def test_a_tenant_kind_cannot_pass_for_people() -> None:
    with pytest.raises(PathRefused):
        tenant_path(ACME, "employees", "x")


PIECES = st.sampled_from(
    ["..", ".", "/", "\\", "%2f", "%2e", "\x00", "tenants", str(ACME), "employees", str(ALICE), "source", "a", "\u2024"]
)
FUZZED = st.one_of(st.text(max_size=120), st.lists(PIECES, max_size=14).map("".join), st.lists(PIECES).map("/".join))


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=FUZZED)
@example(path="/etc/passwd")
@example(path=f"tenants/{ACME}/employees/{ALICE}/source/..")
@example(path=f"tenants/{ACME}/employees/{ALICE}/source/a\n")
@example(path=f"TENANTS/{ACME}/x/a")
def test_fuzzed_paths_are_refused_or_stay_inside(tmp_path: Path, local: Objects, path: str) -> None:
    key = make_key(tenant=ACME)
    before = set(tmp_path.rglob("*"))
    try:
        local.put(path, b"x", key)
    except PathRefused:
        assert set(tmp_path.rglob("*")) == before
        for use in (local.raw, local.exists, local.delete):
            with pytest.raises(PathRefused):
                use(path)
        return
    written = {file for file in set(tmp_path.rglob("*")) - before if file.is_file()}
    assert written == {tmp_path / "objects" / path}
    local.delete(path)


@settings(max_examples=1000)
@given(name=st.text(max_size=90))
def test_fuzzed_names_make_a_harmless_path_or_none(name: str) -> None:
    try:
        path = person_path(ACME, ALICE, KeyClass.SOURCE, name)
    except PathRefused:
        return
    assert path == f"tenants/{ACME}/employees/{ALICE}/source/{name}"
    assert os.path.normpath(path) == path
    assert path.isascii()


# The local folder


@pytest.mark.parametrize("level", range(6))
def test_a_link_is_never_followed(tmp_path: Path, folder: Path, local: Objects, level: int) -> None:
    outside = tmp_path / "outside"
    key, levels = make_key(), photo().split("/")
    local.put(photo(), b"inside", key)
    moved = folder.joinpath(*levels[: level + 1])
    moved.rename(outside)
    moved.symlink_to(outside)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for use in (local.raw, lambda path: local.get(path, key)):
        with pytest.raises(PathRefused):
            use(photo())
    with pytest.raises((PathRefused, ObjectExists)):
        local.put(photo(), b"through the link", key)
    if level < 5:
        for on in (local.delete, local.exists):
            with pytest.raises(PathRefused):
                on(photo())
    else:
        assert not local.exists(photo())
    with suppress(PathRefused):
        local.delete_prefix(f"tenants/{ACME}")
    assert {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()} == {
        file: data for file, data in before.items() if file.is_relative_to(outside) and file != outside
    }
    assert outside.exists()


def test_a_pipe_or_folder_in_the_objects_place_does_not_block(folder: Path, local: Objects) -> None:
    (folder / photo()).parent.mkdir(parents=True)
    os.mkfifo(folder / photo("pipe"))
    (folder / photo("folder")).mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(PathRefused):
            local.raw(photo(name))
        assert not local.exists(photo(name))


def test_folders_are_0700_and_files_0600_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        Objects(f"file://{folder}").put(photo(), b"x", make_key())
    finally:
        os.umask(before)
    for found in [folder, *folder.rglob("*")]:
        assert found.stat().st_mode & 0o777 == (0o700 if found.is_dir() else 0o600), found


def test_a_folder_with_a_space_in_its_name_works(tmp_path: Path) -> None:
    Objects((tmp_path / "two words").as_uri()).put(photo(), b"x", make_key())
    assert (tmp_path / "two words" / photo()).exists()


@pytest.mark.parametrize("url", ["", "objects", "file://objects", "http://x/y", "memory:///"])
def test_another_kind_of_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="objects are kept in"):
        Objects(url)


def test_deleting_the_last_object_leaves_no_folder_with_an_id(folder: Path, local: Objects) -> None:
    local.put(photo(), b"x", make_key())
    local.delete(photo())
    assert list(folder.iterdir()) == []
    local.put(photo(), b"x", make_key())
    local.delete_prefix(f"tenants/{ACME}/employees/{ALICE}")
    assert list(folder.iterdir()) == []


def test_a_half_written_file_is_no_object_and_goes_with_its_folder(folder: Path, local: Objects) -> None:
    local.put(photo(), b"x", make_key())
    (folder / photo()).with_name("_0123456789abcdef.part").write_bytes(b"half")
    assert [found.path for found in local.list()] == [photo()]
    assert local.delete_prefix(f"tenants/{ACME}/employees/{ALICE}") == 1
    assert list(folder.iterdir()) == []


def test_creating_against_deleting_the_folder_loses_nothing(local: Objects) -> None:
    key = make_key()
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            local.delete(photo("other"))
            local.put(photo("other"), b"x", key)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(200):
            local.put(photo(f"n{number}"), b"x", key)
            assert local.get(photo(f"n{number}"), key) == b"x"
            local.delete(photo(f"n{number}"))
    finally:
        done.set()
        sweeper.join()


def in_a_child(work: Callable[[], None]) -> None:
    """Runs the work in a forked process, so that a limit it sets ends with it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_refused_write_leaves_no_half_object(folder: Path, local: Objects) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK + 100, resource.RLIM_INFINITY))
        with pytest.raises(StoreFull):
            local.put(photo(), bytes(2 * CHUNK), make_key())
        assert [found for found in folder.rglob("*") if found.is_file()] == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        local.put(photo(), bytes(2 * CHUNK), make_key())

    in_a_child(work)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "small-disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not (mount and umount):
        pytest.skip("A full disk is not tested: there is no mount command")
    command = [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("A full disk is not tested: this user may not mount a small one")
    yield disk
    subprocess.run([umount, disk], check=True)


def test_a_full_disk_is_a_clean_refusal_and_ends_when_there_is_room(small_disk: Path) -> None:
    objects, key = Objects(f"file://{small_disk}/objects"), make_key()
    kept: dict[str, bytes] = {}

    def fill() -> None:
        for number in range(20):
            data = token_bytes(700_000)
            objects.put(photo(f"p{number}"), data, key)
            kept[photo(f"p{number}")] = data

    with pytest.raises(StoreFull):
        fill()
    assert len(kept) >= 4
    assert {found.path for found in objects.list()} == set(kept)
    assert {path: objects.get(path, key) for path in kept} == kept
    assert list(small_disk.rglob("*.part")) == []
    objects.delete(photo("p0"))
    objects.put(photo("again"), token_bytes(600_000), key)


def test_a_kill_in_the_middle_leaves_whole_objects_only(folder: Path, local: Objects) -> None:
    key = make_key()
    for round_ in range(10):
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            for number in range(10_000):
                local.put(photo(f"r{round_}-{number}"), bytes(300_000), key)
                os.write(tell, b".")
            os._exit(0)
        os.read(told, 1)
        time.sleep(round_ / 100)
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
    found = local.list()
    assert found
    for each in found:
        assert local.get(each.path, key) == bytes(300_000)


def test_bytes_and_names_are_synced_before_put_returns(local: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync

    def noted(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    local.put(photo(), b"x", make_key())
    *folders, last = synced
    assert last.endswith("/source")
    assert folders[-1].endswith(".part")
    # One for each new folder, in the folder above it.
    assert len(folders) == 6


# The bucket


def test_a_bucket_that_does_not_answer_is_unavailable() -> None:
    options = s3_options(free_port()) | {"retry_config": {"max_retries": 0}}
    objects = Objects("s3://plain", **options)
    for use in (objects.raw, objects.exists, objects.delete, objects.list):
        with pytest.raises(Unavailable):
            use(photo() if use != objects.list else "")


def test_paths_that_begin_alike_are_not_deleted_together(objects: Objects) -> None:
    key = make_key()
    for name in ("photo-1", "photo-10", "photo-1.jpg"):
        objects.put(photo(name), b"x", key)
    objects.delete(photo("photo-1"))
    assert [found.path for found in objects.list()] == [photo("photo-1.jpg"), photo("photo-10")]


def versions_of(objects: Objects, prefix: str = "") -> list[tuple[str, dict[str, str]]]:
    return objects._store._versions._find(prefix, exact=False)  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def versioned(s3: tuple[Path, dict[str, Any]]) -> Objects:
    """A prefix of its own in a bucket that keeps versions."""
    data, options = s3
    (data / "versioned").mkdir(exist_ok=True)
    objects = Objects(f"s3://versioned/{uuid4().hex}", **options)
    client(objects).put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    return objects


def client(objects: Objects) -> Any:
    return objects._store._versions._s3  # type: ignore[attr-defined]


def test_deleting_takes_every_version_delete_marker_and_unfinished_upload(versioned: Objects) -> None:
    bucket = versioned._store
    for round_ in range(3):
        for name in ("photo-1", "photo-10"):
            obstore.put(bucket._s3, photo(name), bytes(10 + round_))  # type: ignore[attr-defined]
            obstore.delete(bucket._s3, photo(name))  # type: ignore[attr-defined]
    key = bucket._versions._prefix + photo("photo-1")  # type: ignore[attr-defined]
    client(versioned).create_multipart_upload(Bucket="versioned", Key=key)
    assert versioned.list() == []
    assert len(versions_of(versioned)) == 13
    versioned.delete(photo("photo-1"))
    assert {found[0].rsplit("/")[-1] for found in versions_of(versioned)} == {"photo-10"}
    assert versioned.delete_prefix(f"tenants/{ACME}") == 0
    assert versions_of(versioned) == []
    assert versioned.versions_purged()


def test_a_prefix_in_a_versioned_bucket_is_emptied_over_several_pages(versioned: Objects) -> None:
    key = make_key()
    for number in range(40):
        versioned.put(photo(f"n{number}"), b"x", key)
        obstore.delete(versioned._store._s3, photo(f"n{number}"))  # type: ignore[attr-defined]
    pages: list[int] = []

    def by_seven(params: dict[str, Any], **_: Any) -> None:
        pages.append(1)
        params["MaxKeys"] = 7

    client(versioned).meta.events.register("provide-client-params.s3.ListObjectVersions", by_seven)
    versioned.put(photo("other"), b"x", key)
    assert versioned.delete_prefix(f"tenants/{ACME}/employees/{ALICE}") == 1
    assert versions_of(versioned) == []
    assert len(pages) > 11


def test_a_deleted_path_may_be_used_again_in_a_versioned_bucket(versioned: Objects) -> None:
    key = make_key()
    for data in (b"x", b"y"):
        versioned.put(photo(), data, key)
        assert versioned.get(photo(), key) == data
        versioned.delete(photo())


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on a port of its own that says this to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "answered"), [(501, True), (403, False), (404, False), (500, False)])
def test_only_a_server_without_versions_may_refuse_to_list_them(status: int, answered: bool) -> None:
    with answering(status) as port:
        objects = Objects("s3://plain", **s3_options(port))
        if answered:
            assert versions_of(objects) == []
            return
        with pytest.raises(Unavailable):
            versions_of(objects)


def test_a_full_bucket_is_a_clean_refusal(small_disk: Path) -> None:
    """The test server answers 500 where others say that they are full, so this is Unavailable and not StoreFull."""
    (small_disk / "plain").mkdir()
    key, names = make_key(), [photo(f"p{number}") for number in range(10)]
    with s3_server(str(small_disk)) as options:
        objects = Objects("s3://plain", **options | {"retry_config": {"max_retries": 0}})
        refused = []
        for name in names:
            try:
                objects.put(name, bytes(700_000), key)
            except Unavailable:
                refused.append(name)
        assert refused
        assert {found.path for found in objects.list()} == set(names) - set(refused)
        for name in set(names) - set(refused):
            assert objects.get(name, key) == bytes(700_000)


def test_without_any_credential_versions_are_not_claimed_to_be_purged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_access_keys(monkeypatch, tmp_path)
    assert not Objects("s3://plain", region="us-east-1").versions_purged()


def without_access_keys(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_with_a_role_alone_versions_are_purged(
    s3: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The credentials come from where a container's role is asked for, as on ECS and EKS."""
    without_access_keys(monkeypatch, tmp_path)

    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            keys = {"AccessKeyId": "likeness", "SecretAccessKey": "not a secret", "Expiration": until, "Token": ""}
            body = json.dumps(keys).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    role = ThreadingHTTPServer(("127.0.0.1", 0), Role)
    threading.Thread(target=role.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{role.server_address[1]}/role")
    try:
        (s3[0] / "roles").mkdir(exist_ok=True)
        options = {name: s3[1][name] for name in ("endpoint", "region", "client_options")}
        objects = Objects("s3://roles", **options)
        assert objects.versions_purged()
        client(objects).put_bucket_versioning(Bucket="roles", VersioningConfiguration={"Status": "Enabled"})
        client(objects).put_object(Bucket="roles", Key=photo(), Body=b"x")
        client(objects).delete_object(Bucket="roles", Key=photo())
        assert len(versions_of(objects)) == 2
        objects._store._versions.purge(photo())  # type: ignore[attr-defined]
        assert versions_of(objects) == []
    finally:
        role.shutdown()
        role.server_close()


def test_an_address_reads_or_creates_one_object_until_its_time(s3: tuple[Path, dict[str, Any]]) -> None:
    objects, key = Objects(f"s3://plain/{uuid4().hex}", **s3[1]), make_key()
    objects.put(photo("here"), b"hello", key)
    soon = timedelta(minutes=1)
    read, write = objects.address(photo("here"), soon), objects.address(photo("new"), soon, write=True)
    assert httpx.get(read, timeout=PATIENCE).content == objects.raw(photo("here"))
    assert httpx.put(read, content=b"x", timeout=PATIENCE).status_code == 403
    assert httpx.get(read.replace("/here", "/other"), timeout=PATIENCE).status_code == 403
    only_new = {"if-none-match": "*"}
    # Without the header it could replace an object.
    assert httpx.put(write, content=b"x", timeout=PATIENCE).status_code == 403
    assert httpx.put(write, content=b"first", headers=only_new, timeout=PATIENCE).status_code == 200
    assert httpx.put(write, content=b"second", headers=only_new, timeout=PATIENCE).status_code == 412
    assert objects.raw(photo("new")) == b"first"
    over = objects.address(photo("here"), timedelta(seconds=1))
    time.sleep(2.1)
    assert httpx.get(over, timeout=PATIENCE).status_code == 403


def test_a_wrong_secret_is_unavailable_and_not_mistaken_for_an_empty_bucket(s3: tuple[Path, dict[str, Any]]) -> None:
    objects = Objects("s3://plain", **(s3[1] | {"secret_access_key": "wrong"}))
    for use in (objects.delete, objects.raw, objects.exists):
        with pytest.raises(Unavailable):
            use(photo())
    with pytest.raises(Unavailable):
        versions_of(objects)
