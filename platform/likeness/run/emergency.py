"""The machine's side of a link that takes two operators: one asks here, the other confirms on the Operations page."""

from __future__ import annotations

import time
from uuid import UUID

from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from tenants import tenants
from tenants.members import break_glass

LOOKED_EVERY_SECONDS = 1.0


class CompanyUnclear(RuntimeError):
    """No company has this name or id, or several have the name."""


def company_of(kernel: Kernel, named: str) -> UUID:
    """Raises `CompanyUnclear`."""
    with kernel.db.transaction(PLATFORM) as session:
        everybody = tenants.all_tenants(session)
    found = [one.id for one in everybody if named.strip() in (str(one.id), one.name)]
    if len(found) != 1:
        what = "Several companies have this name" if found else "No company has this name or id"
        raise CompanyUnclear(f"{what}. Name it by its id; the Operations page and `GET /api/v1/tenants` show these.")
    return found[0]


def wait_for_link(kernel: Kernel, question: UUID) -> str:
    """Raises `QuestionMissing` after fifteen minutes."""
    while not (link := break_glass.open_once(kernel, question, utc_now())):
        time.sleep(LOOKED_EVERY_SECONDS)
    return link
