"""The application of a training that is watched: a page, its files, and what the training shows."""

from pathlib import Path

from .board import Board
from .server import Address

__all__ = ["watch_app"]

_files = {"base.css": "text/css", "watch.css": "text/css", "chars.js": "text/javascript"}
_files |= {"chart.js": "text/javascript", "watch.js": "text/javascript"}
_assets = Path(__file__).parents[1] / "page" / "assets"
_policy = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def watch_app(
    board: Board,  # what is shown
    address: Address,  # where it is served
):
    "The application. It reads the board only."
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from .guard import Guard

    # read before the training begins: the files may be replaced during it
    texts = {name: (_assets / name).read_text(encoding="utf-8") for name in ("watch.html", *_files)}

    async def index(request):
        headers = {"content-security-policy": _policy}
        return Response(texts["watch.html"], media_type="text/html", headers=headers)

    async def file(request):
        name = request.path_params["name"]
        if name not in _files:
            return Response("there is no such file", 404)
        return Response(texts[name], media_type=_files[name])

    async def training(request):
        since = request.query_params.get("since", "")
        version = int(since) if since.isdecimal() and len(since) < 16 else 0
        answer = board.since(version, request.query_params.get("id", ""))
        return Response(answer, media_type="application/json")

    routes = [Route("/", index), Route("/api/training", training), Route("/{name}", file)]
    return Guard(Starlette(routes=routes), address.host, address.port, address.token)
