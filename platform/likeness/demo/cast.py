"""Who plays: two companies, their HR, people whose faces the project draws itself, and one in a photograph."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from openpyxl import Workbook

from gpu_cluster.drawn.people.draw import DrawnPerson, selfie
from likeness.run.folder import photos
from tenants.models import CUTOUT

COMPANIES = ("Alpenglow Instruments", "Harbour & Finch")


@dataclass(frozen=True)
class CastName:
    """A name, and the drawn people whom nobody would be surprised to see under it: skin from 0, the fairest, to 6."""

    name: str
    woman: bool
    fairest: float
    deepest: float
    dark_hair: bool = False

    def fits(self, person: DrawnPerson) -> bool:
        return (
            self.fairest <= person.skin <= self.deepest
            and not (self.woman and (person.beard != "no beard" or person.style == "bald"))
            and not (not self.woman and person.style in ("long", "bob", "bun", "wavy"))
            and (not self.dark_hair or person.hair in ("black", "dark brown"))
        )


PARTS = (
    CastName("Amara Okafor", True, 4.2, 6, True), CastName("Jonas Lindqvist", False, 0, 2),
    CastName("Mei-Ling Zhao", True, 0.8, 2.8, True), CastName("Rafael Ortiz", False, 1.5, 3.6, True),
    CastName("Priya Raman", True, 2.8, 4.8, True), CastName("Tomasz Nowak", False, 0, 2),
    CastName("Zoë Müller", True, 0, 2),
    CastName("Yusuf Demir", False, 1.2, 3.2, True), CastName("Aoife Byrne", True, 0, 1.4),
    CastName("Kenji Sato", False, 0.8, 2.8, True), CastName("Layla Haddad", True, 1.4, 3.2, True),
    CastName("Søren Dahl", False, 0, 1.6), CastName("Ngozi Eze", True, 4.2, 6, True),
    CastName("Mateo Rossi", False, 0.8, 2.8, True), CastName("Iris Bergmann", True, 0, 2),
    CastName("Đặng Thị Hoa", True, 0.8, 2.8, True),
)  # fmt: skip
PHOTOGRAPH = Path(__file__).parent / "photographs" / "grace-hopper.jpg"
DEPARTMENTS = ("Design", "Research", "Sales", "Support")
PHOTOS = 8
MOST_PHOTOGRAPHS = 20
PHOTO_SIDE = 1024
"""Pixels; a phone's selfie is larger, and the face in it as well."""


@dataclass(frozen=True)
class Player:
    """One employee of the demo: drawn from a seed, or with photographs. `recipe` is what they choose."""

    key: str
    name: str
    email: str
    department: str
    seed: int
    photographs: tuple[Path, ...] = ()
    recipe: str = "portrait-small"

    @property
    def sends(self) -> int:
        """How many photos they mean to hand in."""
        return len(self.photographs) or PHOTOS

    def photo(self, number: int) -> bytes:
        """Their photo `number`, the same every time; a drawn one is a JPEG."""
        if self.photographs:
            return self.photographs[number].read_bytes()
        image, _ = selfie(self.seed, number, PHOTO_SIDE)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=93)
        return buffer.getvalue()


def cast(employees: int, seed: int) -> dict[str, list[Player]]:
    """People by company, as evenly as can be; another seed draws other people."""
    players: dict[str, list[Player]] = {company: [] for company in COMPANIES}
    for index in range(employees):
        company = COMPANIES[index % len(COMPANIES)]
        part = PARTS[index % len(PARTS)]
        domain = "alpenglow.example" if company == COMPANIES[0] else "harbourfinch.example"
        players[company].append(
            Player(
                key=f"{seed}-{index + 1:03}",
                name=part.name if index < len(PARTS) else f"{part.name} {index // len(PARTS) + 1}",
                email=f"person{index + 1}.s{seed}@{domain}",
                department=DEPARTMENTS[index % len(DEPARTMENTS)],
                seed=_seed_of(part, seed * 1000 + index),
            )
        )
    return players


def _seed_of(part: CastName, first: int) -> int:
    """The first seed, in steps of a number that no cast is as large as, whose drawn person the name suits."""
    return next(seed for seed in count(first, 50) if part.fits(DrawnPerson.drawn(seed)))


def in_a_photograph(seed: int) -> Player:
    """Somebody real, whose one photograph is cut out: no model of her is made."""
    return Player(
        f"{seed}-grace", "Grace Hopper", f"grace.s{seed}@alpenglow.example", "Research", 0, (PHOTOGRAPH,), CUTOUT
    )


def yourself(folder: Path) -> dict[str, list[Player]]:
    """A company of one: whoever is in the photos of this folder. Raises `NoPhotos`.

    Each time it is somebody new, because the one before was erased at the end.
    """
    found, now = tuple(photos(folder)[:MOST_PHOTOGRAPHS]), f"{datetime.now(UTC):%Y%m%d%H%M%S}"
    return {COMPANIES[0]: [Player(f"{now}-you", "You", f"you.{now}@alpenglow.example", "Design", 0, found, CUTOUT)]}


def write_workbook(players: list[Player], path: Path) -> None:
    """A roster as an HR department would send it."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Employees"
    sheet.append(["Employee ID", "Full name", "E-mail", "Department"])
    for player in players:
        sheet.append([player.key, player.name, player.email, player.department])
    book.save(path)
