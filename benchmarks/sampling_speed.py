"""Claim: `learn.generate` draws at least ten times as many characters a second as fastai's `LMLearner.predict` with an LSTM of the same
width, and `rnn` at least three times as many as the notebook's own loop, which takes the likeliest and draws nothing.

Networks have 256 hidden units, weights as initialized, one thread. The peer is `AWD_LSTM` with one layer over characters; the notebook's loop is that of
`tests/oracles.py`, over the notebook's layers. A text is 500 characters, the peers' 100; one of 256 prompts gets 100.
"""
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import pandas as pd
import torch
from fastai.text.all import AWD_LSTM,TextDataLoaders,Tokenizer,awd_lstm_lm_config,language_model_learner
from fastai_charrnn.all import CharDataLoaders,char_learner,nietzsche,read_text
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent/"tests"))
from oracles import ORACLES,get_next_n # noqa: E402


class Plain(nn.Module):
    "The notebook's form of a model."
    def __init__(self, arch, model):
        super().__init__()
        self.f,self.model = ORACLES[arch],model
    def forward(self, x): return self.f(self.model, x)


class Characters:
    "fastai's interface of a tokenizer; a token is a character."
    def __init__(self, **kw): pass
    def __call__(self, items): return (list(t) for t in items)


def lm_learner(text):
    "fastai's language model learner, as near to `lstm` as it comes."
    df = pd.DataFrame(dict(text=[text[i:i+2000] for i in range(0, len(text), 2000)]))
    tok = Tokenizer(Characters(), rules=[], sep="")
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, tok_tfm=tok, bs=8, seq_len=64, device=torch.device("cpu"))
    config = awd_lstm_lm_config | dict(emb_sz=256, n_hid=256, n_layers=1)
    return language_model_learner(dls, AWD_LSTM, config=config, pretrained=False)


def _rates(runs, rounds=5):
    "Characters a second of each run, in turn; the first round warms up."
    times = {k:[] for k in runs}
    for i in range(rounds+1):
        for k,(f,n) in runs.items():
            start = perf_counter()
            f()
            if i: times[k].append(n/(perf_counter()-start))
    return times


def measure() -> list[tuple[str,str,str]]: # what, figure, claim
    "Characters a second in turn, five times; ratios of medians."
    text = read_text(nietzsche())[:60_000]
    dls = CharDataLoaders.from_text(text, valid="tail", device="cpu")
    learns,peer,threads = {a: char_learner(dls, a, seed=0) for a in ("rnn", "lstm")},lm_learner(text),torch.get_num_threads()
    plain = {a: Plain(a, learn.model) for a,learn in learns.items()}
    runs,prompts = {},[text[i:i+8] for i in range(256)]
    for a,learn in learns.items():
        runs |= {(a, "one prompt"): (lambda learn=learn: learn.generate("for thos", 500, seed=1), 500),
                 (a, "one prompt, top_p=.9"): (lambda learn=learn: learn.generate("for thos", 500, seed=1, top_p=.9), 500),
                 (a, "streamed"): (lambda learn=learn: "".join(learn.generate("for thos", 500, seed=1, stream=True)), 500),
                 (a, "256 prompts"): (lambda learn=learn: learn.generate(prompts, 100, seed=1), 25_600),
                 (a, "loop"): (lambda a=a: get_next_n(plain[a], dls.vocab.itos, "for thos", 100), 100)}
    runs["peer", ""] = (lambda: peer.predict("for thos", 100, no_bar=True), 100)
    try:
        torch.set_num_threads(1)
        rates = _rates(runs)
    finally: torch.set_num_threads(threads)
    said = {"loop": "the notebook's loop"}
    rows = [(f"`{a}`, {said.get(what, what)}" if what else "`LMLearner.predict`", f"{median(r):,.0f} characters/s ({min(r):,.0f}–{max(r):,.0f})", "") for (a,what),r in rates.items()]
    of = {k:median(r) for k,r in rates.items()}
    return rows + [("`lstm`, one prompt, against `LMLearner.predict`", f"{of['lstm', 'one prompt']/of['peer', '']:.1f}x", "≥ 10x"),
                   ("`rnn`, one prompt, against the notebook's loop", f"{of['rnn', 'one prompt']/of['rnn', 'loop']:.1f}x", "≥ 3x")]
