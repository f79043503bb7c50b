"""fastai's `RNNCallback`, `RNNRegularizer` and `rnn_cbs` on our models."""

import copy

import pytest
import torch
from fastai.basics import Callback
from fastai.callback.rnn import ModelResetter, RNNCallback, rnn_cbs
from torch import nn

from fastai_charrnn.all import ArchError, CharDataLoaders, CharLearner, CharNLLLoss, char_learner, human_numbers

MODES = {
    "windows": dict(seq_len=8),
    "every": dict(seq_len=8, target="every"),
    "streams": dict(seq_len=8, target="every", stateful=True),
}
modes = pytest.mark.parametrize("mode", MODES)


def _dls(mode):
    text = human_numbers()[:1200]
    return CharDataLoaders.from_text(text, bs=32 if mode == "windows" else 8, valid="tail", device="cpu", **MODES[mode])


def _learn(mode, arch="lstm", **kw):
    return char_learner(_dls(mode), arch, **(dict(n_hid=12, emb_sz=12, seed=0) | kw))


def _fit(learn, n=1, **kw):
    with learn.no_bar(), learn.no_logging():
        learn.fit(n, 1e-2, **kw)
    return learn


class Watch(Callback):
    "Keeps what the first training batch of a fit computes."

    order = 20

    def before_batch(self):
        if self.training and self.iter == 0:
            self.model_before = copy.deepcopy(self.learn.model)
            self.batch = self.learn.xb[0], self.learn.yb[0]

    def before_backward(self):
        if self.iter == 0:
            self.losses = self.learn.loss.detach(), self.learn.loss_grad.detach()
            self.raw, self.out = self.learn.rnn.raw_out.detach(), self.learn.rnn.out.detach()

    def after_backward(self):
        if self.iter == 0:
            self.grads = [p.grad.clone() for p in self.learn.model.parameters()]


def _by_hand(model, x, y, alpha, beta):
    "The loss and the penalty of a one-layer LSTM without dropout."
    outs, _ = model.rnn(model.emb(x.t()))
    outs = outs.transpose(0, 1)
    read = outs if y.dim() == 2 else outs[:, -1]
    loss = nn.functional.cross_entropy(model.out(read).flatten(0, -2), y.flatten())
    change = outs[:, 1:] - outs[:, :-1]
    return loss, alpha * outs.pow(2).mean() + beta * change.pow(2).mean()


@modes
@pytest.mark.parametrize("alpha,beta", [(2.0, 0.0), (0.0, 1.0), (2.0, 1.0)])
def test_the_penalties_are_those_computed_by_hand(mode, alpha, beta):
    watch = Watch()
    _fit(_learn(mode, cbs=rnn_cbs(alpha=alpha, beta=beta)), cbs=watch)
    model = watch.model_before
    # the learner's deep copy keeps the request for outputs
    model.kept = None
    loss, penalty = _by_hand(model, *watch.batch, alpha, beta)
    assert penalty > 1e-4
    torch.testing.assert_close(watch.losses[0], loss.detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(watch.losses[1], (loss + penalty).detach(), atol=1e-6, rtol=0)
    expected = torch.autograd.grad(loss + penalty, list(model.parameters()))
    for grad, by_hand in zip(watch.grads, expected):
        torch.testing.assert_close(grad, by_hand, atol=1e-6, rtol=0)


@modes
@pytest.mark.parametrize(
    "arch,config",
    [
        ("rnn", dict(output_p=0.5)),
        ("loop", dict(n_layers=2, output_p=0.5, layer_norm=True)),
        ("mullstm", {}),
        ("ensemble", dict(n_models=2)),
    ],
    ids=str,
)
def test_outputs_before_and_after_dropout_are_kept(mode, arch, config):
    learn = _learn(mode, arch, config=config, cbs=rnn_cbs(alpha=2.0, beta=1.0))
    watch = Watch()
    _fit(learn, cbs=watch)
    x, _ = watch.batch
    n_hid = 12 * config.get("n_models", 1)
    assert watch.raw.shape == watch.out.shape == (*x.shape, n_hid)
    zeros = watch.out == 0
    assert 0.3 < zeros.float().mean() < 0.7
    torch.testing.assert_close(watch.out[~zeros], 2 * watch.raw[~zeros], atol=1e-5, rtol=0)
    assert learn.model(x).dim() == 3 - (mode == "windows")


@modes
def test_validation_losses_have_no_penalty(mode):
    learn = _fit(_learn(mode, cbs=rnn_cbs(alpha=2.0, beta=1.0)))
    with learn.no_bar(), learn.no_logging():
        with_callbacks = list(learn.validate())
        learn.remove_cbs([cb for cb in learn.cbs if type(cb).__module__.startswith("fastai.callback.rnn")])
        assert list(learn.validate()) == pytest.approx(with_callbacks, abs=1e-6)
    assert learn.recorder.values[-1][1] == pytest.approx(with_callbacks[0], abs=1e-6)
    # without its callback the learner trains as usual
    _fit(learn)
    assert "rnn" not in vars(learn)


@modes
def test_without_penalties_training_is_the_same(mode):
    plain, with_callbacks = _fit(_learn(mode)), _fit(_learn(mode), cbs=[ModelResetter(), RNNCallback()])
    for p, q in zip(plain.model.parameters(), with_callbacks.model.parameters()):
        torch.testing.assert_close(p, q, atol=1e-5, rtol=0)


@modes
def test_everything_else_works_while_the_callbacks_are_there(mode):
    learn = _fit(_learn(mode, cbs=rnn_cbs(alpha=2.0, beta=1.0), prompts=["one"]))
    assert learn.predict_next("one", n=3).startswith("one")
    assert len(learn.generate("one", 5, seed=1).new) == 5
    with learn.no_bar(), learn.no_logging():
        preds, targets = learn.get_preds()
        assert set(learn.evaluate("one hundred two hundred")) == {"loss", "accuracy", "bits_per_char"}
        learn.lr_find(num_it=3, show_plot=False)
    assert len(preds) == len(targets)
    assert learn.model.kept is None


class Own(nn.Module):
    "A model of your own that may return its outputs."

    def __init__(self, vocab_sz, emb_sz, n_hid, with_outputs):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, vocab_sz)
        self.with_outputs = with_outputs

    def forward(self, x):
        outs = self.emb(x)
        log_probs = outs.log_softmax(-1)
        return (log_probs, outs, outs) if self.with_outputs else log_probs


def test_a_model_that_returns_a_tensor_is_refused():
    learn = _learn("every", Own, config=dict(with_outputs=False), cbs=rnn_cbs(alpha=2.0)[1:])
    with pytest.raises(ArchError, match=r"Own returns no outputs .*, or return the tuple \(prediction, raw_out, out\)"):
        _fit(learn)


def test_a_model_that_returns_its_outputs_is_left_alone():
    learn = _fit(_learn("every", Own, config=dict(with_outputs=True), cbs=rnn_cbs(alpha=2.0)[1:]))
    assert learn.rnn.out.shape[-1] == len(learn.dls.vocab)


def test_a_learner_made_by_hand_keeps_outputs_too():
    dls = _dls("every")
    model = _learn("every").model
    learn = CharLearner(dls, model, CharNLLLoss(), cbs=[RNNCallback])
    _fit(learn)
    assert learn.rnn.raw_out.shape[-1] == 12
