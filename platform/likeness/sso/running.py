"""A Keycloak of this machine's own: `likeness up` starts the one that is installed here, sets it up, and ends it again.

The installation is not touched: what Keycloak writes, its database too, lies in the home of Likeness, and the program
beside it is made of links. It listens on this machine alone.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from likeness.ground.errors import LikenessError
from likeness.ground.settings import Settings
from likeness.sso.administering import Reach
from likeness.sso.keycloak import set_up

ADDRESS = "http://127.0.0.1:8180"
"""Where it is unless LIKENESS_KEYCLOAK_URL says otherwise. Accounts are known by it, so it stays the same."""
STARTS_WITHIN = 300
"""Seconds. The first start builds the program and makes its database, which takes most of a minute."""
ENDS_WITHIN = 30
ADMINISTRATOR = "admin"
LAYOUT = 2
"""Raised when a program that was laid out by an older version has to be laid out anew."""


class KeycloakFailed(RuntimeError):
    """It is not there, or did not start; the message says what to do."""


@dataclass
class OwnKeycloak:
    """Start with `start`, end with `stop`; both from the main thread, which its life hangs on."""

    installed: Path
    home: Path
    url: str = ADDRESS
    realm: str = "likeness"
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, settings: Settings) -> Settings:
        """The settings with which people sign in through it. Raises `KeycloakFailed`."""
        self._check_installed()
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self._lay_out()
        password = self._password()
        with open(self.home / "log", "wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self.home / "program/bin/kc.sh"), "start", "--db=dev-file", "--cache=local", "--http-enabled=true",
                    "--hostname-strict=false", "--http-host=127.0.0.1", f"--http-port={urlsplit(self.url).port or 8180}",
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_us,
                env=os.environ | {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMINISTRATOR, "KC_BOOTSTRAP_ADMIN_PASSWORD": password},
            )  # fmt: skip
        try:
            self._wait()
            made = set_up(self.reach(self.realm), settings.keycloak_client, settings.public_url)
        except LikenessError as error:
            self.stop()
            raise KeycloakFailed(f"Keycloak was not set up: {error}") from error
        except BaseException:
            self.stop()
            raise
        _keep(
            self.home / "keycloak.env",
            f"LIKENESS_KEYCLOAK_URL={self.url}\nLIKENESS_KEYCLOAK_SECRET={made.client_secret}\n"
            f"LIKENESS_KEYCLOAK_SETUP_SECRET={made.setup_secret}\n",
        )
        # Here the web server and whoever adds companies are the same machine.
        known = {"keycloak_secret": made.client_secret, "keycloak_setup_secret": made.setup_secret}
        return settings.model_copy(update={"keycloak_url": self.url} | known)

    def reach(self, realm: str) -> Reach:
        """One of its realms, as the administrator of all."""
        return Reach(self.url, realm, user=ADMINISTRATOR, password=self._password())

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _check_installed(self) -> None:
        if not (self.installed / "bin/kc.sh").is_file():
            raise KeycloakFailed(
                f"LIKENESS_KEYCLOAK is {self.installed}, and there is no bin/kc.sh in it. Name the folder that Keycloak 26"
                " was unpacked into."
            )
        if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
            raise KeycloakFailed("Keycloak needs Java 17 or newer: apt install openjdk-17-jre-headless.")

    def _lay_out(self) -> None:
        """The program, anew after another version was installed; the database stays."""
        program, version = self.home / "program", self.installed / "version.txt"
        told = f"{LAYOUT}\n{self.installed.resolve()}\n{version.read_text() if version.exists() else ''}"
        mark = program / "from"
        if mark.exists() and mark.read_text() == told:
            return
        program.mkdir(exist_ok=True)
        for one in program.iterdir():
            if one.name != "data":
                one.unlink() if one.is_symlink() or one.is_file() else shutil.rmtree(one)
        for name in ("bin", "conf"):
            shutil.copytree(self.installed / name, program / name)
        for name in ("providers", "themes"):
            (program / name).symlink_to((self.installed / name).resolve())
        (program / "lib").mkdir()
        for one in (self.installed / "lib").iterdir():
            there = program / "lib" / one.name
            if one.name == "quarkus":  # What a start builds is written here.
                shutil.copytree(one, there)
            elif one.is_file():  # Beside the jar that it begins with, whose real place it looks for: so that is no link.
                shutil.copy(one, there)
            else:  # 400 MB that are only read.
                there.symlink_to(one.resolve())
        mark.write_text(told)

    def _password(self) -> str:
        """Of the administrator, made at the first start: Keycloak keeps it from then on."""
        file = self.home / "administrator"
        if not file.exists():
            _keep(file, secrets.token_urlsafe(24))
        return file.read_text().strip()

    def _wait(self) -> None:
        process, end = self._process, time.monotonic() + STARTS_WITHIN
        while process is not None and process.poll() is None and time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/realms/master", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass  # It is not there yet.
            time.sleep(0.3)
        raise KeycloakFailed(
            f"Keycloak did not start at {self.url}; {self.home / 'log'} says why. Is the port taken? Choose another with"
            " LIKENESS_KEYCLOAK_URL."
        )


def _keep(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(text)


def _end_with_us() -> None:
    # PR_SET_PDEATHSIG = 1: when Likeness is killed, Keycloak ends as well, and its port is free for the next start.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
