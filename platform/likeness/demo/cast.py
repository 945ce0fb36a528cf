"""Who plays: two companies, their HR, and people whose faces the project draws itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from openpyxl import Workbook

from gpu_cluster.portraits.draw import selfie

COMPANIES = ("Alpenglow Instruments", "Harbour & Finch")
NAMES = (
    "Amara Okafor", "Jonas Lindqvist", "Mei-Ling Zhao", "Rafael Ortiz", "Priya Raman", "Tomasz Nowak", "Zoë Müller",
    "Yusuf Demir", "Aoife Byrne", "Kenji Sato", "Layla Haddad", "Søren Dahl", "Ngozi Eze", "Mateo Rossi", "Iris Bergmann",
    "Đặng Thị Hoa",
)  # fmt: skip
DEPARTMENTS = ("Design", "Research", "Sales", "Support")
PHOTOS = 8
PHOTO_SIDE = 1024
"""Pixels; a phone's selfie is larger, and the face in it as well."""


@dataclass(frozen=True)
class Player:
    """One employee of the demo and the seed of the person who is drawn for them."""

    key: str
    name: str
    email: str
    department: str
    seed: int

    def photo(self, number: int) -> bytes:
        """The JPEG of their selfie `number`, the same every time."""
        image, _ = selfie(self.seed, number, PHOTO_SIDE)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=93)
        return buffer.getvalue()


def cast(employees: int, seed: int) -> dict[str, list[Player]]:
    """People by company, as evenly as can be; another seed draws other people."""
    players: dict[str, list[Player]] = {company: [] for company in COMPANIES}
    for index in range(employees):
        company = COMPANIES[index % len(COMPANIES)]
        name = NAMES[index % len(NAMES)]
        domain = "alpenglow.example" if company == COMPANIES[0] else "harbourfinch.example"
        players[company].append(
            Player(
                key=f"{seed}-{index + 1:03}",
                name=name if index < len(NAMES) else f"{name} {index // len(NAMES) + 1}",
                email=f"person{index + 1}.s{seed}@{domain}",
                department=DEPARTMENTS[index % len(DEPARTMENTS)],
                seed=seed * 1000 + index,
            )
        )
    return players


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
