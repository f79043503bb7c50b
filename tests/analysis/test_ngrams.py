"""The n-gram baseline is interpolated Witten-Bell, checked against a slow version with dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders, CharWindows, ngram_baseline, to_bits
from fastai_charrnn.data.ids import CharIds, MappedIds
from fastai_charrnn.data.permutation import MANY
from fastai_charrnn.data.splits import _split
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
def test_losses_follow_the_formula(text):
    dls = CharDataLoaders.from_text(text, seq_len=2, bs=2, valid="tail", valid_pct=0.3, device="cpu")
    cut = dls.train_ds.info["spans"][0][0][1]
    for score in ngram_baseline(dls).scores:
        assert score.nats == pytest.approx(slow(text, cut, score.context), abs=1e-9)


def slow_documents(train, valid, order, seq_len, every):
    "The same for documents: contexts are inside a document, and the targets of windows or chunks are scored."
    counts = defaultdict(Counter)
    for doc in train:
        for i in range(len(doc)):
            for k in range(min(i, order) + 1):
                counts[doc[i - k : i]][doc[i]] += 1
    n_chars = len(set("".join([*train, *valid])))

    def p(context, c):
        lower = p(context[1:], c) if context else 1 / n_chars
        seen = counts.get(context)
        return lower if seen is None else (seen[c] + len(seen) * lower) / (sum(seen.values()) + len(seen))

    losses = []
    for doc in valid:
        first = 1 if every else seq_len
        losses += [-math.log(p(doc[max(0, i - order) : i], doc[i])) for i in range(first, len(doc))]
    return sum(losses) / len(losses), len(losses)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text("abc ", min_size=5, max_size=30), min_size=4, max_size=8), st.booleans())
def test_contexts_do_not_cross_the_borders_of_documents(docs, every):
    target = "every" if every else "next"
    dls = CharDataLoaders.from_text(docs, seq_len=2, bs=1, target=target, valid=[-2, -1], device="cpu")
    docs = [doc + "\n" for doc in docs]
    baseline = ngram_baseline(dls)
    assert baseline.n_train == len("".join(docs[:-2]))
    for score in baseline.scores:
        nats, n_scored = slow_documents(docs[:-2], docs[-2:], score.context, 2, every)
        assert score.nats == pytest.approx(nats, abs=1e-9)
        assert baseline.n_valid == n_scored


def test_the_baseline_of_streams_reads_documents_as_one_text():
    docs = ["the cat sat", "on the mat", "and the rat"] * 20
    options = dict(seq_len=4, bs=2, target="every", stateful=True, valid="tail", device="cpu")
    baseline = ngram_baseline(CharDataLoaders.from_text(docs, **options))
    text = "".join(doc + "\n" for doc in docs)
    assert baseline.scores[3].nats == pytest.approx(slow(text, baseline.n_train, 4), abs=1e-9)


def test_max_chars_counts_the_last_characters_of_documents():
    docs = ["aaaaaaaa", "abababab", "babababa", "abab"]
    baseline, full = (
        ngram_baseline(CharDataLoaders.from_text(docs, seq_len=2, bs=1, valid=[3], device="cpu"), 2, max_chars=n)
        for n in (15, None)
    )
    assert (baseline.n_train, full.n_train) == (15, 27)
    nats, _ = slow_documents(["ababab\n"[-6:], "babababa\n"], ["abab\n"], 2, 2, False)
    assert baseline.scores[1].nats == pytest.approx(nats, abs=1e-9)


def test_scores_are_in_nats_and_bits_with_the_best_marked(dls):
    baseline = ngram_baseline(dls)
    assert [score.context for score in baseline.scores] == [1, 2, 3, 4, 5, 6]
    assert baseline.best.nats == min(score.nats for score in baseline.scores)
    assert all(score.bits == pytest.approx(to_bits(score.nats)) for score in baseline.scores)
    marked = [line for line in repr(baseline).splitlines() if "best" in line]
    assert len(marked) == 1
    assert f"{baseline.best.nats:.4f}" in marked[0]
    assert "27,000 characters counted, 3,000 scored" in repr(baseline)
    assert len(ngram_baseline(dls, max_context=2).scores) == 2


def test_probabilities_sum_to_one_over_the_vocabulary(small):
    "The sum over texts that differ only in the last character, the only one that is scored."
    text = small[:3_000]
    total = 0.0
    vocab = CharDataLoaders.from_text(text, bs=64).vocab
    for c in list(vocab)[1:]:
        dls = CharDataLoaders.from_text(
            text + "xxxxxxx the va" + c, seq_len=2, bs=64, valid=[len(text) + 12], vocab=vocab, device="cpu"
        )
        last_char = (len(text) + 14, len(text) + 15)
        dls.train_ds.info = dict(spans=(((0, len(text)),), (last_char,)))
        total += math.exp(-ngram_baseline(dls).scores[3].nats)
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("valid", ["random", "last", "blocks", [5, 6]])
def test_every_split_has_a_baseline(small, valid):
    dls = CharDataLoaders.from_text(small[:5_000], bs=64, valid=valid)
    baseline = ngram_baseline(dls)
    assert 0 < baseline.best.nats < math.log(len(dls.vocab))
    assert valid == "blocks" or baseline.n_valid == len(dls.valid_ds)


def test_dls_without_text_and_an_invalid_context_are_errors(dls):
    empty = CharWindows(
        CharIds(torch.zeros(0, dtype=torch.uint8)), dls.vocab, torch.zeros(0, dtype=torch.int64), 8, dls.train_ds.info
    )
    with pytest.raises(DataError, match="hold no text to count"):
        ngram_baseline(CharDataLoaders.from_datasets(empty, empty))
    with pytest.raises(DataError, match="max_context=0"):
        ngram_baseline(dls, max_context=0)


@pytest.mark.corpus
def test_the_corpus_is_predicted_best_with_contexts_of_four(text):
    baseline = ngram_baseline(CharDataLoaders.from_text(text, valid="blocks", valid_pct=0.1))
    assert 1.3 < baseline.best.nats < 1.6
    assert np.argmin([score.nats for score in baseline.scores]) == 3


def test_a_limit_counts_only_the_end_of_the_training_part(text):
    dls = CharDataLoaders.from_text(text[:20_000], bs=64, valid_pct=0.1, device="cpu")
    end = CharDataLoaders.from_text(text[13_000:20_000], bs=64, valid_pct=2_000 / 7_000, vocab=dls.vocab, device="cpu")
    limited = ngram_baseline(dls, max_chars=5_000)
    assert (limited.n_train, limited.n_valid) == (5_000, 2_000)
    assert limited.scores == ngram_baseline(end).scores
    assert ngram_baseline(dls, max_chars=18_000).scores == ngram_baseline(dls).scores
    assert limited.best.nats > ngram_baseline(dls).best.nats


@pytest.mark.parametrize("max_listed", [MANY, 0], ids=["listed", "computed"])
@pytest.mark.parametrize("valid", ["random", "blocks", "last"])
def test_a_limit_of_other_splits_uses_the_end_of_the_text(text, valid, max_listed):
    dls = CharDataLoaders.from_text(text[:3_000], seq_len=4, bs=64, valid=valid, device="cpu")
    split = _split(3_000, 4, 1, valid, 0.1, 42, max_listed)
    starts = [torch.tensor(o) if isinstance(o, np.ndarray) else o for o in (split.train, split.valid)]
    dls.train_ds.starts, dls.valid_ds.starts = starts
    limited = ngram_baseline(dls, 2, max_chars=400)
    if valid == "blocks":
        # 10 stretches of 300 characters, of which 30 validate
        expected = [sum(i % 300 < 270 for i in range(2_600, 3_000)), 30 + 30]
    else:
        expected = [sum(start + 4 >= 2_600 for start in part) for part in starts]
    assert [limited.n_train, limited.n_valid] == expected


@pytest.mark.parametrize("stateful", [True, False])
def test_a_text_on_disk_is_counted_in_part(text, tmp_path, stateful):
    for i in range(4):
        (tmp_path / f"{i}.txt").write_text(text[i * 900 : (i + 1) * 900])
    files = sorted(tmp_path.glob("*.txt"))
    options = dict(seq_len=4, bs=8, target="every", stateful=stateful, valid_pct=0.25, device="cpu")
    on_disk, in_memory = (CharDataLoaders.from_files(files, mmap=mmap, **options) for mmap in (True, False))
    assert isinstance(on_disk.train_ds.ids, MappedIds)
    assert ngram_baseline(on_disk, 3, max_chars=2_000) == ngram_baseline(in_memory, 3, max_chars=2_000)
    assert ngram_baseline(on_disk, 3, max_chars=10_000) == ngram_baseline(in_memory, 3)
    with pytest.raises(DataError, match="the text of these dls is on disk .*; pass max_chars=…, such as"):
        ngram_baseline(on_disk)


def test_a_limit_must_leave_characters(text):
    dls = CharDataLoaders.from_text(text[:20_000], bs=64, valid="blocks", device="cpu")
    with pytest.raises(DataError, match="the last 100 characters of the text have none to count"):
        ngram_baseline(dls, max_chars=100)
