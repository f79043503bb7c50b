"""Training steps and generated characters need no number on the host, so no GPU has to be waited for."""

from contextlib import ExitStack

import pytest
import torch
from fake_gpu import WAITS, fake_gpu
from fastai.basics import Callback
from fastai.callback.training import GradientClip
from graph_fits import GraphOnCpu, Repeated
from torch.overrides import TorchFunctionMode

from fastai_charrnn.all import BitsPerChar, CharAccuracy, CharDataLoaders, char_learner, list_archs, python_reference
from fastai_charrnn.generation.decoders import decoder
from fastai_charrnn.generation.options import GenerationConfig
from fastai_charrnn.generation.sampling import Sampler

MODES = {"windows": {}, "chunks": dict(target="every"), "streams": dict(target="every", stateful=True)}
# char3 reads windows only; an ensemble runs the steps of its networks
CASES = [(arch, mode) for arch in list_archs() for mode in MODES if arch not in ("char3", "ensemble")]
CASES += [("char3", "windows"), ("ensemble", "streams")]
READS = [float, bool, torch.nonzero, torch.unique, lambda tensor: tensor.cpu(), torch.Tensor.numpy]


def _learner(arch, mode, **kwargs):
    text = python_reference()[:2_000]
    dls = CharDataLoaders.from_text(text, seq_len=3, bs=64, valid="tail", device="cpu", **MODES[mode], **kwargs)
    return char_learner(dls, arch, n_hid=8, emb_sz=8, seed=0)


@pytest.mark.parametrize("read", READS)
def test_reading_a_number_of_a_fake_gpu_is_an_error(read):
    with fake_gpu(), pytest.raises(WAITS):
        read(torch.zeros(()) + 1)


class _Done(Exception):
    pass


class _OneFakeBatch(Callback):
    "The device of the second batch is a fake GPU. Ends the fit after that batch."

    order = 1000

    def __init__(self, of_training):
        self.of_training = of_training

    def before_fit(self):
        self.stack = ExitStack()

    def before_batch(self):
        if self._is_it():
            self.stack.enter_context(fake_gpu())

    def after_batch(self):
        if self._is_it():
            self.close()
            raise _Done("the batch did not wait")

    def _is_it(self):
        return self.training == self.of_training and self.iter == 1

    def close(self):
        self.stack.close()


def _fit_with_a_fake_batch(learn, of_training):
    fake = _OneFakeBatch(of_training)
    try:
        with learn.no_bar(), learn.no_logging(), pytest.raises(_Done):
            learn.fit_one_cycle(1, 1e-3, cbs=[fake, GradientClip()])
    finally:
        fake.close()


@pytest.mark.parametrize("arch,mode", CASES)
def test_no_batch_of_training_waits_for_a_fake_gpu(arch, mode):
    "The numbers of the model, the loss, the gradients, the optimizer and the recorder stay on the device."
    _fit_with_a_fake_batch(_learner(arch, mode), of_training=True)


@pytest.mark.parametrize("mode", MODES)
def test_no_batch_of_validation_waits_for_a_fake_gpu(mode):
    "The sums of the metrics stay on the device."
    learn = _learner("rnn", mode, val_bs=32)
    learn.metrics = [CharAccuracy(), BitsPerChar()]
    _fit_with_a_fake_batch(learn, of_training=False)


OPTIONS = [dict(), dict(temperature=0), dict(top_k=3, top_p=0.9, min_p=0.01), dict(repetition_penalty=1.2)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("arch,mode", [("rnn", "windows"), ("lstm", "streams"), ("mullstm", "streams")])
def test_no_generated_character_waits_for_a_fake_gpu(arch, mode, options):
    model = _learner(arch, mode).model
    ids = torch.tensor([[1, 2, 3], [0, 4, 5]])
    seen = torch.zeros(2, model.vocab_sz, dtype=torch.bool)
    sampler = Sampler(model, ids, GenerationConfig(seed=1, **options), [0, 0], seen)
    # that of a GPU, in float64
    sampler.decoder = decoder(model, ids, exact=True)
    with fake_gpu():
        new, log_probs = sampler.sample(5)
    assert new.shape == log_probs.shape == (2, 5)
    assert log_probs.dtype == torch.float64


_MAKE_TENSORS = {torch.zeros, torch.ones, torch.empty, torch.full, torch.tensor, torch.arange, torch.eye, torch.rand}


class _NoHostTensors(TorchFunctionMode):
    "A tensor that is made without a device is on the CPU: a graph would read the host's memory when it is replayed."

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _MAKE_TENSORS and kwargs.get("device") is None:
            raise AssertionError(f"{func.__name__} makes a tensor on the CPU")
        return func(*args, **kwargs)


def test_a_tensor_on_the_host_is_noticed():
    with _NoHostTensors():
        assert len(torch.zeros(3, device="cpu")) == 3
        with pytest.raises(AssertionError, match="zeros makes a tensor on the CPU"):
            torch.zeros(3)


class _FakeReplay(Repeated):
    "Computes the captured step with fake tensors, and ends the training."

    def replay(self):
        with fake_gpu(), _NoHostTensors():
            self.step()
        raise _Done("the step did not wait")


class _FakeGraph(GraphOnCpu):
    name = "cuda_graph"
    graph_class = _FakeReplay


STEPS = [(arch, "windows", False) for arch in list_archs() if arch != "ensemble"]
STEPS += [(arch, "streams", True) for arch in ("concat", "gru", "lstm", "rnn")]
STEPS += [("mullstm", "streams", False), ("mullstm", "chunks", True), ("ensemble", "streams", False)]


@pytest.mark.parametrize("arch,mode,bf16", STEPS)
def test_a_captured_step_neither_waits_nor_makes_tensors_on_the_host(arch, mode, bf16):
    learn = _learner(arch, mode)
    if bf16:
        learn.to_bf16()
    with learn.no_bar(), learn.no_logging(), pytest.raises(_Done):
        learn.fit_one_cycle(1, 1e-3, cbs=[_FakeGraph(), GradientClip()])
