"""A training that is resumed from a checkpoint gives exactly what an uninterrupted one gives."""

import random
import warnings
from functools import partial

import pytest
import torch
from fastai.basics import DataLoader, DataLoaders
from fastai.callback.all import (
    EarlyStoppingCallback,
    GradientAccumulation,
    GradientClip,
    ReduceLROnPlateau,
    SaveModelCallback,
)
from fastai.optimizer import OptimWrapper, ranger
from kill_and_resume import try_one
from resume_cases import Interrupt, KeepAll, differences, kept, make_dls, make_learner, outcome, resumed
from torch.optim import AdamW

from fastai_charrnn.all import CharRnnWarning, CheckpointCallback, DataError
from fastai_charrnn.callback.saved_fit import SavedFit


def three_fits(learn):
    learn.fit(1, 1e-2)
    learn.fit_one_cycle(2, 1e-2)
    learn.set_lrs(slice(1e-4, 1e-3))
    learn.fit(1)


def fine_tune(learn):
    learn.fit(1, 1e-2)
    learn.fine_tune(1, 1e-2)


def one_fit(learn, cbs=list):
    learn.fit(2, 1e-2, cbs=cbs())


def in_bf16(learn):
    learn.to_bf16()
    learn.fit(1, 1e-2)


def accumulated():
    return [GradientAccumulation(150), GradientClip()]


def trackers():
    return [
        SaveModelCallback(monitor="bits_per_char"),
        EarlyStoppingCallback(patience=2, min_delta=0.5),
        ReduceLROnPlateau(min_delta=0.5),
    ]


CASES = {
    "windows": (dict(), three_fits),
    "shifted streams and a carried state": (dict(reading="shifted", arch="mullstm"), partial(one_fit)),
    "streams with dropout": (dict(reading="streams", arch="lstm", config=dict(output_p=0.3)), partial(one_fit)),
    "chunks and samples": (dict(reading="chunks", arch="mullstm", prompts="the "), partial(one_fit)),
    "frozen layers": (dict(), fine_tune),
    "gradients of several batches": (dict(), partial(one_fit, cbs=accumulated)),
    "trackers": (dict(), lambda learn: learn.fit(4, 1e-2, cbs=trackers())),
    "lookahead": (dict(opt_func=ranger), partial(one_fit)),
    "an optimizer of PyTorch": (dict(opt_func=partial(OptimWrapper, opt=AdamW)), partial(one_fit)),
    "bfloat16": (dict(), in_bf16),
}


# the first step of an optimizer of PyTorch imports its compiler, which takes two seconds
SLOW = {"an optimizer of PyTorch": [pytest.mark.slow]}


@pytest.mark.parametrize("case", [pytest.param(case, marks=SLOW.get(case, ())) for case in CASES])
def test_a_resumed_training_equals_an_uninterrupted_one(case, tmp_path):
    options, train = CASES[case]
    options = dict(path=tmp_path, **options)
    expected, files = kept(tmp_path, train, **options)
    plain = make_learner(**options)
    train(plain)
    assert differences(outcome(plain), expected) == []
    # first and last batches, a validation, a border of epochs and fits
    numbers = range(0, len(files), 3) if case == "windows" else (0, len(files) // 2, len(files) - 2)
    for k in numbers:
        found = outcome(resumed(files[k], train, **options))
        assert differences(found, expected) == [], SavedFit.read(files[k]).position


def test_the_places_of_checkpoints(tmp_path):
    _, files = kept(tmp_path, partial(one_fit))
    n = len(make_dls().train)
    stages = [SavedFit.read(file).position.stage for file in files]
    # one at the end of the training part and one within the validation
    epoch = (n - 1) * ["in training"] + 2 * ["before validation"]
    assert stages == [*epoch, *epoch, "finished"]


def test_a_training_may_be_resumed_twice_within_an_epoch(tmp_path):
    options = dict(reading="shifted", arch="mullstm")
    expected, files = kept(tmp_path, one_fit, **options)
    again = KeepAll(tmp_path / "again")
    resumed(files[0], one_fit, cbs=again, **options)
    assert [SavedFit.read(file).position.batch for file in again.written[:2]] == [2, 3]
    assert differences(outcome(resumed(again.written[1], one_fit, **options)), expected) == []


def test_an_interrupted_learner_continues_with_the_interrupted_fit(tmp_path):
    expected, _ = kept(tmp_path, three_fits)
    learn = make_learner(cbs=[CheckpointCallback(tmp_path / "run", every=2), Interrupt(1, 1)])
    with pytest.raises(KeyboardInterrupt):
        three_fits(learn)
    learn.resume(tmp_path / "run")
    learn.fit_one_cycle(2, 1e-2)
    learn.set_lrs(slice(1e-4, 1e-3))
    learn.fit(1)
    assert differences(outcome(learn), expected) == []


def test_a_fit_that_fails_before_its_first_batch_does_not_count(tmp_path):
    learn = make_learner(cbs=CheckpointCallback(tmp_path / "run"))
    with pytest.raises(DataError):
        learn.fit(1, cbs=SaveModelCallback(monitor="absent"))
    assert learn.fits == []
    learn.fit(1)
    assert SavedFit.read(tmp_path / "run").position.fit == 0


def _loaders(kind):
    dls = make_dls()
    items = [dls.train_ds[i] for i in range(0, 200, 2)]
    if kind == "fastai":
        loaders = [DataLoader(items, bs=16, shuffle=True), DataLoader(items[:32], bs=16)]
    else:
        generator = torch.Generator().manual_seed(5)
        load = partial(torch.utils.data.DataLoader, batch_size=16)
        loaders = [load(items, shuffle=True, generator=generator), load(items[:32])]
    foreign = DataLoaders(*loaders, device="cpu")
    foreign.vocab = list(dls.vocab.itos)
    return foreign


@pytest.mark.parametrize("kind", ["fastai", "PyTorch"])
def test_loaders_of_others_continue_too(kind, tmp_path):
    expected, files = kept(tmp_path, one_fit, dls=_loaders(kind))
    assert differences(outcome(resumed(files[2], one_fit, dls=_loaders(kind))), expected) == []


def test_a_loader_begins_where_its_state_was():
    for reading in ("windows", "shifted"):
        dl = make_dls(reading).train.seed(2)
        batches = iter(dl)
        taken = [next(batches), next(batches)]
        other = make_dls(reading).train
        other.load_state_dict(dl.state_dict())
        rest = list(other)
        assert len(rest) == len(dl) - len(taken)
        assert differences(rest, list(batches)) == []
        assert differences(list(other), list(dl)) == []


def test_a_fit_by_the_clock_continues_with_the_time_that_is_left(tmp_path):
    def train(learn):
        return learn.fit_minutes(0.004, 1e-2, bf16=False)

    keeper = KeepAll(tmp_path, every=3)
    learn = make_learner(cbs=keeper)
    row = train(learn)
    lrs = learn.recorder.lrs
    learn.fit(1)
    with pytest.warns(CharRnnWarning, match="learning rates follow the clock"):
        again = resumed(keeper.written[1], train)
    assert again.recorder.lrs[:6] == lrs[:6]
    assert again.recorder.lrs[-1] < 1e-3
    stages = [SavedFit.read(file).position[:2] for file in keeper.written]
    finished = keeper.written[stages.index((0, "finished"))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # the validation after the fit is done again
        assert train(make_learner().resume(finished)) == row
        # the row is in the checkpoint
        assert train(make_learner().resume(keeper.written[-1])) == row


@pytest.mark.parametrize("seed", range(2))
def test_a_training_that_is_killed_at_random_moments_ends_with_equal_weights(seed, tmp_path):
    "`make soak` tries many more."
    assert "killed" in try_one(random.Random(seed), tmp_path)
