"""On a GPU, fits with `CudaGraph` have the losses of eager fits, step by step."""

import threading

import pytest
import torch
from equal_fits import Changes, StepLosses, ValidatesOften, compare, drop_more, freeze, no_effect, one_cycle
from fastai.basics import Callback
from fastai.callback.training import GradientClip
from fastai.optimizer import Adam, OptimWrapper
from graph_fits import CASES, graph_adam, learner
from learner_helpers import AllowWaiting
from resume_cases import differences

from fastai_charrnn.all import CheckpointCallback, CudaGraph, FusedAdam, TrainingError, get_arch

pytestmark = pytest.mark.gpu
# the others with `make test` on a GPU only
FEWER = [case if case[1] != "chunks" else pytest.param(*case, marks=pytest.mark.slow) for case in CASES]


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    "Products in 32 bits. cuDNN would round to 19 bits (TF32)."
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("arch,mode", CASES)
def test_one_cycle_with_clipping_and_dropout_is_the_same(arch, mode):
    "Validation, the smaller last batch and the first batch of streams are eager. Dropout draws the same numbers."
    learn = compare(lambda o: one_cycle(o, 2), arch, mode, cbs=GradientClip(0.1))
    assert learn.cuda_graph.n_replayed >= learn.train_iter - 10


@pytest.mark.parametrize("arch,mode", FEWER)
def test_bf16_is_the_same(arch, mode):
    compare(lambda o: one_cycle(o.to_bf16()), arch, mode, tolerance=3e-2)
    assert not torch.is_autocast_enabled("cuda")


OPTIMIZERS = {
    "FusedAdam": FusedAdam,
    "fastai": Adam,
    "AdamW": lambda params, lr: OptimWrapper(params, torch.optim.AdamW, lr=lr),
    "fused": lambda params, lr: OptimWrapper(params, torch.optim.AdamW, lr=lr, fused=True),
    "capturable": lambda params, lr: OptimWrapper(params, torch.optim.Adam, lr=lr, capturable=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_adam_is_followed(name):
    def train(learn):
        one_cycle(learn)
        learn.fit(1, slice(1e-4, 1e-2), wd=0.1)

    if name in ("FusedAdam", "fastai"):
        compare(train, "lstm", opt_func=OPTIMIZERS[name])
        return
    losses = []
    for cbs in ([], [CudaGraph()]):
        learn = learner("lstm", device="cuda", opt_func=OPTIMIZERS[name], cbs=[StepLosses(), *cbs])
        train(learn)
        losses.append(torch.stack(learn.step_losses.kept))
    assert learn.cuda_graph.n_replayed
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)
    steps = {int(state["step"]) for state in learn.opt.opt.state.values()}
    assert steps == {len(losses[0])}


def test_a_validation_within_an_epoch_is_the_same():
    compare(one_cycle, "lstm", "streams", cbs=ValidatesOften())


def test_lr_find_is_the_same():
    found = []

    def train(learn):
        found.append(learn.lr_find(num_it=30, show_plot=False).descent)
        learn.fit(1, 1e-3)

    compare(train, "gru")
    assert found[0] == pytest.approx(found[1], rel=0.2)


def test_frozen_weights_between_fits_are_the_same():
    def train(learn):
        learn.fit(1, 5e-3)
        learn.freeze()
        learn.fit(1, 5e-3)
        learn.unfreeze()
        learn.fit(1, 5e-3)

    compare(train, "lstm", "streams")


def other_weight(learn):
    learn.model.out.weight.data = learn.model.out.weight.data * 2


@pytest.mark.parametrize("change", [drop_more, freeze, other_weight])
def test_a_change_within_a_fit_needs_another_graph(change):
    compare(lambda o: o.fit(1, 5e-3, cbs=Changes(change, 6)), "mullstm", "streams", n_graphs=2)


def test_a_resumed_training_is_the_same(tmp_path):
    def stop(learn):
        raise KeyboardInterrupt

    def make(change):
        cbs = [CudaGraph(), CheckpointCallback(tmp_path / "c", every=9), Changes(change, 11), StepLosses()]
        return learner("mullstm", "streams", device="cuda", cbs=cbs)

    plain = learner("mullstm", "streams", device="cuda", cbs=StepLosses())
    one_cycle(plain, 2)
    with pytest.raises(KeyboardInterrupt):
        one_cycle(make(stop), 2)
    again = make(lambda _: None)
    again.resume(tmp_path / "c")
    one_cycle(again, 2)
    assert again.cuda_graph.n_replayed
    n = len(again.step_losses.kept)
    got, expected = (torch.stack(learn.step_losses.kept[-n:]) for learn in (again, plain))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_random_state_of_the_gpu_after_a_step_is_that_of_an_eager_fit():
    states = []

    def note(learn):
        states.append(torch.cuda.get_rng_state())

    for cbs in ([], [CudaGraph()]):
        learner("mullstm", "streams", device="cuda", cbs=[*cbs, Changes(note, 10)]).fit(1, 5e-3)
    assert differences(states[0], states[1]) == []


class ForbidWaiting(Callback):
    "Make it an error to wait for the GPU, from the end of a batch on which the graph has been captured."

    order = 100

    def after_batch(self):
        if self.training and self.learn.cuda_graph.n_replayed:
            torch.cuda.set_sync_debug_mode("error")


@pytest.mark.parametrize("arch,mode", FEWER)
def test_no_replayed_step_waits_for_the_device(arch, mode):
    learn = learner(arch, mode, device="cuda", opt_func=FusedAdam, cbs=[CudaGraph(), GradientClip(0.1)])
    try:
        learn.fit_one_cycle(1, 5e-3, cbs=[ForbidWaiting(), AllowWaiting()])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert learn.cuda_graph.n_replayed
    assert all(loss.device.type == "cpu" for loss in learn.recorder.losses)


def test_the_memory_of_a_graph_is_freed_after_the_fit():
    learn = learner("mullstm", device="cuda")
    learn.fit(1, 5e-3)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    learn.fit(1, 5e-3, cbs=CudaGraph())
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + 2**20


def test_a_nan_loss_ends_the_fit():
    def spoil(learn):
        learn.model.out.bias.data[0] = float("nan")

    learn = learner("gru", device="cuda", cbs=CudaGraph())
    with pytest.raises(TrainingError, match="nan"):
        learn.fit(1, 5e-3, cbs=Changes(spoil, 6))
    assert learn.cuda_graph.n_replayed
    assert learn.cuda_graph.graph is None


class Waits(get_arch("gru").cls):
    "Reads a number of the state on the host, which cannot be captured."

    def forward_seq(self, x, state):
        outs, state = super().forward_seq(x, state)
        assert float(outs.sum()) < 1e9
        return outs, state


def test_a_step_that_waits_runs_without_a_graph_and_the_next_fit_works():
    with no_effect("could not be captured"):
        compare(one_cycle, Waits, "streams", n_graphs=0, config=dict(output_p=0.3))
    compare(one_cycle, "mullstm", "streams")


def test_fp16_runs_without_a_graph():
    with no_effect("fp16"):
        compare(lambda o: one_cycle(o.to_fp16()), "gru", n_graphs=0, tolerance=3e-2)


def test_another_thread_may_generate_while_a_step_is_captured():
    learn = learner("gru", device="cuda", cbs=CudaGraph())
    stop = threading.Event()
    texts = []

    def generate():
        while not stop.is_set():
            texts.append(learn.predict_next("the ", n=20))

    thread = threading.Thread(target=generate)
    thread.start()
    try:
        learn.fit(3, 5e-3)
    finally:
        stop.set()
        thread.join()
    assert learn.cuda_graph.n_replayed
    assert texts


def test_the_eager_steps_of_these_tests_are_those_of_adam():
    "`graph_adam` is fastai's Adam, so the other tests compare with the usual training."
    losses = []
    for opt_func in (graph_adam, Adam):
        learn = learner("lstm", device="cuda", opt_func=opt_func, cbs=StepLosses())
        one_cycle(learn)
        losses.append(torch.stack(learn.step_losses.kept))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)
