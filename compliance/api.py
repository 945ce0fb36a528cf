from litestar import Router

from compliance import erasures as erasures

router = Router(path="/api/v1", route_handlers=[], tags=["compliance"])
