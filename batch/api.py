"""The JSON edge of the roster: HR's part, the employee's visit, photos and headshots."""

from __future__ import annotations

from litestar import Router

import batch.delivery.api
import batch.delivery.api_credits
import batch.photos.api
import batch.pilots.api
import batch.roster.api
import batch.sittings.api
import batch.visit.api
from batch.delivery import digest  # noqa: F401 - as below
from batch.people import api_logo, api_looks
from batch.photos import api_uploads
from batch.roster import api_imports
from batch.visit import api_addresses, api_concerns, reminders  # noqa: F401 - its sweeps are found by being imported

router = Router(
    path="/api/v1",
    route_handlers=[
        *batch.roster.api.routes,
        *api_imports.routes,
        *batch.pilots.api.routes,
        *batch.visit.api.routes,
        *api_addresses.routes,
        *api_concerns.routes,
        *batch.photos.api.routes,
        *api_uploads.routes,
        *batch.sittings.api.routes,
        *batch.delivery.api.routes,
        *batch.delivery.api_credits.routes,
        *api_logo.routes,
        *api_looks.routes,
    ],
    tags=["roster"],
)
