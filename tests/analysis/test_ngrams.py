"""The n-gram baseline is Witten-Bell as written in the book, checked against a slow version with dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders, CharWindows, ngram_baseline, to_bits
from fastai_charrnn.data.ids import CharIds
from fastai_charrnn.errors import DataError


def slow(text, cut, order):
    "Interpolated Witten-Bell with dictionaries: counted on text[:cut], scored on the rest."
    counts = defaultdict(Counter)
    for i in range(cut):
        for k in range(min(i, order) + 1):
            counts[text[i - k : i]][text[i]] += 1
    n_chars = len(set(text))

    def p(context, c):
        lower = p(context[1:], c) if context else 1 / n_chars
        seen = counts.get(context)
        return lower if seen is None else (seen[c] + len(seen) * lower) / (sum(seen.values()) + len(seen))

    return -sum(math.log(p(text[max(0, i - order) : i], text[i])) for i in range(cut, len(text))) / (len(text) - cut)


@settings(deadline=None, max_examples=30)
@given(st.text("abc ", min_size=30, max_size=120))
def test_it_is_the_formula(text):
    dls = CharDataLoaders.from_text(text, seq_len=2, bs=2, valid="tail", valid_pct=0.3, device="cpu")
    cut = dls.train_ds.info["spans"][0][0][1]
    for s in ngram_baseline(dls).scores:
        assert s.nats == pytest.approx(slow(text, cut, s.context), abs=1e-9)


def test_scores_are_in_nats_and_bits_with_the_best_marked(dls):
    b = ngram_baseline(dls)
    assert [s.context for s in b.scores] == [1, 2, 3, 4, 5, 6] and b.best.nats == min(s.nats for s in b.scores)
    assert all(s.bits == pytest.approx(to_bits(s.nats)) for s in b.scores)
    marked = [line for line in repr(b).splitlines() if "best" in line]
    assert (
        len(marked) == 1 and f"{b.best.nats:.4f}" in marked[0] and "27,000 characters counted, 3,000 scored" in repr(b)
    )
    assert len(ngram_baseline(dls, max_context=2).scores) == 2


def test_probabilities_sum_to_one_over_the_vocabulary(small):
    "Scoring each character of the vocabulary in one place: the losses are those of one distribution."
    text, total = small[:3_000], 0.0
    vocab = CharDataLoaders.from_text(text, bs=64).vocab
    for c in list(vocab)[1:]:
        dls = CharDataLoaders.from_text(
            text + "xxxxxxx the va" + c, seq_len=2, bs=64, valid=[len(text) + 12], vocab=vocab, device="cpu"
        )
        info = dict(spans=(((0, len(text)),), ((len(text) + 14, len(text) + 15),)))
        dls.train_ds.info = info
        total += math.exp(-ngram_baseline(dls).scores[3].nats)
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("valid", ["random", "last", "blocks", [5, 6]])
def test_every_split_has_a_baseline(small, valid):
    dls = CharDataLoaders.from_text(small[:5_000], bs=64, valid=valid)
    b = ngram_baseline(dls)
    assert 0 < b.best.nats < math.log(len(dls.vocab)) and (valid == "blocks" or b.n_valid == len(dls.valid_ds))


def test_without_text_it_says_so(dls):
    empty = CharWindows(
        CharIds(torch.zeros(0, dtype=torch.uint8)), dls.vocab, torch.zeros(0, dtype=torch.int64), 8, dls.train_ds.info
    )
    with pytest.raises(DataError, match="hold no text to count"):
        ngram_baseline(CharDataLoaders.from_datasets(empty, empty))
    with pytest.raises(DataError, match="max_context=0"):
        ngram_baseline(dls, max_context=0)


@pytest.mark.corpus
def test_it_beats_chance_and_gzip_class_numbers_on_the_corpus(text):
    b = ngram_baseline(CharDataLoaders.from_text(text, valid="blocks", valid_pct=0.1))
    assert 1.3 < b.best.nats < 1.6 and np.argmin([s.nats for s in b.scores]) == 3


def test_a_limit_counts_only_the_end_of_the_training_part(text):
    whole, part = text[:20_000], text[13_000:20_000]
    dls = CharDataLoaders.from_text(whole, bs=64, valid_pct=0.1, device="cpu")
    same = CharDataLoaders.from_text(part, bs=64, valid_pct=2_000 / 7_000, vocab=dls.vocab, device="cpu")
    limited = ngram_baseline(dls, max_chars=5_000)
    assert (limited.n_train, limited.n_valid) == (5_000, 2_000)
    assert limited.scores == ngram_baseline(same).scores
    assert ngram_baseline(dls, max_chars=18_000).scores == ngram_baseline(dls).scores
    assert limited.best.nats > ngram_baseline(dls).best.nats


def test_a_limit_leaves_other_splits_whole_and_must_be_a_count(text):
    dls = CharDataLoaders.from_text(text[:20_000], bs=64, valid="blocks", device="cpu")
    assert ngram_baseline(dls, max_chars=100).n_train == ngram_baseline(dls).n_train
    with pytest.raises(DataError, match="max_chars=0 must be"):
        ngram_baseline(dls, max_chars=0)
