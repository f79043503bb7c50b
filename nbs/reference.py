"""What the reference pages show about a public name: `show_doc` uses `Entry`, see [tool.nbdev] in pyproject.toml.

An entry has a heading, the signature, the docstring and a table of the parameters, all taken from the code.
That of a class goes on with its public methods.
"""

import inspect
import re
from types import NoneType

from fastcore.docments import docments
from fastcore.utils import AttrDict

empty = inspect.Parameter.empty
width = 88  # columns of a signature


class Entry:
    "The documentation of a function, or of a class with its methods, as Markdown."

    def __init__(self, sym, name=None, title_level=3):
        self.sym = sym
        self.name = name or getattr(sym, "__qualname__", str(sym))
        self.h = "#" * title_level

    def _repr_markdown_(self):
        parts = [f"{self.h} `{self.name}`", *described(self.sym, self.name)]
        if inspect.isclass(self.sym):
            for name, method in methods(self.sym):
                parts += [f"{self.h}# `{self.name}.{name}`", *described(method, name)]
            if functions := _as_methods(self.sym):
                parts.append("Functions that are methods, too: " + ", ".join(f"`{o}`" for o in functions) + ".")
        return "\n\n".join(parts)

    __repr__ = _repr_markdown_


def methods(
    cls: type,  # a class
):  # name and function or property of each
    "The public methods that a class defines and documents itself."
    for name, o in vars(cls).items():
        o = getattr(o, "__func__", o)
        own = f"{cls.__name__}.{name}"
        is_method = isinstance(o, property) or inspect.isfunction(o) and o.__qualname__.endswith(own)
        if is_method and o.__doc__ and not name.startswith("_"):
            yield name, o


def _as_methods(cls):
    "Functions with an entry of their own that a class has as methods."
    functions = {k: o for k, o in vars(cls).items() if inspect.isfunction(o) and not k.startswith("_")}
    return [name for name, o in functions.items() if "." not in o.__qualname__ and o.__qualname__ == name]


def described(
    o,  # a function, class or property
    name: str,  # as it is called
):  # Markdown paragraphs
    "Signature, docstring and parameters."
    doc = _as_markdown(inspect.getdoc(o) or "")
    if isinstance(o, property) or not _has_signature(o):
        return [doc]
    doc = "" if doc.startswith(f"{name}(") else doc  # that of a dataclass without one repeats its signature
    own, passed_on = _parameters(o)
    documented = any(p.docment for p in own.values())
    parts = [f"```python\n{_signature(name, own, types=not documented)}\n```", doc]
    if documented:
        parts.append(_table(own))
    if passed_on:
        parts.append("Further arguments are passed on: " + ", ".join(f"`{p}`" for p in passed_on) + ".")
    return [p for p in [*parts, _returns(o)] if p]


def _as_markdown(doc):
    "A docstring whose paragraphs that are set in columns stay so."
    paragraphs = doc.split("\n\n")
    return "\n\n".join(f"```text\n{p}\n```" if re.search(r"\S {3,}\S", p) else p for p in paragraphs)


def _has_signature(o):
    try:
        inspect.signature(o)
    except (TypeError, ValueError):
        return False
    return True


def _parameters(o):
    "Parameters by name, with type, default and docment: a function's own, and those it has by `delegates`."
    params = _fields(o) if hasattr(o, "_fields") else docments(o, full=True, returns=False, args_kwargs=True)
    params = {k: p for k, p in params.items() if k not in ("self", "cls")}
    code = getattr(inspect.unwrap(o.__init__ if inspect.isclass(o) else o), "__code__", None)
    here = set(params) if hasattr(o, "_fields") or code is None else set(code.co_varnames)
    bases = [docments(c, full=True) for c in inspect.getmro(o)[1:-1]] if inspect.isclass(o) else []
    for name, p in params.items():
        p.docment = p.docment or next((b[name].docment for b in bases if name in b and b[name].docment), None)
    own = {k: p for k, p in params.items() if k in here}
    events = getattr(o, "_methods", ())  # which fastai's callbacks take as arguments
    return own, [k for k in params if k not in here and k not in events]


def _fields(o):
    "The fields of a named tuple, which `docments` does not read."
    comments = dict(re.findall(r"^\s+(\w+):.*?# (.*)$", inspect.getsource(o), re.M))
    params = inspect.signature(o).parameters.values()
    return {
        p.name: AttrDict(anno=p.annotation, default=p.default, kind=p.kind, docment=comments.get(p.name))
        for p in params
    }


def _signature(name, params, types):
    "A call with all defaults, on lines of at most `width` columns."
    parts, lines = _parts(params, types), [f"{name}("]
    for i, part in enumerate(parts):
        part += ")" if i == len(parts) - 1 else ","
        if len(f"{lines[-1]} {part}") > width:
            lines.append("   ")
        lines[-1] += part if lines[-1].endswith("(") else f" {part}"
    return "\n".join(lines) if parts else f"{name}()"


def _parts(params, types):
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parts = []
    for name, p in params.items():
        anno = f": {_type(p.anno)}" if types and _type(p.anno) else ""
        default = "" if p.default is empty else f"={_value(p.default)}"
        starred = any(o.startswith("*") for o in parts)
        if p.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        parts.append(stars.get(p.kind, "") + name + anno + default)
    return parts


def _table(params):
    head = "| parameter | type | default | |\n| --- | --- | --- | --- |"
    rows = [
        [f"`{k}`", _code(_type(p.anno)), _code(_value(p.default)), p.docment or ""]
        for k, p in params.items()
        if _says_something(p)
    ]
    return "\n".join([head, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _says_something(p):
    return p.docment or p.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _returns(o):
    if inspect.isclass(o):
        return ""
    returned = docments(o, full=True, args_kwargs=True).get("return")
    if returned is None or returned.anno in (empty, None) and not returned.docment:
        return ""
    kind = _code(_type(returned.anno))
    return "Returns " + (f"{kind}: {returned.docment}" if kind and returned.docment else kind or returned.docment)


def _code(text):
    return f"`{text}`" if text else ""


def _cell(text):
    return text.replace("|", r"\|").replace("\n", " ")


def _type(anno):
    "A type as it is written, without the modules of its parts."
    if anno in (empty, NoneType):
        return ""
    text = anno if isinstance(anno, str) else inspect.formatannotation(anno)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _value(default):
    if default is empty:
        return ""
    text = getattr(default, "__name__", None) or repr(default)
    text = re.sub(r"^<(\w+\.\w+): .*>$", r"\1", text)  # of an enumeration
    return "..." if text in ("<factory>", "<lambda>") else re.sub(r" at 0x[0-9a-f]+", "", text)
