"""A file that a browser saves, and that no cache keeps."""

from __future__ import annotations

from typing import TypeVar

from litestar import Response

from likeness.web.streaming import PRIVATE

Content = TypeVar("Content")

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def saved(content: Content, name: str, media_type: str = XLSX) -> Response[Content]:
    headers = PRIVATE | {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
