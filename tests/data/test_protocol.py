"""`char_learner` accepts loaders of characters that this package did not make."""

import pytest
import torch
from fastai.data.block import DataBlock, TransformBlock
from fastai.data.core import DataLoaders, Datasets
from fastai.data.transforms import RandomSplitter, Transform
from fastai.text.data import LMDataLoader, Numericalize
from torch.utils.data import DataLoader as TorchDataLoader

from fastai_charrnn.all import CharDataLoaders, char_learner, load_model, ngram_baseline, save_model
from fastai_charrnn.data.protocol import n_targets
from fastai_charrnn.errors import ArchError, DataError, VocabError

SEQ_LEN = 6
VERSE = "the cat sat on the mat, and the dog lay on the log.\nso it was\n" * 8


class Pairs(torch.utils.data.Dataset):
    "A plain dataset of (x, y), as tutorials for PyTorch write it: `stoi` from the sorted characters."

    def __init__(self, text, every=False):
        self.chars = sorted(set(text))
        self.ids = torch.tensor([self.chars.index(c) for c in text])
        self.every = every

    def __len__(self):
        return len(self.ids) - SEQ_LEN

    def __getitem__(self, i):
        x = self.ids[i : i + SEQ_LEN]
        return x, self.ids[i + 1 : i + 1 + SEQ_LEN] if self.every else self.ids[i + SEQ_LEN]


def from_dsets(every=False):
    ds = Pairs(VERSE, every)
    dls = DataLoaders.from_dsets(ds, ds, bs=32, device="cpu")
    dls.vocab = ds.chars
    return dls


def from_torch(every=False):
    ds = Pairs(VERSE, every)
    dls = DataLoaders(TorchDataLoader(ds, 32, shuffle=True), TorchDataLoader(ds, 32))
    dls.vocab = {c: i for i, c in enumerate(ds.chars)}
    return dls


class CharTokens(Transform):
    def encodes(self, text: str):
        return list(text)


def language_model():
    "Loaders of fastai for a language model, with a tokenizer into characters and special tokens in the vocabulary."
    tfms = [CharTokens(), Numericalize(min_freq=1)]
    dsets = Datasets([VERSE[:300], VERSE[300:]] * 2, [tfms], splits=[[0, 1], [2, 3]], dl_type=LMDataLoader)
    return dsets.dataloaders(bs=8, seq_len=SEQ_LEN, device="cpu")


def indices_block():
    "A data block whose items are windows."
    ds = Pairs(VERSE)
    block = DataBlock(
        blocks=(TransformBlock, TransformBlock),
        get_x=lambda i: ds[i][0],
        get_y=lambda i: ds[i][1],
        splitter=RandomSplitter(seed=1),
    )
    dls = block.dataloaders(list(range(len(ds))), bs=32, device="cpu")
    dls.vocab = ds.chars
    return dls


LOADERS = {
    "from_dsets": from_dsets,
    "from_dsets every": lambda: from_dsets(every=True),
    "torch": from_torch,
    "torch every": lambda: from_torch(every=True),
    "LMDataLoader": language_model,
    "DataBlock": indices_block,
}


@pytest.mark.parametrize("name", LOADERS)
def test_every_verb_works_with_loaders_of_other_classes(name, tmp_path, capsys):
    dls = LOADERS[name]()
    dls.path = tmp_path
    learn = char_learner(dls, "gru", n_hid=16, emb_sz=8, seed=1, prompts=["the c"], n=3)
    with learn.no_bar(), learn.no_logging():
        before = learn.validate()[0]
        learn.fit(2, 1e-2)
        loss = learn.validate()[0]
        learn.lr_find(num_it=5, show_plot=False)
        row = learn.fit_minutes(0.004, 1e-3)
    assert loss < before
    assert row["epochs"] * n_targets(dls) == pytest.approx(round(row["epochs"] * n_targets(dls)))
    assert len(learn.predict_next("the c", n=4)) == 9
    assert set(str(learn.generate("the c", 60, temperature=3, seed=1))) <= set(VERSE)
    assert "".join(learn.generate("the c", 20, seed=1, stream=True)) == str(learn.generate("the c", 20, seed=1))
    assert sum(learn.next_probs("the c").values()) == pytest.approx(1, abs=1e-5)
    assert learn.score(VERSE[:60]).bits_per_char > 0
    assert learn.evaluate(VERSE)["loss"] < before
    assert learn.evaluate(VERSE, by="streams")["streams_loss"] > 0
    assert str(SEQ_LEN) in learn.summary().splitlines()[0]
    learn.show_results(max_n=2)
    assert "predicted" in capsys.readouterr().out
    loaded = load_model(save_model(learn, tmp_path / "model"))
    assert loaded.predict_next("the c", n=4) == learn.predict_next("the c", n=4)


def test_a_character_at_index_0_is_generated():
    dls = from_dsets()
    assert dls.vocab[0] == "\n"
    learn = char_learner(dls, "gru", n_hid=32, seed=1)
    with learn.no_bar(), learn.no_logging():
        learn.fit(6, 2e-2)
    assert learn.predict_next("on the log.") == "\n"
    assert str(learn.generate("on the log.", 2, temperature=0)) == "on the log.\ns"
    assert learn.score("on the log.\nso").log_probs[11] > -1


def test_targets_of_an_epoch_are_counted_by_rows_and_positions():
    n_rows = len(VERSE) - SEQ_LEN
    assert n_targets(char_learner(from_dsets(), n_hid=4).dls) == n_rows
    assert n_targets(char_learner(from_torch(every=True), n_hid=4).dls) == n_rows * SEQ_LEN


def test_loaders_of_pytorch_are_predicted():
    learn = char_learner(from_torch(), n_hid=4)
    with learn.no_bar():
        probs, targets = learn.get_preds()
    assert len(probs) == len(targets) == len(VERSE) - SEQ_LEN


def test_special_tokens_are_never_generated():
    learn = char_learner(language_model(), "gru", n_hid=8, seed=1)
    assert "xxbos" in learn.dls.vocab
    assert set(str(learn.generate("the c", 300, temperature=5, seed=2))) <= set(VERSE)


def test_the_order_of_training_follows_the_seed():
    losses = []
    for make in (from_dsets, from_torch):
        for _ in range(2):
            learn = char_learner(make(), "gru", n_hid=8, seed=4)
            with learn.no_bar(), learn.no_logging():
                learn.fit(1, 1e-2)
            losses.append(learn.training_log.rows[-1]["train_loss"])
    assert losses[0] == losses[1]
    assert losses[2] == losses[3]


def loaders_of(x, y, vocab=("\0", *"abc")):
    ds = list(zip(x, y))
    dls = DataLoaders.from_dsets(ds, ds, bs=2, device="cpu")
    if vocab is not None:
        dls.vocab = list(vocab)
    return dls


X = torch.ones(4, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    "x, y, vocab, error, message",
    [
        (X, X[:, 0], None, VocabError, "no vocab; set dls.vocab"),
        (torch.zeros(4, 5, 4), X[:, 0], "\0abc", DataError, r"float32 \(2, 5, 4\); for one-hot rows pass x.argmax"),
        (X.int(), X[:, 0], "\0abc", DataError, "int32.*x.long"),
        (X * 4, X[:, 0], "\0abc", VocabError, "x has indices from 4 to 4 and vocab has 4"),
        (X, X[:, 0] * -1, "\0abc", VocabError, "y has indices from -1"),
        (X, X[:, :3], "\0abc", DataError, r"y must have the shape \(bs,\).*got \(2, 3\)"),
        (X[:, 0], X[:, 0], "\0abc", DataError, r"x must have the shape \(bs, n\)"),
        (X, X[:, 0], ["the", "cat", "a"], VocabError, "2 entries.*such as 'the'; tokenize into characters"),
        (X, X[:, 0], "aba", VocabError, "duplicate character 'a'"),
        (X, X[:, 0], ["xxunk", "xxpad"], VocabError, "has no characters"),
        (X, X[:, 0], [list("ab"), list("ba")], VocabError, "inputs and targets have different vocabularies"),
    ],
)
def test_other_loaders_get_an_error_that_names_what_is_missing(x, y, vocab, error, message):
    with pytest.raises(error, match=message):
        char_learner(loaders_of(x, y, vocab))


def test_a_batch_without_targets_is_an_error():
    ds = [(x,) for x in X]
    dls = DataLoaders.from_dsets(ds, ds, bs=2, device="cpu")
    dls.vocab = "\0abc"
    with pytest.raises(DataError, match=r"a batch must be \(x, y\)"):
        char_learner(dls)


def test_the_vocabulary_of_inputs_and_targets_may_be_listed_twice():
    learn = char_learner(loaders_of(X, X[:, 0], [list("\0abc"), list("\0abc")]), n_hid=4)
    assert learn.dls.vocab.itos == list("\0abc")


def test_n_grams_need_a_text():
    with pytest.raises(DataError, match="TfmdDL has only batches"):
        ngram_baseline(from_dsets())


def test_a_model_of_another_size_is_named():
    dls = from_dsets()
    learn = char_learner(dls, torch.nn.Sequential(torch.nn.Embedding(50, 50)), loss_func=lambda p, y: p.mean())
    with pytest.raises(ArchError, match="50 numbers.*dls.vocab has"):
        learn.next_probs("the c")


def test_our_loaders_are_not_read():
    "Their order of training is that of 0.1."
    dls = CharDataLoaders.from_text(VERSE, bs=32, device="cpu")
    dls.train.seed(3)
    state = dls.train.rng.getstate()
    char_learner(dls, n_hid=4)
    assert dls.train.rng.getstate() == state
