"""Public names are documented and typed, every file has a docstring, and nothing warns when it is imported."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import warnings

import pytest
from layout import module_paths, modules, root

folders = ("fastai_charrnn", "tests", "tools", "benchmarks", "examples")
sources = [p for folder in folders for p in sorted((root / folder).rglob("*.py")) if p.stat().st_size]


# parameters that are documented as a group
UNTYPED = {"data.loaders", "cli.evaluate"}


def _public(name):
    "The public functions and classes of a module, by name."
    module = importlib.import_module(f"fastai_charrnn.{name}")
    public = {public_name: getattr(module, public_name) for public_name in getattr(module, "__all__", [])}
    return {key: value for key, value in public.items() if inspect.isfunction(value) or inspect.isclass(value)}


@pytest.mark.parametrize("name", modules)
def test_public_names_have_docstrings(name):
    assert importlib.import_module(f"fastai_charrnn.{name}").__doc__
    for public_name, value in _public(name).items():
        assert inspect.getdoc(value), public_name


@pytest.mark.parametrize("name", sorted(set(modules) - UNTYPED))
def test_parameters_of_public_functions_have_types(name):
    for public_name, value in _public(name).items():
        if inspect.isfunction(value):
            assert _untyped_parameters(value) == [], public_name


def _untyped_parameters(function):
    "Parameters without a type, except `self`, `*args`, `**kwargs` and the parsed arguments of a command."
    parameters = inspect.signature(function).parameters.values()
    needs_type = [
        p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in ("self", "args")
    ]
    return [p.name for p in needs_type if p.annotation is p.empty]


@pytest.mark.parametrize("path", sources, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_have_docstrings_and_hide_no_errors(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert not re.search(r"except( Exception)?:\s*pass", text)


# fastai and torch warn when they are imported; what comes after that is ours
IMPORT = """import warnings
warnings.simplefilter("ignore")
from fastai.basics import *
from fastai.callback.all import *
from fastai.interpret import *
warnings.resetwarnings()
warnings.simplefilter("error")
import fastai_charrnn.all"""


def test_our_own_import_warns_of_nothing():
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", modules)
def test_modules_compile_without_warnings(name):
    "Python does not compile a module again, so the import above does not show what the compiler warns of."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile(module_paths[name].read_text(encoding="utf-8"), name, "exec")
