"""Each callback that `fastai.callback.all` exports has its effect on a `CharLearner`, or is refused."""

import pandas as pd
import pytest
from fastai.basics import Callback
from fastai.callback.all import (
    ActivationStats,
    BnFreeze,
    ChannelsLast,
    CollectDataCallback,
    CutMix,
    FetchPredsCallback,
    GradientAccumulation,
    MCDropoutCallback,
    MixUp,
    ModelResetter,
    ParamScheduler,
    SchedLin,
    TerminateOnNaNCallback,
)
from learner_helpers import quiet_fit, weights

from fastai_charrnn.all import CharDataLoaders, char_learner, human_numbers
from fastai_charrnn.errors import DataError

modes = pytest.mark.parametrize("mode", ["windows", "chunks", "streams"])
MODES = dict(windows={}, chunks=dict(target="every"), streams=dict(target="every", stateful=True))


def make(mode, tmp_path, arch="gru", **kwargs):
    text = human_numbers()[:1500]
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=64, device="cpu", path=tmp_path, **MODES[mode])
    return char_learner(dls, arch, n_hid=8, emb_sz=4, seed=0, **kwargs)


class CountSteps(Callback):
    n = 0

    def after_step(self):
        self.n += 1


@modes
def test_gradients_are_accumulated(mode, tmp_path):
    learn = make(mode, tmp_path)
    steps = CountSteps()
    quiet_fit(learn, 1, cbs=[GradientAccumulation(128), steps])
    assert steps.n == len(learn.dls.train) // 2


@modes
@pytest.mark.parametrize("make_cb", [BnFreeze, ChannelsLast, ModelResetter, TerminateOnNaNCallback])
def test_callbacks_without_a_job_change_nothing(mode, make_cb, tmp_path):
    plain, other = make(mode, tmp_path), make(mode, tmp_path)
    quiet_fit(plain, 1)
    quiet_fit(other, 1, cbs=make_cb())
    assert weights(other).equal(weights(plain))


@modes
def test_batches_are_collected(mode, tmp_path):
    learn = make(mode, tmp_path)
    collect = CollectDataCallback()
    quiet_fit(learn, 1, cbs=collect)
    assert len(collect.data) == len(learn.dls.train) + len(learn.dls.valid)


@modes
def test_predictions_are_fetched_without_a_change_of_training(mode, tmp_path):
    learn = make(mode, tmp_path)
    fetch = FetchPredsCallback(with_input=True, with_decoded=True)
    plain = make(mode, tmp_path)
    quiet_fit(plain, 1)
    quiet_fit(learn, 1, cbs=fetch)
    assert len({len(part) for part in fetch.preds}) == 1
    probs, decoded = fetch.preds[1], fetch.preds[3]
    assert decoded.equal(probs.argmax(-1))
    assert weights(learn).equal(weights(plain))


@modes
def test_a_schedule_is_followed(mode, tmp_path):
    learn = make(mode, tmp_path)
    quiet_fit(learn, 1, cbs=ParamScheduler({"lr": SchedLin(1e-2, 1e-3)}))
    lrs = learn.recorder.lrs
    assert lrs[0] == 1e-2
    assert lrs == sorted(lrs, reverse=True)


@modes
def test_activations_of_the_output_layer_are_recorded(mode, tmp_path):
    learn = make(mode, tmp_path)
    stats = ActivationStats(modules=[learn.model.out])
    quiet_fit(learn, 1, cbs=stats)
    assert len(stats.stats) == len(learn.dls.train)
    assert all(stat["std"] > 0 for stats_of_batch in stats.stats for stat in stats_of_batch)


@modes
@pytest.mark.parametrize("arch, config", [("gru", dict(output_p=0.5)), ("mullstm", dict(layer_p=0.5, hidden_p=0.5))])
def test_dropout_stays_on_with_mc_dropout_and_modes_are_restored(mode, arch, config, tmp_path):
    learn = make(mode, tmp_path, arch, config=config)
    with learn.no_bar():
        plain = learn.get_preds()[0]
        draws = [learn.get_preds(cbs=MCDropoutCallback())[0] for _ in range(2)]
        again = learn.get_preds()[0]
    assert not draws[0].equal(plain)
    assert not draws[0].equal(draws[1])
    assert again.equal(plain)


@modes
@pytest.mark.parametrize("make_cb", [MixUp, CutMix])
def test_mixing_inputs_is_refused_before_training(mode, make_cb, tmp_path):
    learn = make(mode, tmp_path)
    with pytest.raises(DataError, match=f"{make_cb.__name__} mixes inputs as numbers, and characters are indices"):
        quiet_fit(learn, 1, cbs=make_cb())


@modes
def test_a_validation_on_the_training_part_in_a_fit_keeps_the_order_of_training(mode, tmp_path):
    class InMidEpoch(Callback):
        def after_batch(self):
            if self.training and self.iter == 2:
                self.learn.validate(ds_idx=0)

    plain, other = make(mode, tmp_path), make(mode, tmp_path)
    quiet_fit(plain, 2)
    quiet_fit(other, 2, cbs=InMidEpoch())
    assert weights(other).equal(weights(plain))


def test_history_is_read_with_its_columns(tmp_path):
    from fastai.callback.all import CSVLogger

    learn = make("windows", tmp_path)
    logger = CSVLogger()
    rows = quiet_fit(learn, 2, cbs=logger)
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["valid_loss"].tolist() == pytest.approx([row["valid_loss"] for row in rows])
