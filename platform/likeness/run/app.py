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
from prometheus_client import CollectorRegistry, Gauge, generate_latest

import batch.api
import batch.directory.api
import compliance.api
import gpu_cluster.api
import tenants.api
from compliance import restores
from compliance.proof import stored
from compliance.retention import lateness
from dashboard import pages
from dashboard.reader import reader
from dashboard.routes import routers as page_routers
from likeness import checkpoints
from likeness.ground.clock import CLOCK
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import Unavailable
from likeness.identity import FreshSignInNeeded
from likeness.jobs import claims
from likeness.jobs.pause import WHERE_THE_SCHEDULER_RUNS, deletions_paused
from likeness.kernel import Kernel
from likeness.keys import fingerprint
from likeness.keys.keys import KeyUnavailable
from likeness.locale.words import read_all
from likeness.run import machine
from likeness.web import described
from likeness.web.bodies import ORDINARY, KnownBody
from likeness.web.guards import HEADERS, SameOrigin, as_likeness_error, problem, wants_page
from likeness.web.once import Once
from likeness.web.reporting import security_txt
from likeness.web.threads import PROBES
from likeness.web.turns import InTurn

log = logging.getLogger(__name__)
PUBLIC = {"public": True}
PROBE = PUBLIC | {"room": PROBES.name}
KEEP_FIGURES_SECONDS = 5.0


def create_app(kernel: Kernel) -> Litestar:
    # Whether we are ready is asked over connections that no rush of requests can use up.
    probes = kernel.apart(2)
    app = Litestar(
        route_handlers=[
            livez, readyz, metrics, security_txt,
            tenants.api.router, batch.api.router, batch.directory.api.router, gpu_cluster.api.router, compliance.api.router,
            *page_routers,
        ],
        state=State({"kernel": kernel, "probes": probes}),
        on_shutdown=[probes.db.close],
        middleware=[DefineMiddleware(one) for one in (InTurn, SameOrigin, KnownBody, Once)],
        exception_handlers={Exception: answer_error},
        after_request=partial(add_headers, https=kernel.settings.public_url.startswith("https://")),
        template_config=pages.template_config,
        openapi_config=OpenAPIConfig(
            title="Likeness",
            version="1",
            path="/api",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            root_schema_site=None,
            components=described.security(kernel.settings),
        ),
        request_max_body_size=ORDINARY,
        debug=False,
        logging_config=None,
    )  # fmt: skip
    described.describe(app)
    read_all()
    return app


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    shown = as_likeness_error(error)
    if isinstance(shown, KeyUnavailable) and request.url.path != "/readyz":
        shown = KeyUnavailable()  # Which key and what to mount is for operators alone.
    if shown.status >= 500 and not isinstance(shown, Unavailable):
        log.error("request failed", exc_info=error, extra={"method": request.method, "status": shown.status})
    # A file is fetched by a link to the API, and whoever clicked it reads why there is none.
    clicked = isinstance(shown, FreshSignInNeeded) and MediaType.HTML in request.headers.get("accept", "")
    response = pages.error_page(request, shown) if clicked or wants_page(request) else problem(shown, reader(request))
    response.headers.update(HEADERS)
    if allow := (getattr(error, "headers", None) or {}).get("allow"):
        response.headers["allow"] = allow
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


@get("/readyz", media_type=MediaType.TEXT, opt=PROBE, sync_to_thread=True, include_in_schema=False)
def readyz(request: Request[Any, Any, Any]) -> str:
    """Raises `Unavailable` while the database does not answer or is at another schema, or its keys are away.

    A full disk and clocks that disagree are said and take nothing down: pages still open, and people can still delete.
    """
    kernel = _probes(request)
    try:
        kernel.db.check()
    except Exception as error:
        raise Unavailable("The database is not ready.") from error
    fingerprint.check(kernel.db, kernel.keys)
    said = ["ready"]
    if paused := _paused(kernel):
        said.append(f"nothing is deleted because of its date: {paused}")
    if machine.full(kernel.settings):
        said.append("a disk is full, so nothing new can be kept; `likeness check` says which")
    return "; ".join(said)


def _probes(request: Request[Any, Any, Any]) -> Kernel:
    probes: Kernel = request.app.state.probes
    return probes


def _paused(kernel: Kernel) -> str:
    """Why nothing is deleted because of the time; empty when all is well."""
    with kernel.db.transaction(PLATFORM) as session:
        paused = deletions_paused(session)
    return CLOCK.doubt() or (WHERE_THE_SCHEDULER_RUNS if paused else "")


FIGURES = {
    "jobs_oldest_due_seconds": "How long the oldest due job has waited.",
    "deletions_late_seconds": "How long the oldest thing that should be deleted is late.",
    "deletions_paused": "Whether nothing is deleted because clocks disagree.",
    "certificates_changed": "How many signed papers were refused since the start: the database held others.",
    "restored_time_seconds": "When a start noticed that a backup was put back; 0 without.",
    "clock_difference_seconds": "How far this machine's clock is ahead of the database's.",
    "disk_free_bytes": "Room on the fullest disk that this machine writes to.",
    "metrics_seconds": "How long these figures took to read.",
}
"""Each is called `likeness_` and this. None has a label, so that nothing personal can be in one."""


@get("/metrics", media_type=MediaType.TEXT, opt=PROBE, sync_to_thread=True, include_in_schema=False)
def metrics(request: Request[Any, Any, Any]) -> bytes:
    """`FIGURES`, as a Prometheus reads them."""
    started, probes = time.perf_counter(), _probes(request)
    oldest = claims.oldest_due_seconds(probes, utc_now())
    late, restored = _of_companies(request)
    room = min(free for _, free in machine.room(probes.settings))
    paused, ahead = bool(_paused(probes)), CLOCK.difference()
    registry, took = CollectorRegistry(), time.perf_counter() - started
    values = (oldest, late, paused, len(stored.CHANGED | checkpoints.CHANGED), restored, ahead, room, took)
    for (name, about), value in zip(FIGURES.items(), values, strict=True):
        Gauge(name, about, namespace="likeness", registry=registry).set(value)
    return generate_latest(registry)


def _of_companies(request: Request[Any, Any, Any]) -> tuple[float, float]:
    """How late deletions are, and when a restored backup was noticed. Every company is asked, so what was read is kept for
    some seconds: anybody may ask for these figures."""
    state = request.app.state
    read_at, figures = getattr(state, "figures", (float("-inf"), (0.0, 0.0)))
    if time.monotonic() - read_at > KEEP_FIGURES_SECONDS:
        kernel, now = _probes(request), utc_now()
        restored = restores.of_all(kernel, now)
        figures = lateness.seconds(kernel, now), restored.at.timestamp() if restored else 0.0
        state.figures = (time.monotonic(), figures)
    late, at = figures
    return float(late), float(at)
