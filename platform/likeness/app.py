"""The web application: assembles every floor's routes over one kernel. Imports everyone, is imported by the edges only."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

import batch.api
import compliance.api
import gpu_cluster.api
import tenants.api
from compliance import lateness
from dashboard import pages
from dashboard.routes import routers as page_routers
from likeness import claims, fingerprint
from likeness.clock import CLOCK
from likeness.db import PLATFORM, utc_now
from likeness.errors import Unavailable
from likeness.kernel import Kernel
from likeness.keys import KeyUnavailable
from likeness.tend import WHERE_IT_TENDS, deletions_paused
from likeness.web import HEADERS, SameOrigin, as_likeness_error, kernel_of, problem, wants_page

log = logging.getLogger(__name__)
PUBLIC = {"public": True}
KEEP_FIGURES_SECONDS = 5.0


def create_app(kernel: Kernel) -> Litestar:
    return Litestar(
        route_handlers=[
            livez, readyz, metrics,
            tenants.api.router, batch.api.router, gpu_cluster.api.router, compliance.api.router,
            *page_routers,
        ],
        state=State({"kernel": kernel}),
        middleware=[DefineMiddleware(SameOrigin)],
        exception_handlers={Exception: answer_error},
        after_request=partial(add_headers, https=kernel.settings.public_url.startswith("https://")),
        template_config=pages.template_config,
        openapi_config=OpenAPIConfig(
            title="Likeness",
            version="1",
            path="/api",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            root_schema_site=None,
        ),
        request_max_body_size=26 * 1024 * 1024,
        debug=False,
        logging_config=None,
    )  # fmt: skip


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    shown = as_likeness_error(error)
    if isinstance(shown, KeyUnavailable) and request.url.path != "/readyz":
        shown = KeyUnavailable()  # Which key and what to mount is for operators alone.
    if shown.status >= 500 and not isinstance(shown, Unavailable):
        log.error("request failed", exc_info=error, extra={"method": request.method, "status": shown.status})
    response = pages.error_page(request, shown) if wants_page(request) else problem(shown)
    response.headers.update(HEADERS)
    return response


def add_headers(response: Response[Any], *, https: bool) -> Response[Any]:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if https:
        response.headers["strict-transport-security"] = "max-age=31536000"
    return response


@get("/livez", media_type=MediaType.TEXT, opt=PUBLIC, sync_to_thread=False, include_in_schema=False)
def livez() -> str:
    return "alive"


@get("/readyz", media_type=MediaType.TEXT, opt=PUBLIC, sync_to_thread=True, include_in_schema=False)
def readyz(request: Request[Any, Any, Any]) -> str:
    """Raises `Unavailable` while the database does not answer or is at another schema, or its keys are away."""
    kernel = kernel_of(request)
    try:
        kernel.db.check()
    except Exception as error:
        raise Unavailable("The database is not ready.") from error
    fingerprint.check(kernel.db, kernel.keys)
    paused = _paused(kernel)
    return f"ready; nothing is deleted because of its date: {paused}" if paused else "ready"


def _paused(kernel: Kernel) -> str:
    """Why nothing is deleted because of the time; empty when all is well."""
    with kernel.db.transaction(PLATFORM) as session:
        paused = deletions_paused(session)
    return CLOCK.doubt() or (WHERE_IT_TENDS if paused else "")


@get("/metrics", media_type=MediaType.TEXT, opt=PUBLIC, sync_to_thread=True, include_in_schema=False)
def metrics(request: Request[Any, Any, Any]) -> str:
    """Prometheus text without labels, so that nothing personal can be in one."""
    started = time.perf_counter()
    oldest = claims.oldest_due_seconds(kernel_of(request), utc_now())
    late = _deletions_late(request)
    return (
        "# HELP likeness_jobs_oldest_due_seconds How long the oldest due job has waited.\n"
        "# TYPE likeness_jobs_oldest_due_seconds gauge\n"
        f"likeness_jobs_oldest_due_seconds {oldest:.3f}\n"
        "# HELP likeness_deletions_late_seconds How long the oldest thing that should be deleted is late.\n"
        "# TYPE likeness_deletions_late_seconds gauge\n"
        f"likeness_deletions_late_seconds {late:.3f}\n"
        "# HELP likeness_deletions_paused Whether nothing is deleted because clocks disagree.\n"
        "# TYPE likeness_deletions_paused gauge\n"
        f"likeness_deletions_paused {int(bool(_paused(kernel_of(request))))}\n"
        "# HELP likeness_clock_difference_seconds How far this machine's clock is ahead of the database's.\n"
        "# TYPE likeness_clock_difference_seconds gauge\n"
        f"likeness_clock_difference_seconds {CLOCK.difference():.3f}\n"
        "# HELP likeness_metrics_seconds How long these figures took to read.\n"
        "# TYPE likeness_metrics_seconds gauge\n"
        f"likeness_metrics_seconds {time.perf_counter() - started:.4f}\n"
    )


def _deletions_late(request: Request[Any, Any, Any]) -> float:
    """Every company is asked, so what was read is kept for some seconds: anybody may ask for these figures."""
    state = request.app.state
    read_at, late = getattr(state, "deletions_late", (float("-inf"), 0.0))
    if time.monotonic() - read_at > KEEP_FIGURES_SECONDS:
        late = lateness.seconds(kernel_of(request), utc_now())
        state.deletions_late = (time.monotonic(), late)
    return float(late)
