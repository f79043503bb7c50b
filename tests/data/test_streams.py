"""A text as streams: every character a target once, rows that go on where they ended, in any number of rows."""

import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders, CharStreams, DataError, char_learner, encode_file

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _text(n):
    return "".join(np.random.default_rng(n).choice(list(LETTERS), n))


def _dls(n_chars=1000, **kw):
    return CharDataLoaders.from_text(
        _text(n_chars), **dict(seq_len=7, bs=5, target="every", stateful=True, device="cpu") | kw
    )


def _targets(dl):
    return torch.cat([y.reshape(-1) for _, y in dl]).tolist()


@settings(deadline=None, max_examples=60)
@given(st.integers(30, 400), st.integers(1, 40), st.integers(1, 12), st.booleans(), st.floats(0.1, 0.6))
def test_validation_holds_every_character_of_its_part_once(n_chars, n, bs, stateful, valid_pct):
    text = "".join(chr(0x4E00 + i) for i in range(n_chars))  # every character is another one
    kw = dict(valid="tail", valid_pct=valid_pct, target="every", stateful=stateful)
    try:
        dls = CharDataLoaders.from_text(text, seq_len=n, bs=bs, val_bs=bs, device="cpu", **kw)
    except DataError as e:
        assume(not re.search("need at least|no validation windows|no training windows|less than one batch", str(e)))
        raise
    (_, (part,)) = dls.train_ds.info["spans"]
    vocab = dls.vocab
    assert sorted(_targets(dls.valid)) == sorted(vocab.encode(text[slice(*part)]).tolist())
    assert len(list(dls.valid)) == len(dls.valid) and sum(len(y) for _, y in dls.valid) == len(dls.valid_ds)
    for x, y in [*dls.valid, *dls.train]:
        assert torch.equal(x[:, 1:], y[:, :-1])
    assert not set(_targets(dls.valid)) & set(_targets(dls.train)) and dls.audit().shared == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(100, 600), st.integers(1, 40), st.integers(1, 12))
def test_rows_go_on_where_the_batch_before_left_them(n_chars, n, bs):
    text = "".join(chr(0x4E00 + i) for i in range(n_chars))
    dls = CharDataLoaders.from_text(text, seq_len=n, bs=bs, target="every", stateful=True, device="cpu")
    for dl in dls:
        batches = list(dl)
        for (_, y), (x, _) in zip(batches, batches[1:]):
            assert torch.equal(y[: len(x), -1], x[:, 0])
    n_train = dls.train_ds.info["spans"][0][0][1] - 1
    got = _targets(dls.train)
    assert len(got) == len(set(got)) == dls.train_ds.n_targets == n_train // bs * bs  # fewer than bs are left out


def test_blocks_validate_each_of_their_characters_once():
    text = "".join(chr(0x4E00 + i) for i in range(900))
    dls = CharDataLoaders.from_text(
        text, seq_len=8, bs=16, val_bs=7, valid="blocks", valid_pct=0.2, target="every", device="cpu"
    )
    parts = "".join(text[slice(*o)] for o in dls.train_ds.info["spans"][1])
    assert sorted(_targets(dls.valid)) == sorted(dls.vocab.encode(parts).tolist())
    assert len(list(dls.valid)) == len(dls.valid) and [len(x) for x, _ in dls.valid] == [7] * (
        len(dls.valid_ds) // 7
    ) + [len(dls.valid_ds) % 7] * (len(dls.valid_ds) % 7 > 0)


def test_every_target_of_a_window_is_the_character_after():
    text = _text(500)
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=16, target="every", valid="random", device="cpu")
    assert dls.train_ds.info["stride"] == 8 and len(dls.train_ds) + len(dls.valid_ds) == (500 - 8 + 7) // 8
    for dl in dls:
        for x, y in dl:
            assert x.shape == y.shape and torch.equal(x[:, 1:], y[:, :-1])


def test_batches_are_the_same_from_a_file_on_disk(tmp_path):
    (tmp_path / "t.txt").write_text(_text(3000))
    a = CharDataLoaders.from_file(tmp_path / "t.txt", seq_len=16, bs=8, target="every", stateful=True, device="cpu")
    b = CharDataLoaders.from_text(
        encode_file(tmp_path / "t.txt"), seq_len=16, bs=8, target="every", stateful=True, device="cpu"
    )
    for one, other in zip(a, b):
        for p, q in zip(one, other, strict=True):
            assert torch.equal(p[0], q[0]) and torch.equal(p[1], q[1])


@settings(deadline=None, max_examples=40)
@given(st.integers(100, 600), st.integers(1, 40), st.integers(1, 12))
def test_shifted_streams_are_cut_elsewhere_each_epoch(n_chars, n, bs):
    text = "".join(chr(0x4E00 + i) for i in range(n_chars))
    dls = CharDataLoaders.from_text(text, seq_len=n, bs=bs, target="every", stateful=True, shift=True, device="cpu")
    seen = []
    n_train = dls.train_ds.info["spans"][0][0][1] - 1
    for _ in range(8):
        got = [[c for _, y in batches for c in y[r].tolist()] for batches in (list(dls.train),) for r in range(bs)]
        whole = [c for row in got for c in row]
        assert (
            whole == list(range(whole[0], whole[0] + len(whole)))
            and len(whole) == n_train // (bs + 1) * bs == dls.train_ds.n_targets
        )  # one stretch of the text
        seen.append(whole[0])
    assert (
        len(set(seen)) > 1 and min(seen) >= 2 and max(seen) + len(whole) <= n_train + 2
    )  # index 1 is the first character, which is no target
    assert _targets(dls.train.seed(3)) == _targets(dls.train.seed(3))  # a seed fixes it


def test_another_batch_size_is_another_cut():
    dls = _dls()
    other = dls.valid.new(bs=3)
    assert (
        other.dataset.bs == 3
        and sorted(_targets(other)) == sorted(_targets(dls.valid))
        and len(other.one_batch()[0]) == 3
    )


def test_what_streams_cannot_do_is_said():
    for kw, words in (
        (dict(target="next"), 'pass target="every"'),
        (dict(valid="random"), "can only validate on the end of the text"),
        (dict(valid=[1, 2]), "not window numbers"),
        (dict(stride=3), "leave out stride=3"),
        (dict(target="all", stateful=False), 'must be "next"'),
        (dict(bs=1000), "bs<=899"),
        (dict(shift=True, stateful=False), "requires stateful=True"),
    ):
        with pytest.raises(DataError, match=words):
            _dls(**kw)
    with pytest.raises(DataError, match="seq_len=0"):
        _dls(seq_len=0)


def test_they_show_themselves(capsys):
    dls = _dls()
    assert "streams  7 characters at a time, the state continues" in repr(
        dls
    ) and "train    895 characters, 26 batches of 5" in repr(dls)
    dls.show_batch(max_n=2)
    x, y = dls.valid.one_batch()
    dls.valid.show_batch(max_n=1)
    out = capsys.readouterr().out
    assert "text" in out and dls.vocab.decode(x[0]) in out and dls.vocab.decode(y[0]) in out


def test_the_dataset_says_what_it_holds():
    ds = _dls().train_ds
    assert isinstance(ds, CharStreams) and len(ds.new_empty()) == 0 and ds.n_targets == 895
    x, y = ds[6]  # the second row of the second batch
    assert (
        ds.vocab.decode(x) == _text(1000)[179 + 7 : 179 + 14] and ds.vocab.decode(y) == _text(1000)[179 + 8 : 179 + 15]
    )


@pytest.mark.corpus
def test_the_whole_corpus_once(text):
    dls = CharDataLoaders.from_text(text, seq_len=64, bs=64, valid_pct=0.1, target="every", stateful=True, device="cpu")
    a, b = dls.valid_ds.spans[0]
    assert (a, b) == (540803, 600893) and sum(y.numel() for _, y in dls.valid) == b - a
    assert torch.equal(
        torch.bincount(torch.tensor(_targets(dls.valid)), minlength=85),
        torch.bincount(dls.valid_ds.ids.data[a:].long(), minlength=85),
    )


def test_a_learner_on_streams_exports_and_predicts(tmp_path):
    learn = char_learner(_dls(path=tmp_path), "gru", n_hid=8, emb_sz=4, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    x, preds, targs, likeliest, losses = learn.get_preds(with_input=True, with_loss=True, with_decoded=True)
    text, vocab = _text(1000), learn.dls.vocab
    assert preds.shape == (100, 27) and vocab.decode(targs) == text[900:]  # in the order of the text
    torch.testing.assert_close(preds.sum(1), torch.ones(100))
    assert (
        vocab.decode(x) == text[899:-1]
        and torch.equal(likeliest, preds.argmax(-1))
        and float(losses.mean()) == pytest.approx(learn.validate()[0], abs=1e-5)
    )
    assert float(-preds.log()[torch.arange(100), targs].mean()) == pytest.approx(learn.validate()[0], abs=1e-5)
    learn.export()
    assert (tmp_path / "export.pkl").stat().st_size < 60_000
    assert len(learn.predict("abc")[0]) == 7 and "CharGru (Input shape: 5 x 7)" in learn.summary()
