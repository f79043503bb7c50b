"""Join the files of a page to one HTML text: `page_html`, with a policy that allows its own code only.

A page has data, which is never run, and scripts, whose checksums are in its content security policy. Texts of models
and of users are shown by `textContent`.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..errors import PageError
from .engine import engine_source

__all__ = ["page_html", "UI"]

STYLES = ("base.css", "panels.css")
# each file needs those before it
UI = (
    "chars.js",
    "next.js",
    "shaded.js",
    "surprise.js",
    "units.js",
    "continuation.js",
    "facts.js",
    "controls.js",
    "ui.js",
)
# what a page with the model inside runs besides
LOCAL = ("local.js", "start.js")

_assets = Path(__file__).with_name("assets")


def page_html(
    title: str,  # the title of the document
    data: object,  # JSON values for the scripts, in the element "charrnn-data"
    scripts: Sequence[str] = LOCAL,  # files of `page/assets` that come after the UI; the last one starts the page
    runs_model: bool = True,  # whether the engine is part of the page
    connect: str = "'none'",  # what the page may connect to, as in a content security policy
) -> str:  # HTML
    """Return a page as one text without links to other files.

    Raises `PageError` for data that JSON cannot hold, such as NaN."""
    style = "\n".join(_asset(name) for name in STYLES)
    # the engine has the probabilities of the bars
    first = () if runs_model else ("sampling.js",)
    parts = [("charrnn-ui", "\n".join(_asset(name) for name in (*first, *UI, *scripts)))]
    if runs_model:
        parts = [("charrnn-engine", engine_source()), ("charrnn-worker", _asset("worker.js")), *parts]
    fields = dict(
        policy=_policy([code for _, code in parts], style, connect),
        version=html.escape(__version__),
        title=html.escape(title),
        style=style,
        data=_json(data),
        scripts="\n".join(f'<script id="{name}">{_checked(code)}</script>' for name, code in parts),
    )
    # in one pass, so a field is never searched for the names of others
    return re.sub(r"\{\{(\w+)\}\}", lambda found: fields[found[1]], _asset("page.html"))


def _asset(name):
    return (_assets / name).read_text(encoding="utf-8")


def _policy(scripts, style, connect):
    "The content security policy: no network, no code and no style but those of the page."
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_checksum, scripts))}",
            f"style-src {_checksum(style)}",
            "worker-src blob:",
            "img-src data:",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _checksum(text):
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _checked(code):
    "Our own code, which must not end its element."
    if re.search(r"</script|<!--", code, re.IGNORECASE):
        raise PageError("a script of the page has </script or <!--, which would end it")
    return code


def _json(data):
    "JSON in ASCII without <, > and &, so an HTML parser finds no tag, comment or entity in it."
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as e:
        raise PageError(f"the data of the page cannot be written as JSON: {e}") from None
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)
