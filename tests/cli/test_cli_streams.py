"""Commands with closed streams, a full device as output, and errors from anywhere: one line, and the work is done."""

import os
import sys

import pytest

from fastai_charrnn.all import CharRnnError, load_model
from fastai_charrnn.cli import generate, main

TINY = ["--arch", "rnn", "--n-hid", "8", "--epochs", "1"]


@pytest.fixture
def folder(small, tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text(small[:2000], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _forked(argv, stdout="printed", closed=()):
    "Run a command in a fork whose output is a file, and of which some streams are closed. Returns the exit code."
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            for name, number, file in (("stdout", 1, stdout), ("stderr", 2, "errors")):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
                setattr(sys, name, open(number, "w", closefd=False))
            for number in closed:
                os.close(number)
                setattr(sys, ("stdin", "stdout", "stderr")[number], None)
            code = main(argv)
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_training_without_any_stream_saves_its_model(folder):
    assert _forked(["train", "my.txt", *TINY, "--out", "m"], closed=(0, 1, 2)) == 0
    # what is printed must not get into a file that takes the number of a closed stream
    assert load_model("m").predict_next("the ")


@pytest.mark.parametrize("command", ["info m", "write m", "generate m --prompts -", "evaluate m my.txt"])
def test_other_commands_run_without_streams(folder, command, capsys):
    assert main(["train", "my.txt", *TINY, "--out", "m"]) == 0
    assert _forked(command.split(), closed=(0, 1)) == 0
    assert "Traceback" not in open("errors").read()


def test_a_closed_input_is_an_empty_text(folder):
    assert _forked(["train", "-", "--out", "m"], closed=(0,)) == 1
    assert open("errors").read() == "charrnn: standard input is empty; give a file with text\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_output_does_not_stop_a_training(folder):
    assert _forked(["train", "my.txt", *TINY, "--out", "m"], stdout="/dev/full") == 1
    error = open("errors").read()
    assert error == "charrnn: cannot write the output: No space left on device; train ended without it\n"
    assert load_model("m").predict_next("the ")


@pytest.mark.parametrize(
    "error,message",
    [
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (MemoryError(), "there is not enough memory"),
        (OSError(5, "Input/output error"), "cannot read or write: Input/output error"),
        (
            CharRnnError("Exception occured in `TrainingLog` when calling event `after_batch`:\n\tthe cause"),
            "the cause",
        ),
    ],
    ids=["recursion", "memory", "device", "callback"],
)
def test_any_error_is_one_line(monkeypatch, capsys, error, message):
    def fail(args):
        raise error

    monkeypatch.setattr(generate, "info", fail)
    assert main(["info", "nietzsche"]) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("charrnn: ") and printed.count("\n") == 1
    assert "Exception occured" not in printed


def test_a_second_ctrl_c_while_the_first_is_reported_ends_quietly(monkeypatch, capsys):
    from fastai_charrnn import cli

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "info", interrupted)
    monkeypatch.setattr(cli, "_report", interrupted)
    assert main(["info", "nietzsche"]) == 1
    assert capsys.readouterr().err == ""
