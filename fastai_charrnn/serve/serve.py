"""Look at models in a browser: `serve`, which `charrnn serve` calls.

    serve(learn)                              # until you interrupt it
    serve(["one.safetensors", learn])         # side by side on one text

The page is that of `learn.to_page`. PyTorch computes, so any model that generates text can be shown, of any size.
"""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .._checks import check_count
from ..errors import ServeError
from ..learner import CharLearner
from .describe import load_served
from .server import Address, bound_socket, run_server

__all__ = ["serve"]


def serve(
    models: CharLearner | str | Path | Sequence[CharLearner | str | Path],  # learners or model files, at most 8
    port: int = 8000,  # 0 chooses a free one
    host: str = "127.0.0.1",  # the address to listen on; other than a loopback address, a token is needed
    open_browser: bool = False,  # whether to open the page in a browser
):
    """Serve a page in which the models predict, score and continue one text. Prints the address; Ctrl-C ends it.

    Each model is shown as it was at the call. Only this computer can open the page, unless `host` says otherwise: then
    the address has a random token. Raises `ServeError` for a port that is taken."""
    check_count("port", port, 0, 65535, ServeError, "0 chooses a free port")
    check_libraries()
    models = list(models) if isinstance(models, (list, tuple)) else [models]
    # the port first: models may take long to load
    sock = bound_socket(host, port)
    try:
        address = Address(sock, host)
        served = load_served(models)
        app = model_app(served, address)
        print(f"{address.url}\nCtrl-C ends the server", flush=True)
        if open_browser:
            webbrowser.open(address.url)
        run_server(app, sock, lambda: close_models(served))
    finally:
        sock.close()


def close_models(models):
    "End the streams of models."
    for model in models:
        model.close()


def check_libraries():
    "Raise `ServeError` if the libraries of a server are missing. fastai brings them with fastprogress."
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise ServeError(f"a server needs {error.name}; install it with: pip install python-fasthtml") from None
    return starlette, uvicorn


def model_app(
    models: list,  # `ServedModel`s
    address: Address,  # where it is served
):
    "The application that answers for models."
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    from ..page.html import page_html
    from .api import ModelApi
    from .guard import Guard

    title = ", ".join(model.info["name"] for model in models)
    page = page_html(title, {}, ("remote.js", "start_remote.js"), runs_model=False, connect="'self'")
    # the page has a policy of its own
    headers = {"content-security-policy": "frame-ancestors 'none'"}

    async def index(request):
        return HTMLResponse(page, headers=headers)

    api = ModelApi(models)
    app = Starlette(routes=[Route("/", index), *api.routes])
    return Guard(app, address.host, address.port, address.token)
