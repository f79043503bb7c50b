"""Small models of every architecture and mode, the texts that they read, and what Python computes for each."""

import random

import numpy as np
import torch
from small_models import lively

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.analysis.connectivity import connectivity
from fastai_charrnn.analysis.units import hidden_states
from fastai_charrnn.generation.decoders import next_log_probs
from fastai_charrnn.generation.prompts import prompt_rows
from fastai_charrnn.page.pack import pack_model

CORPUS = "The quick brown fox, 'judge of my vow', jumped over 12 lazy dogs! said Ä ü 漢 😀.\n" * 40
MODES = dict(windows={}, chunks=dict(target="every"), streams=dict(target="every", stateful=True))
# architecture, its arguments, mode
CASES = [
    ("char3", {}, "windows"),
    ("loop", {}, "windows"),
    ("loop", dict(n_layers=2, identity=True), "streams"),
    ("concat", dict(n_layers=2), "windows"),
    ("concat", {}, "streams"),
    ("rnn", dict(n_layers=2, layer_norm=True), "windows"),
    ("rnn", {}, "streams"),
    ("gru", {}, "chunks"),
    ("gru", dict(n_layers=3, layer_norm=True), "streams"),
    ("gru", dict(tie_weights=True), "windows"),
    ("lstm", dict(layer_norm=True, output_p=0.5), "chunks"),
    ("lstm", dict(n_layers=2), "streams"),
    ("mullstm", {}, "windows"),
    ("mullstm", dict(n_layers=2), "streams"),
    ("ensemble", dict(n_models=3), "streams"),
    ("ensemble", dict(arch="gru", n_models=2, n_layers=2), "windows"),
    ("ensemble", dict(arch="lstm", layer_norm=True, tie_weights=True), "chunks"),
]
# empty, shorter than a window, as long, longer, unknown characters, emoji
TEXTS = ["", "T", "The qui", "said 漢 😀.", "no ✗ unknown 😎 ones?", "fox, 'judge", "12 lazy dogs! " * 15]
TEXTS[1:1] = ["".join(random.Random(seed).choices(CORPUS, k=5 * seed)) for seed in (1, 2, 9)]


def case_name(case):
    arch, config, mode = case
    return "-".join([arch, mode, *map(str, config.values())])


def case_learner(case):
    "An untrained learner whose predictions vary."
    arch, config, mode = case
    seq_len = 3 if arch == "char3" else 8
    dls = CharDataLoaders.from_text(CORPUS, seq_len=seq_len, bs=32, valid="tail", device="cpu", **MODES[mode])
    emb_sz = 24 if "tie_weights" in config else 16
    learn = char_learner(dls, arch, n_hid=24, emb_sz=emb_sz, seed=1, config=config)
    # tied and normalised weights make large logits without that
    return learn if config.keys() & {"tie_weights", "layer_norm"} else lively(learn, 2)


def packed(learn):
    return pack_model(learn.model, learn.dls.vocab, name="test")


def log_probs(learn, text):  # (V,)
    "What PyTorch predicts after a text without its unknown characters."
    ids = learn.dls.vocab.encode(text, unk="skip")
    return next_log_probs(learn.model, prompt_rows(learn, [ids]))[0].double().numpy()


def expected(case):
    "What Python computes for a case, and its packed model."
    learn = case_learner(case)
    long = TEXTS[-1]
    with torch.random.fork_rng():
        return dict(
            packed=packed(learn),
            log_probs=[log_probs(learn, text) for text in TEXTS],
            nats=-np.asarray(learn.score(long).log_probs),
            units=hidden_states(learn, long),
            connectivity=[connectivity(learn, "said 漢 😀.", at) for at in range(9)],
            mode=case[2],
        )
