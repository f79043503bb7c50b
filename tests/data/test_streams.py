"""A text as streams: every character is a target once, and rows continue across batches, for any number of rows."""

import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastai_charrnn.all import CharDataLoaders, CharStreams, DataError, char_learner, encode_file

LETTERS = "abcdefghijklmnopqrstuvwxyz"
too_short = "need at least|no validation windows|no training windows|less than one batch"


def _random_text(n):
    return "".join(np.random.default_rng(n).choice(list(LETTERS), n))


def _distinct_text(n):
    "A text of n distinct characters, so a character identifies its position."
    return "".join(chr(0x4E00 + i) for i in range(n))


def _streams(text, **options):
    options = dict(target="every", stateful=True, device="cpu") | options
    return CharDataLoaders.from_text(text, **options)


def _small_streams(**options):
    return _streams(_random_text(1000), **dict(seq_len=7, bs=5) | options)


def _targets(dl):
    return torch.cat([y.reshape(-1) for _, y in dl]).tolist()


@settings(deadline=None, max_examples=60)
@given(st.integers(30, 400), st.integers(1, 40), st.integers(1, 12), st.booleans(), st.floats(0.1, 0.6))
def test_validation_has_every_character_of_its_part_once(n_chars, seq_len, bs, stateful, valid_pct):
    text = _distinct_text(n_chars)
    options = dict(seq_len=seq_len, bs=bs, val_bs=bs, valid="tail", valid_pct=valid_pct, stateful=stateful)
    try:
        dls = _streams(text, **options)
    except DataError as e:
        assume(not re.search(too_short, str(e)))
        raise
    (_, (part,)) = dls.train_ds.info["spans"]
    assert sorted(_targets(dls.valid)) == sorted(dls.vocab.encode(text[slice(*part)]).tolist())
    assert len(list(dls.valid)) == len(dls.valid)
    assert sum(len(y) for _, y in dls.valid) == len(dls.valid_ds)
    for x, y in [*dls.valid, *dls.train]:
        assert torch.equal(x[:, 1:], y[:, :-1])
    assert not set(_targets(dls.valid)) & set(_targets(dls.train))
    assert dls.audit().shared == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(100, 600), st.integers(1, 40), st.integers(1, 12))
def test_rows_continue_where_the_previous_batch_ended(n_chars, seq_len, bs):
    dls = _streams(_distinct_text(n_chars), seq_len=seq_len, bs=bs)
    for dl in dls:
        batches = list(dl)
        for (_, y), (x, _) in zip(batches, batches[1:]):
            assert torch.equal(y[: len(x), -1], x[:, 0])
    n_train = dls.train_ds.info["spans"][0][0][1] - 1
    targets = _targets(dls.train)
    assert len(targets) == len(set(targets))
    assert len(targets) == dls.train_ds.n_targets
    assert len(targets) == n_train // bs * bs  # the remainder, fewer than bs characters, does not train


def test_blocks_validate_each_of_their_characters_once():
    text = _distinct_text(900)
    dls = _streams(text, seq_len=8, bs=16, val_bs=7, valid="blocks", valid_pct=0.2, stateful=False)
    parts = "".join(text[slice(*span)] for span in dls.train_ds.info["spans"][1])
    assert sorted(_targets(dls.valid)) == sorted(dls.vocab.encode(parts).tolist())
    assert len(list(dls.valid)) == len(dls.valid)
    # ten stretches of two chunks, and of two characters more
    assert [tuple(x.shape) for x, _ in dls.valid] == [(7, 8), (7, 8), (6, 8), (7, 2), (3, 2)]


def test_every_target_of_a_window_is_the_next_character():
    dls = _streams(_random_text(500), seq_len=8, bs=16, valid="random", stateful=False)
    assert dls.train_ds.info["stride"] == 8
    assert len(dls.train_ds) + len(dls.valid_ds) == (500 - 8 + 7) // 8
    for x, y in [*dls.train, *dls.valid]:
        assert x.shape == y.shape
        assert torch.equal(x[:, 1:], y[:, :-1])


def test_batches_from_disk_equal_batches_from_memory(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text(_random_text(3000))
    options = dict(seq_len=16, bs=8, target="every", stateful=True, device="cpu")
    in_memory = CharDataLoaders.from_file(path, **options)
    on_disk = CharDataLoaders.from_text(encode_file(path), **options)
    for memory_dl, disk_dl in zip(in_memory, on_disk):
        for (x, y), (disk_x, disk_y) in zip(memory_dl, disk_dl, strict=True):
            assert torch.equal(x, disk_x)
            assert torch.equal(y, disk_y)


@settings(deadline=None, max_examples=40)
@given(st.integers(100, 600), st.integers(1, 40), st.integers(1, 12))
def test_shifted_streams_are_cut_at_other_places_each_epoch(n_chars, seq_len, bs):
    dls = _streams(_distinct_text(n_chars), seq_len=seq_len, bs=bs, shift=True)
    n_train = dls.train_ds.info["spans"][0][0][1] - 1
    first_targets = []
    for _ in range(8):
        batches = list(dls.train)
        targets = [c for row in range(bs) for _, y in batches for c in y[row].tolist()]
        first_targets.append(targets[0])
        # the targets are one stretch of the text
        assert targets == list(range(targets[0], targets[0] + len(targets)))
        assert len(targets) == n_train // (bs + 1) * bs
        assert len(targets) == dls.train_ds.n_targets
        assert targets[-1] < n_train + 2
    assert len(set(first_targets)) > 1
    assert min(first_targets) >= 2  # index 1 is the first character, which is no target


def test_a_seed_fixes_the_offsets_of_shifted_streams():
    dls = _small_streams(shift=True)
    assert _targets(dls.train.seed(3)) == _targets(dls.train.seed(3))


def test_a_loader_with_another_batch_size_cuts_the_text_into_other_rows():
    dls = _small_streams()
    other = dls.valid.new(bs=3)
    assert other.dataset.bs == 3
    assert sorted(_targets(other)) == sorted(_targets(dls.valid))
    assert len(other.one_batch()[0]) == 3


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(target="next"), 'pass target="every"'),
        (dict(valid="random"), "need the end of the text as validation set"),
        (dict(valid=[1, 2]), "not window numbers"),
        (dict(stride=3), "leave out stride=3"),
        (dict(target="all", stateful=False), 'must be "next"'),
        (dict(bs=1000), "bs<=899"),
        (dict(shift=True, stateful=False), "requires stateful=True"),
        (dict(seq_len=0), "seq_len=0"),
    ],
)
def test_invalid_options_of_streams_raise_a_data_error(options, message):
    with pytest.raises(DataError, match=message):
        _small_streams(**options)


def test_streams_print_and_show_themselves(capsys):
    dls = _small_streams()
    assert "streams  7 characters at a time, the state continues" in repr(dls)
    assert "train    895 characters, 26 batches of 5" in repr(dls)
    dls.show_batch(max_n=2)
    x, y = dls.valid.one_batch()
    dls.valid.show_batch(max_n=1)
    out = capsys.readouterr().out
    assert "text" in out
    assert dls.vocab.decode(x[0]) in out
    assert dls.vocab.decode(y[0]) in out


def test_items_are_rows_of_batches():
    ds = _small_streams().train_ds
    assert isinstance(ds, CharStreams)
    assert len(ds.new_empty()) == 0
    assert ds.n_targets == 895
    x, y = ds[6]  # the second row of the second batch
    text = _random_text(1000)
    assert ds.vocab.decode(x) == text[179 + 7 : 179 + 14]
    assert ds.vocab.decode(y) == text[179 + 8 : 179 + 15]


@pytest.mark.corpus
def test_validation_has_every_character_of_the_corpus_part_once(text):
    dls = _streams(text, seq_len=64, bs=64, valid_pct=0.1)
    (begin, end) = dls.valid_ds.spans[0]
    assert (begin, end) == (540803, 600893)
    assert sum(y.numel() for _, y in dls.valid) == end - begin
    counts = torch.bincount(torch.tensor(_targets(dls.valid)), minlength=85)
    assert torch.equal(counts, torch.bincount(dls.valid_ds.ids.data[begin:].long(), minlength=85))


@pytest.fixture
def learn(tmp_path):
    learn = char_learner(_small_streams(path=tmp_path), "gru", n_hid=8, emb_sz=4, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    return learn


def test_predictions_on_streams_are_in_the_order_of_the_text(learn):
    res = learn.get_preds(with_input=True, with_loss=True, with_decoded=True)
    x, probs, targets = res[:3]
    likeliest, losses = res[3:]
    text = _random_text(1000)
    assert probs.shape == (100, 27)
    assert learn.dls.vocab.decode(targets) == text[900:]
    assert learn.dls.vocab.decode(x) == text[899:-1]
    torch.testing.assert_close(probs.sum(1), torch.ones(100))
    assert torch.equal(likeliest, probs.argmax(-1))
    valid_loss = pytest.approx(learn.validate()[0], abs=1e-5)
    assert float(losses.mean()) == valid_loss
    assert float(-probs.log()[torch.arange(100), targets].mean()) == valid_loss


def test_a_learner_on_streams_exports_without_the_text_and_predicts(learn, tmp_path):
    learn.export()
    assert (tmp_path / "export.pkl").stat().st_size < 60_000
    assert len(learn.predict("abc", n=7)) == 10
    assert "CharGru (Input shape: 5 x 7)" in learn.summary()
