"""Ray's own folder, tried by another user of the same machine while Ray runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpu_cluster.cluster import session_folder
from gpu_cluster.cluster.fleet import Fleet
from tests.processes import below

INTRUDER = """
folder=$1 victim=$2
for below in "" /r /t /r/session_latest/logs /r/session_latest/sockets; do
    ls "$folder$below" && echo "listed $below"
    for name in ray_current_cluster session_latest raylet.out planted; do
        ln -sf "$victim" "$folder$below/$name" && echo "linked $below/$name"
    done
done
mv "$folder" "$folder-moved" && echo "moved"
exit 0
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    # A studio of an unknown recipe ends at once: Ray itself is what is looked at.
    fleet = Fleet("", {}, ())
    yield fleet
    fleet.close()


def test_only_this_user_may_enter_rays_folder(fleet: Fleet) -> None:
    assert fleet.node._folder is not None
    path = fleet.node._folder.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (path / "r/session_latest").exists(), "Ray runs somewhere else"
    assert len(str(path)) < 40


def test_rays_processes_put_nothing_where_everybody_may_write(fleet: Fleet) -> None:
    assert fleet.node._folder is not None
    places = {process.environ().get("TMPDIR") for process in fleet.node._local}
    assert places == {str(fleet.node._folder.path / "t")}
    assert os.environ.get("TMPDIR", "") != str(fleet.node._folder.path / "t")
    below = [child for process in fleet.node._local for child in process.children(recursive=True)]
    opened = {
        file.path for process in [*fleet.node._local, *below] if process.is_running() for file in _files(process)
        if file.path.startswith(tempfile.gettempdir())
    }  # fmt: skip
    assert opened
    assert all(path.startswith(str(fleet.node._folder.path)) for path in opened), opened


def _files(process: psutil.Process) -> list[psutil._common.popenfile]:
    try:
        return process.open_files()
    except psutil.Error:
        return []


def test_rays_processes_listen_to_this_machine_alone(fleet: Fleet) -> None:
    """Their token keeps strangers out, and from another machine nobody even gets so far as to be asked for it."""
    ours = {child.pid for one in fleet.node._local for child in (one, *one.children(recursive=True))} | {os.getpid()}
    heard = {one.laddr.ip for one in psutil.net_connections("inet") if one.pid in ours and one.status == "LISTEN"}
    assert heard
    assert {ip.removeprefix("::ffff:") for ip in heard} == {"127.0.0.1"}


def test_ray_starts_nothing_beside_its_node_that_nobody_asks_anything(fleet: Fleet) -> None:
    assert fleet.node._local
    running = [words for _, words in below()]
    assert [words for words in running if "raylet" in words]
    assert [words for words in running if "dashboard/dashboard.py" in words or "monitor.py" in words] == []


@as_root
def test_another_user_can_neither_look_nor_plant_a_link(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.node._folder is not None
    victim = tmp_path / "victim"
    victim.write_text("ours alone")
    victim.chmod(0o600)
    said = subprocess.run(
        ["/bin/sh", "-c", INTRUDER, "intruder", str(fleet.node._folder.path), str(victim)],
        user="nobody", capture_output=True, text=True, check=True, cwd="/", env={},
    )  # fmt: skip
    assert said.stdout.strip() == ""
    assert said.stderr.count("ermission denied") > 20
    assert victim.read_text() == "ours alone"


@as_root
def test_a_folder_that_another_user_left_for_us_is_not_touched(tmp_path: Path) -> None:
    place = Path(tempfile.gettempdir())
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("ours alone")
    link, theirs = place / f"{session_folder.PREFIX}link-{os.getpid()}", place / f"{session_folder.PREFIX}{os.getpid()}"
    subprocess.run(["/bin/ln", "-s", str(precious), str(link)], user="nobody", check=True)
    subprocess.run(["/bin/mkdir", "-m", "777", str(theirs)], user="nobody", check=True)
    try:
        made = session_folder.make()
        assert made.path not in (link, theirs)
        made.remove()
        assert not made.path.exists()
        assert (precious / "file").read_text() == "ours alone"
        assert theirs.is_dir()
    finally:
        link.unlink()
        theirs.rmdir()


def test_a_program_that_starts_at_the_same_moment_takes_nobodys_folder_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for what killed programs left between the making of a folder and its being held, or while that is done."""
    made, held = tempfile.mkdtemp, fcntl.flock
    swept = list[str]()

    def seen(*given: Any, **named: Any) -> str:
        swept.append(made(*given, **named))
        if len(swept) == 1:
            session_folder._sweep()
        return swept[-1]

    def too_late(file: int, how: int) -> None:
        if len(swept) == 2 and os.readlink(f"/proc/self/fd/{file}") == swept[1]:
            shutil.rmtree(swept[1])
        held(file, how)

    monkeypatch.setattr(tempfile, "mkdtemp", seen)
    monkeypatch.setattr(fcntl, "flock", too_late)
    folder = session_folder.make()
    assert len(swept) == 3
    assert [Path(one).exists() for one in swept] == [False, False, True]
    assert (folder.path, Path(folder.ray).is_dir()) == (Path(swept[2]), True)
    folder.remove()


def test_what_a_killed_program_left_is_removed() -> None:
    left = session_folder.make()
    (left.path / "r/log").write_text("x")
    held = session_folder.make()
    assert left.path.exists(), "its program lives"
    os.close(left._held)
    other = session_folder.make()
    assert not left.path.exists()
    for one in (held, other):
        one.remove()
