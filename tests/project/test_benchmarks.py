"""The benchmarks work: in their short form, whose figures mean nothing, each fills its table and draws its picture."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(o.stem for o in (root / "benchmarks").glob("*_*.py")))
def test_a_benchmark_fills_its_table_and_leaves_the_others(name, text, tmp_path):
    (tmp_path / "BENCHMARKS.md").write_text(
        f"# Benchmarks\n\n## another\n\nstays\n\n## {name.replace('_', ' ')}\n\ngoes\n", encoding="utf-8"
    )
    subprocess.run(
        [sys.executable, root / "benchmarks/run.py", "--short", "--out", tmp_path, name],
        check=True,
        capture_output=True,
    )
    md = (tmp_path / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert "## another\n\nstays" in md and "goes\n" not in md and md.count("\n## ") == 2
    rows = re.findall(r"^\| (.+?) \| ([\d.,]+)\S* ?.*?\|", md, re.M)
    assert (
        len(rows) >= 3 and all(float(v.replace(",", "")) >= 0 for _, v in rows) and "nan" not in md and "Claim: " in md
    )
    assert (tmp_path / f"benchmarks/pictures/{name}.png").stat().st_size > 5000 and sorted(
        o.name for o in tmp_path.iterdir()
    ) == ["BENCHMARKS.md", "benchmarks"]


def test_rows_tell_what_was_promised_and_whether_it_was_kept():
    sys.path.insert(0, str(root / "benchmarks"))
    from figures import Row, in_turn, ratios, table

    assert [Row("", [v], must=2, aim=4).verdict for v in (1, 2, 3, 4)] == ["**miss**", "met", "met", "aim met"]
    assert [Row("", [v], must=2, aim=1, at_most=True).verdict for v in (3, 2, 1)] == [
        "**miss**",
        "met",
        "aim met",
    ] and Row("", [1]).verdict == ""
    assert table([Row("a", [3, 1, 2], must=1.5)]).splitlines()[2] == "| a | 2.00x (1.00–3.00) | ≥ 1.5x |  | met |"
    calls = []
    t = in_turn(dict(a=lambda: calls.append("a"), b=lambda: calls.append("b")), 2)
    assert calls == ["a", "b"] * 3 and len(t["a"]) == len(ratios(t["a"], t["b"])) == 2


def test_the_report_names_every_benchmark_and_shows_its_picture():
    md = (root / "BENCHMARKS.md").read_text(encoding="utf-8")
    for path in (root / "benchmarks").glob("*_*.py"):
        assert f"## {path.stem.replace('_', ' ')}\n" in md
    pictures = re.findall(r"\]\((benchmarks/pictures/\S+\.png)\)", md)
    assert len(pictures) >= 7 and all((root / p).stat().st_size > 5000 for p in pictures)
