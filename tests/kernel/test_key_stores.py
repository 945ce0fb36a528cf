"""Each provider of the companies' keys does the same: wraps, rotates, destroys, and says when it is not there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from litestar.testing import TestClient
from moto.server import ThreadedMotoServer

from likeness.cli.main import main
from likeness.ground.db import PLATFORM
from likeness.ground.settings import Settings, SettingsWrong
from likeness.jobs.jobs import JobState
from likeness.kernel import Kernel
from likeness.keys import fingerprint
from likeness.keys.custody import KeyStore
from likeness.keys.keys import (
    KeyClass,
    KeyDestroyed,
    KeyFolder,
    KeyRef,
    KeyUnavailable,
    MasterKeyForeign,
)
from likeness.keys.master import MasterFolder
from likeness.keys.providers import chosen
from likeness.keys.ring import Ring
from likeness.keys.states import KeyStoreAway
from likeness.keys.stores.aws_kms import AwsKms
from likeness.keys.stores.token import Token
from likeness.keys.stores.vault import Vault
from likeness.mail import mail
from likeness.mail.mail import Letter
from likeness.run import check
from likeness.run.app import create_app
from tests.factories import make_employee, make_tenant, sign_in_member
from tests.kernel.test_keys_away import job_and_mail, work_due
from tests.kernel.vault_double import TOKEN, VaultDouble, vault_double

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ACME, OTHER = UUID(int=0xA), UUID(int=0xB)
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


@dataclass
class Provider:
    store: KeyStore
    settings: dict[str, Any]
    double: VaultDouble | None = None

    def again(self) -> KeyStore:
        """As another process opens it."""
        return chosen(Settings(**self.settings))


@pytest.fixture(scope="session")
def kms_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A token of its own; the library reads its settings once in a process."""
    util = shutil.which("softhsm2-util")
    if not (util and SOFTHSM.exists()):
        pytest.skip("PKCS#11 is not tested: softhsm2 is not installed (apt-get install softhsm2)")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    command = [util, "--init-token", "--free", "--label", "likeness", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "pin").write_text("1234\n")
    yield folder
    del os.environ["SOFTHSM2_CONF"]


@pytest.fixture(params=["folder", "vault", "aws-kms", "pkcs11"])
def provider(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    settings: dict[str, Any] = {"home": tmp_path, "key_folder": tmp_path / "keys", "key_store": request.param}
    match request.param:
        case "folder":
            (tmp_path / "keys").mkdir(mode=0o700)
            MasterFolder(tmp_path / "keys").begin()
            yield Provider(MasterFolder(tmp_path / "keys"), settings)
        case "vault":
            with vault_double() as double:
                (tmp_path / "token").write_text(TOKEN + "\n")
                settings |= {"vault_url": double.url, "vault_token_file": tmp_path / "token"}
                yield Provider(Vault(double.url, tmp_path / "token"), settings, double)
        case "aws-kms":
            address = request.getfixturevalue("kms_server")
            for name, value in {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
                                "AWS_DEFAULT_REGION": "eu-central-1"}.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            key = AwsKms("")._kms.create_key(Description="likeness")["KeyMetadata"]["KeyId"]
            yield Provider(AwsKms(key), settings | {"kms_key": key})
        case "pkcs11":
            folder = request.getfixturevalue("softhsm")
            settings |= {"pkcs11_module": SOFTHSM, "pkcs11_token": "likeness", "pkcs11_pin_file": folder / "pin"}
            yield Provider(Token(SOFTHSM, "likeness", folder / "pin"), settings)


def folder_of(provider: Provider, store: KeyStore | None = None) -> KeyFolder:
    return KeyFolder(provider.settings["key_folder"], store or provider.store)


def begun(provider: Provider) -> tuple[KeyFolder, UUID, UUID]:
    """Keys of two companies, each with a person."""
    keys, tenants = folder_of(provider), (uuid4(), uuid4())
    keys.begin()
    for tenant in (PLATFORM, *tenants):
        keys.begin_tenant(tenant)
    return keys, *tenants


def person(keys: KeyFolder, tenant: UUID) -> KeyRef:
    ref = KeyRef(tenant, uuid4(), KeyClass.SOURCE)
    keys.open_or_create(KeyRef(tenant, ref.owner, KeyClass.PROFILE))
    keys.open_or_create(ref)
    return ref


def every_byte(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_what_one_process_wraps_another_opens_and_nobody_elses_company(provider: Provider) -> None:
    secret, store = os.urandom(32), provider.store
    tenant, stranger = uuid4(), uuid4()
    wrapped, other = store.wrap(tenant, secret), store.wrap(stranger, os.urandom(32))
    assert secret not in wrapped
    assert provider.again().unwrap(tenant, wrapped) == secret
    for company, presented in ((stranger, wrapped), (tenant, other), (uuid4(), wrapped)):
        with pytest.raises(KeyUnavailable):
            store.unwrap(company, presented)
    for broken in (b"", b"\x00" * 60, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:-4]):
        with pytest.raises(KeyUnavailable):
            store.unwrap(tenant, broken)


def test_a_whole_key_folder_works_over_it(provider: Provider) -> None:
    keys, acme, other = begun(provider)
    alice, bob = person(keys, acme), person(keys, other)
    sealed = keys.open(alice).seal(b"a face", "photo")
    again = folder_of(provider, provider.again())
    assert again.open(alice).open(sealed, "photo") == b"a face"
    assert again.index_key(acme) == keys.index_key(acme) != keys.index_key(other)
    assert again.fingerprint() == keys.fingerprint()
    assert keys.open(alice).material() not in every_byte(provider.settings["key_folder"])
    keys.destroy(alice, NOW)
    with pytest.raises(KeyDestroyed):
        again.open(alice)
    assert again.open(bob)


def test_a_rotation_renews_every_key_and_leaves_what_was_sealed(provider: Provider) -> None:
    keys, acme, other = begun(provider)
    alice, bob = person(keys, acme), person(keys, other)
    sealed, index, mark = keys.open(alice).seal(b"a face", "photo"), keys.index_key(acme), keys.fingerprint()
    elsewhere = folder_of(provider, provider.again())
    assert elsewhere.open(alice)
    files = [file for file in (provider.settings["key_folder"] / "tenants").rglob("*.key")]
    ages = {file: file.stat().st_mtime_ns for file in files if file.name != "tenant.key"}
    for _ in range(3):
        before = {file: file.read_bytes() for file in files}
        assert keys.rotate() == 3
        assert all(file.read_bytes() != before[file] for file in files)
        for one in (keys, elsewhere, folder_of(provider, provider.again())):
            assert one.open(alice).open(sealed, "photo") == b"a face"
            assert one.open(bob)
            assert (one.index_key(acme), one.fingerprint()) == (index, mark)
    assert {file: file.stat().st_mtime_ns for file in ages} == ages, "a key is as old as it was"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    late = person(elsewhere, acme)
    assert keys.open(late)
    assert not [file for file in provider.settings["key_folder"].rglob("*") if file.name.endswith((".new", ".old"))]


def test_a_key_made_while_two_rotations_pass_is_no_dead_file(provider: Provider) -> None:
    keys, acme, _ = begun(provider)
    person(keys, acme)
    late, elsewhere = KeyRef(acme, uuid4(), KeyClass.PROFILE), folder_of(provider, provider.again())
    rings, now = [keys._ring(acme)], elsewhere._ring
    keys.rotate()
    keys.rotate()
    patched = pytest.MonkeyPatch()
    patched.setattr(elsewhere, "_ring", lambda tenant: rings.pop() if rings else now(tenant))
    made = elsewhere.open_or_create(late)
    patched.undo()
    for _ in range(3):
        assert keys.open(late).material() == made.material()
        keys.rotate()


def test_keys_that_are_made_together_while_two_rotations_pass_are_no_dead_files(provider: Provider) -> None:
    keys, acme, _ = begun(provider)
    person(keys, acme)
    late, elsewhere = [uuid4() for _ in range(3)], folder_of(provider, provider.again())
    rings, now = [keys._ring(acme)], elsewhere._ring
    keys.rotate()
    keys.rotate()
    patched = pytest.MonkeyPatch()
    patched.setattr(elsewhere, "_ring", lambda tenant: rings.pop() if rings else now(tenant))
    made = elsewhere.make_all(acme, late)
    patched.undo()
    for _ in range(3):
        for one in late:
            assert keys.open(KeyRef(acme, one, KeyClass.PROFILE)).material() == made[one].material()
        keys.rotate()


def test_a_key_made_in_the_moment_of_a_rotation_survives_the_next_ones(provider: Provider) -> None:
    keys, acme, _ = begun(provider)
    person(keys, acme)
    late, ring = KeyRef(acme, uuid4(), KeyClass.PROFILE), keys._ring(acme)
    keys.rotate()
    # Another process had read the company's key just before, and lays its new key down just after.
    elsewhere = folder_of(provider, provider.again())
    patched = pytest.MonkeyPatch()
    patched.setattr(elsewhere, "_ring", lambda tenant: ring)
    made = elsewhere.open_or_create(late)
    patched.undo()
    for _ in range(3):
        assert keys.open(late).material() == made.material()
        keys.rotate()


def test_everybody_works_while_keys_are_rotated(provider: Provider) -> None:
    keys, acme, _ = begun(provider)
    alice = person(keys, acme)
    secret, done, wrong = keys.open(alice).material(), threading.Event(), []

    def work(number: int) -> None:
        mine = folder_of(provider, provider.again() if provider.settings["key_store"] != "pkcs11" else None)
        while not done.is_set():
            try:
                fresh = person(mine, acme)
                if mine.open(alice).material() != secret or not mine.open(fresh):
                    wrong.append("another key")
                mine.destroy(fresh, NOW)
            except KeyDestroyed as error:
                wrong.append(repr(error))
            except KeyUnavailable:
                continue  # Asked in the very moment of a step; whoever asks is told to come again.

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        keys.rotate()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    for ref in keys.refs(acme):
        assert keys.open(ref)


def test_a_rotation_brings_no_destroyed_key_back(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is erased after the rotation has read their key and before it writes."""
    keys, acme, _ = begun(provider)
    alice, bob = person(keys, acme), person(keys, acme)
    renewed, gone = Ring.renewed, []

    def erased_meanwhile(ring: Ring, wrapped: bytes, bound_to: bytes) -> bytes | None:
        fresh = renewed(ring, wrapped, bound_to)
        for ref in (alice, bob):
            if fresh is not None and str(ref).encode() in bound_to:
                keys.destroy(ref, NOW, final=ref == alice)
                gone.append(ref)
        return fresh

    monkeypatch.setattr(Ring, "renewed", erased_meanwhile)
    keys.rotate()
    assert sorted(gone, key=str) == sorted((alice, bob), key=str)
    held = {ref.cls for ref in keys.refs(acme, alice.owner)} | {ref.cls for ref in keys.refs(acme, bob.owner)}
    assert held == {KeyClass.PROFILE}
    assert (keys.state(alice), keys.state(bob)) == ("destroyed", "destroyed")


def test_a_company_that_left_is_gone_from_the_provider_too(provider: Provider) -> None:
    keys, acme, other = begun(provider)
    alice, bob = person(keys, acme), person(keys, other)
    wrapped = keys.wrapped(acme)
    for _ in range(2):
        keys.destroy_tenant(acme, NOW)
        with pytest.raises(KeyDestroyed):
            keys.open(alice)
    assert keys.open(bob)
    if provider.settings["key_store"] in ("vault", "pkcs11"):
        with pytest.raises(KeyUnavailable):
            provider.again().unwrap(acme, wrapped)
    assert keys.rotate() == 2


def test_it_says_what_wraps(provider: Provider) -> None:
    said = provider.store.describe()
    words = {"folder": "master key in", "vault": "Vault at http", "aws-kms": "of AWS KMS", "pkcs11": "PKCS#11 token"}
    assert words[provider.settings["key_store"]] in said
    assert said.endswith((".", "opens all."))


def test_keys_move_from_the_folder_to_a_provider_and_back(provider: Provider) -> None:
    folder = provider.settings["key_folder"]
    if provider.settings["key_store"] == "folder":
        return
    before = KeyFolder(folder)
    before.begin()
    for tenant in (PLATFORM, ACME, OTHER):
        before.begin_tenant(tenant)
    alice = person(before, ACME)
    sealed = before.open(alice).seal(b"a face", "photo")
    there = folder_of(provider)
    for _ in range(2):
        assert there.move_from(MasterFolder(folder)) == 3
        assert there.open(alice).open(sealed, "photo") == b"a face"
    MasterFolder(folder).wipe()
    assert not (folder / "master.key").exists()
    back = KeyFolder(folder)
    assert back.move_from(provider.store) == 3
    assert KeyFolder(folder).open(alice).open(sealed, "photo") == b"a face"


# A provider that is away


@pytest.fixture
def over_vault(kernel: Kernel, tmp_path: Path) -> Iterator[tuple[Kernel, VaultDouble]]:
    """The kernel, with a company whose key Vault wraps and which is asked each time."""
    with vault_double() as double:
        (tmp_path / "token").write_text(TOKEN)
        store = Vault(double.url, tmp_path / "token")
        store.held_for = 0.0
        keys = KeyFolder(tmp_path / "keys", store)
        keys.begin_tenant(PLATFORM)
        yield replace(kernel, keys=keys), double


def test_a_provider_that_is_down_is_503_and_jobs_wait(over_vault: tuple[Kernel, VaultDouble]) -> None:
    kernel, double = over_vault
    tenant = make_tenant(kernel)
    with TestClient(app=create_app(kernel)) as client:
        sign_in_member(client, kernel, tenant)
        send = lambda: client.post(  # noqa: E731
            "/api/v1/batches",
            files={"workbook": ("a.csv", b"Full name,Email\nAda Okafor,ada@zebra.example\n")},
            data={"name": "Spring"},
        )
        with kernel.db.transaction(tenant) as session:
            alice = make_employee(session, kernel)
            mail_id = mail.post(session, kernel.keys, alice.id, Letter("a@b.c", "s", "t"), template="x", campaign="1")
        stored = every_byte(kernel.keys._root)
        double.sealed = True
        answer = send()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
        assert "vault" not in answer.text.lower()
        with pytest.raises(KeyStoreAway):
            kernel.keys.begin_tenant(uuid4())
        for _ in range(12):
            work_due(kernel, tenant)
        job, letter = job_and_mail(kernel, tenant, mail_id)
        assert (job.state, job.attempt - job.excused, letter.sent_at) == (JobState.READY, 0, None)
        assert every_byte(kernel.keys._root) == stored, "nothing is made or stored meanwhile"
        double.sealed = False
        work_due(kernel, tenant)
        assert job_and_mail(kernel, tenant, mail_id)[0].state == JobState.DONE
        assert send().status_code == 201


def test_a_companys_key_is_held_for_minutes_and_not_for_ever(over_vault: tuple[Kernel, VaultDouble]) -> None:
    kernel, double = over_vault
    store = kernel.keys._store
    tenant = make_tenant(kernel)
    ref = person(kernel.keys, tenant)
    store.held_for = 300.0
    kernel.keys.open(ref)
    asked = len(double.asked)
    for _ in range(50):
        kernel.keys.open(ref)
    assert len(double.asked) == asked
    double.sealed = True
    assert kernel.keys.open(ref)
    wrapped, _, ring = kernel.keys._rings[tenant]
    kernel.keys._rings[tenant] = (wrapped, 0.0, ring)  # As if the minutes were over.
    with pytest.raises(KeyStoreAway):
        kernel.keys.open(ref)


def test_no_open_key_and_no_token_is_in_what_a_provider_says(
    over_vault: tuple[Kernel, VaultDouble], tmp_path: Path
) -> None:
    kernel, _double = over_vault
    (tmp_path / "token").write_text("hvs.wrong")
    with pytest.raises(KeyStoreAway) as refused:
        kernel.keys.begin_tenant(uuid4())
    assert "403" in str(refused.value)
    assert "hvs.wrong" not in repr(refused.value)
    (tmp_path / "token").unlink()
    with pytest.raises(KeyStoreAway, match="token cannot be read"):
        kernel.keys.begin_tenant(uuid4())
    nobody = Vault("http://127.0.0.1:9", tmp_path / "none")
    (tmp_path / "none").write_text(TOKEN)
    with pytest.raises(KeyStoreAway, match="does not answer"):
        nobody.wrap(uuid4(), b"secret")


def test_keys_wrapped_by_somebody_else_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with vault_double() as double, vault_double() as another:
        ours, theirs = (Vault(one.url, tmp_path / "token") for one in (double, another))
        keys = KeyFolder(tmp_path / "keys", ours)
        keys.begin_tenant(PLATFORM)
        with pytest.raises(KeyUnavailable):
            KeyFolder(tmp_path / "keys", theirs).fingerprint()
        foreign = KeyFolder(tmp_path / "foreign", ours)
        foreign.begin_tenant(PLATFORM)
        foreign.expect(keys.fingerprint())
        with pytest.raises(MasterKeyForeign):
            foreign.fingerprint()


# Chosen and described


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"key_store": "vault"}, "LIKENESS_VAULT_URL and LIKENESS_VAULT_TOKEN_FILE"),
        ({"key_store": "aws-kms"}, "LIKENESS_KMS_KEY"),
        ({"key_store": "pkcs11", "pkcs11_token": "a"}, "LIKENESS_PKCS11_MODULE and LIKENESS_PKCS11_PIN_FILE"),
    ],
)
def test_a_setting_that_is_missing_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsWrong, match=named):
        chosen(Settings(**given))


def test_check_describes_the_key_store_and_says_when_it_is_away(kernel: Kernel, tmp_path: Path) -> None:
    with vault_double() as double:
        (tmp_path / "token").write_text(TOKEN)
        vault = {"key_store": "vault", "vault_url": double.url, "vault_token_file": tmp_path / "token"}
        settings = kernel.settings.model_copy(update=vault)
        assert any("wrapped by Vault" in sentence for sentence in check.makes(settings))
        assert not [sentence for sentence in check.problems(settings) if "key store" in sentence]
        double.sealed = True
        (told,) = [sentence for sentence in check.problems(settings) if "key store" in sentence]
        assert "Vault answered 503" in told
        assert "nothing is stored unsealed" in told
        assert not any("wrapped by Vault" in sentence for sentence in check.makes(settings))


def test_the_command_rotates_while_the_program_runs(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_tenant(kernel)
    ref = person(kernel.keys, tenant)
    sealed = kernel.keys.open(ref).seal(b"a face", "photo")
    before = kernel.keys.wrapped(tenant)
    monkeypatch.setattr("likeness.cli.custody.running_kernel", lambda: kernel)
    told = CliRunner().invoke(main, ["keys", "rotate"])
    assert told.exit_code == 0, told.output
    assert "companies" in told.output
    assert kernel.keys.wrapped(tenant) != before
    assert kernel.keys.open(ref).open(sealed, "photo") == b"a face"
    fingerprint.settle(kernel.db, KeyFolder(kernel.settings.keys_path()))
    fingerprint.check(kernel.db, kernel.keys)


def test_two_rotations_do_not_meet(kernel: Kernel) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        fingerprint._alone(session)
        with pytest.raises(fingerprint.RotatedElsewhere):
            fingerprint.rotate(kernel.db, kernel.keys)
