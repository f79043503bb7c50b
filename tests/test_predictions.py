"""Predictions of a learner equal those computed by hand, in all reading modes."""

import matplotlib.pyplot as plt
import pytest
import torch
from fastai.basics import Callback, L, noop
from reading_modes import MODES, learner, preds_by_hand

from fastai_charrnn.all import plot_next
from fastai_charrnn.errors import DataError
from fastai_charrnn.generation.prompts import prompt_rows

TEXTS = ["the valu", "a", "", "the quick brown fox jumps over the lazy dogs", "of"]


@pytest.fixture(scope="module", params=MODES)
def learn(request, small, tmp_path_factory):
    return learner(small[:4_000], request.param, tmp_path_factory.mktemp("learn"))


def _chars(learn, probs):
    return {learn.dls.vocab[i]: float(p) for i, p in enumerate(probs)}


def test_get_preds_equals_predictions_by_hand(learn):
    log_probs, targets = preds_by_hand(learn)
    found = learn.get_preds(with_input=True, with_decoded=True, with_loss=True)
    x, probs, y = found[:3]
    decoded, losses = found[3:]
    assert torch.allclose(probs, log_probs.exp(), atol=1e-5)
    assert torch.equal(y, targets)
    assert torch.equal(decoded, log_probs.argmax(-1))
    by_hand = -log_probs.gather(-1, targets[..., None])[..., 0]
    assert torch.allclose(losses, by_hand.reshape(len(y), -1).mean(1), atol=1e-4)
    assert len(x) == len(y)
    assert learn.validate()[0] == pytest.approx(float(by_hand.mean()), abs=1e-4)


def test_get_preds_leaves_out_what_is_not_asked_for(learn):
    probs, targets, losses = learn.get_preds(with_preds=False, with_targs=False, with_loss=True)
    assert probs is None
    assert targets is None
    assert torch.equal(losses, learn.get_preds(with_loss=True)[2])


def test_get_preds_applies_another_activation_and_runs_inside_an_epoch(learn):
    probs, _ = learn.get_preds()
    assert torch.allclose(learn.get_preds(act=noop)[0].exp(), probs, atol=1e-6)
    assert torch.equal(learn.get_preds(inner=True)[0], probs)


def test_get_preds_saves_every_batch(learn, tmp_path):
    probs, targets = learn.get_preds(save_preds=tmp_path, act=noop, reorder=False)
    files = [torch.load(tmp_path / str(k)) for k in range(len(learn.dls.valid))]
    assert torch.equal(torch.cat(files), probs)


@pytest.mark.parametrize("bs", [64, 2])
def test_predictions_of_texts_are_those_of_next_probs(learn, bs):
    probs, targets = learn.get_preds(dl=learn.dls.test_dl(TEXTS, bs=bs))
    assert targets is None or not len(targets)
    for text, row in zip(TEXTS, probs):
        assert _chars(learn, row) == pytest.approx(learn.next_probs(text), abs=1e-6)


def test_next_probs_are_the_models_after_the_last_character(learn):
    with torch.no_grad():
        learn.model.eval()
        learn.model.reset()
        pred = learn.model(prompt_rows(learn, [learn.dls.vocab.encode("the valu")]))
        learn.model.reset()
    expected = pred.reshape(-1, learn.dls.c)[-1].exp()
    assert learn.next_probs("the valu") == pytest.approx(_chars(learn, expected), abs=1e-6)


def test_score_has_the_log_probability_of_each_character(learn):
    text = "the value of x"
    expected = [torch.tensor(learn.next_probs(text[:i])[c]).log() for i, c in enumerate(text)]
    scored = learn.score(text)
    assert list(scored.log_probs) == pytest.approx(torch.stack(expected).tolist(), abs=1e-5)
    assert list(scored.nll) == pytest.approx([-float(log_prob) for log_prob in expected], abs=1e-5)


def test_plot_next_draws_next_probs(learn):
    ax = plot_next(learn, "the v", top=4)
    assert [bar.get_width() for bar in ax.patches] == list(learn.next_probs("the v", top=4).values())
    plt.close("all")


def test_the_record_of_the_last_fit_is_kept(learn, small):
    learn.fit(1, 1e-4)
    record = dict(vars(learn.recorder))
    values = [list(row) for row in record["values"]]
    assert len(record["losses"]) == len(learn.dls.train)
    learn.validate()
    learn.get_preds()
    learn.show_results(max_n=1)
    learn.evaluate(small[:200])
    for name in ("losses", "lrs", "iters"):
        assert getattr(learn.recorder, name) is record[name]
    assert len(record["losses"]) == len(record["lrs"]) == len(learn.dls.train)
    assert [list(row) for row in learn.recorder.values] == values
    assert learn.recorder.smooth_loss.count == len(learn.dls.train)
    _, ax = plt.subplots()
    learn.recorder.plot_loss(skip_start=0, ax=ax)
    assert [len(line.get_ydata()) for line in ax.lines] == [len(learn.dls.train), 1]
    plt.close("all")


def test_the_record_is_kept_when_a_validation_fails(learn):
    learn.fit(1, 1e-4)
    before = learn.recorder.losses
    with pytest.raises(DataError):
        learn.get_preds(dl=5)
    with pytest.raises(ZeroDivisionError):
        learn.validate(cbs=_Fails())
    assert learn.recorder.losses is before


class _Fails(Callback):
    def before_validate(self):
        raise ZeroDivisionError("on purpose")


class _PredictsInFit(Callback):
    "Predicts after every epoch, as if no fit were under way."

    def after_train(self):
        self.found = self.learn.get_preds()


def test_predictions_in_a_fit_do_not_change_it(small):
    def train(cbs):
        learn = learner(small[:2_000], "streams")
        learn.dls.train.seed(3)
        learn.fit(2, 1e-2, cbs=cbs)
        return learn.training_log.rows, L(learn.recorder.losses).map(float)

    cb = _PredictsInFit()
    assert train(cb) == train(None)
    assert len(cb.found[0]) == 200


def test_positions_of_streams_are_items_of_a_test_loader(small):
    learn = learner(small[:4_000], "streams")
    probs, targets, losses = learn.get_preds(with_loss=True)
    numbers = [7, 300, 7, 1]
    items = learn.dls.valid.items[numbers]
    found = learn.get_preds(dl=learn.dls.test_dl(items), with_input=True, with_loss=True)
    assert torch.equal(found[1], probs[numbers])
    assert torch.equal(found[2], targets[numbers])
    assert torch.equal(found[3], losses[numbers])
    for position, x, y in zip(items.positions.tolist(), found[0], found[2]):
        assert learn.dls.vocab.decode(x) == small[position - 8 : position]
        assert learn.dls.vocab[int(y)] == small[position]
    with pytest.raises(DataError, match="streams that continue have no windows"):
        learn.dls.test_dl([1, 2])


def test_positions_outside_the_streams_are_an_error(small):
    learn = learner(small[:4_000], "streams")
    with pytest.raises(DataError, match="position 5 is not a target of these streams"):
        learn.dls.valid_ds.picking(torch.tensor([3_900, 5]))
