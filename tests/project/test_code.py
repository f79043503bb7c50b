"""Public names are documented and typed, files are short."""

import ast
import importlib
import inspect
import re

import pytest
from layout import modules, root

folders = ("fastai_charrnn", "tests", "tools", "benchmarks", "examples")
sources = [p for folder in folders for p in sorted((root / folder).rglob("*.py")) if p.stat().st_size]


@pytest.mark.parametrize("name", modules)
def test_public_names_are_documented_and_typed(name):
    module = importlib.import_module(f"fastai_charrnn.{name}")
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        o = getattr(module, public)
        if not (inspect.isfunction(o) or inspect.isclass(o)):
            continue
        assert inspect.getdoc(o), public
        if inspect.isfunction(o):
            try:
                sig = inspect.signature(o)
            except ValueError:
                continue
            for p in sig.parameters.values():
                if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or p.name in ("args", "self"):
                    continue
                assert p.annotation is not p.empty or name in ("data.loaders", "cli.evaluate"), f"{public}({p.name})"


@pytest.mark.parametrize("path", sources, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_are_short_and_say_why_they_exist(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 310 and ast.get_docstring(ast.parse(text))
    assert not re.search(r"except( Exception)?:\s*pass", text)
