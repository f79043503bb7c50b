"""Checks of the verbs that save, copy, configure and move learners and loaders."""

import json
import pickle
import re
import warnings
from copy import deepcopy

import torch
from fastai.basics import Callback, load_learner
from fastai.callback.progress import ProgressCallback
from learner_helpers import weights
from pytest import approx
from reading_modes import learner
from verb_list import printed, verb

from fastai_charrnn.all import load_model, save_model
from fastai_charrnn.page.pack import pack_model

FILES = "Save and copy"


def _same(case, other):
    "Whether another learner predicts the same next characters."
    return case.learn.next_probs("the ") == other.next_probs("the ")


@verb(FILES, "learn.save(name), load(name)", "predictions after training on and loading are those before")
def save(case):
    case.learn.fit(1, 1e-3)
    before = case.learn.get_preds()[0]
    case.learn.save("one")
    case.learn.fit(1, 1e-2)
    case.learn.load("one")
    assert torch.equal(case.learn.get_preds()[0], before)


@verb(FILES, "learn.export(), load_learner()", "the loaded learner predicts the same, and has no text")
def export(case):
    case.learn.export()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = load_learner(case.path / "export.pkl")
    assert _same(case, loaded)
    assert len(loaded.dls.train) == 0
    assert loaded.evaluate(case.text[:200]) == approx(case.learn.evaluate(case.text[:200]))


@verb(FILES, "save_model(learn, path), load_model(path)", "the loaded learner predicts the same, and has the log")
def model_file(case):
    case.learn.fit(1, 1e-3)
    save_model(case.learn, case.path / "m")
    loaded = load_model(case.path / "m", dls=case.learn.dls)
    assert _same(case, loaded)
    assert loaded.training_log.rows == case.learn.training_log.rows
    loaded.remove_cb(ProgressCallback)
    assert list(loaded.validate()) == approx(list(case.learn.validate()))


@verb(FILES, "learn.to_page(path)", "the page holds the model as `pack_model` packs it, with its loss")
def page(case):
    case.learn.fit(1, 1e-3)
    written = case.learn.to_page(case.path / "page").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="charrnn-data">(.*?)</script>', written)[1])
    packed = pack_model(case.learn.model, case.learn.dls.vocab, seq_len=case.learn.dls.seq_len)
    assert [data[name] for name in ("members", "vocab", "seq_len")] == [
        packed[name] for name in ("members", "vocab", "seq_len")
    ]
    assert data["mode"] == case.learn.dls.mode
    assert data["facts"]["valid_loss"] == approx(case.learn.validate()[0])


@verb(FILES, "learn.save_encoder(name), load_encoder(name)", "all weights but those of the output layer are loaded")
def encoder(case):
    other = case.new()
    case.learn.fit(1, 1e-2)
    head = other.model.out.weight.clone()
    case.learn.save_encoder("encoder")
    other.load_encoder("encoder")
    assert torch.equal(other.model.emb.weight, case.learn.model.emb.weight)
    assert torch.equal(other.model.out.weight, head)
    assert not torch.equal(head, case.learn.model.out.weight)


@verb(FILES, "deepcopy(learn)", "the copy predicts the same; training it does not change the original")
def copy(case):
    case.learn.fit(1, 1e-3)
    before = weights(case.learn)
    other = deepcopy(case.learn)
    assert _same(case, other)
    other.fit(1, 1e-2)
    assert torch.equal(weights(case.learn), before)
    assert not torch.equal(weights(other), before)


@verb(FILES, "pickle.dumps(learn)", "the loaded learner predicts and validates the same")
def pickled(case):
    case.learn.logger = print
    case.learn.fit(0)
    other = pickle.loads(pickle.dumps(case.learn))
    assert _same(case, other)
    assert list(other.validate()) == approx(list(case.learn.validate()))


SETTINGS = "Callbacks and settings"


@verb(
    SETTINGS,
    "learn.add_cb(cb), remove_cb(cb), added_cbs(cbs)",
    "the callback gets every batch of a fit, and none later",
)
def add_cb(case):
    seen = []
    cb = Callback(after_batch=lambda self: seen.append(1))
    case.learn.add_cb(cb)
    case.learn.fit(1)
    n = len(seen)
    assert n == case.n_batches + len(case.learn.dls.valid)
    case.learn.remove_cb(cb)
    case.learn.validate()
    assert len(seen) == n
    with case.learn.added_cbs(cb):
        case.learn.validate()
    assert len(seen) == n + len(case.learn.dls.valid)


@verb(SETTINGS, "learn.no_bar(), no_logging(), no_mbar()", "what a fit prints within and after the block")
def no_bar(case):
    learn = case.learn
    learn.logger = print
    learn.add_cb(ProgressCallback())
    with learn.no_logging(), learn.no_bar():
        assert printed(learn.fit, 1) == []
    with learn.no_mbar():
        assert not learn.create_mbar
        printed(learn.fit, 1)
        assert not hasattr(learn.progress, "mbar")
    assert hasattr(learn, "progress")
    with learn.no_bar():
        assert any("0" in line for line in printed(learn.fit, 1))


@verb(SETTINGS, "learn.loss_not_reduced()", "the loss has one number for each target")
def loss_not_reduced(case):
    x, y = case.learn.dls.one_batch()
    pred = case.learn.model(x)
    mean = case.learn.loss_func(pred, y)
    with case.learn.loss_not_reduced():
        losses = case.learn.loss_func(pred, y)
    assert losses.shape == (y.numel(),)
    assert float(losses.mean()) == approx(float(mean), rel=1e-5)
    assert case.learn.loss_func(pred, y).dim() == 0


@verb(SETTINGS, "learn.to_bf16(), to_fp32()", "the loss in 16 bits is near that in 32; afterwards it is the same again")
def to_bf16(case):
    exact = case.learn.validate()[0]
    case.learn.to_bf16()
    assert case.learn.validate()[0] == approx(exact, rel=0.02)
    case.learn.to_fp32()
    assert not hasattr(case.learn, "mixed_precision")
    assert case.learn.validate()[0] == exact


@verb(SETTINGS, "learn.set_lrs(lr)", "the next fit has this rate")
def set_lrs(case):
    case.learn.set_lrs(3e-3)
    case.learn.fit(1)
    assert set(case.learn.recorder.lrs) == {3e-3}


DATA = "Loaders"


@verb(DATA, "dls.one_batch()", "`y` holds the characters after those of `x`")
def one_batch(case):
    x, y = case.learn.dls.one_batch()
    assert x.shape == (16, 8)
    decode = case.learn.dls.vocab.decode
    for chars, target in zip(x, y):
        pair = decode(chars) + decode(target.reshape(-1)[-1:])
        assert pair in case.text
    if case.mode != "windows":
        assert torch.equal(x[:, 1:], y[:, :-1])


@verb(DATA, "dl.new(bs=…)", "the same characters, in batches of another size")
def new(case):
    valid = case.learn.dls.valid
    other = valid.new(bs=4)
    assert len(other.one_batch()[0]) == 4
    found, expected = (sorted(int(c) for _, y in dl for c in y.flatten()) for dl in (other, valid))
    assert found == expected


@verb(DATA, "dls.cpu(), dls.to(device)", "the device of loaders and batches")
def to_device(case):
    for dls in (case.learn.dls.cpu(), case.learn.dls.to("cpu")):
        assert torch.device(dls.device) == torch.device("cpu")
        assert dls.one_batch()[0].device == torch.device("cpu")


@verb(DATA, "dls.test_dl(items)", "the targets and losses of chosen items of the validation set")
def items(case):
    numbers = [5, 0, 3]
    chosen = case.learn.dls.valid.items
    dl = case.learn.dls.test_dl(getattr(chosen, "iloc", chosen)[numbers])
    _, targets, losses = case.learn.get_preds(dl=dl, with_loss=True)
    assert torch.equal(targets, case.by_hand[1][numbers])
    assert torch.allclose(losses, case.losses_by_hand[numbers], atol=1e-4)


@verb(DATA, "learn.dls = other", "training and validation read the other text")
def other_dls(case):
    text = case.text[::-1] * 2
    other = learner(text, case.mode, case.path).dls
    before = case.learn.validate()[0]
    case.learn.dls = other
    assert case.learn.validate()[0] == approx(float(case.losses_by_hand.mean()), abs=1e-4)
    assert case.learn.validate()[0] != before
    case.learn.fit(1, 1e-3)
    assert len(case.learn.recorder.losses) == len(other.train)
