"""Every list under `/api/v1` is read page by page, or has a reason to be short."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from litestar import Litestar, Response
from litestar.routes import HTTPRoute

OWN = "one person's own, who makes few of them"
SHORT = {
    "/employees/groups": "counted by the database in one go, for a menu",
    "/employees/{person_id}/history": "the steps of one person: a dozen at most",
    "/erasures/recipients": "what waits for legal's hand: the hundred oldest, until they are settled",
    "/lanes": "the lanes of the program itself",
    "/looks/departments": "counted by the database in one go, for ticking",
    "/packs": "the packs of one company, which its brand names by hand",
    "/pulse": "an hour a line, of thirty days at most",
    "/sender": "three checks",
    "/views": "a member keeps twenty at most",
    "/visit/certificates": OWN,
    "/visit/concerns": OWN,
    "/visit/consent": OWN,
    "/visit/headshots": OWN,
    "/visit/release/asked": OWN,
    "/visit/holds": OWN,
    "/visit/requests": OWN,
    "/visit/uploads": OWN,
}


def is_list(answer: Any) -> bool:
    inner = get_args(answer)[0] if get_origin(answer) is Response else answer
    return get_origin(inner) is list


def test_a_list_is_read_page_by_page_or_says_why_it_is_short(app: Litestar) -> None:
    app = app
    paged, short = set(), set()
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            path = route.path_format.removeprefix("/api/v1")
            if "GET" not in handler.http_methods or path == route.path_format:
                continue
            if is_list(handler.parsed_fn_signature.return_type.annotation):
                named = handler.parsed_fn_signature.parameters
                (paged if {"most", "after"} <= named.keys() else short).add(path)
    assert short == SHORT.keys(), "a list without pages, or a reason for none that is gone"
    assert {"/batches", "/erasures", "/holds", "/requests", "/concerns", "/members", "/tenants", "/cluster/runs"} <= paged
    document = app.openapi_schema.to_schema()
    for path in paged:
        told = document["paths"][f"/api/v1{path}"]["get"]
        assert {"most", "after"} <= {one["name"] for one in told["parameters"]}, path
        assert "Link" in told["responses"]["200"]["headers"], path
