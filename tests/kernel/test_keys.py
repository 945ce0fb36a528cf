from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from likeness.ground.errors import Unavailable
from likeness.keys.keys import (
    DataKey,
    KeyBroken,
    KeyClass,
    KeyDestroyed,
    KeyFolder,
    KeyRef,
    KeyUnavailable,
    MasterKeyForeign,
    MasterKeyMissing,
    SealBroken,
    blind_index,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    made = KeyFolder(tmp_path / "keys")
    made.begin()
    return made


def make_ref(
    keys: KeyFolder, cls: KeyClass = KeyClass.SOURCE, tenant: UUID | None = None, owner: UUID | None = None
) -> KeyRef:
    """Of a company that was begun and a person who has a profile, as everybody has."""
    ref = KeyRef(tenant or uuid4(), owner or uuid4(), cls)
    keys.begin_tenant(ref.tenant)
    keys.open_or_create(KeyRef(ref.tenant, ref.owner, KeyClass.PROFILE))
    return ref


def refs(keys: KeyFolder, tenant: UUID, owner: UUID | None = None) -> list[KeyRef]:
    """Without the profiles that `make_ref` made."""
    return [ref for ref in keys.refs(tenant, owner) if ref.cls != KeyClass.PROFILE]


def every_byte(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_key_opens_what_it_sealed_also_in_another_process_of_the_same_folder(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    tmp_path = tmp_path / "keys"
    sealed = KeyFolder(tmp_path).open_or_create(ref).seal(b"a face", "photo 1")
    assert b"a face" not in sealed
    assert KeyFolder(tmp_path).open(ref).open(sealed, "photo 1") == b"a face"
    assert KeyFolder(tmp_path).open_or_create(ref).open(sealed, "photo 1") == b"a face"


def test_sealing_twice_gives_different_bytes(keys: KeyFolder) -> None:
    key = keys.open_or_create(make_ref(keys))
    assert key.seal(b"same", "c") != key.seal(b"same", "c")


def test_nothing_of_a_person_opens_under_another_person_class_tenant_or_context(keys: KeyFolder) -> None:
    alice = make_ref(keys)
    sealed = keys.open_or_create(alice).seal(b"alice", "photo 1")
    strangers = [
        make_ref(keys, tenant=alice.tenant),
        KeyRef(alice.tenant, alice.owner, KeyClass.HEADSHOT),
        make_ref(keys, owner=alice.owner),
    ]
    for stranger in strangers:
        with pytest.raises(SealBroken):
            keys.open_or_create(stranger).open(sealed, "photo 1")
    with pytest.raises(SealBroken):
        keys.open(alice).open(sealed, "photo 2")


def test_the_ref_is_part_of_the_seal_even_if_the_secret_were_the_same(keys: KeyFolder) -> None:
    one, other = make_ref(keys), make_ref(keys)
    with pytest.raises(SealBroken):
        DataKey(other, b"k" * 32).open(DataKey(one, b"k" * 32).seal(b"x", "c"), "c")


def test_every_changed_bit_and_every_cut_is_noticed(keys: KeyFolder) -> None:
    key = keys.open_or_create(make_ref(keys))
    sealed = key.seal(b"twelve bytes", "c")
    for position in range(len(sealed) * 8):
        broken = bytearray(sealed)
        broken[position // 8] ^= 1 << position % 8
        with pytest.raises(SealBroken):
            key.open(bytes(broken), "c")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            key.open(sealed[:length], "c")


def test_a_wrapped_key_file_presented_as_another_persons_does_not_open(tmp_path: Path, keys: KeyFolder) -> None:
    alice = make_ref(keys)
    bob = make_ref(keys, tenant=alice.tenant)
    keys.open_or_create(alice)
    keys.open_or_create(bob)
    folder = tmp_path / "keys" / "tenants" / str(alice.tenant)
    stolen = (folder / str(alice.owner) / "source.key").read_bytes()
    (folder / str(bob.owner) / "source.key").write_bytes(stolen)
    with pytest.raises(KeyBroken):
        keys.open(bob)


def test_destroying_one_class_leaves_the_other_classes_and_the_other_people(keys: KeyFolder) -> None:
    source = make_ref(keys)
    headshot = KeyRef(source.tenant, source.owner, KeyClass.HEADSHOT)
    bob = make_ref(keys, tenant=source.tenant)
    sealed = {ref: keys.open_or_create(ref).seal(b"x", "c") for ref in (source, headshot, bob)}
    keys.destroy(source, NOW)
    with pytest.raises(KeyDestroyed):
        keys.open(source)
    assert keys.open(headshot).open(sealed[headshot], "c") == b"x"
    assert keys.open(bob).open(sealed[bob], "c") == b"x"
    assert refs(keys, source.tenant, source.owner) == [headshot]


def test_a_destroyed_key_is_never_made_again(keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    keys.destroy(ref, NOW)
    with pytest.raises(KeyDestroyed):
        keys.open_or_create(ref)
    assert keys.state(ref) == "destroyed"
    assert refs(keys, ref.tenant) == []


def test_destroying_is_safe_to_repeat_and_keeps_the_first_date(keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    keys.destroy(ref, NOW)
    keys.destroy(ref, NOW.replace(year=2027))
    assert keys.destroyed_at(ref) == NOW


def test_destroying_a_key_that_never_was_forbids_making_it(keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.destroy(ref, NOW)
    assert keys.state(ref) == "destroyed"
    with pytest.raises(KeyDestroyed):
        keys.open_or_create(ref)


def test_after_a_retention_period_a_fresh_and_unrelated_key_may_follow(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    sealed = keys.open_or_create(ref).seal(b"x", "c")
    wrapped = (tmp_path / "keys" / "tenants" / str(ref.tenant) / str(ref.owner) / "source.key").read_bytes()
    keys.destroy(ref, NOW, final=False)
    keys.destroy(ref, NOW.replace(year=2027), final=False)
    assert keys.state(ref) == "destroyed"
    assert keys.destroyed_at(ref) == NOW
    assert refs(keys, ref.tenant) == []
    assert wrapped[16:] not in every_byte(tmp_path)
    with pytest.raises(KeyDestroyed):
        keys.open(ref)
    fresh = keys.open_or_create(ref)
    assert (keys.state(ref), keys.destroyed_at(ref)) == ("live", None)
    with pytest.raises(SealBroken):
        fresh.open(sealed, "c")
    keys.destroy(ref, NOW.replace(year=2028), final=False)
    assert keys.destroyed_at(ref) == NOW.replace(year=2028)


def test_after_an_erasure_no_key_follows_also_when_a_retention_period_ends_later(keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    keys.destroy(ref, NOW, final=False)
    keys.destroy(ref, NOW.replace(year=2027))
    keys.destroy(ref, NOW.replace(year=2028), final=False)
    assert keys.destroyed_at(ref) == NOW.replace(year=2027)
    with pytest.raises(KeyDestroyed):
        keys.open_or_create(ref)


def test_an_interrupted_retirement_is_listed_and_finished_later(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    file = tmp_path / "keys" / "tenants" / str(ref.tenant) / str(ref.owner) / "source.key"
    file.rename(file.with_name("source.key.0123456789abcdef"))
    assert refs(keys, ref.tenant) == [ref]
    keys.destroy(ref, NOW, final=False)
    assert refs(keys, ref.tenant) == []


def test_a_key_that_never_was_is_absent_and_never_taken_for_a_destroyed_one(keys: KeyFolder) -> None:
    ref = make_ref(keys)
    assert keys.state(ref) == "absent"
    assert keys.destroyed_at(ref) is None
    assert refs(keys, ref.tenant) == []
    with pytest.raises(KeyUnavailable):
        keys.open(ref)
    assert keys.state(ref) == "absent"


def tenant_folder(tmp_path: Path, ref: KeyRef) -> Path:
    return tmp_path / "keys" / "tenants" / str(ref.tenant)


AWAY: dict[str, Callable[[Path, KeyRef], Path]] = {
    "a key": lambda tmp_path, ref: tenant_folder(tmp_path, ref) / str(ref.owner) / f"{ref.cls}.key",
    "a person": lambda tmp_path, ref: tenant_folder(tmp_path, ref) / str(ref.owner),
    "a company's key": lambda tmp_path, ref: tenant_folder(tmp_path, ref) / "tenant.key",
    "a company": tenant_folder,
    "all companies": lambda tmp_path, ref: tmp_path / "keys" / "tenants",
    "the master key": lambda tmp_path, ref: tmp_path / "keys" / "master.key",
    "the folder": lambda tmp_path, ref: tmp_path / "keys",
}


@pytest.mark.parametrize("what", AWAY)
@pytest.mark.parametrize("cls", [KeyClass.PROFILE, KeyClass.SOURCE])
def test_what_is_away_is_unavailable_nothing_is_made_and_all_is_whole_once_it_is_back(
    tmp_path: Path, keys: KeyFolder, what: str, cls: KeyClass
) -> None:
    ref = make_ref(keys, cls)
    sealed, index = keys.open_or_create(ref).seal(b"x", "c"), keys.index_key(ref.tenant)
    place = AWAY[what](tmp_path, ref)
    place.rename(tmp_path / "away")
    before = sorted(tmp_path.rglob("*"))
    for use in (keys.open, keys.open_or_create):
        # A person's whole folder could be that of somebody new, so a first key is only made for a new person.
        if (what, cls, use) != ("a person", KeyClass.PROFILE, keys.open_or_create):
            with pytest.raises(KeyUnavailable):
                use(ref)
    if what not in ("a key", "a person"):
        with pytest.raises(KeyUnavailable):
            keys.index_key(ref.tenant)
        with pytest.raises(KeyUnavailable):
            keys.open_or_create(KeyRef(ref.tenant, uuid4(), KeyClass.PROFILE))
    if what in ("a company", "all companies", "the folder"):
        # A marker in a new folder would be lost when the right one returns with the key.
        for destroy in (lambda: keys.destroy(ref, NOW), lambda: keys.destroy(ref, NOW, final=False)):
            with pytest.raises(KeyUnavailable):
                destroy()
        with pytest.raises(KeyUnavailable):
            keys.destroy_tenant(ref.tenant, NOW)
    if (what, cls) != ("a person", KeyClass.PROFILE):
        assert sorted(tmp_path.rglob("*")) == before
        (tmp_path / "away").rename(place)
        assert keys.open(ref).open(sealed, "c") == b"x"
        assert keys.index_key(ref.tenant) == index


def test_a_destroyed_key_is_gone_also_while_its_file_is_not_there(keys: KeyFolder) -> None:
    """The markers alone tell destroyed from away: at a retention's end, for ever, and when the company left."""
    retired, erased, left = make_ref(keys), make_ref(keys), make_ref(keys)
    for ref in (retired, erased, left):
        keys.open_or_create(ref)
    keys.destroy(retired, NOW, final=False)
    keys.destroy(erased, NOW)
    keys.destroy_tenant(left.tenant, NOW)
    for ref in (retired, erased, left):
        with pytest.raises(KeyDestroyed):
            keys.open(ref)


def test_a_fresh_key_that_is_away_is_not_the_one_that_was_retired(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    keys.destroy(ref, NOW, final=False)
    keys.open_or_create(ref)
    AWAY["a key"](tmp_path, ref).rename(tmp_path / "away")
    for use in (keys.open, keys.open_or_create):
        with pytest.raises(KeyUnavailable):
            use(ref)
    assert keys.destroyed_at(ref) is None


def test_another_volume_in_the_place_of_the_folder_is_refused(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.expect(keys.fingerprint())
    (tmp_path / "keys").rename(tmp_path / "away")
    (tmp_path / "keys").mkdir()
    with pytest.raises(MasterKeyMissing):
        keys.begin_tenant(uuid4())
    KeyFolder(tmp_path / "keys").begin()
    with pytest.raises(MasterKeyForeign):
        keys.begin_tenant(uuid4())
    with pytest.raises(KeyUnavailable):
        keys.open_or_create(ref)
    assert not (tmp_path / "keys" / "tenants").exists()


def test_keys_of_an_older_version_get_their_mark(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    for mark in tmp_path.rglob("*.made"):
        mark.unlink()
    keys.mark_made()
    AWAY["a key"](tmp_path, ref).unlink()
    with pytest.raises(KeyUnavailable):
        keys.open_or_create(ref)


def test_the_wrapped_key_is_gone_from_every_file_and_link(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    file = tmp_path / "keys" / "tenants" / str(ref.tenant) / str(ref.owner) / "source.key"
    wrapped = file.read_bytes()
    # A second name of the same file, as a crash between link and unlink leaves it: the overwriting reaches it.
    os.link(file, file.with_name("_0123456789abcdef.part"))
    keys.destroy(ref, NOW)
    assert not file.exists()
    assert wrapped[16:] not in every_byte(tmp_path)


def test_an_interrupted_destruction_is_refused_at_once_and_finished_later(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.open_or_create(ref)
    file = tmp_path / "keys" / "tenants" / str(ref.tenant) / str(ref.owner) / "source.key"
    wrapped = file.read_bytes()
    keys.destroy(ref, NOW)
    file.write_bytes(wrapped)
    assert keys.state(ref) == "destroyed"
    with pytest.raises(KeyDestroyed):
        keys.open(ref)
    assert refs(keys, ref.tenant) == [ref]
    keys.destroy(ref, NOW)
    assert not file.exists()


def test_a_tenant_that_left_cannot_be_read_and_its_keys_are_gone(keys: KeyFolder) -> None:
    ref, other = make_ref(keys), make_ref(keys)
    keys.open_or_create(ref)
    keys.index_key(ref.tenant)
    sealed = keys.open_or_create(other).seal(b"x", "c")
    keys.destroy_tenant(ref.tenant, NOW)
    keys.destroy_tenant(ref.tenant, NOW)
    for use in (keys.open, keys.open_or_create):
        with pytest.raises(KeyDestroyed):
            use(ref)
    with pytest.raises(KeyDestroyed):
        keys.index_key(ref.tenant)
    assert keys.state(ref) == "destroyed"
    assert keys.destroyed_at(ref) == NOW
    assert refs(keys, ref.tenant) == []
    assert keys.open(other).open(sealed, "c") == b"x"


def test_refs_lists_one_owner_or_the_whole_tenant(keys: KeyFolder) -> None:
    tenant = uuid4()
    alice, bob = make_ref(keys, tenant=tenant), make_ref(keys, KeyClass.LOG_DETAIL, tenant)
    keys.open_or_create(alice)
    keys.open_or_create(bob)
    keys.open_or_create(make_ref(keys))
    assert refs(keys, tenant, bob.owner) == [bob]
    assert set(refs(keys, tenant)) == {alice, bob}


def test_many_at_once_get_the_same_key(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    start = threading.Barrier(16)
    sealed = []

    def one() -> None:
        start.wait()
        sealed.append(KeyFolder(tmp_path / "keys").open_or_create(ref).seal(b"x", "c"))

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    key = KeyFolder(tmp_path / "keys").open(ref)
    assert [key.open(each, "c") for each in sealed] == [b"x"] * 16


def test_creating_against_destroying_never_leaves_a_key(keys: KeyFolder) -> None:
    for _ in range(50):
        ref = make_ref(keys)
        start = threading.Barrier(2)

        def create(ref: KeyRef = ref, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                keys.open_or_create(ref)
            except KeyDestroyed:
                return

        creator = threading.Thread(target=create)
        creator.start()
        start.wait()
        keys.destroy(ref, NOW)
        creator.join()
        assert refs(keys, ref.tenant) == []


def test_a_kill_in_the_middle_leaves_a_folder_that_works(tmp_path: Path) -> None:
    churn = (
        "import sys; from pathlib import Path; from uuid import UUID, uuid4; from likeness.keys.keys import *\n"
        "from datetime import datetime, UTC\n"
        "keys = KeyFolder(Path(sys.argv[1])); tenant = UUID(int=1); keys.begin(); keys.begin_tenant(tenant)\n"
        "while True:\n"
        "    ref = KeyRef(tenant, uuid4(), KeyClass.PROFILE); keys.open_or_create(ref)\n"
        "    keys.destroy(KeyRef(tenant, uuid4(), KeyClass.MODEL), datetime.now(UTC)); print('made', flush=True)\n"
    )
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", churn, str(tmp_path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            threading.Event().wait(0.05)
            child.kill()
    keys = KeyFolder(tmp_path)
    made = keys.refs(UUID(int=1))
    assert made
    for ref in made:
        assert keys.open(ref)


def test_folders_are_0700_and_files_0600_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = KeyFolder(tmp_path / "keys")
        keys.begin()
        ref = make_ref(keys)
        keys.open_or_create(ref)
        keys.destroy(ref, NOW)
        keys.open_or_create(make_ref(keys))
    finally:
        os.umask(before)
    for found in [tmp_path / "keys", *(tmp_path / "keys").rglob("*")]:
        assert found.stat().st_mode & 0o777 == (0o700 if found.is_dir() else 0o600), found


def refused_without_room(work: Callable[[], object]) -> bool:
    """Whether the work is Unavailable when no file may grow; in a forked process, because the limit stays."""
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            work()
        except Unavailable:
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def test_a_full_disk_does_not_stop_destruction(tmp_path: Path, keys: KeyFolder) -> None:
    one, other = make_ref(keys), make_ref(keys)
    keys.open_or_create(one)
    keys.open_or_create(other)
    # Not even the marker can be written, so the caller is asked to come again; the keys are gone by then.
    assert refused_without_room(lambda: keys.destroy(one, NOW))
    assert refused_without_room(lambda: keys.destroy_tenant(other.tenant, NOW))
    for ref in (one, other):
        assert refs(keys, ref.tenant) == []
        # Without a marker it is not told from one that is away, and nothing is made in its place meanwhile.
        for use in (keys.open, keys.open_or_create):
            with pytest.raises(KeyUnavailable):
                use(ref)
    assert not list(tmp_path.rglob("*.part"))
    keys.destroy(one, NOW)
    assert keys.state(one) == "destroyed"


def test_a_key_that_finds_no_room_is_refused_cleanly(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    assert refused_without_room(lambda: keys.open_or_create(ref))
    assert keys.state(ref) == "absent"
    assert not list(tmp_path.rglob("*.part"))
    assert keys.open_or_create(ref)


def test_a_lost_master_key_is_reported_and_not_replaced(tmp_path: Path, keys: KeyFolder) -> None:
    keys.open_or_create(make_ref(keys))
    (tmp_path / "keys" / "master.key").unlink()
    with pytest.raises(MasterKeyMissing):
        KeyFolder(tmp_path / "keys").begin()


def test_no_key_lies_unwrapped_on_the_disk(tmp_path: Path, keys: KeyFolder) -> None:
    key = keys.open_or_create(make_ref(keys))
    assert key._secret not in every_byte(tmp_path)
    assert keys.index_key(key.ref.tenant) not in every_byte(tmp_path)


def test_a_key_is_neither_printed_nor_pickled(keys: KeyFolder) -> None:
    key = keys.open_or_create(make_ref(keys))
    assert repr(key) == f"DataKey({key.ref})"
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_string_does_not_pass_for_an_id() -> None:
    with pytest.raises(TypeError):
        KeyRef(uuid4(), "../../x", KeyClass.SOURCE)  # type: ignore[arg-type]


def test_a_marker_holds_a_time_and_nothing_else(tmp_path: Path, keys: KeyFolder) -> None:
    ref = make_ref(keys)
    keys.destroy(ref, NOW)
    (marker,) = (tmp_path / "keys").rglob("*.destroyed")
    assert marker.read_text() == '{"destroyed_at": "2026-03-02T09:30:00+00:00"}'


def test_the_blind_index_folds_case_and_unicode_and_differs_per_tenant(keys: KeyFolder) -> None:
    one, other = (keys.index_key(make_ref(keys).tenant) for _ in range(2))
    assert blind_index(one, "JOSÉ@Example.com") == blind_index(one, "jose\u0301@example.com")
    assert blind_index(one, "Straße") == blind_index(one, "STRASSE")
    assert blind_index(one, "a") != blind_index(one, "b")
    assert blind_index(one, "a") != blind_index(other, "a")


def test_the_index_key_stays_the_same(tmp_path: Path, keys: KeyFolder) -> None:
    tenant = uuid4()
    keys.begin_tenant(tenant)
    keys.begin_tenant(tenant)
    assert KeyFolder(tmp_path / "keys").index_key(tenant) == keys.index_key(tenant)


def test_many_first_keys_of_one_company_are_made_at_once(tmp_path: Path, keys: KeyFolder) -> None:
    tenant, ids = uuid4(), [uuid4() for _ in range(3)]
    with pytest.raises(KeyUnavailable):
        keys.make_all(tenant, ids)
    keys.begin_tenant(tenant)
    made, refs = keys.make_all(tenant, ids), [KeyRef(tenant, one, KeyClass.PROFILE) for one in ids]
    assert [made[one].material() for one in ids] == [keys.open(ref).material() for ref in refs]
    assert len({key.material() for key in made.values()}) == 3
    # They are as others are: one that is away is not made anew, one that was destroyed neither, and other classes follow.
    theirs = tmp_path / "keys" / "tenants" / str(tenant)
    assert {oct(file.stat().st_mode & 0o777) for file in theirs.glob("*/*")} == {"0o600"}
    (theirs / str(ids[0]) / "profile.key").unlink()
    with pytest.raises(KeyUnavailable):
        keys.open_or_create(refs[0])
    keys.destroy(refs[1], NOW)
    with pytest.raises(KeyDestroyed):
        keys.open_or_create(refs[1])
    assert keys.open_or_create(KeyRef(tenant, ids[2], KeyClass.SOURCE))


def test_keys_of_a_company_that_leaves_meanwhile_are_wiped(
    tmp_path: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, ids = uuid4(), [uuid4(), uuid4()]
    keys.begin_tenant(tenant)
    ring, now = keys._ring, [keys._ring(tenant)]

    def leaves(asked: UUID) -> Any:
        if now:
            return now.pop()
        keys.destroy_tenant(tenant, NOW)
        return ring(asked)

    # The company leaves behind the last key that is made; one more is laid down after its folder was gone through.
    monkeypatch.setattr(keys, "_ring", leaves)
    monkeypatch.setattr(keys, "refs", lambda _: [])
    with pytest.raises(KeyDestroyed):
        keys.make_all(tenant, ids)
    assert list((tmp_path / "keys" / "tenants" / str(tenant)).glob("*/*.key")) == []


def test_many_keys_of_one_company_are_opened_at_once(tmp_path: Path, keys: KeyFolder) -> None:
    tenant = uuid4()
    live, gone, other = (make_ref(keys, KeyClass.PROFILE, company) for company in (tenant, tenant, uuid4()))
    sealed = keys.open(live).seal(b"Ada", "name")
    keys.destroy(gone, NOW)
    found = keys.open_all(tenant, [live.owner, gone.owner], KeyClass.PROFILE)
    assert list(found) == [live.owner]
    assert found[live.owner].open(sealed, "name") == b"Ada"
    with pytest.raises(KeyUnavailable):
        keys.open_all(tenant, [live.owner, other.owner], KeyClass.PROFILE)
    old = (tmp_path / "keys" / "tenants" / str(tenant) / str(live.owner) / "profile.key").read_bytes()
    keys.rotate()
    assert keys.open_all(tenant, [live.owner], KeyClass.PROFILE)[live.owner].open(sealed, "name") == b"Ada"
    file = tmp_path / "keys" / "tenants" / str(tenant) / str(live.owner) / "profile.key"
    assert file.read_bytes() != old
    file.write_bytes(os.urandom(len(old)))
    with pytest.raises(KeyBroken):
        keys.open_all(tenant, [live.owner], KeyClass.PROFILE)
    keys.destroy_tenant(tenant, NOW)
    assert keys.open_all(tenant, [live.owner], KeyClass.PROFILE) == {}
