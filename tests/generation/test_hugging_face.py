"""Filters equal Hugging Face's logits processors, and greedy text and beams equal a search by hand.

transformers is needed only here. Its models are not imported."""

import itertools

import numpy as np
import pytest
import torch
from small_models import build, lively

from fastai_charrnn.all import CharDataLoaders, GenerationConfig, GenerationError, char_learner
from fastai_charrnn.generation.filters import filter_scores

processors = pytest.importorskip("transformers.generation.logits_process")

V = 40
combinations = [
    dict(zip(("repetition_penalty", "temperature", "top_k", "top_p", "min_p"), values))
    for values in itertools.product((None, 0.7, 1.3), (0.3, 1.0, 2.5), (None, 1, 7, 100), (None, 0.2, 0.9), (None, 0.1))
]


def random_scores(dtype, seed, rows=64):
    "Scores without ties, of even and of uneven distributions, some above 0."
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.3, 1, 3, 8], (rows, 1))
    return torch.from_numpy(rng.normal(0, spread, (rows, V))).to(dtype)


def hugging_face(scores, ids, options):
    "The scores after Hugging Face's processors, in the order in which its `generate` calls them."
    steps = []
    if options["repetition_penalty"] is not None:
        steps.append(processors.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    if options["temperature"] != 1:
        steps.append(processors.TemperatureLogitsWarper(options["temperature"]))
    for name, processor in (("top_k", "TopK"), ("top_p", "TopP"), ("min_p", "MinP")):
        if options[name] is not None:
            steps.append(getattr(processors, f"{processor}LogitsWarper")(options[name]))
    return processors.LogitsProcessorList(steps)(ids, scores)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_every_combination_of_filters_keeps_the_same_characters_with_the_same_probabilities(dtype):
    for seed, options in enumerate(combinations):
        scores = random_scores(dtype, seed)
        ids = torch.from_numpy(np.random.default_rng(seed).integers(0, V, (len(scores), 12)))
        seen = torch.zeros(scores.shape, dtype=torch.bool).scatter_(1, ids, True)
        expected = hugging_face(scores, ids, options)
        got = filter_scores(scores, GenerationConfig(**options), seen)
        differ = (got > -torch.inf) != (expected > -torch.inf)
        if dtype == torch.float64:
            assert not differ.any(), options
        else:
            # rounding decides where a sum or a quotient equals a limit
            assert differ.any(1).sum() <= 1, options
        same = ~differ.any(1)
        torch.testing.assert_close(got[same].softmax(-1), expected[same].softmax(-1))


def test_the_rounding_of_float32_changes_few_rows():
    options = dict(repetition_penalty=1.3, temperature=0.7, top_k=20, top_p=0.9, min_p=0.02)
    scores = random_scores(torch.float32, 1, 20_000)
    ids = torch.zeros(len(scores), 1, dtype=torch.int64)
    seen = torch.zeros(scores.shape, dtype=torch.bool).scatter_(1, ids, True)
    expected = hugging_face(scores, ids, options) > -torch.inf
    got = filter_scores(scores, GenerationConfig(**options), seen) > -torch.inf
    assert (got != expected).any(1).sum() < 5


# configs of transformers


@pytest.fixture(scope="module")
def their_config():
    return pytest.importorskip("transformers.generation.configuration_utils").GenerationConfig


def test_a_config_of_transformers_is_read_with_its_defaults(trained, their_config):
    greedy = trained.generate("the ", 9, temperature=0).text
    assert trained.generate("the ", their_config(max_new_tokens=9)).text == greedy
    sampled = trained.generate("the ", 9, temperature=1, top_k=50, num=2, seed=1)
    config = their_config(max_new_tokens=9, do_sample=True, num_return_sequences=2, pad_token_id=0)
    assert [o.text for o in trained.generate("the ", config=config, seed=1)] == [o.text for o in sampled]
    free = their_config(max_new_tokens=9, do_sample=True, top_k=0, temperature=0.5, stop_strings=["e"])
    expected = trained.generate("the ", 9, temperature=0.5, stop="e", seed=1).text
    assert trained.generate("the ", generation_config=free, seed=1).text == expected
    beams = their_config(max_new_tokens=9, num_beams=3)
    assert [o.text for o in trained.generate("the ", beams)] == [trained.generate("the ", 9, beam=3)[0].text]


def test_options_of_transformers_that_are_missing_here_are_an_error(trained, their_config):
    with pytest.raises(GenerationError, match="no_repeat_ngram_size, num_beam_groups"):
        trained.generate("the ", their_config(max_new_tokens=9, no_repeat_ngram_size=2, num_beam_groups=3))


# greedy text and beams


def next_log_probs(learn, text):
    "Log-probabilities of the next character, without padding, from one window in float64."
    ids = [0] * 8 + learn.dls.vocab.encode(text).tolist()
    with torch.no_grad():
        return learn.model.double()(torch.tensor([ids[-8:]]))[0, 1:]


def search(learn, prompt, n, width):
    "Beam search as in textbooks: extend every text by every character, and keep the best."
    beams = [(0.0, prompt)]
    for _ in range(n):
        candidates = [
            (total + float(lp), text + learn.dls.vocab[i])
            for total, text in beams
            for i, lp in enumerate(next_log_probs(learn, text), 1)
        ]
        beams = sorted(candidates, reverse=True)[:width]
    return beams


@pytest.mark.parametrize("width", [1, 2, 5])
def test_beams_equal_a_search_by_hand(small, width):
    learn = lively(build(small, "gru"))
    for prompt in ("", "the valu"):
        expected = search(learn, prompt, 8, width)
        found = learn.generate(prompt, max_new_tokens=8, num_beams=width) if width > 1 else None
        found = found or [learn.generate(prompt, max_new_tokens=8, do_sample=False)]
        assert [o.text for o in found] == [text for _, text in expected]
        assert [o.log_prob for o in found] == pytest.approx([total for total, _ in expected], abs=1e-5)


def test_greedy_text_with_a_penalty_equals_a_loop_with_hugging_faces_processor():
    dls = CharDataLoaders.from_text("abcdefgh " * 40, seq_len=8, bs=16, device="cpu")
    learn = lively(char_learner(dls, "gru", n_hid=16, seed=1))
    processor = processors.RepetitionPenaltyLogitsProcessor(1.8)
    text = "abc"
    for _ in range(30):
        ids = torch.from_numpy(dls.vocab.encode(text).astype(np.int64))[None] - 1
        scores = processor(ids, next_log_probs(learn, text).log_softmax(-1)[None])
        text += dls.vocab[int(scores.argmax()) + 1]
    assert learn.generate("abc", 30, do_sample=False, repetition_penalty=1.8).text == text
    assert text[:13] != learn.generate("abc", 10, do_sample=False).text
