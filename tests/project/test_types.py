"""A user's script type-checks, and mistakes in it are found: with mypy and with basedpyright.

The checkers read fastai's source, since it has no type information. torch and others are left out for mypy, to save
time: what comes from them has the type Any."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from layout import root

script = Path(__file__).with_name("typed_script.py")
SKIPPED = "torch torchvision matplotlib pandas scipy sklearn IPython PIL sympy fasthtml starlette bs4".split()
MISTAKES = """
learn.generate("The ", top_kk=3)
learn.generate("The ", temperature="hot")
learn.predict("The ", words=3)
GenerationConfig(max_tokens=3)
learn.score(3)
char_learner("some text")
CharDataLoaders.from_text("some text", seqlen=3)
dls.vocab.encode(3)
"""


def checker(name):
    "The path of a type checker in the environment of these tests. Skips the test if it is not installed."
    path = shutil.which(name, path=str(Path(sys.executable).parent))
    return path or pytest.skip(f"{name} is not installed")


def run(*cmd, cwd):
    env = os.environ | dict(MYPYPATH=str(root))
    return subprocess.run(list(map(str, cmd)), cwd=cwd, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A folder with the script, the script with mistakes, and the settings of both checkers."
    folder = tmp_path_factory.mktemp("types")
    source = script.read_text(encoding="utf-8")
    (folder / "right.py").write_text(source, encoding="utf-8")
    (folder / "wrong.py").write_text(source + MISTAKES, encoding="utf-8")
    modules = ",".join(f"{name}.*" for name in SKIPPED)
    settings = f"[mypy]\nfollow_untyped_imports = true\n[mypy-{modules}]\nfollow_imports = skip\n"
    (folder / "mypy.ini").write_text(settings)
    (folder / "pyrightconfig.json").write_text(json.dumps(dict(extraPaths=[str(root)], typeCheckingMode="standard")))
    return folder


def n_lines(source):
    return len(source.rstrip("\n").splitlines())


def lines_of_mistakes():
    first = n_lines(script.read_text(encoding="utf-8")) + 2
    return list(range(first, first + n_lines(MISTAKES.strip("\n"))))


@pytest.mark.slow
def test_mypy_finds_the_mistakes_of_a_script_and_no_others(folder):
    done = run(checker("mypy"), "--python-executable", sys.executable, "right.py", "wrong.py", cwd=folder)
    errors = [line.split(":") for line in done.stdout.splitlines() if ": error:" in line]
    assert [line for line in errors if line[0] == "right.py"] == []
    assert sorted({int(line[1]) for line in errors if line[0] == "wrong.py"}) == lines_of_mistakes()


@pytest.mark.slow
def test_basedpyright_finds_the_mistakes_of_a_script_and_no_others(folder):
    done = run(checker("basedpyright"), "--outputjson", "--pythonpath", sys.executable, ".", cwd=folder)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [(Path(o["file"]).name, o["range"]["start"]["line"] + 1) for o in found if o["severity"] == "error"]
    assert [error for error in errors if error[0] == "right.py"] == []
    assert sorted({line for name, line in errors if name == "wrong.py"}) == lines_of_mistakes()
