"""Chunks predict every character after the first of a stretch, from a state of zeros at each `seq_len`-th.

A plain loop over the characters gives the same loss, for any length of text and any batch size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import step_by_step

from fastai_charrnn.all import CharDataLoaders, DataError, char_learner, encode_file
from fastai_charrnn.data.chunks import CharChunks
from fastai_charrnn.data.ids import CharIds
from fastai_charrnn.data.vocab import CharVocab

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _text(n, seed=0):
    return "".join(np.random.default_rng(seed).choice(list(LETTERS), n))


def _loop(ids, spans, seq_len):
    "The chunks of some stretches, one after the other: their characters with the one before."
    found = []
    for begin, end in spans:
        for at in range(max(begin, 1), end, seq_len):
            found.append(ids[at - 1 : min(at + seq_len, end)].tolist())
    return found


def _chunks(batches):
    return [[*x.tolist(), y[-1].item()] for xs, ys in batches for x, y in zip(xs, ys)]


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=150)
@given(spans, st.integers(1, 12), st.integers(1, 9))
def test_chunks_are_those_of_a_plain_loop(gaps, seq_len, bs):
    edges = np.cumsum(np.array(gaps)).tolist()
    stretches = list(zip(edges[::2], edges[1::2]))
    ids = torch.arange(edges[-1] + 1, dtype=torch.int16)
    ds = CharChunks(CharIds(ids), CharVocab("\0ab"), stretches, bs, seq_len)
    expected = _loop(ids, stretches, seq_len)
    batches = [ds.batch_at(k) for k in range(ds._n_batches())]
    assert sorted(_chunks(batches)) == sorted(expected)
    assert len(ds) == len(expected)
    assert ds.n_targets == sum(len(chunk) - 1 for chunk in expected)
    assert ds.positions().tolist() == sorted(at for begin, end in stretches for at in range(max(begin, 1), end))
    assert [[*ds[i][0].tolist(), int(ds[i][1][-1])] for i in range(len(ds))] == _chunks(batches)
    for k, (x, y) in enumerate(batches):
        assert len(x) <= bs
        assert torch.equal(x[:, 1:], y[:, :-1])
        assert ds.positions_at(k).tolist() == y.flatten().tolist()


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_processes_divide_the_batches_of_one(world, drop_last):
    dls = CharDataLoaders.from_text(
        _text(2_000), seq_len=7, bs=8, val_bs=6 // world, target="every", valid="blocks", valid_pct=0.3, device="cpu"
    )
    whole = [x for x, _ in dls.valid.new(bs=6, drop_last=drop_last)]
    parts = []
    for rank in range(world):
        dl = dls.valid.new(drop_last=drop_last).shard(rank, world)
        parts.append([x[: dl.counts[0]] for x, _ in dl])
        assert len(parts[-1]) == len(dl) == len(whole)
    for rows, expected in zip(zip(*parts), whole):
        assert torch.equal(torch.cat(rows), expected)


def _loss_by_loop(learn, chunks):
    "The mean loss of each character of these chunks, step by step, and the number of characters."
    model = learn.model.eval()
    total = count = 0
    for chunk in chunks:
        ids = torch.tensor(chunk)
        with torch.no_grad():
            log_probs = step_by_step(model, ids[None, :-1])[0]
        total -= float(log_probs.gather(1, ids[1:, None]).double().sum())
        count += len(ids) - 1
    return total / count, count


def _learner(text, **options):
    options = dict(seq_len=16, bs=4, target="every", device="cpu") | options
    learn = char_learner(CharDataLoaders.from_text(text, **options), "gru", n_hid=8, emb_sz=4, seed=0)
    for p in learn.model.parameters():
        p.data *= 4
    return learn


@pytest.mark.parametrize("valid", ["tail", "blocks"])
@pytest.mark.parametrize("n_chars", [703, 704, 999])
def test_a_validation_loss_is_that_of_a_plain_loop_for_any_batch_size(valid, n_chars):
    for val_bs in (None, 1, 5):
        learn = _learner(_text(n_chars), valid=valid, valid_pct=0.3, val_bs=val_bs)
        ds = learn.dls.valid_ds
        expected, count = _loss_by_loop(learn, _loop(ds.ids.data, ds.info["spans"][1], 16))
        assert count == ds.n_targets
        assert learn.validate()[0] == pytest.approx(expected, abs=1e-5)


def test_an_evaluation_is_that_of_a_plain_loop_for_any_batch_size():
    learn = _learner(_text(600))
    text = _text(300, seed=1)
    ids = torch.from_numpy(learn.dls.vocab.encode(text).astype("int64"))
    expected, _ = _loss_by_loop(learn, _loop(ids, [(1, 300)], 16))
    for bs in (None, 1, 7, 512):
        found = learn.evaluate(text, bs=bs)
        assert found["loss"] == pytest.approx(expected, abs=1e-5)
        assert found["bits_per_char"] == pytest.approx(expected / np.log(2), abs=1e-5)


def test_documents_validate_in_chunks_from_their_beginnings():
    docs = [_text(n, seed=n) for n in (90, 120, 45, 1, 3, 64)]
    learn = _learner(docs, valid=[2, 3, 4, 5], sep=None)
    ids = [torch.from_numpy(learn.dls.vocab.encode(doc).astype("int64")) for doc in docs[2:]]
    expected, count = _loss_by_loop(learn, [chunk for doc in ids for chunk in _loop(doc, [(1, len(doc))], 16)])
    assert count == 44 + 0 + 2 + 63
    assert learn.validate()[0] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(DataError, match="no validation document has 2 characters, one and its target; the longest"):
        _learner(["abcd" * 9, "a"], valid=[1], sep=None)


def test_a_document_that_is_cut_validates_all_behind_the_cut():
    text = _text(500)
    learn = _learner([text, "x"], sep=None)
    chunks = _loop(learn.dls.valid_ds.ids.data[:500], [(450, 500)], 16)
    assert _loss_by_loop(learn, chunks)[0] == pytest.approx(learn.validate()[0], abs=1e-5)


def test_predictions_are_in_the_order_of_the_text_for_any_batch_size():
    learn = _learner(_text(700), valid="blocks", valid_pct=0.3)
    with learn.no_bar():
        probs, targets, losses = learn.get_preds(with_loss=True)
        others = learn.get_preds(dl=learn.dls.valid.new(bs=3), with_loss=True)
        picked = learn.get_preds(dl=learn.dls.test_dl(learn.dls.valid.items[[40, 2]]), with_loss=True)
    parts = [range(begin, end) for begin, end in learn.dls.valid_ds.spans]
    assert targets.tolist() == learn.dls.valid_ds.ids.data[[at for part in parts for at in part]].tolist()
    assert float(losses.mean()) == pytest.approx(learn.validate()[0], abs=1e-5)
    for found, expected in zip(others, (probs, targets, losses)):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(picked[2], losses[[40, 2]])


def test_chunks_of_a_text_on_disk_are_those_of_a_text_in_memory(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text(_text(3_000))
    options = dict(seq_len=16, bs=8, val_bs=5, target="every", device="cpu")
    in_memory = CharDataLoaders.from_file(path, **options)
    on_disk = CharDataLoaders.from_text(encode_file(path), **options)
    for batch, expected in zip(on_disk.valid, in_memory.valid, strict=True):
        assert all(map(torch.equal, batch, expected))


@pytest.mark.filterwarnings("ignore:.*distinct characters")
def test_a_large_vocabulary_validates_in_fewer_rows():
    rng = np.random.default_rng(0)
    text = "".join(chr(0x4E00 + c) for c in [*range(5_000), *rng.integers(0, 5_000, 30_000)])
    for options in (dict(target="every"), dict(target="every", valid="random"), dict(target="next", stride=8)):
        dls = CharDataLoaders.from_text(text, seq_len=64, bs=16, device="cpu", **options)
        n_predicted = max(y.numel() for _, y in dls.valid) * len(dls.vocab)
        assert 2**23 < n_predicted <= 2**24 or len(dls.valid) == 1
