"""`likeness check` about what can be made: nobody is promised what the configured base cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness.ground.settings import Settings
from likeness.run.check import _bounces as asked_bounces
from likeness.run.check import _mail as asked_mail
from likeness.run.check import makes, problems
from likeness.run.machine import worries
from tests.kernel.scripted import scripted
from tests.ports import free_port


def said(tmp_path: Path, recipe: str) -> tuple[str, list[str]]:
    settings = Settings(home=tmp_path, recipe=recipe)
    return " ".join(makes(settings)), [sentence for sentence in problems(settings) if "RECIPE" in sentence]


def test_without_a_base_there_are_studio_portraits_and_nothing_is_wrong(tmp_path: Path) -> None:
    able, wrong = said(tmp_path, "cutout")
    assert "Studio portraits of people's own photos" in able
    assert "Models of people: none" in able
    assert wrong == []


@pytest.mark.parametrize(
    ("recipe", "sentence"), [("portrait-small", "knows drawn people only"), ("sdx", "is no recipe")]
)
def test_a_base_that_cannot_do_it_is_named(tmp_path: Path, recipe: str, sentence: str) -> None:
    able, wrong = said(tmp_path, recipe)
    assert "Models of people: none" in able
    assert len(wrong) == 1
    assert sentence in wrong[0]


def test_a_database_whose_keys_are_away_is_told_before_a_start(tmp_path: Path) -> None:
    def told() -> list[str]:
        return [sentence for sentence in worries(Settings(home=tmp_path)) if "master key" in sentence]

    assert told() == [], "nothing was started here yet"
    (tmp_path / "postgres/data").mkdir(parents=True)
    assert [str(tmp_path / "keys") in sentence for sentence in told()] == [True]
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/master.key").write_bytes(bytes(32))
    assert told() == []


def test_what_lies_in_the_home_and_would_hold_up_every_certificate_is_told(tmp_path: Path) -> None:
    """Such as what a user's own home holds: the re-scan cannot know that it is of nobody."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "likeness.log").touch()
    for name in (".cache", "keys"):
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "face.jpg").touch()
    told = [sentence for sentence in problems(Settings(home=tmp_path, recipe="cutout")) if "certificate" in sentence]
    assert [str(tmp_path / name) in sentence for name, sentence in zip((".cache", "keys/face.jpg"), told, strict=True)] == [
        True, True
    ]  # fmt: skip


def test_what_cuts_people_out_is_tried(tmp_path: Path) -> None:
    assert not [sentence for sentence in problems(Settings(home=tmp_path)) if "Cutting people out" in sentence]


def test_what_would_travel_in_clear_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    # Nothing listens there, and what cannot be reached is told beside it.
    server, away = "postgresql+psycopg://likeness_app:hidden-word@localhost.:9/none?connect_timeout=2", "amqp://localhost.:9/"
    production = Settings(
        home=tmp_path, profile="production", database_url=server, rescan_database_url=f"{server}&sslmode=verify-full",
        owner_database_url=server, broker_url=away,
    )  # fmt: skip
    found = list(problems(production))
    [postgres, owner] = [one for one in found if "sslmode=verify-full" in one]
    assert "LIKENESS_DATABASE_URL" in postgres
    assert "LIKENESS_OWNER_DATABASE_URL" in owner
    assert "may be reached in clear" in postgres
    [rabbit] = [one for one in found if "amqps://" in one]
    assert "localhost." in rabbit
    assert any(one.startswith("RabbitMQ does not work") for one in found)
    assert any(one.startswith("The re-scan") for one in found)
    assert "hidden-word" not in postgres + rabbit
    local = production.model_copy(
        update={"database_url": server.replace("localhost.", "127.0.0.1"), "owner_database_url": "", "broker_url": "amqp://127.0.0.1:9/"}
    )
    assert not [one for one in problems(local) if "sslmode" in one or "amqps" in one]


def test_a_web_server_is_asked_for_no_more_than_it_holds(tmp_path: Path) -> None:
    """In the chart it has no address of the re-scan's role and no way to Ray, and an operator would look for both."""
    production = Settings(home=tmp_path, profile="production", ray_address=f"127.0.0.1:{free_port()}")
    found = list(problems(production, web=True))
    assert any(one.startswith("LIKENESS_DATABASE_URL is not set") for one in found)
    assert not [one for one in found if "RESCAN" in one or "Ray" in one]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({}, ""),
        ({"rcpt": "451 4.7.1 later"}, ""),
        ({"banner": "554 5.3.2 no"}, "does not let us in (554"),
        ({"mail": "550 5.7.1 who are you"}, "takes no mail of this sender (550 5.7.1)"),
        ({"rcpt": "550 5.1.1 nobody"}, "brings no mail to the sender's own address (550 5.1.1)"),
    ],
)
def test_the_mail_server_is_asked_whether_it_would_take_a_mail(tmp_path: Path, script: dict[str, str], words: str) -> None:
    with scripted(**script) as server:
        settings = Settings(home=tmp_path, smtp_url=server.url, mail_from="Likeness <headshots@company.example>")
        found = list(asked_mail(settings))
        assert not server.texts
    assert (len(found), words in "".join(found)) == (bool(words), True)


def test_the_mailbox_of_what_comes_back_is_asked_for(tmp_path: Path) -> None:
    half = Settings(home=tmp_path, bounces_address="bounces@company.example")
    assert "Only one of" in "".join(asked_bounces(half))
    away = half.model_copy(update={"bounces_imap": "imap://reader:secret@127.0.0.1:9"})
    (said,) = asked_bounces(away)
    assert "does not answer. Check LIKENESS_BOUNCES_IMAP" in said
    assert "secret" not in said
