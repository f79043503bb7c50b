"""`save_encoder` and `load_encoder`: all weights but those of the output layer."""

import pytest
import torch
from torch import nn

from fastai_charrnn.all import ArchError, CharDataLoaders, ModelFileError, char_learner, human_numbers
from fastai_charrnn.models.groups import char_splitter

TEXT = human_numbers()[:1500]


def _learn(folder, arch="lstm", text=TEXT, seed=0, **kw):
    dls = CharDataLoaders.from_text(text, seq_len=8, bs=16, target="every", device="cpu", path=folder)
    return char_learner(dls, arch, **(dict(n_hid=16, emb_sz=16, seed=seed) | kw))


@pytest.mark.parametrize(
    "arch,config",
    [("rnn", {}), ("mullstm", dict(n_layers=2)), ("ensemble", {}), ("gru", dict(tie_weights=True))],
    ids=str,
)
def test_an_encoder_is_all_but_the_output_layer(arch, config, tmp_path):
    a, b = (_learn(tmp_path, arch, seed=seed, config=config) for seed in (0, 1))
    old = [p.detach().clone() for p in char_splitter(b.model)[-1]]
    path = a.save_encoder("enc")
    assert path == tmp_path / "models" / "enc.pth"
    assert b.load_encoder("enc") is b
    for group, other in zip(char_splitter(a.model)[:-1], char_splitter(b.model)[:-1]):
        assert all(torch.equal(p, q) for p, q in zip(group, other))
        assert not any(q.requires_grad for q in other)
    *_, output = char_splitter(b.model)
    assert all(p.requires_grad for p in output)
    kept = [torch.equal(p, q) for p, q in zip(output, old)]
    # a tied weight is the embedding
    assert kept == ([False, True] if config.get("tie_weights") else [True] * len(kept))


def test_an_encoder_of_another_text_keeps_the_embeddings_of_known_characters(tmp_path):
    a = _learn(tmp_path)
    a.save_encoder("enc")
    other = "The six wizards quickly jumped over 12 boxing hens.\n" * 20
    b = _learn(tmp_path, text=other, seed=1).load_encoder("enc")
    known = [c for c in b.dls.vocab if c in list(a.dls.vocab)]
    assert 5 < len(known) < len(b.dls.vocab)
    rows = {c: weight for c, weight in zip(a.dls.vocab, a.model.emb.weight)}
    mean = a.model.emb.weight.mean(0)
    for c, weight in zip(b.dls.vocab, b.model.emb.weight):
        torch.testing.assert_close(weight, rows.get(c, mean))
    with b.no_bar(), b.no_logging():
        b.fine_tune(1, 1e-2)
    assert b.training_log.rows[-1]["train_loss"] < 4


@pytest.mark.parametrize(
    "arch,config,message",
    [
        ("gru", {}, r"enc.pth does not fit: rnn.bias_hh_l0 is \(64,\) in the file and \(48,\) in the model"),
        ("lstm", dict(n_layers=2), r"upper.0.rnn.bias_hh_l0 is missing in the file and \(64,\) in the model"),
        ("lstm", dict(n_hid=8), r"rnn.bias_hh_l0 is \(64,\) in the file and \(32,\) in the model"),
        ("mullstm", {}, r"hid.0.weight is missing in the file"),
    ],
    ids=str,
)
def test_an_encoder_of_other_sizes_names_what_differs(arch, config, message, tmp_path):
    _learn(tmp_path).save_encoder("enc")
    b = _learn(tmp_path, arch, config=config)
    before = [p.detach().clone() for p in b.model.parameters()]
    with pytest.raises(ModelFileError, match=message):
        b.load_encoder("enc")
    assert all(torch.equal(p, q) for p, q in zip(b.model.parameters(), before))


def test_files_that_are_no_encoder_are_named(tmp_path):
    learn = _learn(tmp_path)
    with pytest.raises(ModelFileError, match=r"no encoder .*none.pth; learn.save_encoder\('none'\) writes one"):
        learn.load_encoder("none")
    learn.save("weights")
    with pytest.raises(ModelFileError, match=r"weights.pth is not an encoder; load it with learn.load"):
        learn.load_encoder("weights")
    (tmp_path / "models" / "text.pth").write_text("no tensors")
    with pytest.raises(ModelFileError, match="text.pth cannot be read as an encoder"):
        learn.load_encoder("text")


class Own(nn.Module):
    "A model of your own."

    def __init__(self, vocab_sz, emb_sz, n_hid):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, vocab_sz)

    def forward(self, x):
        return self.emb(x).log_softmax(-1)


def test_a_model_of_another_class_has_no_encoder(tmp_path):
    with pytest.raises(ArchError, match="Own has no encoder, .* or use learn.save and learn.load"):
        _learn(tmp_path, Own).save_encoder("enc")
