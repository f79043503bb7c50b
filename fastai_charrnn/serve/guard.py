"""Who may ask the server: `Guard` checks the Host, the Origin and the token of every request, and adds safe headers.

A page of a stranger in the same browser can send requests to 127.0.0.1, and can give its own name this address (DNS
rebinding). So a request needs a Host that is this computer, and an Origin that equals the Host if it has one. Other
computers also need a token, which is in the address that the server prints. The first answer moves it into a cookie.
"""

import ipaddress
import json
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from .server import is_loopback

__all__ = ["Guard", "json_error"]

_safe_headers = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_default_csp = "default-src 'none'; frame-ancestors 'none'"


def json_error(
    status: int,  # of HTTP
    kind: str,  # what went wrong, as one word for programs
    message: str,  # for people
) -> Response:
    "An error that the page shows."
    # ASCII only: a message may quote half of a pair of surrogates
    body = json.dumps({"error": {"kind": kind, "message": message}})
    return Response(body, status, media_type="application/json")


class Guard:
    "Passes on a request that may be answered, and refuses others."

    def __init__(
        self,
        app,  # the application that answers
        host: str,  # the address that the server listens on
        port: int,  # its port; the cookie is named after it, because browsers share cookies between ports
        token: str | None = None,  # what a request needs to have; None: nothing
    ):
        self.app = app
        self.host = host
        self.token = token
        self.cookie = f"charrnn_{port}"

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        sends = _with_safe_headers(send)
        answer = self._refusal(headers) or self._token_answer(scope, headers)
        await (answer or self.app)(scope, receive, sends)

    def _refusal(self, headers):
        "The answer to a request of another page or for another computer; None if it is neither."
        host = headers.get("host", "")
        if not self._is_own(host):
            hint = "open the address that the server printed"
            return json_error(421, "host", f"this server does not answer for {host[:80]!r}; {hint}")
        origin = headers.get("origin")
        is_foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if is_foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # an address may be followed from another page, which sends no Origin
            if is_foreign or headers.get("sec-fetch-mode") != "navigate":
                return json_error(403, "origin", "another page asked; open the address that the server printed")
        return None

    def _is_own(self, host):
        "Whether a Host header is this computer. With a token it may be any address and the computer's own names."
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if is_loopback(name) or name == self.host.lower():
            return True
        if self.token is None:
            return False
        return _is_address(name) or name in (socket.gethostname().lower(), socket.getfqdn().lower())

    def _token_answer(self, scope, headers):
        "None for a request with the token, a redirect that stores it, or an error."
        if self.token is None:
            return None
        given = QueryParams(scope["query_string"]).get("token")
        if given is not None and scope["method"] == "GET" and self._is_token(given):
            # without the token in the address, which is shared and remembered more easily
            answer = RedirectResponse(scope["path"], 303)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="lax")
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(bearer) or self._is_token(_cookie(headers, self.cookie)):
            return None
        message = "the token is missing or of an earlier server; open the address with ?token= that the server printed"
        if scope["path"].startswith("/api/"):
            return json_error(401, "token", message)
        return PlainTextResponse(message[0].upper() + message[1:] + ".", 401)

    def _is_token(self, given):
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def _is_address(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie(headers, name):
    "The value of a cookie; empty without one."
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def _with_safe_headers(send):
    "Adds headers to each answer that keep browsers from guessing, framing and storing it."

    async def sends(message):
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _safe_headers.items():
                headers.setdefault(name, value)
            headers.setdefault("content-security-policy", _default_csp)
        await send(message)

    return sends
