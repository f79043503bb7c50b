"""A training that is resumed from a checkpoint gives exactly what an uninterrupted one gives."""

import copy
from functools import partial

from fastai.callback.all import (
    CSVLogger,
    EarlyStoppingCallback,
    GradientAccumulation,
    GradientClip,
    ReduceLROnPlateau,
    SaveModelCallback,
)
from fastai.optimizer import OptimWrapper, ranger
from resume_cases import KeepAll, differences, make_learner, outcome
from torch.optim import AdamW


def fits(learn):
    learn.fit(1, 1e-2)
    learn.fit_one_cycle(2, 1e-2)
    learn.set_lrs(1e-3)
    learn.fit(1)


def fine_tune(learn):
    learn.fine_tune(1, 1e-2)


def one_fit(learn, epochs=2, cbs=list, **kwargs):
    learn.fit(epochs, 1e-2, cbs=cbs(), **kwargs)


def with_trackers(learn):
    cbs = [
        SaveModelCallback(monitor="bits_per_char"),
        EarlyStoppingCallback(patience=2, min_delta=0.5),
        ReduceLROnPlateau(min_delta=0.5),
        CSVLogger(),
    ]
    learn.fit(4, 1e-2, cbs=cbs)


CASES = {
    "windows": (dict(reading="windows"), fits),
    "streams": (dict(reading="streams", arch="lstm"), fits),
    "shifted": (dict(reading="shifted", arch="mullstm"), fits),
    "chunks": (dict(reading="chunks", arch="mullstm", prompts="the "), partial(one_fit)),
    "dropout": (dict(reading="streams", config=dict(output_p=0.3)), partial(one_fit)),
    "fine_tune": (dict(), fine_tune),
    "accumulation": (dict(), partial(one_fit, cbs=lambda: [GradientAccumulation(150), GradientClip()])),
    "trackers": (dict(), with_trackers),
    "ranger": (dict(opt_func=ranger), partial(one_fit)),
    "torch's AdamW": (dict(opt_func=partial(OptimWrapper, opt=AdamW)), partial(one_fit)),
}


def test_it(name, tmp_path, capsys):
    options, train = CASES[name]
    options = options | dict(path=tmp_path)
    keeper = KeepAll(tmp_path)
    learn = make_learner(cbs=keeper, **options)
    train(learn)
    expected = copy.deepcopy(outcome(learn))
    plain = make_learner(**options)
    train(plain)
    assert differences(outcome(plain), expected) == []
    files = keeper.written
    for file in sorted({files[0], *files[2::5], files[-2], files[-1]}, key=files.index):
        again = make_learner(cbs=KeepAll(tmp_path / "again"), **options)
        again.resume(file)
        train(again)
        assert differences(outcome(again), expected) == [], file


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", CASES)
