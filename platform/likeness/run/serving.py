"""How the web server listens, the same in every profile."""

from __future__ import annotations

from typing import Any

import uvicorn

from likeness.ground.settings import Settings
from likeness.kernel import Kernel
from likeness.run.app import create_app
from likeness.web import connections


def server(kernel: Kernel, **changes: Any) -> uvicorn.Server:
    """Believes what a proxy says of a caller's address and scheme only where the settings name that proxy."""
    settings = kernel.settings
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        # Addresses hold one-time links, so none is logged.
        "access_log": False,
        "server_header": False,
        # uvicorn would otherwise believe this machine, and FORWARDED_ALLOW_IPS.
        "proxy_headers": bool(settings.proxies),
        "forwarded_allow_ips": settings.proxies,
    } | connections.options()
    return uvicorn.Server(uvicorn.Config(create_app(kernel), **(options | changes)))


def cannot_listen(settings: Settings) -> str:
    """uvicorn's own words are a library's, which no log keeps."""
    return (
        f"The web server could not listen on {settings.host}:{settings.port}. Is the port taken? Choose another with"
        " LIKENESS_PORT. Is LIKENESS_HOST an address of this machine?"
    )
