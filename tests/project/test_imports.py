"""The parts of the package import each other one way only."""

import ast
from graphlib import TopologicalSorter

import pytest
from layout import module_paths, modules, package, packages

# What all parts of the package may import.
FOR_ALL = {
    "errors",
    "metrics",
    "_utils",
    "_printable",
    "_files",
    "_checks",
    "_html",
    "_colours",
    "_deadline",
    "_memory",
}
# What each of them may import besides.
MAY_IMPORT = {
    "errors": [],
    "metrics": [],
    "_utils": [],
    "_files": [],
    "_checks": [],
    "_printable": [],
    "_html": [],
    "_colours": [],
    "_deadline": [],
    "_memory": [],
    "data": [],
    "models": [],
    "generation": ["data", "models"],
    "state": ["data"],
    "callback": ["data", "models", "generation", "state", "optimizer"],
    "evaluation": ["data", "callback"],
    "assign": ["data", "models"],
    "predictions": ["data", "generation", "callback"],
    "encoder": ["data", "models", "callback"],
    "optimizer": [],
    "learner": [
        "encoder",
        "data",
        "models",
        "generation",
        "callback",
        "evaluation",
        "predictions",
        "assign",
        "optimizer",
    ],
    "adapt": ["data", "models", "callback", "learner"],
    "mixing": ["data", "learner", "adapt"],
    "io": ["data", "models", "generation", "callback", "learner"],
    "analysis": ["data", "models", "generation", "learner"],
    "recipes": ["data", "models", "callback", "learner", "optimizer"],
    "share": ["data", "models", "generation", "learner", "io", "analysis", "recipes"],
    "page": ["data", "models", "generation", "learner", "io", "analysis", "share"],
    "serve": ["data", "models", "generation", "callback", "learner", "io", "analysis", "share", "page"],
    "cli": [
        *("data", "models", "generation", "state", "callback", "learner", "adapt", "io", "analysis", "recipes"),
        *("share", "page", "serve", "mixing"),
    ],
    "all": [
        *("data", "models", "generation", "callback", "learner", "adapt", "io", "analysis", "recipes", "optimizer"),
        *("share", "page", "serve", "mixing"),
    ],
}


def _imports(path):
    "The modules of the package that a module imports, by dotted name."
    here = path.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = ".".join([*here[: len(here) + 1 - node.level], *([node.module] if node.module else [])])
        for alias in node.names:
            inside = f"{base}.{alias.name}".strip(".")
            yield inside if inside in modules else base


def test_the_parts_of_the_package_are_known():
    assert {m.split(".")[0] for m in modules} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", modules)
def test_imports_go_one_way(name):
    part = name.split(".")[0]
    allowed = {part, "", *FOR_ALL, *MAY_IMPORT[part]}
    assert {m for m in _imports(module_paths[name]) if m.split(".")[0] not in allowed} == set()


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {name: set(_imports(path)) - {name, ""} for name, path in module_paths.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("name", packages)
def test_packages_have_empty_init_files(name):
    "Only `cli/__init__.py` has code: the entry point."
    assert name == "cli" or (package / name / "__init__.py").read_text(encoding="utf-8") == ""
