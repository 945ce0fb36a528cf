from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from batch.models import Batch, Employee
from batch.people import employees, notes
from batch.roster import naming
from compliance import holds, mentions, stores
from compliance.erasure import erasures, rescan
from compliance.erasure.rescan import Subject
from compliance.models import Hold
from compliance.proof.scan import PassedScan, Scan
from compliance.scanning import files, nodes, plants, reader, tables
from compliance.scanning.planting import Site
from compliance.scanning.traces import Traces, name_traces
from likeness.cli.rescan import lines_of, site
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Look
from tests.compliance.people import colleague_of, erase, full_person
from tests.factories import run_jobs


@pytest.fixture
def reading(kernel: Kernel, postgres: EmbeddedPostgres) -> Kernel:
    """With the re-scan's own role, which may only read."""
    settings = kernel.settings.model_copy(update={"rescan_database_url": postgres.url("likeness_rescan")})
    return replace(kernel, settings=settings)


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


def results(scan: Scan) -> dict[str, str]:
    return {answer.store: answer.result for answer in scan.answers}


@pytest.fixture(scope="module")
def planted(postgres: EmbeddedPostgres) -> Iterator[tuple[Site, Subject]]:
    """The site of the self-test, with a database of its own; it moves temporary files, so theirs come before."""
    with site() as made:
        yield made


def test_a_planted_leftover_is_found_in_every_store(planted: tuple[Site, Subject]) -> None:
    """One of each at once, as the second process sees them."""
    ground, subject = planted
    one_each = {store: plant for plant in plants.all_of(ground) for store in plant.stores if store in stores.names()}
    with ExitStack() as taken_away:
        for plant in {id(one): one for one in one_each.values()}.values():
            taken_away.callback(plant.put(ground))
        scan = rescan.scan(ground.kernel, subject)
    found = results(scan)
    # A message holds the number of a job, which the table of jobs answers for; no cluster is attached to this site.
    assert {store: result for store, result in found.items() if result != "found"} == {
        "queue": "not applicable", "nodes": "not applicable",
    }  # fmt: skip
    assert set(found) == stores.names()
    assert scan.rights["database"] == "a role that cannot write"


def test_the_re_scan_of_a_stranger_in_the_same_company_is_not_troubled(reading: Kernel, alice: Employee) -> None:
    nobody = Subject(alice.tenant_id, uuid4())
    for cls in KeyClass:
        reading.keys.destroy(KeyRef(nobody.tenant, nobody.employee, cls), utc_now())
    scan = rescan.scan(reading, nobody)
    assert scan.problems() == []
    assert PassedScan(scan).scan is scan


def test_a_store_that_does_not_answer_is_not_reachable(reading: Kernel, alice: Employee) -> None:
    settings = reading.settings.model_copy(
        update={"rescan_database_url": "postgresql+psycopg://nobody@/likeness?host=/nonexistent"}
    )
    scan = rescan.scan(replace(reading, settings=settings), Subject(alice.tenant_id, alice.id))
    tables = {result for store, result in results(scan).items() if store.startswith("table:")}
    assert tables == {"not reachable"}
    assert "table:photo" in scan.problems()


def test_a_second_process_that_ends_or_hangs_is_not_reachable(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject(alice.tenant_id, alice.id)
    with kernel.db.transaction(alice.tenant_id):  # Without a role of its own it says so.
        assert "could write" in rescan.scan(kernel, subject).rights["database"]
    with monkeypatch.context() as soon:
        soon.setattr(reader, "SECONDS", 0.1)
        reader.READER._running().send_signal(signal.SIGSTOP)
        late = rescan.scan(kernel, subject)
    assert set(results(late).values()) == {"not reachable"}
    assert set(late.problems()) == stores.names()
    assert results(rescan.scan(kernel, subject))["table:employee"] == "found"


def test_the_second_process_is_given_no_address_to_write_to(
    reading: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setenv("LIKENESS_DATABASE_URL", "of the writing role")

    def ask(question: Any, seconds: float) -> Any:
        asked.append(question)
        return {"error": "x"}

    monkeypatch.setattr(reader.READER, "ask", ask)
    settings = reading.settings.model_copy(update={"broker_url": "amqp://b", "smtp_url": "smtp://s"})
    rescan.scan(replace(reading, settings=settings), Subject(alice.tenant_id, alice.id))
    (question,) = asked
    assert question["settings"]["database_url"] == reading.settings.rescan_database_url
    withheld = {"broker_url", "smtp_url", "owner_database_url", "keycloak_secret", "keycloak_setup_secret"}
    assert not withheld & set(question["settings"])


def test_what_others_wrote_about_somebody_is_masked_and_nothing_else_of_it(reading: Kernel, alice: Employee) -> None:
    bo = colleague_of(reading, alice)
    who = employees.profile(reading.keys, alice)
    with reading.db.transaction(alice.tenant_id) as session:
        batch = session.get_one(Batch, (alice.batch_id, alice.tenant_id))
        naming.give(session, reading.keys, batch, f"Board, without {who.full_name.upper()}")
        hold = Hold(tenant_id=alice.tenant_id, employee_id=bo.id, placed_by=uuid4(), expires_at=utc_now())
        holds.seal(reading.keys, hold, holds.HoldWords(f"7/26 {who.email}", "Bo Linde ./. Zebra Works"))
        session.add(hold)
    erasure = erase(reading, alice)
    run_jobs(reading, tenant=alice.tenant_id)
    with reading.db.transaction(alice.tenant_id) as session:
        assert erasures.get(session, erasure.id).state == "certified"
        assert naming.of(reading.keys, session.get_one(Batch, (batch.id, batch.tenant_id))) == "Board, without …"
        words = holds.words(reading.keys, session.get_one(Hold, (hold.id, hold.tenant_id)))
    assert words == holds.HoldWords("7/26 …", "Bo Linde ./. Zebra Works")


def test_whatever_people_wrote_the_name_into_is_masked(planted: tuple[Site, Subject]) -> None:
    """In every column that the registry says people write into, sealed or in clear, of the company and of operators."""
    ground, subject = planted
    traces = subject.traces(ground.kernel)
    ends = [f" in {name}.{one}" for name in stores.TABLES for one in stores.written(name)]
    ends += [f" in {name}.{one}, sealed" for name, columns in stores.SEALED_BY_DESK.items() for one in columns]
    named = ("the name in", f"for {plants.NAME.upper()}")
    wanted = [one for one in plants.all_of(ground) if one.says.startswith(named) and one.says.endswith(tuple(ends))]
    assert len(wanted) == len(ends)
    for plant in wanted:
        plant.put(ground)  # It is masked, and stays.
        assert mentions.mask(ground.kernel, subject.tenant, traces) == 1, plant.says
        with tables.reading(ground.kernel).connect() as connection:
            (said,) = tables.looked(ground.kernel, connection, subject.tenant, traces, plant.table)
        assert said.result == "clean", plant.says


def test_two_looks_that_are_named_after_the_person_keep_different_names(reading: Kernel, alice: Employee) -> None:
    who = employees.profile(reading.keys, alice).full_name
    with reading.db.transaction(alice.tenant_id) as session:
        batch = session.get_one(Batch, (alice.batch_id, alice.tenant_id))
        notes.give(session, reading.keys, batch, f"Ask {who}, 3rd floor")
        for name in (who, " ".join(reversed(who.split()))):
            session.add(Look(tenant_id=alice.tenant_id, name=name, backdrop="x", dress="x", framing="x", light="x"))
    erasure = erase(reading, alice)
    run_jobs(reading, tenant=alice.tenant_id)
    with reading.db.transaction(alice.tenant_id) as session:
        assert erasures.get(session, erasure.id).state == "certified"
        assert notes.of(reading.keys, session.get_one(Batch, (batch.id, batch.tenant_id))) == "Ask …, 3rd floor"
        names = session.exec(select(Look.name).where(col(Look.tenant_id) == alice.tenant_id)).all()
    assert {"…", "… 2"} <= set(names)


def test_a_table_that_only_the_database_knows_keeps_every_scan_from_passing(
    reading: Kernel, alice: Employee, postgres: EmbeddedPostgres
) -> None:
    address = postgres.url("likeness_owner").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("create table shadow (words text)")
    try:
        assert "table:shadow" in rescan.scan(reading, Subject(alice.tenant_id, uuid4())).problems()
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("drop table shadow")


def test_the_address_is_found_in_the_log_by_its_keyed_digest_alone(reading: Kernel, alice: Employee) -> None:
    address = employees.profile(reading.keys, alice).email
    log = reading.settings.home / "likeness.log"
    subject = Subject(alice.tenant_id, uuid4(), alice.email_index)
    try:
        log.write_text('{"message": "sent to somebody@else.example"}\n')
        assert results(rescan.scan(reading, subject))["log"] == "clean"
        log.write_text(f'{{"message": "sent to <{address.upper()}>."}}\n')
        assert results(rescan.scan(reading, subject))["log"] == "found"
    finally:
        log.unlink()


def test_the_role_of_the_re_scan_cannot_write(reading: Kernel, alice: Employee) -> None:
    engine = create_engine(reading.settings.rescan_database_url)
    with engine.connect() as connection, pytest.raises(DBAPIError):
        tables.read_only(connection, alice.tenant_id)
        connection.execute(text("delete from photo"))
    engine.dispose()


def test_an_erasure_passes_under_the_role_of_its_own(reading: Kernel, alice: Employee) -> None:
    erasure = erase(reading, alice)
    run_jobs(reading, tenant=alice.tenant_id)
    with reading.db.transaction(alice.tenant_id) as session:
        assert erasures.get(session, erasure.id).state == "certified"


def test_the_self_test_finds_every_plant(planted: tuple[Site, Subject]) -> None:
    lines = list(lines_of(*planted))
    assert [says for says, found in lines if not found] == []
    planted = " ".join(says for says, _ in lines)
    for kind in (
        "half-written", "nobody declared", "preview", "another company's folder", "another schema", "batch.unsealed_name",
        "batch.sealed_name, sealed", "hold.sealed, sealed", "debug.log.gz", "mailbox", "ZIP beside the exports", "spill",
        "not registered", "a key from a backup", "a name in a tombstone",
        "called after the person", "debug.log.zst", "lost+found", "keys/selfie.jpg", "nobody initialises",
        "that no row names", "no batch names", "of next year", "packed copy of one object", "comment on a table",
        "a sequence", "a type with words", "a function", "base64 over several lines", "percent signs", "accents apart",
    ):  # fmt: skip
        assert kind in planted, kind


def test_a_bucket_whose_older_versions_nobody_can_list_is_not_reachable(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(kernel.objects), "versions_purged", lambda _: False)
    nobody = Traces(uuid4())
    said = {one.store: one.result for one in files.objects(kernel, alice.tenant_id, nobody, [])}
    assert {said[place.name] for place in stores.OBJECTS.values()} == {"not reachable"}


def test_a_node_of_the_cluster_that_does_not_answer_is_not_reachable(
    reading: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "SECONDS", 5)
    settings = reading.settings.model_copy(update={"ray_address": "127.0.0.1:1"})
    (said,) = nodes.answer(replace(reading, settings=settings), Traces(alice.id))
    assert (said.store, said.result) == ("nodes", "not reachable")


def test_the_name_is_found_by_its_keyed_digest_in_any_order_and_spelling(reading: Kernel, alice: Employee) -> None:
    key = reading.keys.index_key(alice.tenant_id)
    facts = name_traces(key, "Zyra Quillfeather-Ómarsdóttir")
    traces = Traces(uuid4(), key, None, str(facts["name_index"]), int(str(facts["name_words"])))
    for words in ("for ZYRA QUILLFEATHER-ÓMARSDÓTTIR!", "Ómarsdóttir, Quillfeather Zyra", '{"who": "Zyra Quillfeather '
                  '\\u00d3marsd\\u00f3ttir"}', "zyra_quillfeather_omarsdottir.jpg"):  # fmt: skip
        assert traces.in_words(words), words
    assert not traces.in_words("Zyra Quillfeather, and Ómar")
    assert name_traces(key, "May") == {}
    facts = name_traces(key, "山田 太郎")
    traces = Traces(uuid4(), key, None, str(facts["name_index"]), int(str(facts["name_words"])))
    assert traces.in_words("昨日山田太郎様に電話しました")
    assert traces.masked("山田太郎様、2026年") == "…様、2026年"
    assert not Traces(uuid4(), b"another company's key", None, traces.name_index, 3).in_words(
        "Zyra Quillfeather-Ómarsdóttir"
    )
