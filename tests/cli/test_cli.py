"""`charrnn`: help, version, `info` and `reproduce`, run as processes."""

import json
import re
import subprocess
import sys

import pytest
from charrnn_process import run

import fastai_charrnn
from fastai_charrnn.all import get_arch, list_archs
from fastai_charrnn.cli import main
from fastai_charrnn.cli.parser import make_parser

COMMANDS = ["train", "generate", "write", "evaluate", "info", "page", "push", "serve", "reproduce"]


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)], ids=str)
def test_help_has_examples(command):
    printed = run(*command, "--help").stdout
    assert printed.startswith("usage: charrnn")
    assert "examples:" in printed


@pytest.fixture
def read_help(monkeypatch, capsys):
    "The help of a command on a terminal of some width."

    def read(*command, columns=100):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        return capsys.readouterr().out

    return read


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)], ids=str)
def test_help_fits_the_terminal(command, columns, read_help):
    text, examples = read_help(*command, columns=columns).split("examples:")
    assert max(map(len, text.splitlines())) <= columns
    # examples are commands to copy and are not wrapped
    assert max(map(len, examples.splitlines())) <= 80


def test_help_does_not_import_torch():
    code = (
        "import sys\n"
        "from fastai_charrnn import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'fastai', 'numpy', 'shtab')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_version():
    assert run("--version").stdout == f"charrnn {fastai_charrnn.__version__}\n"


def test_the_help_names_every_architecture(read_help):
    listed = re.search(r"--arch ARCH +(.+?) \(default", read_help("train"), re.S)[1]
    own_archs = [name for name in list_archs() if get_arch(name).cls.__module__.startswith("fastai_charrnn.")]
    assert sorted(re.findall(r"\w+", listed.replace(" or ", " "))) == own_archs


# options with the names of version 0.1


@pytest.mark.parametrize("old,new", [("--n", "--seq-len"), ("--dropout", "--output-p")])
def test_old_names_of_options_still_work(old, new):
    parser = make_parser()
    value = "1"
    assert parser.parse_args(["train", old, value]) == parser.parse_args(["train", new, value])
    assert parser.parse_args(["train", old, value]) != parser.parse_args(["train"])


def test_the_help_has_the_new_names_only(read_help):
    options = set(re.findall(r"--[\w-]+", read_help("train")))
    assert {"--seq-len", "--output-p"} <= options
    assert options.isdisjoint({"--n", "--dropout"})


# info


def test_info_prints_a_summary(model_folder):
    printed = run("info", "my", cwd=model_folder).stdout
    assert "rnn, emb_sz=42, n_hid=64" in printed
    assert "2 epochs, last: train" in printed
    assert "window      8 characters" in printed


def test_info_prints_json(model_folder):
    printed = run("info", "my", "--json", cwd=model_folder).stdout
    assert json.loads(printed)["arch"] == "rnn"


# reproduce


@pytest.mark.slow
@pytest.mark.corpus
def test_reproduce_prints_and_writes_the_losses_of_lesson_6_and_ours(text, tmp_path):
    done = run("reproduce", "--arch", "char3", "--seeds", 1, "--out", tmp_path / "R.md")
    assert (tmp_path / "R.md").read_text() == done.stdout
    row = re.search(r"^char3 +2 +train +1.8638 +([\d.]+) +([\d.]+) +(-[\d.]+)$", done.stdout, re.M)
    assert float(row[1]) <= 1.8638 + 0.02
    assert float(row[2]) < 1.8638
    assert "lesson 6 'y. T'" in done.stdout
