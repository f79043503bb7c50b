"""`charrnn train`: interruption and the progress bar, run as a process, and the prompts of the samples."""

import os
import pty
import re
import signal
import subprocess
import time

import pytest
from charrnn_process import CHARRNN

from fastai_charrnn.all import CharDataLoaders, char_learner, load_model
from fastai_charrnn.cli.report import held_out_prompts


@pytest.fixture
def folder(small, tmp_path):
    (tmp_path / "my.txt").write_text(small, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_with_a_time_limit_saves_the_model(folder, number):
    command = [CHARRNN, "train", "my.txt", "--n-hid", "16", "--minutes", "5"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # the header of the table is printed when training begins
    for line in process.stdout:
        if "train_loss" in line:
            break
    time.sleep(2)
    process.send_signal(number)
    printed, error = process.communicate(timeout=60)
    assert process.returncode == 1
    # a signal that ends the process at once leaves no time to validate
    assert ("validation loss so far: " in printed) == (number == signal.SIGINT)
    way_on = "train --resume --out model.safetensors continues"
    saved = "model.safetensors contains the model as trained so far"
    assert re.fullmatch(rf"charrnn: interrupted; {saved}; \S+ {way_on}\n", error)
    assert load_model(folder / "model.safetensors").predict_next("the ")
    assert sorted(os.listdir(folder)) == ["model.checkpoint.safetensors", "model.safetensors", "my.txt"]


def _printed_on_terminal(command, cwd):
    "What a command prints on a terminal of 100 columns."
    master, slave = pty.openpty()
    env = os.environ | dict(COLUMNS="100")
    process = subprocess.Popen(command, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    printed = b"".join(_read_terminal(master)).decode()
    os.close(master)
    assert process.wait(60) == 0, printed
    return printed


def _read_terminal(master):
    "Yield what is printed until the process closes the terminal. Linux reports that as an error."
    while True:
        try:
            piece = os.read(master, 2**16)
        except OSError:
            return
        if not piece:
            return
        yield piece


def test_a_terminal_shows_one_bar_for_the_run_with_the_time_left(folder):
    options = ["--target", "next", "--n-hid", "16", "--epochs", "3"]
    printed = _printed_on_terminal([CHARRNN, "train", "my.txt", *options], folder)
    n_steps = 3 * 53
    bars = re.findall(rf"\[(\d+)/{n_steps} \d\d:\d\d<(?:\d\d:\d\d|\?).*?epoch (\d) of 3, loss \d\.\d{{3}}", printed)
    assert {epoch for _, epoch in bars} == {"1", "2", "3"}
    steps = [int(step) for step, _ in bars]
    assert steps == sorted(steps)
    assert steps[-1] == n_steps
    # the row of each epoch is printed above the bar
    rows = re.findall(r"^ +(\d)  +\d\.\d{4}  +\d\.\d{4}", printed.replace("\r", "\n"), re.M)
    assert rows == ["0", "1", "2"]


def test_samples_begin_with_words_of_the_validation_part(dls, small):
    learn = char_learner(dls, n_hid=16, seed=0)
    start, end = dls.train_ds.info["spans"][1][0]
    for prompt in held_out_prompts(learn):
        assert len(prompt) == 8
        position = small.index(prompt, start)
        assert start < position < end
        assert small[position - 1].isspace()
        assert not prompt[0].isspace()


@pytest.mark.parametrize("text", ["ab" * 500, "a b c " * 300])
def test_samples_have_prompts_in_a_text_without_words(text):
    learn = char_learner(CharDataLoaders.from_text(text, bs=16, device="cpu"), n_hid=8, seed=0)
    assert [len(prompt) for prompt in held_out_prompts(learn)] == [8, 8, 8]
