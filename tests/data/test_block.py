"""Texts in fastai's data block API."""

import pandas as pd
import pytest
import torch
from fastai.data.block import DataBlock
from fastai.data.transforms import ColReader, ColSplitter, GrandparentSplitter, IndexSplitter, RandomSplitter
from fastai.text.data import get_text_files

from fastai_charrnn.all import CharBlock, CharDataLoaders, char_learner, load_model, ngram_baseline, save_model
from fastai_charrnn.errors import DataError, UnknownCharError

DOCS = [f"document {i}: " + "the cat sat on the mat and so did number " * 3 + str(i) for i in range(8)]
VALID = [2, 5]
TRAIN = [i for i in range(8) if i not in VALID]


def made(source=DOCS, splitter=None, get_x=None, get_items=None, bs=32, **kwargs):
    block = DataBlock(
        blocks=CharBlock(**dict(seq_len=10) | kwargs),
        get_items=get_items,
        get_x=get_x,
        splitter=splitter or IndexSplitter(VALID),
    )
    return block.dataloaders(source, bs=bs, device="cpu")


def expected(**kwargs):
    texts = [[DOCS[i] for i in part] for part in (TRAIN, VALID)]
    return CharDataLoaders.from_text(texts[0], valid_text=texts[1], bs=32, device="cpu", **dict(seq_len=10) | kwargs)


def same_batches(first, second):
    first, second = list(first), list(second)
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        assert all(torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize("options", [{}, dict(target="every"), dict(target="every", stateful=True), dict(stride=3)])
def test_the_block_gives_the_batches_of_from_text(options):
    dls, ours = made(**options), expected(**options)
    dls.train.drop_last = False
    dls.train.seed(3)
    ours.train.seed(3)
    same_batches(dls.train, ours.train)
    if options.get("stateful"):
        same_batches(dls.valid, ours.valid.new(bs=dls.valid.bs))
    else:
        assert dls.valid.bs == 2048
        same_batches(dls.valid, ours.valid)
    assert dls.vocab == ours.vocab


def test_sources_of_fastai_give_equal_loaders(tmp_path):
    table = pd.DataFrame(dict(text=DOCS, is_valid=[i in VALID for i in range(8)]))
    for i, doc in enumerate(DOCS):
        folder = tmp_path / ("valid" if i in VALID else "train") / "x"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.txt").write_text(doc)
    of_texts = made()
    of_table = made(table, ColSplitter(), ColReader("text"))
    of_files = made(tmp_path, GrandparentSplitter(), get_items=lambda path: sorted(get_text_files(path)))
    for dls in (of_table, of_files):
        assert torch.equal(dls.train_ds.ids.data, of_texts.train_ds.ids.data)
        assert torch.equal(dls.valid_ds.starts, of_texts.valid_ds.starts)


def test_a_learner_trains_generates_and_is_saved(tmp_path, capsys):
    dls = made(splitter=RandomSplitter(0.25, seed=1), target="every")
    learn = char_learner(dls, "gru", n_hid=32, seed=1)
    with learn.no_bar(), learn.no_logging():
        before = learn.validate()[0]
        learn.fit(4, 1e-2)
        assert learn.validate()[0] < before
        learn.show_results(max_n=2)
    dls.show_batch(max_n=2)
    assert "text" in capsys.readouterr().out
    loaded = load_model(save_model(learn, tmp_path / "model"))
    assert str(loaded.generate("the c", 20, seed=1)) == str(learn.generate("the c", 20, seed=1))
    assert ngram_baseline(dls, 2).n_valid > 0
    learn.export(tmp_path / "learner.pkl")
    assert learn.dls is dls


def test_the_summary_of_a_block_names_its_steps(capsys):
    block = DataBlock(blocks=CharBlock(seq_len=10), splitter=IndexSplitter(VALID))
    block.summary(DOCS, show_batch=True, max_n=2)
    out = capsys.readouterr().out
    assert "Found 8 items" in out and "Final sample: ('document 0" in out and "next" in out


def test_options_of_a_block_may_be_passed_to_dataloaders():
    dls = DataBlock(blocks=CharBlock(), splitter=IndexSplitter(VALID)).dataloaders(DOCS, seq_len=5, device="cpu", bs=16)
    assert dls.one_batch()[0].shape == (16, 5)
    assert dls.valid.one_batch()[0].shape[1] == 5


def test_wrong_items_and_options_are_errors():
    with pytest.raises(DataError, match="3 of 3 items are not texts, such as 1 .int.; pass get_x"):
        made([1, 2, 3, 4], IndexSplitter([3]))
    with pytest.raises(DataError, match="no document to validate on"):
        made(splitter=IndexSplitter([]))
    with pytest.raises(DataError, match="CharBlock must be the only block"):
        DataBlock(blocks=(CharBlock, CharBlock), splitter=IndexSplitter(VALID)).dataloaders(DOCS, device="cpu")
    with pytest.raises(DataError, match="shift=True"):
        made(shift=True)
    with pytest.raises(UnknownCharError, match="'é'"):
        made([*DOCS, "é" * 30], vocab=expected().vocab)
