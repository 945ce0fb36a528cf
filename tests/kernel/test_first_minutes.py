"""The first minutes of an operator: what is mistyped, missing or interrupted is one sentence, before any work."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import click
import psutil
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from gpu_cluster.bases import weights
from gpu_cluster.bases.recipe import named
from gpu_cluster.bases.weights import missing
from likeness.cli.main import Sentences
from likeness.evidence.outside import Outside
from likeness.ground.db import PLATFORM, Database
from likeness.ground.settings import Settings, SettingsWrong, from_environment
from likeness.run import embedded, machine
from likeness.run.machine import changed, hindrances, unknown_variables, worries
from likeness.run.postgres import EmbeddedPostgres
from tests.kernel.warm import Warm
from tests.ports import free_port
from tests.waiting import PATIENCE

Told = Callable[..., str]


@pytest.fixture
def told(likeness: Warm) -> Told:
    """What the command says when it refuses; one sentence, no traceback, within seconds."""

    def told(*words: str, **variables: str) -> str:
        ended = likeness.run(*words, env=os.environ | variables)
        assert ended.returncode in (1, 2), ended.stdout + ended.stderr
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return told


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="likeness-first-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_database_that_goes_away_under_a_command_is_one_sentence(
    postgres: EmbeddedPostgres, folder: Path, likeness: Warm
) -> None:
    """Whichever command it is, and whether it was asked for a connection or for a transaction."""
    away = f"postgresql+psycopg://likeness_app:hidden-word@127.0.0.1:{free_port()}/likeness"
    commands = Sentences(
        commands={
            "connection": click.Command("connection", callback=lambda: Database(away).check()),
            "transaction": click.Command("transaction", callback=lambda: Database(away).transaction(PLATFORM).__enter__()),
        }
    )
    for name in commands.commands:
        ended = CliRunner().invoke(commands, [name])
        assert (ended.exit_code, isinstance(ended.exception, SystemExit)) == (1, True), ended.exception
        assert "atabase" in ended.output
        assert "hidden-word" not in ended.output
    (folder / "keys").mkdir()
    ended = likeness.run(
        "migrate",
        env=os.environ | {
            "LIKENESS_OWNER_DATABASE_URL": postgres.url("likeness_owner"), "LIKENESS_DATABASE_URL": away,
            "LIKENESS_KEY_FOLDER": str(folder / "keys"), "LIKENESS_PROFILE": "production",
        },
    )  # fmt: skip
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert "The schema is up to date." in ended.stdout
    assert "sealed by `likeness scheduler`" in ended.stdout
    assert "hidden-word" not in ended.stdout


@pytest.mark.parametrize("command", ["up", "demo", "migrate"])
def test_a_setting_that_cannot_be_read_is_named_without_its_value(command: str, folder: Path, told: Told) -> None:
    said = told(command, LIKENESS_PORT="abc-secret", LIKENESS_HOME=str(folder / "home"))
    assert "LIKENESS_PORT" in said
    assert "abc-secret" not in said
    assert not (folder / "home").exists()


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_home_that_cannot_be_made_is_told_first(command: str, folder: Path, told: Told) -> None:
    (folder / "file").write_text("")
    said = told(command, LIKENESS_HOME=str(folder / "file/home"))
    assert "LIKENESS_HOME" in said


def test_a_report_that_cannot_be_written_is_told_before_the_demo_starts(folder: Path, told: Told) -> None:
    (folder / "file").write_text("")
    home = folder / "home"
    said = told("demo", "--report", str(folder / "file/report.json"), LIKENESS_HOME=str(home))
    assert "--report" in said
    assert not (home / "postgres").exists()


@pytest.mark.parametrize("held", ["[]", '{"keys": [[]]}'])
def test_a_file_that_is_no_public_key_is_told_so_in_a_sentence(held: str, folder: Path, told: Told) -> None:
    (folder / "key.json").write_text(held)
    (folder / "certificate.jws").write_text("eyJhbGciOiJFZERTQSJ9.e30.AAAA")
    said = told("verify", str(folder / "certificate.jws"), "--key", str(folder / "key.json"))
    assert "key.json holds no public key" in said
    assert "not valid" not in said, "which says nothing about the certificate"


@pytest.mark.parametrize(
    ("host", "opened"),
    [("::1", "http://[::1]:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"),  # noqa: S104
     ("10.0.0.7", "http://10.0.0.7:8000"), ("heads.example", "http://heads.example:8000")],
)  # fmt: skip
def test_the_printed_address_can_be_opened(host: str, opened: str) -> None:
    assert Settings(host=host, port=8000).public_url == opened


def test_a_mistyped_variable_is_named_with_the_nearest_one() -> None:
    found = list(unknown_variables({"LIKENESS_STMP_URL": "x", "LIKENESS_PORT": "1", "PATH": "/", "LIKENESS_ZZZ": "",
                                    "LIKENESS_KEYCLOAK_ADMIN_PASSWORD": "x"}))  # fmt: skip
    assert found == [
        "LIKENESS_STMP_URL is no setting and has no effect. Did you mean LIKENESS_SMTP_URL?",
        "LIKENESS_ZZZ is no setting and has no effect.",
    ]


def test_up_refuses_a_recipe_that_is_none(folder: Path, told: Told) -> None:
    said = told("up", LIKENESS_RECIPE="sdx", LIKENESS_HOME=str(folder / "home"))
    assert "Did you mean sdxl?" in said
    assert not (folder / "home/postgres").exists()


def test_a_base_whose_weights_and_gpu_are_not_here_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    found = " ".join(worries(Settings(home=folder, recipe="flux2-klein-4b")))
    assert "weights of the recipe flux2-klein-4b are not here" in found
    assert "needs a GPU" in found
    assert not [one for one in worries(Settings(home=folder, recipe="cutout")) if "GPU" in one]


def test_a_download_that_broke_off_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "transformer").mkdir()
    parts = {"_class_name": "ZImagePipeline", "transformer": ["diffusers", "X"], "vae": ["diffusers", "Y"]}
    (tmp_path / "model_index.json").write_text(json.dumps(parts))
    (tmp_path / "vae/diffusion_pytorch_model.safetensors").touch()
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (tmp_path / "transformer/model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "transformer/1.safetensors").touch()
    values = named("z-image").as_dict() | {"base": str(tmp_path)}
    recipe = type(named("z-image"))(**values)
    assert "transformer" in missing(recipe)
    (tmp_path / "transformer/2.safetensors").touch()
    assert missing(recipe) == ""


def test_weights_that_changed_after_they_were_fixed_are_told_before_a_sitting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = folder / "hub/models--stabilityai--stable-diffusion-xl-base-1.0"
    here, file = copy / "snapshots" / ("a" * 40), "unet/diffusion_pytorch_model.safetensors"
    (here / "unet").mkdir(parents=True)
    (copy / "refs").mkdir()
    (copy / "refs/main").write_text("a" * 40)
    (here / "model_index.json").write_text(json.dumps({"unet": ["diffusers", "X"]}))
    (here / file).write_bytes(b"one")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    settings = Settings(home=folder, recipe="sdxl")
    assert "are not fixed" in " ".join(worries(settings))
    weights.pin(here)
    assert not [one for one in [*worries(settings), *changed(settings)] if "weights" in one.lower()]
    written = (here / file).stat().st_mtime_ns
    (here / file).write_bytes(b"two")
    later = (here / weights.SUMS).stat().st_mtime_ns + 10**9
    os.utime(here / file, ns=(later, later))
    assert f"{file} was written after it was fixed" in " ".join(worries(settings)), "at each start"
    os.utime(here / file, ns=(written, written))
    assert "written after" not in " ".join(worries(settings))
    assert f"{file} is not the file that was fixed" in " ".join(changed(settings)), "likeness check reads them"
    elsewhere = settings.model_copy(update={"ray_address": "ray://away:1"})
    assert not list(changed(elsewhere))
    assert "LIKENESS_WEIGHTS" in " ".join(worries(elsewhere)), "nodes are compared with nothing"
    weights.pin(here)
    assert not list(changed(settings.model_copy(update={"weights": weights.contents(here)})))
    assert "LIKENESS_WEIGHTS" in " ".join(changed(settings.model_copy(update={"weights": "0" * 64})))
    with pytest.raises(ValidationError, match="likeness weights pin"):
        Settings(weights="v1.0")


def test_the_base_that_ships_is_complete() -> None:
    assert missing(named("portrait-small")) == ""


def test_a_full_disk_stops_a_start_and_a_nearly_full_one_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    settings = Settings(home=folder, recipe="cutout")
    monkeypatch.setattr(machine.psutil, "disk_usage", lambda path: usage(machine.NO_DISK - 1))
    assert any("is full" in one for one in hindrances(settings))
    monkeypatch.setattr(machine.psutil, "disk_usage", lambda path: usage(machine.LITTLE_DISK - 1))
    assert not list(hindrances(settings))
    assert any("GB left" in one for one in worries(settings))


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_too_little_memory_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    settings = Settings(home=folder, recipe="cutout", profile=profile)
    least = machine.LEAST_MEMORY[settings.embedded]
    for memory, told_of in ((least - 1, True), (least, False)):
        monkeypatch.setattr(machine, "_memory", lambda memory=memory: memory)
        assert any("GB of memory" in one for one in worries(settings)) is told_of


def test_a_port_that_nobody_could_open_is_refused(folder: Path, told: Told) -> None:
    said = told("up", LIKENESS_PORT="0", LIKENESS_HOME=str(folder / "home"))
    assert "LIKENESS_PORT" in said
    assert not (folder / "home").exists()


def test_a_report_in_the_home_is_refused_because_no_certificate_would_be_issued_beside_it(folder: Path, told: Told) -> None:
    said = told("demo", "--report", str(folder / "home/here/report.json"), LIKENESS_HOME=str(folder / "home"))
    assert "LIKENESS_HOME" in said
    assert not (folder / "home").exists()


@pytest.mark.parametrize(
    ("name", "written", "begins"),
    [
        ("DATABASE_URL", "db.example/secret", "postgresql+psycopg://"),
        ("BROKER_URL", "secret:5672", "amqps://"),
        ("OBJECTS_URL", "s3//secret", "s3://"),
        ("COUNTER_URL", "/srv/secret", "file:///"),
        ("SMTP_URL", "secret.example", "smtp://"),
        ("BOUNCES_IMAP", "secret.example", "imaps://"),
        ("PUBLIC_URL", "secret.example", "https://"),
        ("KEYCLOAK_URL", "secret.example", "https://"),
        ("VAULT_URL", "secret:8200", "https://"),
    ],
)
def test_an_address_of_another_kind_is_refused_and_not_repeated(
    name: str, written: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LIKENESS_{name}", written)
    with pytest.raises(SettingsWrong, match=f"^LIKENESS_{name}: .*{re.escape(begins)}") as refused:
        from_environment()
    assert "secret" not in str(refused.value)
    monkeypatch.setenv(f"LIKENESS_{name}", f"{begins}secret.example")
    assert from_environment().model_dump()[name.lower()] == f"{begins}secret.example"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("DATABASE_URL", "postgresql+psycopg://likeness_app:half/secret@db.example:5432/likeness"),
        ("BROKER_URL", "amqps://likeness:half#secret@rabbit.example/"),
        ("SMTP_URL", "smtp://likeness:half/secret@mail.example:587"),
        ("BOUNCES_IMAP", "imaps://mail.example:secret/INBOX"),
        ("PUBLIC_URL", "https://heads.example:secret"),
    ],
)
def test_a_password_that_is_not_written_as_an_address_takes_it_is_told(
    name: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LIKENESS_{name}", written)
    with pytest.raises(SettingsWrong, match=f"^LIKENESS_{name}: .*%2F") as refused:
        from_environment()
    assert "secret" not in str(refused.value)
    assert "half" not in str(refused.value)
    mended = written.replace("half/", "half%2F").replace("half#", "half%23").replace(":secret", "")
    monkeypatch.setenv(f"LIKENESS_{name}", mended)
    from_environment()


@pytest.mark.parametrize("command", ["up", "demo"])
@pytest.mark.parametrize("name", ["LIKENESS_PROFILE", "LIKENESS_DATABASE_URL"])
def test_servers_of_ones_own_are_not_passed_over(name: str, command: str, folder: Path, told: Told) -> None:
    servers = {"LIKENESS_PROFILE": "production", "LIKENESS_DATABASE_URL": "postgresql+psycopg://db.example/likeness"}
    said = told(command, **{name: servers[name]}, LIKENESS_HOME=str(folder / "home"))
    assert name in said
    assert "`likeness web`" in said
    assert not (folder / "home").exists()


@pytest.mark.parametrize("command", ["web", "worker", "scheduler", "operator-link"])
def test_a_database_that_does_not_answer_is_one_sentence(command: str, folder: Path, told: Told) -> None:
    away = f"postgresql+psycopg://likeness_app:hidden@127.0.0.1:{free_port()}/likeness"
    said = told(command, LIKENESS_PROFILE="production", LIKENESS_DATABASE_URL=away, LIKENESS_HOME=str(folder),
                LIKENESS_RECIPE="cutout")  # fmt: skip
    assert "LIKENESS_DATABASE_URL" in said
    assert "Connection refused" in said
    assert "hidden" not in said


def test_an_address_that_cannot_be_listened_on_is_one_sentence(folder: Path, told: Told) -> None:
    """Of another machine: 192.0.2.0/24 belongs to nobody."""
    where = {"LIKENESS_HOST": "192.0.2.1", "LIKENESS_PORT": str(free_port()), "LIKENESS_HOME": str(folder / "home")}
    said = told("up", LIKENESS_RECIPE="cutout", **where)
    assert "192.0.2.1" in said
    assert "LIKENESS_HOST" in said


def test_a_port_that_is_taken_is_one_sentence_of_the_web_server(
    folder: Path, postgres: EmbeddedPostgres, told: Told
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = told("web", LIKENESS_PROFILE="production", LIKENESS_DATABASE_URL=postgres.url("likeness_app"),
                    LIKENESS_PORT=str(taken.getsockname()[1]), LIKENESS_HOME=str(folder),
                    LIKENESS_RECIPE="cutout")  # fmt: skip
    assert "Is the port taken?" in said


@pytest.mark.parametrize("until", ["PG_VERSION", "global/pg_control", "base/1"])
def test_a_first_start_that_is_killed_leaves_a_home_that_starts(folder: Path, until: str) -> None:
    """Killed while initdb writes: the folder that it was making must not be taken for a database."""
    code = (
        "import sys; from pathlib import Path; from likeness.run.postgres import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1])).start()"
    )
    program = subprocess.Popen([sys.executable, "-c", code, str(folder / "postgres")])
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not list((folder / "postgres").glob(f"*/{until}")):
        time.sleep(0.005)
    below = psutil.Process(program.pid).children(recursive=True)
    program.kill()
    program.wait()
    for process in below:
        with suppress(psutil.NoSuchProcess):  # Some end with the program, or had ended by themselves.
            process.kill()
    psutil.wait_procs(below, timeout=PATIENCE)
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    server.stop()
    assert not list((folder / "postgres").glob("unfinished-*"))


def test_nobody_else_on_this_machine_can_hold_the_lock_of_a_start(folder: Path) -> None:
    left = folder / "lock"
    left.write_text("1")
    left.chmod(0o644)  # As earlier versions left it.
    with embedded._exclusive(left) as held:
        assert stat.S_IMODE(left.stat().st_mode) == 0o600
        assert left.read_text() == str(os.getpid())
        with pytest.raises(embedded.AlreadyRunning, match=str(os.getpid())):
            embedded._exclusive(left)
        held.flush()


def test_nobody_else_on_this_machine_sees_which_companies_there_are(folder: Path) -> None:
    kept = folder / "tombstones"
    kept.mkdir(mode=0o755)  # As earlier versions left it.
    Outside(kept)._made(f"notes/{uuid4()}")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
