"""The demo from start to end, with its clock, its report and its contact sheet."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from compliance.proof.certificates import verify
from gpu_cluster.cluster import scheduling
from likeness.demo.account import DOMAIN, NAME, USER, DemoAccount, with_an_account
from likeness.demo.cast import COMPANIES, cast, in_a_photograph, yourself
from likeness.demo.desk import DemoFailed, found_companies, import_rosters
from likeness.demo.doors import NobodyLeft, doors
from likeness.demo.place import FOLDER
from likeness.demo.sheet import contact_sheet
from likeness.demo.show import ProgressLines
from likeness.demo.visit import Visitor, erase
from likeness.ground import telemetry
from likeness.ground.settings import Settings
from likeness.ground.stopping import interrupt_when_told_to_stop, stop_in_peace, until_told_to_stop
from likeness.kernel import Kernel
from likeness.run.embedded import AlreadyRunning, Embedded, starting
from likeness.run.folder import NoPhotos
from likeness.run.postgres import PostgresFailed
from likeness.sso.running import KeycloakFailed, OwnKeycloak

PATIENCE_SECONDS = 30 * 60
SHOWN = (
    "people_drawn", "people_photographed", "photos_submitted", "photos_accepted", "headshots_made",
    "headshots_delivered", "likeness_ratio_mean", "likeness_ratio_worst", "certificate_verified", "seconds_total",
    "peak_rss_mb",
)  # fmt: skip


def run(
    settings: Settings, *, employees: int, seed: int, report: Path | None, stay: bool, photos: Path | None = None
) -> int:
    """Plays the demo in a place that is prepared; returns the process's exit status. With `photos` it is one person's,
    without a drawn world."""
    console = Console()
    clock = StageTimes(console)
    interrupt_when_told_to_stop()
    telemetry.configure(settings.log_level, file=settings.home / "likeness.log")
    console.print(
        "[bold]Likeness[/] · your own photos, cut out and set on a company's backdrop. Nothing is generated, and at the"
        " end everything is erased.\n"
        if photos
        else "[bold]Likeness[/] · a demo of two worlds: people whom this program draws, each with a model of their own, and"
        " one real photograph that is cut out. Everything else is the product.\n"
    )
    running, memory = Embedded(settings), PeakMemory()
    memory.start()
    try:
        with clock.stage("start"), console.status(starting(settings.keycloak is not None)):
            kernel = running.start()
            running.serve()
            scheduling.CLUSTER.warm_up()
        console.print(f"[green]✓[/] running at {kernel.settings.public_url}")
        result, ways_in, account = play(kernel, console, clock, employees, seed, photos, running.keycloak)
        result |= {"seconds": clock.seconds, "seconds_total": clock.total(), "peak_rss_mb": memory.peak_mb()}
        target = report or FOLDER / "report.json"
        target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        _summary(console, result, target)
        if stay:
            console.print("\nCome in: each link works once, within 30 minutes.")
            console.print("A browser is one person at a time: open them in private windows.")
            for who, link in ways_in().items():
                console.print(f"  {who:9} [bold]{link}[/]", soft_wrap=True)
            if account is not None:
                _tell_of_account(console, kernel, account)
            console.print("Ctrl-C stops everything; the data is kept and `likeness up` continues with it.")
            until_told_to_stop()
        return 0 if result["certificate_verified"] and result["headshots_delivered"] else 1
    except KeyboardInterrupt:
        console.print("\nStopping … the data is kept, a second start continues with it.")
        return 130
    except (
        AlreadyRunning, KeycloakFailed, PostgresFailed, DemoFailed, NobodyLeft, NoPhotos, TimeoutError,
    ) as error:  # fmt: skip
        console.print(f"[red]✗[/] {error}")
        return 1
    finally:
        stop_in_peace()
        running.stop()
        memory.stop()


def _tell_of_account(console: Console, kernel: Kernel, account: DemoAccount) -> None:
    console.print("With the company's account, as often as you like:")
    said = f"  {NAME}, HR: [bold]{account.address}[/], user {USER}, password {account.password}"
    console.print(said, soft_wrap=True, highlight=False)
    door = f"{kernel.settings.public_url}/sign-in"
    console.print(
        f"  Members find it by their address: type {USER}@{DOMAIN} at {door}", soft_wrap=True, highlight=False
    )


def play(
    kernel: Kernel, console: Console, clock: StageTimes, employees: int, seed: int, photos: Path | None,
    own: OwnKeycloak | None = None,
) -> tuple[dict[str, Any], Callable[[], dict[str, str]], DemoAccount | None]:  # fmt: skip
    """HR imports, the people visit, the cluster works, HR downloads, one person leaves.

    Returns what the report says, what makes links to the first company's desks and to one of its people, and that
    company's own sign-in where there is a Keycloak.
    """
    folder = FOLDER.resolve()
    folder.mkdir(exist_ok=True)
    if photos:
        players = yourself(photos)
    else:
        players = cast(employees, seed)
        players[COMPANIES[0]].append(in_a_photograph(seed))
    with clock.stage("import"):
        companies = found_companies(kernel, list(players))
        import_rosters(companies, players, folder)
    for company in companies:
        console.print(
            f"[green]✓[/] {company.name}: HR dropped {company.workbook.name}, {company.invited} people invited"
            + (f", {company.earlier} on an earlier list already" if company.earlier else "")
        )
    account, told = None, dict[str, Any]()
    if own is not None:
        with clock.stage("sign-in with an account"):
            account = with_an_account(kernel, own, companies[0])
        console.print(f"[green]✓[/] {NAME} of {companies[0].name} signed in with the company's account, through Keycloak")
        told["sign_in_seconds"] = {server: round(took, 3) for server, took in account.round.seconds.items()}
    visitors = [Visitor(kernel, company, player) for company in companies for player in players[company.name]]
    with ProgressLines(console, visitors) as board:
        with clock.stage("visit"):
            _together([visitor.send_photos for visitor in visitors if not visitor.already_left()], board)
            for visitor in visitors:
                visitor.hand_in()
        with clock.stage("train and render"):
            _wait(visitors, board)
            if any([visitor.content_with_less() for visitor in visitors]):
                _wait(visitors, board)
        with clock.stage("release"):
            for visitor in visitors:
                visitor.choose_and_release()
            board.refresh()
    for visitor in visitors:
        if visitor.failure and not visitor.made:
            console.print(f"[yellow]![/] {visitor.player.name}: {visitor.failure}")
    with clock.stage("download"):
        delivered = sum(company.download(folder) for company in companies)
    earlier = any(company.earlier for company in companies)
    console.print(
        f"[green]✓[/] HR downloaded {delivered} released headshots"
        + (" of these lists; those of people on an earlier list are downloaded with that one" if earlier else "")
    )
    with clock.stage("contact sheet"):
        picture = contact_sheet(visitors, folder / "contact-sheet.png")
    with clock.stage("erasure"):
        certificate = erase(visitors[-1], folder)
        verified = verify(certificate.read_text(), json.loads((folder / "certificate-key.json").read_text()))
    console.print(f"[green]✓[/] {visitors[-1].player.name} asked to be forgotten: certificate verified offline")
    ratios = [ratio for visitor in visitors for ratio in visitor.ratios]
    first = [one for one in visitors if one.company is companies[0] and one.employee and one is not visitors[-1]]
    ways_in = partial(doors, kernel, companies[0].tenant, [one.employee for one in first if one.employee])
    return told | {
        "people_drawn": sum(not player.photographs for company in players.values() for player in company),
        "people_photographed": sum(bool(player.photographs) for company in players.values() for player in company),
        "seed": seed,
        "photos_submitted": sum(visitor.submitted for visitor in visitors),
        "photos_accepted": sum(visitor.accepted for visitor in visitors),
        "sittings": {visitor.player.key: visitor.state for visitor in visitors},
        "headshots_made": sum(visitor.made for visitor in visitors),
        "headshots_delivered": delivered,
        "likeness_ratio_mean": round(sum(ratios) / len(ratios), 4) if ratios else None,
        "likeness_ratio_worst": round(min(ratios), 4) if ratios else None,
        "certificate_verified": verified["stage"] == 1,
        "certificate": str(certificate),
        "contact_sheet": str(picture),
        "seconds_per_person": {visitor.player.key: visitor.run_seconds for visitor in visitors},
    }, ways_in, account


def _together(acts: list[Any], board: ProgressLines) -> None:
    """Several people at once, as in a company; the first failure ends the demo."""
    failures: list[BaseException] = []

    def guarded(act: Any) -> None:
        try:
            act()
        except BaseException as error:  # Told by the main thread, once everybody has stopped.
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        interrupt_when_told_to_stop()
        board.refresh()
        time.sleep(0.2)
    if failures:
        raise failures[0]


def _wait(visitors: list[Visitor], board: ProgressLines) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all([visitor.look() for visitor in visitors]):
        if time.monotonic() > deadline:
            raise TimeoutError("The sittings did not end within half an hour; see likeness.log.")
        interrupt_when_told_to_stop()
        board.refresh()
        time.sleep(0.5)
    board.refresh()


def _summary(console: Console, result: dict[str, Any], target: Path) -> None:
    table = Table(title="What happened", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name in SHOWN:
        if result[name] is None:
            continue
        table.add_row(name.replace("_", " "), str(result[name]))
    for stage, seconds in result["seconds"].items():
        table.add_row(f"  {stage}", f"{seconds} s")
    console.print(table)
    for name, path in (
        ("Contact sheet", result["contact_sheet"]), ("Certificate", result["certificate"]), ("Report", target)
    ):  # fmt: skip
        console.print(f"{name}: {path}", soft_wrap=True, highlight=False)


class StageTimes:
    """Wall-clock seconds of each stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.started, self.seconds = time.monotonic(), dict[str, float]()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        if not self._console.is_terminal:  # There nothing moves, and a stage takes minutes.
            self._console.print(f"… {name}", highlight=False)
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 1)

    def total(self) -> float:
        return round(time.monotonic() - self.started, 1)


class PeakMemory(threading.Thread):
    """Samples the proportional memory of this process and everything below it, each page counted once."""

    def __init__(self) -> None:
        super().__init__(name="memory", daemon=True)
        self._peak, self._ended = 0, threading.Event()

    def run(self) -> None:
        me = psutil.Process(os.getpid())
        # Not more often: it goes through the page tables of every process, which takes the kernel a while.
        while not self._ended.wait(3.0):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except (psutil.Error, AttributeError):
                    continue
            self._peak = max(self._peak, total)

    def peak_mb(self) -> int:
        return round(self._peak / 2**20)

    def stop(self) -> None:
        self._ended.set()
