"""`likeness up` with a Keycloak that is installed on this machine: started, set up, ended, and the same the next time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from likeness.demo.account import sign_in
from likeness.ground.settings import Settings
from likeness.run.check import _sign_in as checked
from likeness.sso.running import KeycloakFailed, OwnKeycloak
from tests import pictures
from tests.keycloak.conftest import SERVERS
from tests.ports import free_port

LIKENESS = Path(sys.executable).with_name("likeness")
pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def installed() -> Path:
    if not (SERVERS / "unpack").exists():
        pytest.skip(f"There is no Keycloak in {SERVERS}: LIKENESS_TEST_SERVERS names the folder of test servers.")
    told = subprocess.run([str(SERVERS / "unpack")], capture_output=True, text=True, check=True)
    return Path(told.stdout.strip()) / "keycloak"


def test_it_starts_is_set_up_is_the_same_the_next_time_and_ends_with_us(installed: Path, tmp_path: Path) -> None:
    before = as_it_is(installed)
    url = f"http://127.0.0.1:{free_port(2)}"
    settings = Settings(home=tmp_path, public_url="http://127.0.0.1:8000", keycloak=installed)
    own = OwnKeycloak(installed, tmp_path / "keycloak", url)
    try:
        first = own.start(settings)
        assert (first.keycloak_url, bool(first.keycloak_secret)) == (url, True)
        # Its first page is made when somebody asks for it, which may take longer than the check waits.
        assert [] in (list(checked(first)) for _ in range(10))
    finally:
        own.stop()
    assert gone(url)
    for name in ("administrator", "keycloak.env"):
        assert stat.S_IMODE((tmp_path / "keycloak" / name).stat().st_mode) == 0o600
    assert first.keycloak_secret in (tmp_path / "keycloak/keycloak.env").read_text()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(installed), str(tmp_path / "keycloak"), url], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().strip() == first.keycloak_secret
        os.kill(program.pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while not gone(url):
        assert time.monotonic() < end, "Keycloak lives on"
        time.sleep(0.5)
    assert as_it_is(installed) == before, "the installation is not touched"


PROGRAM = """
import sys, time
from pathlib import Path
from likeness.demo.account import sign_in
from likeness.ground.settings import Settings
from likeness.sso.running import OwnKeycloak
own = OwnKeycloak(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
print(own.start(Settings(public_url="http://127.0.0.1:8000")).keycloak_secret, flush=True)
time.sleep(600)
"""


def as_it_is(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file: a start builds the program, and must not do so in somebody else's folder."""
    seen = {one: one.stat() for one in folder.rglob("*") if one.is_file()}
    return {str(one): (at.st_size, at.st_mtime_ns) for one, at in seen.items()}


def gone(url: str) -> bool:
    try:
        httpx.get(url, timeout=2)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        return False
    return False


def test_the_demo_ends_with_an_account_that_comes_in_through_keycloak(installed: Path, tmp_path: Path) -> None:
    photos, home = tmp_path / "photos", Path(tempfile.mkdtemp(prefix="likeness-demo-"))
    photos.mkdir()
    home.chmod(0o755)
    (photos / "1.jpg").write_bytes(pictures.astronaut())
    port, url = free_port(), f"http://127.0.0.1:{free_port(2)}"
    ours = {"HOME": str(home), "PORT": str(port), "KEYCLOAK": str(installed), "KEYCLOAK_URL": url}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    with subprocess.Popen(
        [LIKENESS, "demo", "--photos", photos], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env=clean | {f"LIKENESS_{name}": value for name, value in ours.items()},
    ) as demo:  # fmt: skip
        try:
            said = ""
            assert demo.stdout is not None
            for line in demo.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            told = re.search(r"(\S+), HR: (\S+/sso/\S+), user (\S+), password (\S+)", said)
            assert told, said
            # As often as one likes: the demo itself has come in by it already.
            sign_in(told[2], told[3], told[4], told[1])
            report = (tmp_path / "demo-report/report.json").read_text()
            assert set(json.loads(report)["sign_in_seconds"]) == {f"127.0.0.1:{port}", url.removeprefix("http://")}
            assert told[4] not in report
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait(90)
    shutil.rmtree(home, ignore_errors=True)
    assert gone(url)


def test_what_is_no_keycloak_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeycloakFailed, match=r"bin/kc\.sh"):
        OwnKeycloak(tmp_path, tmp_path / "keycloak").start(Settings(home=tmp_path))
