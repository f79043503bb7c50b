"""What a page must never do: log an error, throw, break its content security policy, ask another host."""

from urllib.parse import urlsplit


class PageWatch:
    "Collects the problems of all pages of a browser context, workers included."

    def __init__(self, context):
        self.context = context
        self.problems = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"exception: {error.error}"))
        context.on("request", self._request)

    def _console(self, message):
        "Chromium logs violations of a content security policy as errors."
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request):
        "A page may ask the host it came from, and nobody if it came from a file."
        if urlsplit(request.url).scheme not in ("http", "https", "ws", "wss"):
            return
        if urlsplit(request.url).netloc != urlsplit(self._opener(request)).netloc:
            self.problems.append(f"request: {request.url}")

    def _opener(self, request):
        "The address of the page that asks. A page that is being opened asks for itself."
        return request.url if request.is_navigation_request() else request.frame.url
