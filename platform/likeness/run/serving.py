"""How the web server listens, the same in every profile."""

from __future__ import annotations

from typing import Any

import uvicorn

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
