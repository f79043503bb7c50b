"""Check the rules of style that ruff cannot check.

    python tools/check_style.py

- At most three targets in a tuple assignment.
- No conditional expression inside another one.
- Functions of at most 40 lines, modules of at most 250. `tools/code_stats.py` says how lines are counted.

There are no exceptions. ruff checks the width of lines and that each line has one statement.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from code_stats import body_lines, folders, functions, max_function, max_module, root

max_targets = 3


def findings(
    path: Path,  # a module
) -> Iterator[tuple[int, str]]:  # line, what is wrong and what to do
    "What is wrong with the style of a module."
    text = path.read_text(encoding="utf-8")
    n_lines = len(text.splitlines())
    if n_lines > max_module:
        yield n_lines, f"the module has {n_lines} lines, at most {max_module}; split it by concept"
    for function in functions(path):
        n_lines = len(body_lines(function))
        if n_lines > max_function:
            limit = f"at most {max_function}; move a part into a function"
            yield function.lineno, f"{function.name} has {n_lines} lines, {limit}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign):
            yield from _many_targets(node)
        elif isinstance(node, ast.IfExp) and _has_inner_conditional(node):
            yield node.lineno, "a conditional expression inside another; use if statements or a function"


def _many_targets(assignment):
    "A finding for an assignment that unpacks into too many names."
    for target in assignment.targets:
        n_targets = _count_targets(target)
        if n_targets > max_targets:
            limit = f"at most {max_targets}; assign the values one by one"
            yield assignment.lineno, f"{n_targets} targets in a tuple assignment, {limit}"


def _count_targets(target):
    if isinstance(target, ast.Tuple | ast.List):
        return sum(_count_targets(inner) for inner in target.elts)
    return 1


def _has_inner_conditional(conditional):
    inner = (node for node in ast.walk(conditional) if node is not conditional)
    return any(isinstance(node, ast.IfExp) for node in inner)


def report(
    checkout: Path = root,  # of this project
) -> list[str]:  # path:line: what is wrong, the limit, what to do
    "The findings in all modules of a checkout."
    lines = []
    for path in (path for folder in (*folders, "examples") for path in sorted((checkout / folder).rglob("*.py"))):
        for line, finding in sorted(findings(path)):
            lines.append(f"{path.relative_to(checkout)}:{line}: {finding}")
    return lines


if __name__ == "__main__":
    if lines := report():
        sys.exit("\n".join([*lines, f"{len(lines)} findings"]))
    print("the style of all modules is right")
