"""Replayed steps of generation give the texts that are generated without them."""

import pytest
import torch
from fake_gpu import fake_gpu
from graph_fits import Repeated
from small_models import lively

from fastai_charrnn.all import CharDataLoaders, CharRnnWarning, char_learner, python_reference
from fastai_charrnn.generation.decoders import decoder
from fastai_charrnn.generation.options import GenerationConfig
from fastai_charrnn.generation.replayed import ReplayedSampler, replayed_steps
from fastai_charrnn.generation.sampling import Sampler


class HostGraph(Repeated):
    "Stands for a CUDA graph, and counts. Capturing computes nothing, as on a GPU."

    n_captures = n_replays = 0

    def capture(self, step):
        super().capture(step)
        HostGraph.n_captures += 1

    def replay(self):
        super().replay()
        HostGraph.n_replays += 1


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    monkeypatch.setattr(HostGraph, "n_captures", 0)
    monkeypatch.setattr(HostGraph, "n_replays", 0)


def _learner(arch="lstm", **kwargs):
    modes = dict(target="every", stateful=True) if "target" not in kwargs else {}
    dls = CharDataLoaders.from_text(python_reference()[:3_000], bs=8, device="cpu", **modes, **kwargs)
    return lively(char_learner(dls, arch, n_hid=16, emb_sz=8, seed=0))


PROMPTS = ["the value", "", "a"]
OPTIONS = [
    dict(seed=1),
    dict(seed=1, top_k=5, top_p=0.9, min_p=0.01, num=2),
    dict(temperature=0, repetition_penalty=1.3),
    dict(seed=2, stop="e"),
]


@pytest.mark.filterwarnings("ignore:the greedy text repeats itself")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("arch", ["rnn", "lstm", "mullstm", "ensemble"])
def test_texts_are_those_without_replays(arch, options):
    learn = _learner(arch)
    texts = learn.generate(PROMPTS, 60, **options)
    with replayed_steps(HostGraph):
        replayed = learn.generate(PROMPTS, 60, **options)
    assert list(map(str, replayed)) == list(map(str, texts))
    for text, other in zip(texts, replayed):
        assert text.log_prob == pytest.approx(other.log_prob, abs=1e-6)
    assert HostGraph.n_replays > 0
    # rows that end leave the batch, which is captured again
    assert HostGraph.n_captures == 1 or "stop" in options


def test_a_stream_and_blocks_are_replayed():
    learn = _learner()
    text = str(learn.generate("the", 600, seed=1))
    with replayed_steps(HostGraph):
        assert str(learn.generate("the", 600, seed=1)) == text
        assert HostGraph.n_replays == 600 - 2
        stream = learn.generate("the", 20, seed=1, stream=True)
    # the block has ended, and the stream replays what it began with
    assert text.startswith("".join(stream))
    assert HostGraph.n_captures == 2


def test_models_that_read_windows_or_have_hooks_are_not_replayed():
    windows = _learner(target="next")
    hooked = _learner()
    hooked.model.out.register_forward_hook(lambda *args: None)
    for learn in (windows, hooked):
        with replayed_steps(HostGraph):
            learn.generate("the", 20, seed=1)
    assert HostGraph.n_captures == 0


def test_on_a_cpu_nothing_is_replayed():
    learn = _learner()
    text = str(learn.generate("the", 20, seed=1))
    with replayed_steps():
        assert str(learn.generate("the", 20, seed=1)) == text


class _Refuses(HostGraph):
    def capture(self, step):
        step()
        raise RuntimeError("operation not permitted when stream is capturing")


def test_a_step_that_cannot_be_captured_warns_and_generates_as_without_replays():
    learn = _learner()
    text = str(learn.generate("the", 40, seed=1))
    with pytest.warns(CharRnnWarning, match="could not be captured, so none is replayed"):
        with replayed_steps(_Refuses):
            assert str(learn.generate("the", 40, seed=1)) == text
    assert HostGraph.n_replays == 0


@pytest.mark.parametrize("options", [dict(seed=1, top_p=0.9), dict(temperature=0, seed=1, repetition_penalty=1.2)])
def test_a_captured_step_needs_nothing_from_the_host(options):
    model = _learner("mullstm").model
    seen = torch.zeros(2, model.vocab_sz, dtype=torch.bool)
    ids = torch.tensor([[1, 2], [3, 4]])
    sampler = Sampler(model, ids, GenerationConfig(**options), [0, 0], seen)
    # that of a GPU, in float64
    sampler.decoder = decoder(model, ids, exact=True)
    sampler.replayed = ReplayedSampler(sampler, HostGraph)
    sampler.sample(4)
    with fake_gpu():
        new, log_probs = sampler.sample(3)
    assert new.shape == log_probs.shape == (2, 3)
    assert HostGraph.n_replays == 5


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:the greedy text repeats itself")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("arch", ["rnn", "lstm", "mullstm"])
def test_texts_replayed_on_a_gpu_are_those_without_replays(arch, options):
    learn = _learner(arch)
    learn.model.cuda()
    learn.dls.cuda()
    texts = learn.generate(PROMPTS, 600, **options)
    with replayed_steps():
        assert list(map(str, learn.generate(PROMPTS, 600, **options))) == list(map(str, texts))
