"""A mixture of a model and counts is a proper distribution, looks at nothing early, and loses to none of its parts."""

import math

import numpy as np
import pytest
import torch
from learner_helpers import weights

from fastai_charrnn.all import (
    ArchError,
    CharDataLoaders,
    UnknownCharError,
    VocabError,
    char_learner,
    dynamic_evaluation,
    human_numbers,
    learning_while_reading,
)
from fastai_charrnn.mixing.code_tree import CodeTree
from fastai_charrnn.mixing.contexts import hashed_contexts, last_kinds
from fastai_charrnn.mixing.history import history_table
from fastai_charrnn.mixing.mixer import log_loss
from fastai_charrnn.mixing.reading import reading_losses
from fastai_charrnn.mixing.repeats import last_followers, longest_match

NUMBERS = human_numbers()[:12000]
BEFORE, TEXT = NUMBERS[:3000], NUMBERS[3000:3100]


def _learner(text=NUMBERS, arch="gru", **kwargs):
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=8, target="every", stateful=True, device="cpu")
    return char_learner(dls, arch, n_hid=8, emb_sz=8, seed=0, **kwargs)


@pytest.mark.parametrize("before", ["", BEFORE[:200]])
def test_probabilities_of_all_characters_sum_to_one(before):
    "The probability of each character after the same beginning."
    learn = _learner()
    found = [reading_losses(learn, TEXT[:24] + c, before) for c in learn.dls.vocab.itos[1:]]
    for name in ("mixed", "dynamic", "counts"):
        last = np.array([losses[name][-1] for losses in found])
        assert np.exp(-last).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("before", ["", BEFORE[:500]])
def test_no_prediction_depends_on_what_follows(before):
    learn = _learner()
    whole = reading_losses(learn, TEXT, before)
    other = reading_losses(learn, TEXT[:60] + "\n" * 40, before)
    n_same = 60 if before else 59
    for name, losses in whole.items():
        np.testing.assert_allclose(losses[:n_same], other[name][:n_same], atol=1e-5)
    assert not np.allclose(whole["mixed"], other["mixed"])


@pytest.mark.parametrize("before", ["", BEFORE[:500]])
def test_the_mixture_loses_to_none_of_its_parts(before):
    found = learning_while_reading(_learner(), NUMBERS[3000:3600], before)
    assert found["mixed_loss"] <= min(found["dynamic_loss"], found["counts_loss"]) + math.log(5) / 599 + 1e-9


def test_the_part_of_the_model_is_dynamic_evaluation():
    learn = _learner()
    # the tree has no padding
    learn.model.out.bias.data[0] = -30
    found = learning_while_reading(learn, TEXT, lr=1e-3, decay=0.01, segment=7)
    alone = dynamic_evaluation(learn, TEXT, lr=1e-3, decay=0.01, segment=7)
    assert found["dynamic_loss"] == pytest.approx(alone["dynamic_loss"], abs=1e-5)
    assert found["n_counted"] == 0


def test_counts_of_the_text_before_help():
    learn = _learner()
    cold, warm = (learning_while_reading(learn, TEXT, before) for before in ("", BEFORE))
    assert warm["mixed_loss"] < cold["mixed_loss"] - 0.5
    assert warm["n_counted"] == len(BEFORE)
    assert warm["mixed_bits_per_char"] == pytest.approx(warm["mixed_loss"] / math.log(2))


@pytest.mark.filterwarnings("ignore:1,500 distinct characters")
@pytest.mark.parametrize(
    "text", ["ab", "abba" * 10, "a\n" * 9, "".join(map(chr, range(0x4E00, 0x4E00 + 1500)))], ids=len
)
def test_small_and_large_vocabularies_are_mixed(text):
    learn = _learner(text * (80 // len(text) + 2))
    found = learning_while_reading(learn, text[:300], text[:40])
    assert math.isfinite(found["mixed_loss"])


def test_an_ensemble_is_mixed_and_all_weights_are_restored():
    learn = _learner(arch="ensemble", config=dict(arch="lstm", n_models=2))
    before = weights(learn)
    learning_while_reading(learn, TEXT, lr=1e-2)
    assert torch.equal(before, weights(learn))


def test_weights_are_restored_after_an_interrupt(monkeypatch):
    "Also while the exception is kept, as notebooks do."
    learn = _learner()
    before = weights(learn)
    logits = CodeTree.logits

    def interrupted(tree, log_probs, ids):
        if not torch.equal(before, weights(learn)):
            raise KeyboardInterrupt
        return logits(tree, log_probs, ids)

    monkeypatch.setattr(CodeTree, "logits", interrupted)
    with pytest.raises(KeyboardInterrupt) as kept:
        learning_while_reading(learn, TEXT, lr=1e-2)
    assert kept.value.__traceback__
    assert torch.equal(before, weights(learn))


def test_unknown_characters_are_skipped_in_both_texts():
    learn = _learner()
    found = learning_while_reading(learn, TEXT[:20] + "é" + TEXT[20:], NUMBERS[:30] + "é" * 600, unk="skip")
    assert found == learning_while_reading(learn, TEXT, NUMBERS[:30])
    assert found["n_counted"] == 30


def test_wrong_arguments_are_refused():
    learn = _learner()
    with pytest.raises(ArchError, match="is not a CharLearner"):
        learning_while_reading(None, TEXT)
    with pytest.raises(VocabError, match="must be a str"):
        learning_while_reading(learn, TEXT, None)
    with pytest.raises(UnknownCharError):
        learning_while_reading(learn, TEXT, "é")


def test_a_tree_has_the_probabilities_of_its_leaves():
    rng = np.random.default_rng(0)
    frequencies = np.array([0, *rng.random(40)])
    tree = CodeTree(frequencies)
    log_probs = np.log(rng.dirichlet(np.ones(41), 41))
    log_probs[:, 1:] -= np.log1p(-np.exp(log_probs[:, :1]))
    ids = np.arange(1, 41)
    made = tree.decisions(ids)
    losses = np.bincount(made.char, log_loss(tree.logits(log_probs[1:], ids), made.bit))
    np.testing.assert_allclose(losses, -log_probs[ids, ids], atol=1e-5)
    assert tree.length[frequencies.argmax()] == tree.length[1:].min()


def test_contexts_are_equal_where_the_text_before_is():
    itos = ["\0", " ", "a", "b", "A"]
    text = "ab ab Ab bab ab"
    ids = np.array([itos.index(c) for c in text])
    contexts = hashed_contexts(ids, itos)
    for k in range(7):
        groups = {text[max(i - k, 0) : i].rjust(k) if i >= k else i for i in range(len(text))}
        assert len(set(contexts[k])) == len(groups)
    # the words so far, without case: "", "a", "ab", "b", "ba"; each before its next letter
    words = {(text[:i].split(" ")[-1].lower(), text[i - 1 : i]) for i in range(len(text))}
    assert len(set(contexts[7])) == len(words)


def _same(contexts, groups):
    "Whether contexts are equal where groups are."
    numbers = [[list(values).index(value) for value in values] for values in (contexts, groups)]
    return numbers[0] == numbers[1]


def test_columns_marks_and_kinds_are_contexts():
    itos = ["\0", *" ,.\nabcE1"]
    text = "a, bc.\nE1 ab,\n\nba. abc bc\ncb"
    contexts = hashed_contexts(np.array([itos.index(c) for c in text]), itos)
    before = [text[:i] for i in range(len(text))]
    assert _same(contexts[11], [(b[-1:], len(b) - b.rfind("\n")) for b in before])
    kind = dict(zip(" ,.\nabcE1", "smeslllud"))
    assert _same(contexts[12], [(b[-1:], "".join(kind[c] for c in b[-8:])) for b in before])
    assert _same(contexts[13], [b[-4:-1] if len(b) > 3 else (b[:-1], "start") for b in before])
    words = [b.replace(",", " ").replace(".", " ").replace("\n", " ").replace("1", " ") for b in before]
    current = [(b[-1:], w.split(" ")[-1].lower()) for b, w in zip(before, words)]
    marks = [([c for c in b if c in ",."] or [""])[-1] for b in before]
    assert _same(contexts[16], list(zip(current, marks)))


def test_the_kinds_of_the_last_characters_are_one_number():
    itos = ["\0", *" aA1.,"]
    ids = np.array([itos.index(c) for c in "aA1., a"])
    assert last_kinds(ids, itos, 2).tolist() == [0, 1, 1 * 8 + 2, 2 * 8 + 4, 4 * 8 + 5, 5 * 8 + 6, 6 * 8 + 0]


def test_the_last_follower_of_a_context_is_found():
    context = np.array([5, 5, 7, 5, 7, 5, 5, 7], np.uint64)
    expected, length = last_followers(context, np.array([1, 1, 2, 1, 3, 4, 4, 3]))
    assert length.tolist() == [0, 1, 0, 2, 1, 3, 1, 1]
    assert expected[length > 0].tolist() == [1, 1, 2, 1, 4, 3]


def test_a_history_forgets_half_of_what_a_surprise_contradicts():
    table = history_table()
    history = 0
    for _ in range(9):
        history = table.after[history, 0]
    nine_zeros = table.probs[history]
    history = table.after[history, 1]
    assert nine_zeros == pytest.approx(0.4 / 9.8)
    # 9 // 2 + 1 zeros are left
    assert table.probs[history] == pytest.approx(1.4 / 6.8)


def test_the_longest_match_is_found():
    itos = ["\0", *"abcdefgx"]
    text = "xabcdefgaabcdefb"
    expected, level = longest_match(np.array([itos.index(c) for c in text]), len(itos))
    assert level.tolist() == [0] * 14 + [1] * 1 + [1] * 1
    assert [itos[k] for k in expected[14:]] == ["f", "g"]
