"""A server of this process: `bound_socket` takes the port, `run_server` answers until Ctrl-C, `ThreadServer` beside it.

uvicorn and Starlette are used directly. FastHTML, which brings them, allows requests of all origins in a notebook,
loads scripts from the network, and writes a key file into the folder.
"""

import errno
import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable

from .._checks import shown
from ..errors import ServeError

__all__ = ["Address", "is_loopback", "bound_socket", "run_server", "ThreadServer"]

_shutdown_seconds = 1
_token_bytes = 24


def is_loopback(
    host: str,  # a name or an address
) -> bool:
    "Whether only this computer can reach this address."
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Address:
    "Where a server listens, and the address to open."

    def __init__(
        self,
        sock: socket.socket,  # made by `bound_socket`
        host: str,  # what it was asked to listen on
    ):
        self.host = host
        self.port = sock.getsockname()[1]
        # other computers need a token
        self.token = None if is_loopback(host) else secrets.token_urlsafe(_token_bytes)

    @property
    def url(self) -> str:
        "The address to open, with the token if there is one."
        name = self.host
        if name in ("0.0.0.0", "::"):
            name = socket.gethostname()
        if ":" in name:
            name = f"[{name}]"
        query = f"?token={self.token}" if self.token else ""
        return f"http://{name}:{self.port}/{query}"


def bound_socket(
    host: str,  # a name or an address of this computer
    port: int,  # 0 chooses a free one
) -> socket.socket:
    "Listen on a port. Raises `ServeError` if it is taken or not allowed, or if the address is not of this computer."
    if not isinstance(host, str):
        raise ServeError(f"host={shown(host)} is not an address; pass a str, such as '127.0.0.1'")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ServeError(f"host={host!r} has no address; pass one of this computer, such as 127.0.0.1") from None
    sock = socket.socket(*found[:3])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(found[-1])
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ServeError(_why_not(error, host, port)) from None
    return sock


def _why_not(error, host, port):
    "What is wrong with an address, and what to do."
    if error.errno == errno.EADDRINUSE:
        return f"port={port} is taken by another program; pass another one, or port=0 for any free port"
    if error.errno == errno.EACCES:
        return f"port={port} needs the rights of an administrator; pass one from 1024, or port=0 for any free port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host={host!r} is not an address of this computer; pass 127.0.0.1, or 0.0.0.0 for all its addresses"
    return f"cannot listen on {host}, port={port}: {error.strerror}; pass another one, or port=0 for any free port"


def run_server(
    app: Callable,  # an ASGI application
    sock: socket.socket,  # made by `bound_socket`
    on_stop: Callable = lambda: None,  # called before open connections are waited for
):
    "Answer requests until Ctrl-C, or until the kernel of a notebook is interrupted."
    # in a thread, because a notebook has an event loop of its own in this one
    server = ThreadServer(app, sock, on_stop)
    try:
        while server.thread.is_alive():
            server.thread.join(0.5)
    except KeyboardInterrupt:
        return
    finally:
        server.stop()


class ThreadServer:
    "Answers requests in a thread, which ends with the process or with `stop`."

    def __init__(
        self,
        app: Callable,  # an ASGI application
        sock: socket.socket,  # made by `bound_socket`
        on_stop: Callable = lambda: None,  # called before open connections are waited for
    ):
        self.server = _uvicorn_server(app, on_stop)
        self.sock = sock
        self.thread = threading.Thread(target=self._run, name="charrnn-server", daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.server.run(sockets=[self.sock])
        finally:
            self.sock.close()

    def stop(self):
        "End the server, and wait for it."
        self.server.should_exit = True
        self.thread.join(_shutdown_seconds + 5)


def _uvicorn_server(app, on_stop):
    import uvicorn

    class Server(uvicorn.Server):
        "Ends streams before it waits for them."

        async def shutdown(self, sockets=None):
            on_stop()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        # the application logs its own errors; others are of connections that were cut off
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        limit_concurrency=200,
        timeout_graceful_shutdown=_shutdown_seconds,
    )
    return Server(config)
