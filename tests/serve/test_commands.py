"""`charrnn serve` and `charrnn train --watch` as processes: addresses, tokens, Ctrl-C, wrong options."""

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from asking import ask
from small_models import build

from fastai_charrnn.all import save_model
from fastai_charrnn.cli import main
from fastai_charrnn.models import registry
from fastai_charrnn.serve.server import bound_socket

HAWK = Path(__file__).parents[2] / "examples/hawk.py"
# a command in the background of a shell ignores Ctrl-C
START = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
START += "from fastai_charrnn.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def running(*args, folder):
    "A command, and the address that its first lines have."
    command = [sys.executable, "-c", START, *map(str, args)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **pipes) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + process.stderr.read()
            yield process, urlsplit(found[0])
        finally:
            process.kill()


def _interrupted(process):
    "What a process printed until it ended after Ctrl-C, and its exit code."
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    return out + errors, process.returncode


@pytest.mark.slow
def test_serve_answers_until_ctrl_c(small, tmp_path):
    save_model(build(small, "rnn"), tmp_path / "one.safetensors")
    save_model(build(small, "gru"), tmp_path / "two.safetensors")
    with running("serve", "one", "two.safetensors", "nietzsche", "--port", 0, folder=tmp_path) as (process, url):
        assert url.hostname == "127.0.0.1"
        models = ask(url.port, "/api/models").json()["models"]
        assert [model["name"] for model in models] == ["one", "two", "nietzsche"]
        assert models[2]["facts"]["ngram_loss"] is not None
        assert models[2]["prompts"]
        printed, code = _interrupted(process)
    assert code == 0
    assert "Traceback" not in printed


@pytest.mark.slow
def test_an_architecture_of_ones_own_for_other_computers_needs_the_printed_token(small, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_archs", dict(registry._archs))
    runpy.run_path(str(HAWK))
    save_model(build(small, "hawk"), tmp_path / "mine.safetensors")
    args = ("serve", "mine", "--import", HAWK, "--port", 0, "--host", "0.0.0.0")
    with running(*args, folder=tmp_path) as (process, url):
        token = url.query.removeprefix("token=")
        assert len(token) >= 32
        assert ask(url.port, "/api/models").status == 401
        answer = ask(url.port, "/api/models", headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["models"][0]["archs"] == ["hawk"]
        assert _interrupted(process)[1] == 0


@pytest.mark.slow
def test_a_training_is_watched_from_its_first_line_on(small, tmp_path):
    (tmp_path / "my.txt").write_text(small)
    args = ["train", "my.txt", "--arch", "rnn", "--epochs", 500, "--n-hid", 16, "--watch", "--watch-port", 0]
    with running(*args, folder=tmp_path) as (process, url):
        states = []
        while "training" not in states:
            told = ask(url.port, "/api/training").json()["sections"]
            states.append(told["status"]["state"])
            time.sleep(0.1)
        assert told["about"]["ngram_loss"] > 0
        printed, code = _interrupted(process)
    assert code == 1
    assert "--resume" in printed
    assert "Traceback" not in printed


WRONG = {
    "a port above the largest": (["serve", "x", "--port", "70000"], "--port 70000 is more than 65,535"),
    "an address of others": (["serve", "x", "--host", "192.0.2.1"], "not an address of this computer"),
    "no model": (["serve", "nothing"], "there is no model file"),
    "no file": (["serve", "nietzsche", "--import", "nothing.py"], "cannot read --import nothing.py"),
    "a watch port": (["train", "--watch", "--watch-port", "70000"], "70000 is more than 65,535"),
}


@pytest.mark.parametrize(("args", "message"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_one_line(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.safetensors").touch()
    assert main(args) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_port_that_is_taken_is_told_with_a_way_out(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(bound_socket("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "nietzsche", "--port", port]) == 1
        errors = capsys.readouterr().err
        assert re.search(rf"--port {port} is taken.*--port 0", errors)
        assert main(["train", "--watch", "--watch-port", port]) == 1
        assert "is taken" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_port_without_watch_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--watch-port", "1"])
    assert "give --watch too" in capsys.readouterr().err


def test_eight_models_are_the_most(capsys):
    assert main(["serve", *["nietzsche"] * 9, "--port", "0"]) == 1
    assert "pass 1 to 8" in capsys.readouterr().err
