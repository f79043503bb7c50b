"""`CudaGraph` on a CPU, with a stand-in that repeats the step: fits with and without it are equal bit by bit.

`test_cuda_graph_gpu.py` has the tests that need a GPU."""

import copy

import pytest
import torch
from equal_fits import Changes, ValidatesOften, assert_equal_fits, drop_more, freeze, one_cycle, results
from fastai.basics import Callback, noop
from fastai.callback.training import GradientClip
from graph_fits import CASES, GraphOnCpu, learner
from resume_cases import differences

from fastai_charrnn.all import CheckpointCallback, CudaGraph, DataError, TrainingError


def _is_slow(arch, mode):
    return arch == "ensemble" or (mode == "chunks" and arch != "mullstm") or arch == "concat"


@pytest.mark.parametrize(
    "arch,mode", [pytest.param(*case, marks=pytest.mark.slow) if _is_slow(*case) else case for case in CASES]
)
def test_one_cycle_with_clipping_and_dropout_is_the_same(arch, mode):
    "Validation, the smaller last batch and the first batch of streams are eager."
    learn = assert_equal_fits(lambda o: one_cycle(o, 2), arch, mode, cbs=GradientClip(0.1))
    assert learn.cuda_graph.n_replayed >= learn.train_iter - 10


def test_one_graph_serves_all_epochs():
    "The smaller last batches are not captured, however many there are."
    learn = learner(cbs=GraphOnCpu())
    learn.fit(6, 1e-2)
    assert learn.cuda_graph.n_captured == 1
    assert learn.cuda_graph.n_replayed == learn.train_iter - 1 - 3 - 6


@pytest.mark.parametrize("arch,mode", [("gru", "windows"), ("mullstm", "streams")])
def test_bf16_is_the_same(arch, mode):
    learn = assert_equal_fits(lambda o: one_cycle(o.to_bf16()), arch, mode)
    assert not torch.is_autocast_enabled("cpu")
    assert len(learn.mixed_precision.kwargs) == 0


def test_rates_of_groups_and_weight_decay_are_followed():
    def train(learn):
        learn.fit(1, slice(1e-4, 1e-2), wd=0.1)
        learn.fit(1, 1e-2, wd=0.0)

    assert_equal_fits(train, "lstm", config=dict(n_layers=2))


def test_a_validation_within_an_epoch_is_the_same():
    assert_equal_fits(one_cycle, "lstm", "streams", cbs=ValidatesOften())


def test_lr_find_is_the_same():
    def train(learn):
        lrs = learn.lr_find(num_it=20, show_plot=False)
        learn.fit(1, lrs.descent)

    assert_equal_fits(train, "gru")


def test_frozen_weights_between_fits_are_the_same():
    def train(learn):
        learn.fit(1, 1e-2)
        learn.freeze()
        learn.fit(1, 1e-2)
        learn.unfreeze()
        learn.fit(1, 1e-2)

    assert_equal_fits(train, "lstm", "streams")


def no_dropout(learn):
    learn.model.drop.eval()


def clip_more(learn):
    learn.gradient_clip.max_norm = 0.01


def other_eps(learn):
    learn.opt.set_hyper("eps", 1e-3)


def other_weight(learn):
    learn.model.out.weight.data = learn.model.out.weight.data * 2


@pytest.mark.parametrize("change", [drop_more, freeze, no_dropout, clip_more, other_eps, other_weight])
def test_a_change_within_a_fit_needs_another_graph(change):
    def train(learn):
        learn.fit(1, 1e-2, cbs=[Changes(change, 6), GradientClip(0.5)])

    assert_equal_fits(train, "mullstm", "streams", n_graphs=2)


def test_a_hook_within_a_fit_is_called_in_every_step_from_then_on():
    calls = []

    def train(learn):
        calls.clear()
        learn.fit(1, 1e-2, cbs=Changes(lambda o: o.model.drop.register_forward_hook(lambda *_: calls.append(1))))

    learn = assert_equal_fits(train, "mullstm")
    steps = learn.train_iter - 10
    assert len(calls) == steps + len(learn.dls.valid)


def test_a_resumed_training_is_the_same(tmp_path):
    def make(change):
        cbs = [GraphOnCpu(), CheckpointCallback(tmp_path / "c", every=9), Changes(change, 11)]
        return learner("lstm", "streams", cbs=cbs)

    plain = learner("lstm", "streams")
    one_cycle(plain, 2)
    first = make(_interrupt)
    with pytest.raises(KeyboardInterrupt):
        one_cycle(first, 2)
    assert first.cuda_graph.n_replayed
    assert first.cuda_graph.graph is None
    again = make(noop)
    again.resume(tmp_path / "c")
    one_cycle(again, 2)
    assert again.cuda_graph.n_replayed
    assert differences(results(plain), results(again)) == []


def test_a_checkpoint_of_a_fit_with_a_graph_continues_without_one(tmp_path):
    learn = learner("gru", cbs=CheckpointCallback(tmp_path / "c", every=9))
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, 1e-2, cbs=[GraphOnCpu(), Changes(_interrupt, 10)])
    again = learner("gru", cbs=CheckpointCallback(tmp_path / "c", every=9))
    again.resume(tmp_path / "c")
    again.fit(1, 1e-2, cbs=Changes(noop, 10))
    plain = learner("gru")
    plain.fit(1, 1e-2)
    assert differences(results(plain), results(again)) == []


def _interrupt(learn):
    raise KeyboardInterrupt


def test_a_nan_loss_ends_the_fit_at_its_step():
    def spoil(learn):
        learn.model.out.bias.data[0] = float("nan")

    learn = learner("gru", cbs=GraphOnCpu())
    with pytest.raises(TrainingError, match="the loss is nan at step 11 "):
        learn.fit(1, 1e-2, cbs=Changes(spoil, 10))
    assert learn.cuda_graph.n_replayed
    assert learn.cuda_graph.graph is None


def test_a_copy_of_a_learner_in_a_fit_has_no_graph():
    copies = []

    def keep(learn):
        assert learn.cuda_graph.graphed is not None
        copies.append(copy.deepcopy(learn))

    learner(cbs=GraphOnCpu()).fit(1, 1e-2, cbs=Changes(keep))
    (other,) = copies
    assert other.cuda_graph.graphed is None
    other.fit(1, 1e-2)
    assert other.cuda_graph.n_replayed


def test_a_later_step_does_not_change_what_a_callback_keeps():
    class Keeps(Callback):
        def before_fit(self):
            self.losses = []
            self.copies = []

        def after_batch(self):
            self.losses.append(self.loss)
            self.copies.append(self.loss.clone())

    keeps = Keeps()
    learner(cbs=[GraphOnCpu(), keeps]).fit(1, 1e-2)
    assert torch.equal(torch.stack(keeps.losses), torch.stack(keeps.copies))


@pytest.mark.parametrize("warmup", [0, 1.5, "3"])
def test_the_number_of_warm_up_steps_is_checked(warmup):
    with pytest.raises(DataError, match="warmup"):
        CudaGraph(warmup)
