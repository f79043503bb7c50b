"""`make lint` finds what breaks a rule of style, and the statistics of the code count what they say."""

import subprocess
import sys
from pathlib import Path

import code_stats
import pytest
from check_style import findings, report
from layout import root


def _function(n_lines):
    return "def f():\n" + "    a = 1\n" * n_lines


CLEAN = '"""A module."""\n\na, b, c = 1, 2, 3\nd = a if b else c\n' + _function(40) + "# the end\n" * 200


@pytest.fixture
def module(tmp_path):
    "Write a module."

    def write(text):
        path = tmp_path / "module.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_module_within_all_limits_has_no_findings(module):
    assert list(findings(module(CLEAN))) == []


@pytest.mark.parametrize(
    "text,line,message",
    [
        ("\na, b, c, d = x", 2, "4 targets in a tuple assignment, at most 3"),
        ("(a, b), [c, d] = x", 1, "4 targets"),
        ("a = b, c, d, e = x", 1, "4 targets"),
        ("a = 1 if b else 2 if c else 3", 1, "a conditional expression inside another; use if statements"),
        ("a = f(1 if b else 2) if c else 3", 1, "a conditional expression inside another"),
        ("\n\n" + _function(41), 3, "f has 41 lines, at most 40; move a part into a function"),
        ("a = 1\n" * 251, 251, "the module has 251 lines, at most 250; split it by concept"),
    ],
)
def test_each_rule_has_one_finding(module, text, line, message):
    [(found_line, finding)] = findings(module(text))
    assert found_line == line
    assert message in finding


def test_findings_name_the_file_and_the_line(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/one.py").write_text("a = 1\na, b, c, d = x\n")
    [line] = report(tmp_path)
    assert line.startswith("tools/one.py:2: 4 targets")


@pytest.mark.parametrize(
    "code,text",
    [
        ("E501", "a = " + "1 + " * 40 + "1\n"),
        ("E701", "if a: b()\n"),
        ("E702", "a = 1; b = 2\n"),
        ("E703", "a = 1;\n"),
        ("F401", "import os\n"),
    ],
)
def test_ruff_checks_the_width_of_lines_and_one_statement_a_line(code, text):
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "--output-format", "concise"]
    checked = subprocess.run([*ruff, "-"], input=text, cwd=root, capture_output=True, text=True)
    assert checked.returncode == 1
    assert f" {code} " in checked.stdout


# statistics


def test_the_lines_of_a_function_are_those_on_which_a_node_begins(module):
    path = module('def f(a):\n    "Doc."\n    # why\n\n    b = g(\n        a,\n    )\n    return b\n')
    [function] = code_stats.functions(path)
    # b = g( : assignment, name, call, name; a, : name; return b : return, name
    assert dict(code_stats.body_lines(function)) == {5: 4, 6: 1, 8: 2}


def test_the_statistics_of_a_folder_are_a_row(module, tmp_path):
    module("def f():\n    a = 1\n\n\ndef g():\n    a = 1\n    b = a + 1\n    return b\n")
    (tmp_path / "__init__.py").touch()
    # nodes: 3, 3, 5 and 2
    assert code_stats.table_row("here", tmp_path) == "| here | 3 | 3.2 | 2 | 3 | 3 | 0 | 0 of 1 |"


def test_a_folder_without_functions_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match="has no functions; name a folder of Python modules"):
        code_stats.table_row("here", tmp_path)


def test_the_page_has_the_project_and_fastai():
    page = code_stats.page(against=root)
    for name in ("`fastai_charrnn/`", "`benchmarks/`"):
        assert page.count(f"| {name} |") == 2
    assert page.count("| `fastai.callback` |") == 1
