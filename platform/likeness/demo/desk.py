"""HR's part of the demo, over HTTP: companies, rosters, and the download."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from likeness.demo.cast import Player, write_workbook
from likeness.demo.doors import member_link
from likeness.kernel import Kernel
from likeness.run.first_admin import sign_in_address
from tenants import tenants
from tenants.models import Role

TIMEOUT_SECONDS = 120


class DemoFailed(RuntimeError):
    """Likeness answered something that the demo did not expect."""


class Browser:
    """An HTTP client with a cookie jar of its own, as every person has."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.http = httpx.Client(base_url=kernel.settings.public_url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def call(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Raises `DemoFailed` with Likeness' own sentence."""
        response = self.http.request(method, f"/api/v1{path}", **content)
        if response.is_error:
            raise DemoFailed(f"{method} {path} was answered {response.status_code}: {response.text[:300]}")
        return response

    def sign_in(self, address: str) -> None:
        self.call("POST", f"/sign-in/{address.rsplit('/', 1)[1]}")


@dataclass
class DemoCompany:
    name: str
    tenant: UUID
    hr: Browser
    batch: str = ""
    workbook: Path = Path()
    invited: int = 0
    earlier: int = 0
    """Who stood on a list before, as after a demo from another folder over the same data."""

    def download(self, folder: Path) -> int:
        """Fetches the ZIP of released headshots; returns how many are in it."""
        # Making everything may take longer than a session of the desk that nobody uses.
        self.hr.sign_in(member_link(self.hr.kernel, self.tenant, Role.HR))
        path = folder / f"{self.workbook.stem}-headshots.zip"
        path.write_bytes(self.hr.call("GET", f"/batches/{self.batch}/archive").content)
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise DemoFailed(f"{path} arrived damaged")
            return sum(name.lower().endswith((".png", ".webp", ".jpg")) for name in archive.namelist())


def found_companies(kernel: Kernel, names: list[str]) -> list[DemoCompany]:
    """The companies of the demo, made by the operator where they do not exist yet, each with HR signed in."""
    operator = Browser(kernel)
    operator.sign_in(sign_in_address(kernel))
    known = {line["name"]: UUID(line["id"]) for line in operator.call("GET", "/tenants").json()}
    companies = []
    for number, name in enumerate(names):
        hr = Browser(kernel)
        if name not in known:
            founded = operator.call(
                "POST",
                "/tenants",
                json={
                    "name": name,
                    "admin_name": "Dana Whitfield" if number == 0 else "Ilse Vandenberg",
                    "admin_email": f"hr@{'alpenglow' if number == 0 else 'harbourfinch'}.example",
                    "contact": f"privacy@{'alpenglow' if number == 0 else 'harbourfinch'}.example",
                    "authority": "the data protection authority of your country",
                    "credits": 1000,
                },
            ).json()
            known[name] = UUID(founded["id"])
        hr.sign_in(member_link(kernel, known[name], Role.HR))
        companies.append(DemoCompany(name, known[name], hr))
        _invite_legal(companies[-1], number)
        _offer(kernel, companies[-1])
    return companies


def _offer(kernel: Kernel, company: DemoCompany) -> None:
    """What this demo shows; an earlier one over the same data may have been of the other world."""
    offered = tenants.offers(kernel.settings.recipe)
    if company.hr.call("GET", "/tenant").json()["recipes"] != offered:
        legal = Browser(kernel)
        legal.sign_in(member_link(kernel, company.tenant, Role.LEGAL))
        legal.call("PATCH", "/tenant", json={"recipes": offered})


def _invite_legal(company: DemoCompany, number: int) -> None:
    """Two people of legal, whom HR invited: neither invited the other, so that the two can place a legal hold."""
    known = {member["email"] for member in company.hr.call("GET", "/members").json()}
    domain = "alpenglow" if number == 0 else "harbourfinch"
    for name in ("Lena Marsh", "Tariq Bell"):
        address = f"{name.split()[0].lower()}.legal@{domain}.example"
        if address not in known:
            company.hr.call("POST", "/members", json={"name": name, "email": address, "roles": ["legal"]})


def import_rosters(companies: list[DemoCompany], players: dict[str, list[Player]], folder: Path) -> None:
    """Each HR drops an Excel sheet, looks at the dry run, and imports it with invitations. Twice changes nothing."""
    for company in companies:
        seed = players[company.name][0].key.split("-")[0]
        company.workbook = folder / f"{company.name.split()[0].lower()}-{seed}-{len(players[company.name])}.xlsx"
        if not company.workbook.exists():
            write_workbook(players[company.name], company.workbook)
        files = {"workbook": (company.workbook.name, company.workbook.read_bytes())}
        dropped = company.hr.call("POST", "/batches", files=files, data={"name": f"Portraits {seed}"}).json()
        if dropped["reading"]["failed_rows"]:
            raise DemoFailed(f"the dry run of {company.workbook} found problems: {dropped['reading']['problems']}")
        company.batch = dropped["batch"]["id"]
        if dropped["batch"]["imported_at"] is None:
            imported = company.hr.call(
                "POST",
                f"/batches/{company.batch}/commit",
                json={"invite": True, "digest": dropped["reading"]["digest"]},
            ).json()
            company.earlier = imported["updated"] + imported["unchanged"]
        company.invited = len(company.hr.call("GET", f"/batches/{company.batch}/people").json())
