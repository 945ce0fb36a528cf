"""Words that people write about people, and fingerprints of photos, are nowhere in the database in clear."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import create_engine, text
from sqlmodel import Session, col, select

from batch.models import Employee, Upload
from batch.photos import intake, photos
from batch.roster import batches, naming
from batch.visit import consents
from compliance import clear_text, holds
from compliance.models import ErasureState, Hold
from likeness.ground.db import tenant_of, utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyDestroyed
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Role
from tests.compliance.people import erase, full_person, reread
from tests.factories import make_tenant, run_jobs, sign_in_member
from tests.handed_in import make_person, make_photos
from tests.kernel.test_keys_away import away, tenant_folder

API = "/api/v1"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app=app) as client:
        yield client


def tables_with(postgres: EmbeddedPostgres, *words: str) -> set[str]:
    """Tables in which one of these words stands, as text or as bytes, whoever's rows they are in."""
    found = set()
    engine = create_engine(postgres.url("postgres"))
    with engine.connect() as connection:
        names = connection.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
        for name in names:
            for word in words:
                query = text(f'select 1 from "{name}" one where one::text like :word or one::text like :bytes limit 1')
                if connection.execute(query, {"word": f"%{word}%", "bytes": f"%{word.encode().hex()}%"}).first():
                    found.add(name)
    engine.dispose()
    return found


def older_digest(kernel: Kernel, person: Employee, data: bytes) -> str:
    """As the versions before made it, with the company's key alone."""
    key = kernel.keys.index_key(person.tenant_id)
    return hmac.digest(key, b"photo" + person.id.bytes + sha256(data).digest(), "sha256").hex()


def hold_in(session: Session, person: Employee) -> Hold:
    return session.exec(
        select(Hold).where(col(Hold.tenant_id) == tenant_of(session), col(Hold.employee_id) == person.id)
    ).one()


def test_no_words_about_a_person_are_in_clear_and_none_open_once_they_are_erased(
    kernel: Kernel, postgres: EmbeddedPostgres, client: TestClient[Any]
) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    planted = {person.id: [f"{word}{uuid4().hex[:8]}" for word in ("Gneis", "Basalt")] for person in (alice, bob)}
    for person in (alice, bob):
        client.cookies.clear()
        sign_in_member(client, kernel, person.tenant_id, Role.LEGAL)
        reference, reason = planted[person.id]
        wish = {
            "employee_id": str(person.id), "basis": "warrant", "reference": reference, "reason": reason,
            "expires_at": (utc_now() + timedelta(days=9)).isoformat(),
        }  # fmt: skip
        shown = client.post(f"{API}/holds", json=wish).json()
        assert (shown["reference"], shown["reason"]) == (reference, reason)
        assert reference in client.get("/legal").text
    words = [*planted[alice.id], *planted[bob.id]]
    assert tables_with(postgres, *words) == set()
    digests = [older_digest(kernel, alice, f"accepted {number}".encode()) for number in range(6)]
    assert tables_with(postgres, *digests) == set(), "the company's key is not enough to know a photo again"

    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    assert tables_with(postgres, *words, *digests) == set()
    with kernel.db.transaction(alice.tenant_id) as session:
        hold = hold_in(session, alice)
        assert holds.words(kernel.keys, hold) == holds.ERASED
        with pytest.raises(KeyDestroyed):
            kernel.keys.open(holds.key_ref(hold))
    with kernel.db.transaction(bob.tenant_id) as session:
        assert holds.words(kernel.keys, hold_in(session, bob)).reason == planted[bob.id][1]


def test_an_auditor_sees_that_a_hold_is_there_and_not_what_legal_wrote(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        holds.place(
            session, kernel.keys, alice.id, basis="warrant", reference="12 C 3", reason="Quarzit",
            expires_at=utc_now() + timedelta(days=9), placed_by=uuid4(), now=utc_now(),
        )  # fmt: skip
    for role, seen in ((Role.LEGAL, True), (Role.AUDITOR, False)):
        client.cookies.clear()
        sign_in_member(client, kernel, alice.tenant_id, role)
        (shown,) = client.get(f"{API}/holds").json()
        assert (shown["reason"] == "Quarzit") is (shown["reference"] == "12 C 3") is seen
        assert ("Quarzit" in client.get("/legal").text) is seen


def test_the_name_of_a_batch_is_shown_and_changed_but_is_nowhere_in_clear(
    kernel: Kernel, postgres: EmbeddedPostgres, client: TestClient[Any]
) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    first, second = (f"{word}{uuid4().hex[:8]}" for word in ("Obsidian", "Porphyr"))
    sign_in_member(client, kernel, tenant, Role.HR)
    people = b"name,e-mail\nAda Quist,ada.quist@zebra.example\n"
    dropped = client.post(f"{API}/batches", files={"workbook": ("people.csv", people)}, data={"name": first}).json()
    batch = dropped["batch"]["id"]
    assert dropped["batch"]["name"] == first
    assert first in client.get("/desk").text
    assert first in client.get(f"/desk/batches/{batch}/preview").text
    assert client.patch(f"{API}/batches/{batch}", json={"name": second, "due_on": None}).json()["name"] == second
    assert [one["name"] for one in client.get(f"{API}/batches").json()] == [second]
    assert tables_with(postgres, first, second) == set()

    done = client.post(f"{API}/batches/{batch}/commit", json={"digest": dropped["reading"]["digest"], "invite": False})
    assert done.status_code == 200, done.text
    assert second in client.get(f"/desk/batches/{batch}").text
    assert client.post(f"{API}/batches/{batch}/undo").status_code == 200
    run_jobs(kernel, tenant=tenant)
    assert kernel.keys.state(naming.key_ref(tenant, UUID(batch))) == "destroyed"
    assert client.get(f"{API}/batches/{batch}").json()["name"] == ""
    client.cookies.clear()
    sign_in_member(client, kernel, other, Role.HR)
    assert client.get(f"{API}/batches/{batch}").status_code == 404


def as_before(kernel: Kernel, person: Employee, words: list[str], pictures: list[bytes]) -> None:
    """Makes the person's rows what the version before wrote."""
    name, reference, reason = words
    with kernel.db.transaction(person.tenant_id) as session:
        batch = batches.get(session, person.batch_id)
        batch.sealed_name, batch.unsealed_name = None, name
        stands = {"placed_by": uuid4(), "expires_at": utc_now() + timedelta(days=9)}
        for owner in (person.id, uuid4()):
            session.add(
                Hold(tenant_id=person.tenant_id, employee_id=owner, unsealed_reference=reference,
                     unsealed_reason=reason, **stands)
            )  # fmt: skip
        for photo, data in zip(photos.of(session, person.id), pictures, strict=True):
            photo.digest = older_digest(kernel, person, data)
            session.add(photo)
        consent = consents.of(session, person.id)[0]
        session.add(
            Upload(tenant_id=person.tenant_id, employee_id=person.id, consent_id=consent.id, length=9,
                   digest=older_digest(kernel, person, b"on its way"), due_at=utc_now() + timedelta(days=1))
        )  # fmt: skip


def test_what_an_older_version_kept_in_clear_is_sealed_once_the_keys_are_there(
    kernel: Kernel, postgres: EmbeddedPostgres
) -> None:
    pictures = [f"accepted {number}".encode() for number in range(2)]
    alice, bob = make_person(kernel), make_person(kernel)
    planted = {person.id: [f"{word}{uuid4().hex[:8]}" for word in ("Dolomit", "Tuff", "Marmor")] for person in (alice, bob)}
    before: dict[UUID, list[str]] = {}
    for person in (alice, bob):
        made = make_photos(kernel, person, 2)
        before[person.id] = sorted(photo.digest for photo in made)
        as_before(kernel, person, planted[person.id], pictures)
    clear = [*planted[alice.id], older_digest(kernel, alice, pictures[0]), older_digest(kernel, alice, b"on its way")]
    assert tables_with(postgres, *clear) == {"batch", "hold", "photo", "upload"}

    with away(tenant_folder(kernel, bob.tenant_id)):
        said = clear_text.seal_clear(kernel)
    assert "was sealed" in said[0]
    assert "were away" in said[-1]
    assert tables_with(postgres, *clear) == set()
    assert tables_with(postgres, *planted[bob.id]) == {"batch", "hold"}, "what cannot be sealed yet is not lost"
    clear_text.seal_clear(kernel)
    assert tables_with(postgres, *planted[bob.id]) == set()

    for person in (alice, bob):
        name, reference, reason = planted[person.id]
        with kernel.db.transaction(person.tenant_id) as session:
            assert naming.of(kernel.keys, batches.get(session, person.batch_id)) == name
            theirs = hold_in(session, person)
            assert holds.words(kernel.keys, theirs) == holds.HoldWords(reference, reason)
            (gone,) = [one for one in holds.all_holds(session) if one.id != theirs.id]
            assert holds.words(kernel.keys, gone) == holds.ERASED, "nobody is there any more whom it is about"
            assert sorted(photo.digest for photo in photos.of(session, person.id)) == before[person.id]
        # The same picture is known again by a digest that was made without it.
        again = intake.add(kernel, person.tenant_id, person.id, pictures[0], utc_now())
        assert again.digest in before[person.id]
        with kernel.db.transaction(person.tenant_id) as session:
            assert len(photos.of(session, person.id)) == 2


def test_digests_differ_between_people_and_go_with_their_source_key(kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    (one,), (other,) = make_photos(kernel, alice, 1), make_photos(kernel, bob, 1)
    assert one.digest != other.digest
    kernel.keys.destroy(photos.source_key(alice.tenant_id, alice.id), utc_now())
    with pytest.raises(intake.PhotosClosed):
        intake.digest_of(kernel.keys, alice.tenant_id, alice.id, sha256(b"accepted 0").digest())
    assert intake.digest_of(kernel.keys, bob.tenant_id, bob.id, sha256(b"accepted 0").digest()) == other.digest
