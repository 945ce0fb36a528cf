"""The JSON edge of the roster: HR's part, the employee's visit, and their photos."""

from __future__ import annotations

from litestar import Router

from batch import api_addresses, api_desk, api_imports, api_photos, api_uploads, api_visit

router = Router(
    path="/api/v1",
    route_handlers=[
        *api_desk.routes,
        *api_imports.routes,
        *api_visit.routes,
        *api_addresses.routes,
        *api_photos.routes,
        *api_uploads.routes,
    ],
    tags=["roster"],
)
