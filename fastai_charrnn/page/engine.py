"""The JavaScript that runs a packed model, as one text: `engine_source`.

The files lie in `page/assets`. Joined in the order of `ENGINE` they define one global name, `CharRNN`, and use no
document: they run in a page, in a Worker and in Node.
"""

from pathlib import Path

__all__ = ["ENGINE", "engine_source"]

# each file needs those before it
ENGINE = ("numbers.js", "sampling.js", "cells.js", "model.js", "gradient.js", "reader.js")

_assets = Path(__file__).with_name("assets")


def engine_source() -> str:  # JavaScript
    "Return the engine: the files of `ENGINE`, joined."
    return "\n".join((_assets / name).read_text(encoding="utf-8") for name in ENGINE)
