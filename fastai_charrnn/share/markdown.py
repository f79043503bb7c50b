"""Text of users and of files as Markdown: `plain`, `code`, `code_block`, `table`, and `yaml_header` for model cards.

A model file of a stranger may hold any text. Nothing of it becomes markup, HTML or YAML. Imports no torch.
"""

import re
from collections.abc import Sequence

from .._printable import printable

__all__ = ["plain", "code", "code_block", "table", "yaml_header"]

_markup = re.compile(r"[\\`*_\[\]{}<>|~&$!#]")


def plain(
    text: object,  # any text, or a value with a `str`
) -> str:  # one line
    "Return text that Markdown shows as it is. Markup and control characters are escaped, line breaks become spaces."
    line = " ".join(str(text).split())
    return _markup.sub(r"\\\g<0>", printable(line))


def code(
    text: object,  # any text, or a value with a `str`
) -> str:
    "Return text as inline code, for a line or a cell of a table."
    line = printable(" ".join(str(text).split())).replace("|", "\\|")
    fence = _fence(line, 1)
    # a space on both sides is removed by Markdown, and keeps the backticks of the text apart from the fence
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def code_block(
    text: str,  # any text of several lines
    language: str = "text",  # for the colours
) -> str:
    "Return text as a block of code. Its fence is longer than any in the text."
    text = printable(text, lines=True)
    fence = _fence(text, 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _fence(text, at_least):
    "More backticks than stand next to each other in a text."
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(at_least, longest + 1)


def table(
    rows: Sequence[Sequence[str]],  # the first one has the titles; cells are Markdown
) -> str:
    "Return a table of Markdown."
    titles, *others = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([titles, f"|{' --- |' * len(rows[0])}", *others])


def yaml_header(
    fields: dict,  # numbers, texts, lists and dicts
) -> str:
    "Return the fields as YAML between lines of ---, as a model card begins. Texts are quoted where YAML needs it."
    import yaml

    text = yaml.safe_dump(_printable_texts(fields), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n"


def _printable_texts(value):
    "The same fields without control characters in their texts."
    if isinstance(value, dict):
        return {name: _printable_texts(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_printable_texts(part) for part in value]
    return printable(value) if isinstance(value, str) else value
