"""Without a line: the service worker, and the page that it shows."""

import json

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.rendering import FOLDER, page, static_version

router = APIRouter(include_in_schema=False)

KEPT = ("*.css", "*.js", "*.svg", "vendor/*.js", "vendor/*.woff2")


@router.get("/sw.js")
async def service_worker() -> Response:
    """The service worker, with the names of the files as they are now: from the root, as pages stand there."""
    folder, version = FOLDER / "static", static_version()
    names = sorted(str(path.relative_to(folder)) for kind in KEPT for path in folder.glob(kind))
    files = [f"/static/{version}/{name}" for name in names]
    head = f"const NAME = {json.dumps(version)}, FILES = {json.dumps(files)};\n"
    return Response(head + (FOLDER / "sw.js").read_text(), media_type="text/javascript")


@router.get("/offline")
async def without_a_line(request: Request) -> Response:
    """What is shown in place of any page. It holds nothing of anybody."""
    return page(request, "offline.html")
