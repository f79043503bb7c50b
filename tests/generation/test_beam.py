"""The beam finds what trying everything finds."""

import itertools

import numpy as np
import pytest
import torch
from small_models import CarriedGru

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.errors import GenerationError


def build(arch, seed=0):
    dls = CharDataLoaders.from_text("abcd" * 20, seq_len=3, bs=16, valid="tail", device="cpu")
    learn = char_learner(dls, arch, n_hid=12, emb_sz=6, seed=seed)
    for p in learn.model.parameters():
        p.data *= 4
    return learn


def everything(learn, prompt, n, stop=None):
    "Every continuation with its log-probability, by `next_probs`, likeliest first."
    found = {}
    for chars in itertools.product("abcd", repeat=n):
        text = "".join(chars)
        if stop and stop in text:
            text = text[: text.index(stop) + len(stop)]
        if text not in found:
            found[text] = sum(np.log(learn.next_probs(prompt + text[:i])[c]) for i, c in enumerate(text))
    return sorted(found.items(), key=lambda o: -o[1])


@pytest.mark.parametrize("arch", ["char3", "loop", "concat", "rnn", "gru", "lstm", CarriedGru])
@pytest.mark.parametrize("seed", [0, 1])
def test_wide_enough_it_finds_the_best_of_all(arch, seed):
    learn = build(arch, seed)
    for prompt, n in (("", 3), ("abdca", 4)):
        want = everything(learn, prompt, n)
        got = learn.generate(prompt, n, beam=4 ** (n - 1))
        assert [o.new for o in got] == [t for t, _ in want[: len(got)]] and len(got) == 4 ** (n - 1)
        assert [o.log_prob for o in got] == pytest.approx([lp for _, lp in want[: len(got)]], abs=1e-4)
        assert all(o.seed is None and o.text == prompt + o.new for o in got)


@pytest.mark.parametrize("stop", ["b", "ca"])
def test_texts_that_stopped_compete_with_longer_ones(stop):
    learn = build("rnn")
    want = everything(learn, "ad", 4, stop)
    got = learn.generate("ad", 4, beam=400, stop=stop)
    assert [o.new for o in got] == [t for t, _ in want] and [o.log_prob for o in got] == pytest.approx(
        [lp for _, lp in want], abs=1e-4
    )
    assert learn.generate("ad", 4, beam=400, stop=lambda text: text.endswith(stop))[0].new == want[0][0]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_narrow_beam_finds_real_texts_with_their_true_probabilities_in_order(k):
    learn = build("lstm")
    true = dict(everything(learn, "abd", 5))
    got = learn.generate("abd", 5, beam=k)
    assert len({o.new for o in got}) == k and [o.log_prob for o in got] == pytest.approx(
        [true[o.new] for o in got], abs=1e-4
    )
    assert sorted([o.log_prob for o in got], reverse=True) == [o.log_prob for o in got]
    for o in got:
        assert o.log_probs.sum() == pytest.approx(learn.score("abd" + o.new).log_probs[3:].sum(), abs=1e-4)


def test_it_is_the_same_each_time_finds_no_less_than_greedy_and_takes_several_prompts():
    learn = build("rnn")
    a = learn.generate(["ab", "d"], 6, beam=3)
    assert (
        [o.text for o in a]
        == [o.text for o in learn.generate(["ab", "d"], 6, beam=3)]
        == [o.text for p in ("ab", "d") for o in learn.generate(p, 6, beam=3)]
    )
    assert (
        learn.generate("ab", 6, beam=64)[0].log_prob
        >= learn.score("ab" + learn.predict_next("ab", n=6)[2:]).log_probs[2:].sum() - 1e-4
    )


def test_fewer_texts_than_beams_are_all_there_are():
    assert len(build("rnn").generate("a", 1, beam=50)) == 4 and len(build("rnn").generate("a", 0, beam=50)) == 1


def test_a_beam_draws_nothing():
    pytest.raises(GenerationError, build("rnn").generate, "a", 3, beam=2, seed=1)


def test_generating_leaves_gradients_as_they_were():
    learn = build("rnn")
    learn.generate("a", 3, beam=2)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
