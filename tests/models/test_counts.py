"""`CharCounts`: tables of what followed each context equal plain dictionaries, and a text is read in any pieces."""

from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import ArchError, CharCounts, CharVocab, DataError
from fastai_charrnn.models.witten_bell import innovations

LETTERS = "aB_ .é\n"
VOCAB = CharVocab.from_text(LETTERS)
texts = st.text(st.sampled_from(LETTERS), min_size=2, max_size=60)


def _ids(text, vocab=VOCAB):
    return torch.from_numpy(vocab.encode(text).astype("int64"))


def _words(text):
    "The word so far and the two before, None where a beginning is not known, after each character."
    words = [None, None, None]
    for c in text:
        if c.isalnum() or c == "_":
            words[0] = words[0] if words[0] is None else words[0] + c.lower()
        elif words[0] == "":
            pass
        else:
            words = ["", *words[:2]]
        yield tuple(words)


def _plain_counts(text, n_orders):
    "For each kind of context, the characters that followed every context."
    kinds = [defaultdict(Counter) for _ in range(n_orders + 5)]
    for i, words in zip(range(1, len(text)), _words(text)):
        for order in range(1, min(n_orders, i) + 1):
            kinds[order - 1][text[i - order : i]][text[i]] += 1
        for k, key in enumerate(_other_contexts(text[:i], words)):
            if key:
                kinds[n_orders + k][key][text[i]] += 1
    return kinds


def _other_contexts(text, words):
    "The contexts of words and of the column after a text, None for those that are not known."
    last = text[-1]
    known = [None not in words[: k + 1] for k in range(3)]
    contexts = [(last, words[: k + 1]) for k in range(3)] + [(last, words[0], words[2])]
    contexts = [context if is_known else None for is_known, context in zip([*known, known[2]], contexts)]
    line_end = text.rfind("\n")
    return [*contexts, (last, len(text) - line_end - 1) if line_end >= 0 else None]


def _found(counts, rows):
    "The characters that followed the contexts in these rows, one `Counter` for each kind."
    tables = counts.tables()
    found = []
    for row in rows.tolist():
        part = slice(tables.starts[row], tables.starts[row] + tables.lengths[row])
        chars = [VOCAB[c] for c in counts.chars[part].tolist()]
        found.append(Counter(dict(zip(chars, counts.counts[part].tolist()))))
    return found


@settings(max_examples=40, deadline=None)
@given(texts, texts, st.integers(1, 5))
def test_the_tables_equal_dictionaries(text, other, n_orders):
    counts = CharCounts.of(_ids(text), VOCAB, n_orders)
    plain = _plain_counts(text, n_orders)
    assert [len(kind) for kind in plain] == list(counts.n_contexts)
    rows, _ = counts.read(_ids(other)[None], counts.init_state(1))
    for i, words in enumerate(_words(other), 1):
        found = _found(counts, rows[0, i - 1])
        for order in range(1, n_orders + 1):
            expected = plain[order - 1].get(other[i - order : i], Counter()) if order <= i else Counter()
            assert found[order - 1] == expected
        for k, key in enumerate(_other_contexts(other[:i], words)):
            assert found[n_orders + k] == plain[n_orders + k].get(key, Counter())


@settings(max_examples=20, deadline=None)
@given(texts, st.integers(0, 60))
def test_a_text_can_be_read_in_pieces(text, cut):
    counts = CharCounts.of(_ids(text), VOCAB, 3)
    x = _ids(text)[None]
    whole, last = counts.read(x, counts.init_state(1))
    first, state = counts.read(x[:, :cut], counts.init_state(1))
    second, state = counts.read(x[:, cut:], state)
    assert torch.equal(torch.cat([first, second], 1), whole)
    assert all(map(torch.equal, state, last))
    assert torch.equal(counts.rows_of(last), whole[:, -1])


def test_columns_from_the_255th_on_are_the_same():
    text = "\n" + "a" * 255 + "B" + "a" * 100 + "."
    counts = CharCounts.of(_ids(text), VOCAB, 1)
    rows, _ = counts.read(_ids(text[:-1])[None], counts.init_state(1))
    column = [_found(counts, row)[-1] for row in rows[0]]
    assert column[254] == {"a": 1}
    assert column[255] == column[300] == {"B": 1, "a": 99, ".": 1}


def test_predictions_are_those_of_witten_and_bell():
    "P(c) = (R + T P'(c)) / (N + T), from the characters alone to the longest context."
    text = "a B. a_a é a B_a. B a. é a a B"
    counts = CharCounts.of(_ids(text), VOCAB, 2)
    rows, _ = counts.read(_ids(text)[None], counts.init_state(1))
    found = innovations(counts, rows[0], torch.float64)
    plain = _plain_counts(text, 2)
    for i in range(2, len(text)):
        log_p = counts.tables().base.clone()
        expected = log_p.exp()
        for kind in (0, 1):
            seen = plain[kind].get(text[i - 1 - kind : i], Counter())
            after = torch.tensor([float(seen[c]) for c in VOCAB])
            if seen:
                expected = (after + len(seen) * expected) / (after.sum() + len(seen))
            here = (found.row == i - 1) & (found.kind == kind)
            log_p[found.char[here]] += found.value[here]
        torch.testing.assert_close(log_p.softmax(0), expected, atol=1e-12, rtol=0)


def test_spans_leave_parts_out_and_no_context_crosses_them():
    text = "aB. aB" * 3
    parts = CharCounts.of(_ids(text), VOCAB, 2, spans=[(0, 6), (12, 18)])
    twice = CharCounts.of(_ids(text), VOCAB, 2, spans=[(0, 6), (0, 6)])
    assert parts.n_chars == 12
    assert all(map(torch.equal, parts.buffers(), twice.buffers()))
    with pytest.raises(DataError, match="spans has"):
        CharCounts.of(_ids(text), VOCAB, 2, spans=[(0, 19)])


@pytest.mark.parametrize("ids", [3, "a", [0.5], [[1]], [-1], [8], None], ids=str)
def test_what_is_no_text_is_refused(ids):
    with pytest.raises(DataError, match="ids"):
        CharCounts.of(ids, VOCAB)


def test_rare_contexts_are_left_out_of_large_tables():
    text = "aB. a_a é aB" * 4 + "é_.aé.."
    whole = CharCounts.of(_ids(text), VOCAB, 5)
    small = CharCounts.of(_ids(text), VOCAB, 5, max_bytes=600)
    n_bytes = [sum(o.nbytes for o in (c.keys, c.lengths, c.chars, c.counts)) for c in (whole, small)]
    assert n_bytes[1] <= 600 < n_bytes[0]
    assert small.n_chars == whole.n_chars


def test_large_counts_are_halved():
    counts = CharCounts.of(_ids("aB" * 50_000 + "a."), VOCAB, 1)
    rows, _ = counts.read(_ids("a")[None], counts.init_state(1))
    assert _found(counts, rows[0, 0])[0] == {"B": 25_000, ".": 1}


def test_damaged_tables_are_refused():
    counts = CharCounts.of(_ids("aB. aB"), VOCAB, 2)
    counts.chars[0] = 200
    with pytest.raises(DataError, match="damaged"):
        counts.read(_ids("aB")[None], counts.init_state(1))


@pytest.mark.parametrize(
    "sizes",
    [dict(n_orders=0), dict(n_orders=17), dict(n_contexts=[1]), dict(n_contexts=[-1] * 11), dict(n_entries=2**40)],
    ids=str,
)
def test_sizes_out_of_range_are_refused(sizes):
    with pytest.raises(ArchError, match="n_"):
        CharCounts(8, **sizes)
