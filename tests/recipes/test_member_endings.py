"""Trainings of several networks that are interrupted, resumed, diverge or are over."""

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.tracker import SaveModelCallback
from member_learners import Seen, fit_members, make_learner

from fastai_charrnn.all import CharMixture, CharRnnWarning, CheckpointCallback, python_reference
from fastai_charrnn.errors import DataError, TrainingError
from fastai_charrnn.recipes.best import BestRecipe
from fastai_charrnn.recipes.held_back import hold_back
from fastai_charrnn.recipes.member_counts import MemberCounts
from fastai_charrnn.recipes.members import MemberTraining


class _Stop(Callback):
    "Writes a checkpoint and stops the fit, if `is_on`: in the last part of a network's time, or while it is watched."

    order = CheckpointCallback.order + 1
    is_on = True

    def __init__(self, is_watched=False):
        self.is_watched = is_watched
        self.best_losses = []

    def after_batch(self):
        training = self.member_training
        if not self.training:
            return
        self.best_losses.append(training.best.loss)
        if self.iter != 3:
            return
        is_watched = training.is_holding and training.best.weights is not None
        is_last_part = self.learn.dls is training.held.last_dls
        if self.is_on and (is_watched if self.is_watched else is_last_part):
            self.learn.checkpoint.save()
            raise KeyboardInterrupt


def _fit_or_resume(folder, *cbs):
    "Train one network, from the checkpoint in a folder if there is one."
    recipe, learn = make_learner(1, minutes=0.1)
    learn.add_cb(CheckpointCallback(folder / "run", every=None))
    learn.resume(folder / "run", missing_ok=True)
    fit_members(recipe, learn, *cbs)


def test_a_resumed_network_reads_the_data_of_its_part_of_the_time(tmp_path):
    stop, seen = _Stop(), Seen()
    with pytest.raises(KeyboardInterrupt):
        _fit_or_resume(tmp_path, seen, stop)
    n_before = len(seen.batches)
    stop.is_on = False
    with pytest.warns(CharRnnWarning, match="the fit continues"):
        _fit_or_resume(tmp_path, seen, stop)
    # the checkpoint has the batches before too
    assert {name for _, name, _ in seen.batches[n_before:]} == {"last"}


def test_a_resumed_network_is_compared_with_the_best_loss_before(tmp_path):
    first, second = _Stop(is_watched=True), _Stop(is_watched=True)
    with pytest.raises(KeyboardInterrupt):
        _fit_or_resume(tmp_path, first)
    second.is_on = False
    with pytest.warns(CharRnnWarning, match="the fit continues"):
        _fit_or_resume(tmp_path, second)
    n_before = len(first.best_losses)
    assert second.best_losses[n_before] <= first.best_losses[-1]


@pytest.mark.parametrize("options", [dict(n_models=1), dict(n_models=2), dict(n_models=2, one_network=True)])
def test_a_fit_that_was_over_is_not_trained_again(options, tmp_path):
    recipe = BestRecipe(0.1, n_hid=8, emb_sz=4, config=dict(output_p=0.1), bs=16, seq_len=32, **options)

    def fitted():
        learn = recipe.learner(recipe.dls(python_reference()[:60_000], device="cpu"))
        learn.add_cb(CheckpointCallback(tmp_path / "run", every=None))
        learn.resume(tmp_path / "run", missing_ok=True)
        with learn.no_bar(), learn.no_logging():
            recipe.fit(learn)
        return learn

    first, second = fitted(), fitted()
    assert type(second.model) is CharMixture
    assert type(second.model.network) is type(first.model.network)
    assert list(second.validate()) == pytest.approx(list(first.validate()), abs=1e-6)


def test_a_resumed_training_has_the_gate_that_was_fitted():
    _, learn = make_learner(2)
    first, second = MemberCounts(), MemberCounts()
    first.learn = second.learn = learn
    first.n_max = 10_000
    first.fit_gate(learn.model.members[0], hold_back(learn.dls))
    second.load_state_dict(first.state_dict())
    for name, value in first.mixture.gate.state_dict().items():
        assert torch.equal(second.mixture.gate.state_dict()[name], value)


def test_a_learner_is_not_trained_by_a_recipe_twice():
    recipe, learn = make_learner(1, minutes=0.1)
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    with pytest.raises(DataError, match="make another learner"):
        recipe.fit(learn)
    assert len(learn.fits) == 1


def test_a_callback_that_chooses_by_epochs_is_refused():
    recipe, learn = make_learner(1)
    with pytest.raises(DataError, match="SaveModelCallback.* validates at its end only"):
        recipe.fit(learn, cbs=SaveModelCallback())
    assert not learn.fits


def test_a_network_that_diverges_is_not_used():
    class Diverge(Callback):
        order = MemberTraining.order + 1

        def before_batch(self):
            if self.member_training.member == 1:
                self.model.members[1].out.bias.data.fill_(float("nan"))

    recipe, learn = make_learner(2)
    with pytest.raises(TrainingError), learn.no_bar(), learn.no_logging():
        recipe.fit(learn, cbs=Diverge())
    assert learn.model.n_ready == 1
    assert learn.evaluate(python_reference()[:5000])["loss"] < 5


def test_after_an_interrupted_fit_all_networks_train_again():
    class Stop(Callback):
        order = MemberTraining.order + 1

        def before_batch(self):
            if self.member_training.member == 1:
                raise KeyboardInterrupt

    recipe, learn = make_learner(2)
    with pytest.raises(KeyboardInterrupt), learn.no_bar(), learn.no_logging():
        recipe.fit(learn, cbs=Stop())
    assert learn.model.active is None
    # the second one is not trained
    assert learn.model.n_ready == 1
