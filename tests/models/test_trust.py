"""Which of several predictions to trust: Bayes' rule with a share that goes back to the beginning."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.models.trust import combined, trust_after, trusts_after

FIRST = torch.tensor([0.8, 0.1, 0.1]).double()


def _read(seed, n, sharpness):
    "Predictions (n, 1, 3, 5) of n characters, and the scores (n, 1, 3) of random characters."
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 1, 3, 5, generator=generator, dtype=torch.float64) * sharpness
    predictions = logits.log_softmax(-1)
    x = torch.randint(5, (n, 1, 1, 1), generator=generator)
    return predictions, predictions.gather(-1, x.expand(n, 1, 3, 1)).squeeze(-1)


def _losses(scores):
    "The loss of the mixture, when the trust before each character is that after the ones before it."
    trusts = trusts_after(FIRST.log()[None], scores, FIRST)
    before = torch.cat([FIRST.log()[None, None], trusts[:-1]])
    return -(before + scores).logsumexp(-1)[:, 0]


@settings(deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 60), sharpness=st.floats(0.1, 5))
def test_the_mean_is_a_distribution_and_the_trust_too(seed, n, sharpness):
    predictions, scores = _read(seed, n, sharpness)
    trusts = trusts_after(FIRST.log()[None], scores, FIRST)
    torch.testing.assert_close(trusts.exp().sum(-1), torch.ones(n, 1).double())
    torch.testing.assert_close(combined(trusts, predictions).exp().sum(-1), torch.ones(n, 1).double())


@settings(deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 200), sharpness=st.floats(0.1, 20))
def test_the_loss_is_little_above_that_of_the_best(seed, n, sharpness):
    "At most log(1 / first) nats in all, and .001 nats for each character."
    scores = _read(seed, n, sharpness)[1]
    lowest = (-scores.sum(0)[0] - FIRST.log()).min()
    assert _losses(scores).sum() <= lowest - n * math.log(1 - 0.001) + 1e-9


def test_another_prediction_takes_over_when_the_text_changes():
    good, bad = math.log(0.9), math.log(0.01)
    scores = torch.tensor([[good, bad, bad]] * 300 + [[bad, bad, good]] * 300).double()[:, None]
    losses = _losses(scores)
    assert losses[10:300].mean() < -good + 0.01
    assert losses[310:].mean() < -good + 0.01


def test_what_has_no_trust_at_first_never_gets_any():
    first = torch.tensor([1.0, 0, 0])
    trust = trust_after(first.log()[None], torch.tensor([[-9.0, -0.1, -0.1]]), first)
    assert trust.exp().tolist() == [[1, 0, 0]]
