"""The networks of a recipe train one after the other, the first one without a slice of the training part."""

import pytest
import torch
from member_learners import Seen, fit_members, make_learner

from fastai_charrnn.all import CharDataLoaders, char_learner, load_model, python_reference, save_model
from fastai_charrnn.recipes.held_back import hold_back
from fastai_charrnn.recipes.members import MemberTraining


def test_a_slice_is_the_end_of_the_training_part():
    dls = make_learner(1)[1].dls
    held = hold_back(dls)
    begin, end = dls.train_ds.spans[0]
    assert held.span == (end - int(0.06 * dls.train_ds.n_targets), end)
    assert held.spans == ((begin, held.span[0]),)
    assert held.dls.train_ds.spans == held.spans
    assert held.dls.valid_ds.spans == (held.span,)


def test_a_short_text_has_no_slice():
    assert hold_back(make_learner(1, python_reference()[:9_000])[1].dls) is None


def test_each_network_has_a_cycle_of_rates():
    training = MemberTraining(2)
    training.begin, training.length = 0.5, 0.5
    assert training.rate(0.5) < 0.03
    assert training.rate(0.55) == pytest.approx(0.9)
    assert training.rate(1.0) == pytest.approx(1e-3)


def test_while_the_slice_is_held_back_the_cycle_is_shorter():
    training = MemberTraining(2)
    training.begin, training.length = 0.0, 0.5
    training.is_holding = True
    assert training.rate(0.5 * 0.85) == pytest.approx(1e-3)
    training.is_holding = False
    assert training.rate(0.5 * 0.85) == pytest.approx(0.15)
    assert training.rate(0.5) == pytest.approx(1e-3)


@pytest.mark.parametrize("n_models", [1, 3])
def test_all_networks_train_and_the_data_is_restored(n_models):
    recipe, learn = make_learner(n_models)
    dls = learn.dls
    before = {name: w.clone() for name, w in learn.model.state_dict().items()}
    untrained = learn.evaluate(python_reference()[:5000])["loss"]
    row, training = fit_members(recipe, learn)
    assert learn.dls is dls
    assert row["valid_loss"] < untrained
    changed = {name for name, w in learn.model.state_dict().items() if not torch.equal(w, before[name])}
    assert changed == set(before)
    assert training.slice_loss < untrained


@pytest.fixture(scope="module")
def seen():
    "The batches of three networks."
    recipe, learn = make_learner(3, minutes=0.1)
    seen = Seen()
    fit_members(recipe, learn, seen)
    return seen.batches


def test_the_first_network_reads_the_slice_in_the_last_part_of_its_time(seen):
    names = [name for member, name, _ in seen if member == 0]
    assert list(dict.fromkeys(names)) == ["without", "last"]
    assert max(done for member, name, done in seen if name == "without") < 0.9


@pytest.mark.parametrize("member", [1, 2])
def test_the_other_networks_read_all_of_the_text_and_at_the_end_the_slice_again(seen, member):
    batches = [(name, done) for i, name, done in seen if i == member]
    assert list(dict.fromkeys(name for name, _ in batches)) == ["all", "last"]
    # a batch begins a little later than the data is chosen
    assert max(done for name, done in batches if name == "all") < 0.9
    assert min(done for name, done in batches if name == "last") >= 0.85


def test_the_slice_of_a_text_that_is_not_read_often_is_not_read_again():
    recipe, learn = make_learner(1)
    seen = Seen()
    fit_members(recipe, learn, seen, is_often_read=False)
    assert list(dict.fromkeys(name for _, name, _ in seen.batches)) == ["without", "all"]


def test_each_of_the_last_passes_begins_with_the_slice_twice():
    dls = make_learner(1)[1].dls
    held = hold_back(dls)
    assert held.last_dls.train_ds.spans == (held.span, held.span, *dls.train_ds.spans)
    assert held.last_dls.valid_ds.spans == dls.valid_ds.spans


def test_networks_that_are_not_trained_are_neither_evaluated_nor_saved(tmp_path):
    text = python_reference()[:5000]
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=64)
    learn = char_learner(dls, "ensemble", n_hid=8, emb_sz=4, config=dict(arch="gru", n_models=3), seed=1)
    learn.model.n_ready = 1
    first = char_learner(dls, "gru", n_hid=8, emb_sz=4)
    first.model.load_state_dict(learn.model.members[0].state_dict())
    assert learn.evaluate(text)["loss"] == pytest.approx(first.evaluate(text)["loss"], rel=1e-6)
    loaded = load_model(save_model(learn, tmp_path / "part"))
    assert loaded.model.n_models == 1
    assert loaded.evaluate(text)["loss"] == pytest.approx(learn.evaluate(text)["loss"], rel=1e-6)


@pytest.mark.parametrize("n_models", [1, 2])
def test_the_model_becomes_a_mixture_that_is_saved(n_models, tmp_path):
    "Its loss on the validation part is below that of the networks alone."
    recipe, learn = make_learner(n_models, minutes=0.1)
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    networks = learn.model.network
    assert learn.arch.name == "mixture"
    assert learn.model.counts.n_chars == learn.dls.train_ds.spans[0][1] - 1
    # the row of the fit may be of a part of the validation characters
    loss = learn.validate()[0]
    loaded = load_model(save_model(learn, tmp_path / "m"), dls=learn.dls)
    assert loaded.validate()[0] == pytest.approx(loss, abs=1e-5)
    learn.model = networks
    assert learn.validate()[0] > loss + 0.1


def test_the_gate_is_fitted_in_32_bits_as_it_is_used():
    class Noting(MemberTraining):
        def _release(self):
            self.in_16_bits = torch.is_autocast_enabled("cpu")
            super()._release()

    recipe, learn = make_learner(1)
    training = Noting(1)
    with learn.no_bar(), learn.no_logging():
        learn.fit_minutes(recipe.minutes, recipe.lr, bf16=True, schedule=training.rate, cbs=training)
    assert not training.in_16_bits


def test_only_the_active_network_gets_gradients():
    dls = CharDataLoaders.from_text(python_reference()[:5000], seq_len=8, bs=64)
    learn = char_learner(dls, "ensemble", n_hid=8, emb_sz=4, config=dict(arch="gru", n_models=3), seed=1)
    learn.model.train()
    learn.model.active = 1
    x, y = dls.one_batch()
    learn.loss_func(learn.model(x), y).backward()
    with_gradients = [all(p.grad is not None for p in member.parameters()) for member in learn.model.members]
    assert with_gradients == [False, True, False]


def test_a_network_that_memorises_gets_its_best_weights_back():
    "The slice continues otherwise than the text, so its loss rises from epoch to epoch."
    text = "ab" * 26_000 + "ba" * 100 + "abc" * 800 + "ab" * 3_000
    recipe, learn = make_learner(2, text, minutes=0.2)
    _, training = fit_members(recipe, learn)
    assert training.is_memorised
    assert learn.model.members[1].output_p > learn.model.members[0].output_p
