"""`charrnn train --resume`: a training that was killed ends with the model of an uninterrupted one. One at a time."""

import os
import signal
import sys
import time

import pytest

from fastai_charrnn.all import load_model
from fastai_charrnn.cli import main, train
from fastai_charrnn.cli.unfinished import training_lock

TINY = ["--arch", "rnn", "--n-hid", "8"]


@pytest.fixture
def folder(small, tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text(small[:4000], encoding="utf-8")
    (tmp_path / "other.txt").write_text(small[4000:8000], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "_checkpoint_minutes", 1e-3)
    return tmp_path


def _forked(argv, stop=signal.SIGKILL):
    "Train in a fork, which gets a signal after its first checkpoint. Returns its exit code and what it printed."
    pid = os.fork()
    if pid == 0:
        out = os.open("printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)
        os._exit(main(argv))
    while not os.path.exists("m.checkpoint.safetensors"):
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), open("printed").read()
        time.sleep(0.002)
    os.kill(pid, stop)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), open("printed").read()


@pytest.mark.parametrize(
    "options", [["--output-p", ".2"], ["--target", "next", "--bs", "64", "--stride", "7"]], ids=["streams", "windows"]
)
def test_a_killed_training_resumes_to_the_same_model(folder, options):
    command = ["train", "my.txt", *TINY, *options, "--epochs", "3"]
    code, _ = _forked([*command, "--out", "m"])
    assert code == -signal.SIGKILL
    assert main(["train", "--resume", "--out", "m"]) == 0
    assert main([*command, "--out", "whole"]) == 0
    assert (folder / "m.safetensors").read_bytes() == (folder / "whole.safetensors").read_bytes()
    assert {p.name for p in folder.iterdir()} == {
        "my.txt",
        "other.txt",
        "printed",
        "m.safetensors",
        "whole.safetensors",
    }


def test_an_interrupted_training_says_how_to_go_on_and_nothing_overwrites_it(folder, capsys):
    command = ["train", "my.txt", *TINY, "--epochs", "200", "--out", "m"]
    code, printed = _forked(command, signal.SIGTERM)
    assert code == 1
    assert printed.splitlines()[-1].startswith("charrnn: interrupted; ")
    assert printed.endswith("train --resume --out m.safetensors continues\n")

    def refused(*argv):
        assert main(["train", *argv, "--out", "m"]) == 1
        error = capsys.readouterr().err
        assert error.startswith("charrnn: ") and error.count("\n") == 1
        return error

    assert "pass --resume to continue it, --overwrite to start anew, or another --out" in refused("my.txt")
    assert "--epochs 3 was given, and is 200 of the interrupted training" in refused("--resume", "--epochs", "3")
    assert "--minutes 1.0 was given, and is not an option of" in refused("--resume", "--minutes", "1")
    assert "FILE ['other.txt'] was given" in refused("other.txt", "--resume")
    os.replace("other.txt", "my.txt")
    assert "this is another text than that of the interrupted training" in refused("--resume")
    assert main(["train", "my.txt", *TINY, "--epochs", "1", "--out", "m", "--overwrite"]) == 0
    assert "has no checkpoint m.checkpoint.safetensors to resume from: its training is complete" in refused("--resume")


def test_a_training_by_the_clock_resumes_with_the_time_that_is_left(folder, capsys, monkeypatch):
    _forked(["train", "my.txt", *TINY, "--minutes", ".03", "--out", "m"])
    assert main(["train", "--resume", "--out", "m"]) == 0
    assert "rates follow the clock" in "".join(capsys.readouterr())
    assert load_model("m").training_log.rows[-1]["minutes"] == 0.03


def test_the_best_recipe_resumes_with_its_own_network(folder, monkeypatch):
    from fastai_charrnn.cli import plan
    from fastai_charrnn.recipes.best import BestRecipe

    monkeypatch.setattr(plan, "best_recipe", lambda minutes, n_chars, **_: BestRecipe(minutes, 8, n_models=2))
    _forked(["train", "my.txt", "--recipe", "best", "--minutes", ".03", "--out", "m"])
    # this time the machine is faster
    monkeypatch.setattr(plan, "best_recipe", lambda minutes, n_chars, **_: BestRecipe(minutes, 16))
    assert main(["train", "--resume", "--out", "m"]) == 0
    config = load_model("m").arch_config
    assert (config["n_hid"], config["n_models"]) == (8, 2)


def test_a_training_that_replaces_its_own_source_is_not_resumed(folder, capsys):
    assert main(["train", "my.txt", *TINY, "--epochs", "1", "--out", "m"]) == 0
    _forked(["train", "--from", "m", "other.txt", "--epochs", "200", "--out", "m", "--overwrite"])
    assert main(["train", "--resume", "--out", "m"]) == 1
    assert "replaces the model of --from, m.safetensors, so it cannot be resumed" in capsys.readouterr().err


def test_two_trainings_of_one_model_are_refused(folder, capsys):
    with training_lock(folder / "m.safetensors"):
        assert main(["train", "my.txt", "--out", str(folder / "m")]) == 1
    error = capsys.readouterr().err
    assert "m.safetensors is written by another training" in error
    assert str(os.getpid()) in error
    assert not any(p.name.endswith(".lock") for p in folder.iterdir())


def test_resume_and_overwrite_exclude_each_other(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--resume", "--overwrite"])
    assert "leave out one" in capsys.readouterr().err
