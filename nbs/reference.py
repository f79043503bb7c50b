"""Render the entries of the reference pages: `show_doc` uses `Entry`, see [tool.nbdev] in pyproject.toml.

An entry has a heading, the signature, the docstring and a table of the parameters, all read from the code.
The entry of a class also has its public methods.
"""

import inspect
import re
from types import NoneType
from typing import TypeVar

from fastcore.docments import docments
from fastcore.utils import AttrDict

empty = inspect.Parameter.empty
stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
max_width = 88  # columns of a signature


class Entry:
    "The documentation of a function, or of a class with its methods, as Markdown."

    def __init__(self, sym, name=None, title_level=3):
        self.sym = sym
        self.name = name or getattr(sym, "__qualname__", str(sym))
        self.heading = "#" * title_level

    def _repr_markdown_(self):
        parts = [f"{self.heading} `{self.name}`", *described(self.sym, self.name)]
        return "\n\n".join([*parts, *self._method_parts()])

    def _method_parts(self):
        if not inspect.isclass(self.sym):
            return
        for name, method in methods(self.sym):
            yield f"{self.heading}# `{self.name}.{name}`"
            yield from described(method, name)
        names = _functions_as_methods(self.sym)
        if names:
            yield f"Functions that are also methods: {_code_list(names)}."

    __repr__ = _repr_markdown_


def methods(
    cls: type,  # a class
):  # (name, function or property) of each method
    "The public methods that a class defines and documents itself or has from a base class named Base…"
    for base in [*(base for base in cls.__bases__ if base.__name__.startswith("Base")), cls]:
        for name, member in vars(base).items():
            member = getattr(member, "__func__", member)
            is_public = member.__doc__ and not name.startswith("_")
            if is_public and (isinstance(member, property) or _is_defined_in(member, base, name)):
                yield name, member


def _is_defined_in(member, cls, name):
    return inspect.isfunction(member) and member.__qualname__.endswith(f"{cls.__name__}.{name}")


def _functions_as_methods(cls):
    "Functions of modules, with entries of their own, that are methods of a class."
    names = []
    for name, member in vars(cls).items():
        if inspect.isfunction(member) and not name.startswith("_") and member.__qualname__ == name:
            names.append(name)
    return names


def described(
    sym,  # a function, class or property
    name: str,  # its name in calls
):  # Markdown paragraphs
    "Signature, docstring and parameters."
    doc = _as_markdown(inspect.getdoc(sym) or "")
    if isinstance(sym, property) or not _has_signature(sym):
        return [doc]
    if doc.startswith(f"{name}("):
        # a dataclass without a docstring has its signature there
        doc = ""
    own, passed_on = _parameters(sym)
    documented = any(param.docment for param in own.values())
    parts = [f"```python\n{_signature(name, own, types=not documented)}\n```", doc]
    if documented:
        parts.append(_table(own))
    if passed_on:
        parts.append(f"Further arguments are passed on: {_code_list(passed_on)}.")
    parts.append(_returns(sym))
    return [part for part in parts if part]


def _as_markdown(doc):
    "A docstring in which paragraphs with columns are code blocks."
    return "\n\n".join(_paragraph(text) for text in doc.split("\n\n"))


def _paragraph(text):
    return f"```text\n{text}\n```" if re.search(r"\S {3,}\S", text) else text


def _has_signature(sym):
    try:
        inspect.signature(sym)
    except (TypeError, ValueError):
        return False
    return True


# parameters


def _parameters(sym):
    "A function's own parameters, by name with type, default and docment, and the names it has by `delegates`."
    params = _all_parameters(sym)
    own_names = _own_names(sym, params)
    for name, param in params.items():
        param.docment = param.docment or _docment_of_bases(sym, name)
    own = {name: param for name, param in params.items() if name in own_names}
    events = getattr(sym, "_methods", ())  # fastai's callbacks take their events as arguments
    passed_on = [name for name in params if name not in own_names and name not in events]
    return own, passed_on


def _all_parameters(sym):
    params = _fields(sym) if hasattr(sym, "_fields") else docments(sym, full=True, returns=False, args_kwargs=True)
    return {name: param for name, param in params.items() if name not in ("self", "cls")}


def _own_names(sym, params):
    "The names of the parameters in the code: `delegates` adds others to the signature."
    function = inspect.unwrap(sym.__init__ if inspect.isclass(sym) else sym)
    code = getattr(function, "__code__", None)
    if hasattr(sym, "_fields") or code is None:
        return set(params)
    return set(code.co_varnames)


def _docment_of_bases(sym, name):
    "What the base classes say about a parameter."
    if not inspect.isclass(sym):
        return None
    for base in inspect.getmro(sym)[1:-1]:
        param = docments(base, full=True).get(name)
        if param and param.docment:
            return param.docment


def _fields(cls):
    "The fields of a named tuple, which `docments` does not read."
    comments = dict(re.findall(r"^\s+(\w+):.*?# (.*)$", inspect.getsource(cls), re.M))
    fields = {}
    for param in inspect.signature(cls).parameters.values():
        docment = comments.get(param.name)
        fields[param.name] = AttrDict(anno=param.annotation, default=param.default, kind=param.kind, docment=docment)
    return fields


# signatures


def _signature(name, params, types):
    "A call with all defaults, on lines of at most `max_width` columns."
    parts = _signature_parts(params, types)
    if not parts:
        return f"{name}()"
    parts = [f"{part}," for part in parts[:-1]] + [f"{parts[-1]})"]
    lines = [f"{name}({parts[0]}"]
    for part in parts[1:]:
        if len(f"{lines[-1]} {part}") > max_width:
            lines.append("   ")
        lines[-1] += f" {part}"
    return "\n".join(lines)


def _signature_parts(params, types):
    parts = []
    for name, param in params.items():
        starred = any(part.startswith("*") for part in parts)
        if param.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        parts.append(_signature_part(name, param, types))
    return parts


def _signature_part(name, param, types):
    text = stars.get(param.kind, "") + name
    kind = _type(param.anno)
    if types and kind:
        text += f": {kind}"
    if param.default is not empty:
        text += f"={_value(param.default)}"
    return text


# the table of parameters


def _table(params):
    lines = ["| parameter | type | default | |", "| --- | --- | --- | --- |"]
    for name, param in params.items():
        # `**kwargs` without a comment has nothing to say
        if param.docment or param.kind not in stars:
            lines.append(_row(name, param))
    return "\n".join(lines)


def _row(name, param):
    cells = [_code(name), _code(_type(param.anno)), _code(_value(param.default)), param.docment or ""]
    return f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text):
    return text.replace("|", r"\|").replace("\n", " ")


def _returns(sym):
    # a class returns an instance of itself, which needs no line
    returned = None if inspect.isclass(sym) else docments(sym, full=True, args_kwargs=True).get("return")
    parts = [_code(_type(returned.anno)), returned.docment] if returned else []
    parts = [text for text in parts if text]
    return f"Returns {': '.join(parts)}" if parts else ""


# text


def _code_list(names):
    return ", ".join(_code(name) for name in names)


def _code(text):
    return f"`{text}`" if text else ""


def _type(anno):
    "A type as in the code, without the modules of its parts. Nothing for a variable, as in `cls: type[T]`."
    if anno in (empty, None, NoneType) or isinstance(anno, TypeVar):
        return ""
    text = anno if isinstance(anno, str) else inspect.formatannotation(anno)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _value(default):
    if default is empty:
        return ""
    text = getattr(default, "__name__", None) or repr(default)
    if text in ("<factory>", "<lambda>"):
        return "..."
    text = re.sub(r"^<(\w+\.\w+): .*>$", r"\1", text)  # a member of an enumeration
    return re.sub(r" at 0x[0-9a-f]+", "", text)
