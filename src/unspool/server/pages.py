"""The studio's pages: static files of the package, with hashes as entity tags."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unspool.server.faults import ApiError, error_response

__all__ = ["routes"]

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes() -> list[Route]:
    """Return the routes of the pages."""
    return [Route("/", _page), Route("/studio/{path:path}", _page)]


async def _page(request: Request) -> Response:
    path = request.path_params.get("path", "index.html")
    content = _files().get(path)
    if content is None:
        return error_response(ApiError(404, f"there is no page {path[:80]!r}"))
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_KINDS[path[path.rindex(".") :]])


@cache
def _files() -> dict[str, bytes]:
    """Return all files of the pages by path; a request can name no other file."""
    contents: dict[str, bytes] = {}
    open_folders = [("", files("unspool.server") / "static"), ("inspection/", files("unspool.inspection") / "static")]
    while open_folders:
        prefix, folder = open_folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                open_folders.append((f"{prefix}{entry.name}/", entry))
            elif any(entry.name.endswith(suffix) for suffix in _KINDS):
                contents[prefix + entry.name] = entry.read_bytes()
    return contents
