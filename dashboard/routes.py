"""All pages, and the files that they need."""

from __future__ import annotations

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.static_files import create_static_files_router

from dashboard import answering, desk, desk_import, erasing, legal, operations, people, sign_in, team, visit
from dashboard.pages import FOLDER

routers: list[Router] = [
    Router(
        path="/",
        route_handlers=[
            *sign_in.routes,
            *visit.routes,
            *answering.routes,
            *people.routes,
            *erasing.routes,
            *desk_import.routes,
            *desk.routes,
            *legal.routes,
            *team.routes,
            *operations.routes,
        ],
        include_in_schema=False,
    ),
    create_static_files_router(
        path="/static",
        directories=[FOLDER / "static"],
        opt={"public": True},
        cache_control=CacheControlHeader(max_age=300, public=True),
    ),
]
