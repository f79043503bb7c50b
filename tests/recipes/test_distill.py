"""A network that learns from the probabilities of others."""

import pytest
import torch

from fastai_charrnn.all import BestRecipe, CharMixture, char_learner, load_model, python_reference, save_model
from fastai_charrnn.callback.time_budget import TimeBudget
from fastai_charrnn.models.mullstm import CharMulLstm
from fastai_charrnn.recipes.distill import Distillation, probabilities_of
from fastai_charrnn.recipes.members import MemberTraining


@pytest.fixture(scope="module")
def dls():
    return BestRecipe(1, n_hid=8, bs=16, seq_len=8).dls(python_reference()[:20_000], device="cpu")


def test_the_probabilities_are_those_of_the_text_in_order(dls):
    model = char_learner(dls, "gru", n_hid=8, seed=1).model
    streams = dls.train_ds
    table = probabilities_of(model, streams)
    begin, end = streams.spans[0]
    assert table.shape == (end - begin, len(dls.vocab))
    # the first characters of the text are read from a state of zeros
    ids = torch.from_numpy(streams.ids.stretch(0, 41).astype("int64"))
    with torch.no_grad(), model.reading("every", None):
        expected = model(ids[None, :-1])[0]
    torch.testing.assert_close(table[:40].float(), expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(table.float().exp().sum(1), torch.ones(len(table)), atol=1e-2, rtol=0)


def test_with_alpha_1_a_student_becomes_its_teacher(dls):
    teacher = char_learner(dls, "gru", n_hid=8, seed=1)
    with teacher.no_bar(), teacher.no_logging():
        teacher.fit(1, 1e-2)
    losses = []
    for alpha in (0.0, 1.0):
        student = char_learner(dls, "gru", n_hid=8, seed=2)
        distillation = Distillation(alpha)
        distillation.teach(teacher.model, dls.train_ds)
        with student.no_bar(), student.no_logging():
            student.fit(3, 1e-2, cbs=distillation)
        expected = distillation.teacher_probs.float()
        got = probabilities_of(student.model, dls.train_ds).float()
        losses.append(float((expected.exp() * (expected - got)).sum(1).mean()))
    # the divergence from the teacher
    assert losses[1] < 0.7 * losses[0]


def test_a_recipe_of_one_network_ends_with_the_network_that_learnt_from_the_others(tmp_path):
    recipe = BestRecipe(0.06, n_hid=8, n_models=3, emb_sz=4, config=dict(output_p=0.1), bs=16, one_network=True)
    learn = recipe.learner(recipe.dls(python_reference()[:60_000], device="cpu"))
    with learn.no_bar(), learn.no_logging():
        recipe.fit(learn)
    assert type(learn.model) is CharMixture
    assert type(learn.model.network) is CharMulLstm
    loaded = load_model(save_model(learn, tmp_path / "m"), dls=learn.dls)
    # the row of the fit may be of a part of the validation characters
    assert loaded.validate()[0] == pytest.approx(learn.validate()[0], abs=1e-5)


def test_a_teacher_with_too_many_probabilities_teaches_the_end_of_the_text(dls):
    teacher = char_learner(dls, "gru", n_hid=8, seed=1).model
    n = 1000
    distillation = Distillation(max_probs=n * len(dls.vocab))
    distillation.teach(teacher, dls.train_ds)
    assert len(distillation.teacher_probs) == n
    assert distillation.first == dls.train_ds.spans[-1][1] - n
    student = char_learner(dls, "gru", n_hid=8, seed=2)
    with student.no_bar(), student.no_logging():
        student.fit(1, 1e-2, cbs=distillation)
    assert student.recorder.losses[-1] < student.recorder.losses[0]


def test_what_has_no_teacher_is_learnt_from_the_text_alone(dls):
    weights = []
    for cbs in ([], [Distillation(max_probs=0)]):
        student = char_learner(dls, "gru", n_hid=8, seed=2)
        for cb in cbs:
            cb.teacher_probs = torch.zeros(1, len(dls.vocab), dtype=torch.float16)
            cb.first = dls.train_ds.spans[-1][1]
        with student.no_bar(), student.no_logging():
            student.fit(1, 1e-2, cbs=cbs)
        weights.append(student.model.out.weight)
    torch.testing.assert_close(weights[0], weights[1])


def test_a_resumed_student_gets_its_teacher_again():
    recipe = BestRecipe(1, n_hid=8, n_models=3, emb_sz=4, bs=16, one_network=True)
    learn = recipe.learner(recipe.dls(python_reference()[:20_000], device="cpu"))
    training = MemberTraining(3, distillation=Distillation())
    training.learn = learn
    learn.time_budget = TimeBudget(1, 1e-2)
    learn.time_budget.start = learn.time_budget.clock()
    training.before_fit()
    learn.training_now = True
    state = training.state_dict()
    assert training.distillation.teacher_probs is None
    training.load_state_dict(state | dict(member=2, is_holding=False))
    assert learn.model.n_ready == 2
    expected = probabilities_of(learn.model.eval(), learn.dls.train_ds)
    assert torch.equal(training.distillation.teacher_probs, expected)
