"""What `charrnn train` prints and saves, run as a process: corpora, losses, samples, interruption."""

import json
import os
import re
import signal
import subprocess
import time
from math import log

import pytest
from charrnn_process import CHARRNN, charrnn, run


def test_it_prints_the_size_of_the_text_and_a_row_per_epoch(model_folder):
    printed = (model_folder / "printed").read_text()
    assert "30,000 characters" in printed
    assert re.search(r"epoch +train_loss +valid_loss", printed)
    assert re.search(r"^ +1  +\d\.\d{4}", printed, re.M)


@pytest.mark.parametrize("row", ["rnn, 2 epochs", "n-grams"])
def test_it_prints_the_loss_of_the_model_and_of_n_grams(model_folder, row):
    printed = (model_folder / "printed").read_text()
    nats, bits = re.search(rf"^{row}.*?(\d\.\d+) +(\d\.\d+)", printed, re.M).groups()
    assert float(bits) == pytest.approx(float(nats) / log(2), abs=2e-3)
    assert "validated on the last 10% of the text" in printed


def test_it_prints_a_verdict(model_folder):
    printed = (model_folder / "printed").read_text()
    assert re.search(r"nats per character\).*\.$", printed, re.M)


def test_the_commands_that_it_prints_work(model_folder):
    commands = (model_folder / "printed").read_text().split("next, type\n")[1].splitlines()
    assert [command.split()[-1] for command in commands[1:]] == ["my.safetensors"] * 2
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=model_folder, capture_output=True, text=True, check=True)
        assert len(done.stdout) > 40


def test_human_numbers_is_split_at_8000(tmp_path):
    options = ["--epochs", 1, "--n-hid", 8, "--stride", 4]
    printed = run("train", "--corpus", "human_numbers", *options, cwd=tmp_path).stdout
    # 280,599 characters up to 7,999
    n_windows = len(range(0, 280_599 - 8, 4))
    assert f"train    {n_windows:,} windows" in printed
    assert (tmp_path / "model.safetensors").exists()


def _without_corpus(folder):
    "Variables with which nietzsche.txt is neither found nor downloaded."
    return dict(CHARRNN_DATA=str(folder), FASTAI_HOME=str(folder / "home"), CHARRNN_OFFLINE="1")


def test_without_a_corpus_it_trains_on_the_embedded_text_and_says_why(tmp_path):
    options = ["--epochs", 1, "--n-hid", 8, "--stride", 9]
    first_line, *_ = run("train", *options, cwd=tmp_path, env=_without_corpus(tmp_path)).stdout.splitlines()
    reason = "because nietzsche.txt was not found and CHARRNN_OFFLINE=1"
    assert first_line.startswith(f"corpus: python_reference, the embedded text, {reason}")


def test_a_corpus_that_was_asked_for_is_not_replaced(tmp_path):
    done = charrnn("train", "--corpus", "nietzsche", cwd=tmp_path, env=_without_corpus(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nietzsche.txt was not found" in done.stderr


@pytest.mark.corpus
def test_nietzsche_is_the_default_corpus(text, tmp_path):
    printed = run("train", "--epochs", 1, "--n-hid", 8, "--stride", 9, cwd=tmp_path).stdout
    assert printed.startswith("corpus: nietzsche, found at ")
    assert "600,893 characters" in printed
    assert printed.count("--- ") == 3


def test_ctrl_c_keeps_the_last_finished_epoch(model_folder):
    out = model_folder / "stopped.safetensors"
    process = subprocess.Popen(
        [CHARRNN, "train", "my.txt", "--epochs", "500", "--n-hid", "32", "--out", out],
        cwd=model_folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if out.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    message = r"charrnn: interrupted; .*stopped.safetensors contains the model after (\d+) epochs?; .* continues\n"
    n_epochs = int(re.fullmatch(message, error)[1])
    assert n_epochs >= 1
    assert process.returncode == 1
    assert json.loads(run("info", out, "--json").stdout)["training"]["epochs"] == n_epochs
    # no temporary files
    assert not [name for name in os.listdir(model_folder) if name.startswith(".")]
