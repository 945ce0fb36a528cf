from litestar import Router

router = Router(path="/api/v1", route_handlers=[], tags=["compliance"])
