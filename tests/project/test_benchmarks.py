"""Each benchmark runs in its short form, fills its table and draws its picture."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from chromium import has_chromium, missing
from soak_sharing import at_once

root = Path(__file__).parents[2]
names = sorted(path.stem for path in (root / "benchmarks").glob("*_*.py"))


def _run(command):
    "Run a script in this process, which then ends."
    torch.set_num_threads(1)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize("name", names)
def test_a_benchmark_fills_its_table_and_keeps_the_other_sections(name, text, tmp_path):
    if name == "page_speed" and not has_chromium():
        pytest.skip(missing)
    title = name.replace("_", " ")
    report = tmp_path / "BENCHMARKS.md"
    report.write_text(f"# Benchmarks\n\n## another\n\nstays\n\n## {title}\n\ngoes\n", encoding="utf-8")
    command = [str(root / "benchmarks/run.py"), "--short", "--out", str(tmp_path), name]
    if name == "vocab_speed":
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
    else:
        # a new interpreter would import torch and fastai again
        at_once(lambda: _run(command))
    md = report.read_text(encoding="utf-8")
    assert "## another\n\nstays" in md
    assert "goes\n" not in md
    assert md.count("\n## ") == 2
    rows = re.findall(r"^\| (.+?) \| ([\d.,]+)\S* ?.*?\|", md, re.M)
    assert len(rows) >= 2
    assert all(float(value.replace(",", "")) >= 0 for _, value in rows)
    assert "nan" not in md
    assert "Claim: " in md
    assert (tmp_path / f"pictures/{name}.png").stat().st_size > 5000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["BENCHMARKS.md", "pictures"]


@pytest.fixture
def figures(monkeypatch):
    "The module `figures` of the benchmarks."
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import figures

    return figures


@pytest.fixture
def run(monkeypatch, figures):
    "The module `run` of the benchmarks."
    monkeypatch.setattr(sys, "path", list(sys.path))
    import run

    return run


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_its_benchmark_is_left_out(run, capsys):
    assert run.runnable(["batch_speed", "gpu_speed"], short=False) == ["batch_speed"]
    assert capsys.readouterr().err == "gpu_speed is left out: it needs a GPU, and there is none\n"
    assert run.runnable(["gpu_speed"], short=True) == ["gpu_speed"]


def test_the_head_of_the_report_says_what_was_measured_on_a_gpu(run):
    cpu = dict(a="## a\n\nMeasured on: Xeon, 2 threads of 2 cores, no GPU. PyTorch", other="## other\n\nstays")
    assert "Nothing here was measured on a GPU." in run.head(cpu)
    both = cpu | dict(b="## b\n\nMeasured on: Xeon, 2 threads of 2 cores, NVIDIA H100. PyTorch")
    assert "Measured on a GPU: b." in run.head(both)
    assert "Nothing here" not in run.head(both)


def test_a_row_compares_its_median_with_the_claim(figures):
    at_least = [figures.Row("", [v], must=2, aim=4).verdict for v in (1, 2, 3, 4)]
    assert at_least == ["**miss**", "met", "met", "aim met"]
    at_most = [figures.Row("", [v], must=2, aim=1, at_most=True).verdict for v in (3, 2, 1)]
    assert at_most == ["**miss**", "met", "aim met"]
    assert figures.Row("", [1]).verdict == ""
    row = figures.table([figures.Row("a", [3, 1, 2], must=1.5)]).splitlines()[2]
    assert row == "| a | 2.00x (1.00–3.00) | ≥ 1.5x |  | met |"


def test_functions_are_timed_in_turn_and_the_first_round_does_not_count(figures):
    calls = []
    times = figures.in_turn(dict(a=lambda: calls.append("a"), b=lambda: calls.append("b")), 2)
    assert calls == ["a", "b"] * 3
    assert len(times["a"]) == len(figures.ratios(times["a"], times["b"])) == 2


def test_the_report_names_every_benchmark_and_shows_its_picture():
    md = (root / "results/BENCHMARKS.md").read_text(encoding="utf-8")
    # gpu_speed is measured where there is a GPU
    on_cpus = [name for name in names if name != "gpu_speed"]
    assert [name for name in on_cpus if f"## {name.replace('_', ' ')}\n" not in md] == []
    pictures = re.findall(r"\]\((pictures/\S+\.png)\)", md)
    assert len(pictures) >= 7
    assert all((root / "results" / path).stat().st_size > 5000 for path in pictures)
