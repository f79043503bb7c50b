"""Where the files of the project are, for tests."""

import re
from pathlib import Path

root = Path(__file__).parents[2]
package = root / "fastai_charrnn"
packages = [
    *("data", "models", "generation", "state", "callback", "io", "analysis", "recipes"),
    *("share", "page", "serve", "cli"),
]


def module_name(path: Path) -> str:
    "The dotted name of a module within the package."
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_module(path):
    "Only `cli/__init__.py` has code; the other `__init__` files are empty."
    return not path.stem.startswith("__") or path == package / "cli/__init__.py"


module_paths = {module_name(p): p for p in sorted(package.rglob("*.py")) if _is_module(p)}
modules = sorted(module_paths)


def code_blocks(language: str, name: str = "README.md") -> list[str]:
    "The code of a Markdown page in one language."
    return re.findall(rf"```{language}\n(.*?)```", (root / name).read_text(encoding="utf-8"), re.S)
