"""Small models and learners that several tests share."""

import numpy as np
import torch

from fastai_charrnn.all import CharDataLoaders, char_learner, get_arch

# Configurations without dropout. Two fits draw equal random numbers.
CALM = dict(mullstm=dict(output_p=0.0, layer_p=0.0, hidden_p=0.0, embed_p=0.0))
CALM["ensemble"] = CALM["mullstm"]

# Every built-in architecture, with its options of depth.
CONFIGS = [
    ("char3", {}),
    ("loop", {}),
    ("loop", dict(n_layers=2)),
    ("concat", {}),
    ("concat", dict(n_layers=2)),
    ("rnn", {}),
    ("rnn", dict(n_layers=2, layer_norm=True)),
    ("gru", {}),
    ("gru", dict(n_layers=2)),
    ("lstm", {}),
    ("lstm", dict(n_layers=2)),
    ("mullstm", {}),
    ("mullstm", dict(n_layers=2)),
    ("ensemble", dict(n_models=2)),
    ("ensemble", dict(arch="gru", n_models=2)),
]


class Whole(torch.nn.Module):
    "A model without steps, and with a layer that acts in training only."

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.model(x))


class CarriedGru(get_arch("gru").cls):
    "A GRU that carries its state."

    def __init__(self, vocab_sz, emb_sz=42, n_hid=256):
        super().__init__(vocab_sz, emb_sz, n_hid, seq_len=None)


def lively(learn, scale=4):
    "Scale the weights, so that the texts vary."
    for p in learn.model.parameters():
        p.data *= scale
    return learn


def build(small, arch, n=8, **kw):
    seq_len = 3 if arch == "char3" else n
    dls = CharDataLoaders.from_text(small, seq_len=seq_len, bs=256, valid="tail", device="cpu")
    return char_learner(dls, arch, n_hid=24, emb_sz=16, seed=1, **kw)


def random_prompts(vocab, k, longest=40):
    rng = np.random.default_rng(5)
    return ["".join(rng.choice(vocab.itos[1:], rng.integers(0, longest + 1))) for _ in range(k)]


def stateful(small):
    return lively(build(small, CarriedGru), 2)
