"""`charrnn train` as a process: interruption, the bar of a run, samples, verdict; and the parts that it is made of."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastai_charrnn.all import CharDataLoaders, TrainingError, char_learner, load_model
from fastai_charrnn.analysis.held_out import evaluate_spans, held_out, is_trained_text
from fastai_charrnn.analysis.verdict import verdict
from fastai_charrnn.cli import _parser
from fastai_charrnn.cli.plan import make_plan
from fastai_charrnn.cli.train import held_out_prompts
from fastai_charrnn.io.checkpoint import SaveModelFile, StopOnSignal
from fastai_charrnn.recipes.best import default_recipe

CHARRNN = str(Path(sys.executable).with_name("charrnn"))


@pytest.fixture
def folder(small, tmp_path):
    (tmp_path / "my.txt").write_text(small, encoding="utf-8")
    return tmp_path


def _start(folder, *args):
    command = [CHARRNN, "train", "my.txt", "--n-hid", "16", *args]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_by_the_clock_saves_the_model(folder, number):
    p = _start(folder, "--minutes", "5")
    # the header of the table is printed when training begins
    for line in p.stdout:
        if "train_loss" in line:
            break
    time.sleep(2)
    p.send_signal(number)
    _, err = p.communicate(timeout=60)
    assert p.returncode == 1
    assert err == "charrnn: interrupted; model.safetensors holds the model as far as it was trained\n"
    assert load_model(folder / "model.safetensors").predict_next("the ")
    assert sorted(os.listdir(folder)) == ["model.safetensors", "my.txt"]


def test_a_fit_by_the_clock_is_saved_at_intervals(dls, tmp_path):
    saving = SaveModelFile(tmp_path / "m.safetensors", seconds=0.3)
    learn = char_learner(dls, n_hid=16, seed=0, cbs=saving)
    with learn.no_bar():
        learn.fit_minutes(0.03, 1e-3)
    # 1.8 seconds
    assert 2 <= saving.saved <= 6
    assert (tmp_path / "m.safetensors").exists()


def test_a_model_whose_validation_loss_is_not_finite_is_not_saved(dls, tmp_path):
    saving = SaveModelFile(tmp_path / "m.safetensors")
    learn = char_learner(dls, n_hid=16, seed=0, cbs=saving)
    learn.training_log.rows.append(dict(valid_loss=float("nan")))
    with pytest.raises(TrainingError, match="the validation loss is nan after epoch 0"):
        saving.learn = learn
        learn.epoch = 0
        saving.trained_epoch()
    assert not (tmp_path / "m.safetensors").exists()


def test_a_signal_stops_between_two_batches_and_a_second_at_once(dls):
    stopping = StopOnSignal()
    before = signal.getsignal(signal.SIGTERM)
    with stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stopping.after_batch()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before


def _on_terminal(command, cwd):
    "What a command prints on a terminal of 100 columns."
    master, slave = pty.openpty()
    env = os.environ | dict(COLUMNS="100")
    p = subprocess.Popen(command, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    shown = b""
    while p.poll() is None or select.select([master], [], [], 0.2)[0]:
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(master, 2**16)
        # the other end is closed
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert p.wait(60) == 0, shown.decode()
    return shown.decode()


def test_a_terminal_shows_one_bar_for_the_run_with_the_time_left(folder):
    shown = _on_terminal([CHARRNN, "train", "my.txt", "--target", "next", "--n-hid", "16", "--epochs", "3"], folder)
    total = 3 * 53
    bars = re.findall(rf"\[(\d+)/{total} (\d\d:\d\d)<(\d\d:\d\d|\?).*?epoch (\d) of 3, loss \d\.\d{{3}}", shown)
    assert {o[3] for o in bars} == {"1", "2", "3"}
    steps = [int(o[0]) for o in bars]
    assert steps == sorted(steps) and steps[-1] == total
    # the rows of the epochs stand above the bar
    rows = re.findall(r"^ +(\d)  +\d\.\d{4}  +\d\.\d{4}", shown.replace("\r", "\n"), re.M)
    assert rows == ["0", "1", "2"]


def test_samples_begin_with_words_of_the_part_held_out(dls, small):
    learn = char_learner(dls, n_hid=16, seed=0)
    begin, end = dls.train_ds.info["spans"][1][0]
    for prompt in held_out_prompts(learn, small):
        assert len(prompt) == 8
        at = small.index(prompt, begin)
        assert begin < at < end
        assert small[at - 1].isspace() and not prompt[0].isspace()


@pytest.mark.parametrize("text", ["ab" * 500, "a b c " * 300])
def test_samples_have_prompts_whatever_the_text(text, tmp_path):
    learn = char_learner(CharDataLoaders.from_text(text, bs=16, device="cpu"), n_hid=8, seed=0)
    assert [len(o) for o in held_out_prompts(learn, text)] == [8, 8, 8]


@pytest.mark.parametrize(
    "losses,says",
    [
        (
            (1.5, 1.45, 1.9),
            "The network beats counting by 0.400 (1.500 against 1.900 nats per character); for more, try",
        ),
        ((1.5, 1.0, 1.9), "for more, try --recipe best --minutes 5, or more epochs"),
        (
            (2.1, 2.05, 1.9),
            "Counting beats the network by 0.200 (2.100 against 1.900 nats per character); for more, try",
        ),
        ((2.1, 1.2, 1.9), "it fits the training part far better, so try a smaller network (--n-hid)"),
        ((1.9, 1.85, 1.9), "The network predicts as well as counting (1.900 against 1.900 nats per character)"),
    ],
)
def test_the_verdict_says_who_wins_by_how_much_and_what_to_try(losses, says):
    sentence = verdict(*losses)
    assert says in sentence
    assert sentence.endswith(".")


def test_the_verdict_of_the_best_recipe_does_not_propose_itself():
    assert "--recipe" not in verdict(1.5, 1.45, 1.9, best=True)


# the part held out


@pytest.mark.parametrize(
    "kw",
    [dict(), dict(valid="blocks"), dict(target="every"), dict(target="every", stateful=True, bs=8, seq_len=16)],
    ids=str,
)
def test_the_part_held_out_has_the_validation_loss(small, kw):
    dls = CharDataLoaders.from_text(small, **dict(bs=64, seq_len=8) | kw, device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0)
    spans = held_out(learn, small)
    assert sum(b - a for a, b in spans) == pytest.approx(3000, abs=10)
    found = evaluate_spans(learn, small, spans)
    # streams of other widths begin at other characters
    near = 1e-5 if dls.target == "next" else 0.02
    assert found["loss"] == pytest.approx(learn.validate()[0], abs=near)


def test_another_text_has_no_part_held_out(learn, small):
    other = small[:-1] + ("a" if small[-1] != "a" else "b")
    assert not is_trained_text(learn, other)
    assert held_out(learn, other) is None


def test_a_random_split_has_no_part_held_out(small):
    learn = char_learner(CharDataLoaders.from_text(small, valid="random", device="cpu"), n_hid=8)
    assert is_trained_text(learn, small)
    assert held_out(learn, small) is None


def test_a_model_file_remembers_its_text(learn, small, tmp_path):
    from fastai_charrnn.all import save_model

    again = load_model(save_model(learn, tmp_path / "m"))
    assert is_trained_text(again, small)
    assert held_out(again, small) == [(27000, 30000)]


# what is trained


def _plan(*args, n_chars=30_000):
    parsed = _parser().parse_args(["train", "my.txt", *args])
    return make_plan(parsed, n_chars)


def test_the_size_of_the_text_decides_where_nothing_is_said():
    assert _plan().recipe == default_recipe(30_000).but(config={})
    assert _plan(n_chars=3_000_000).recipe.arch == "gru"


def test_options_change_single_choices():
    recipe = _plan("--epochs", "3", "--n-hid", "99", "--dropout", ".1").recipe
    assert (recipe.epochs, recipe.n_hid, recipe.config["dropout"]) == (3, 99, 0.1)
    assert recipe.arch == "mullstm" and recipe.stateful


@pytest.mark.parametrize("args,target", [(["--target", "every"], "every"), (["--target", "next"], "next")])
def test_a_target_is_that_of_windows(args, target):
    recipe = _plan(*args).recipe
    assert (recipe.stateful, recipe.target, recipe.n) == (False, target, 8)


def test_streams_can_be_asked_for_with_a_target():
    assert _plan("--stateful", "--target", "every").recipe.stateful


def test_the_best_recipe_trains_by_the_clock():
    plan = _plan("--recipe", "best", "--minutes", ".5")
    assert plan.minutes == 0.5
    assert plan.length == "0.5 minutes"
