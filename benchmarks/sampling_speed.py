"""Claim: `learn.generate` draws at least ten times as many characters a second as fastai's `LMLearner.predict` with an LSTM of the same width.

Networks have 256 hidden units, weights as initialized, one thread. The peer is `AWD_LSTM` with one layer over characters. The notebook's loop (`tests/oracles.py`, over
the notebook's layers, without gradients) stands beside it: it takes the likeliest and draws nothing, and computes in float32, where `generate` computes in float64 so that a text
does not depend on the batch it is drawn in. A text is 500 characters, the peers' 100; one of 256 prompts gets 100.
"""

import pandas as pd
import torch
from fastai.text.all import AWD_LSTM, TextDataLoaders, Tokenizer, awd_lstm_lm_config, language_model_learner
from figures import Row, in_turn
from oracles import ORACLES, get_next_n

from fastai_charrnn.all import CharDataLoaders, char_learner, nietzsche, read_text


class Characters:
    "fastai's interface of a tokenizer; a token is a character."

    def __init__(self, **kw):
        pass

    def __call__(self, items):
        return (list(t) for t in items)


def lm_learner(text):
    "fastai's language model learner, as near to `lstm` as it comes."
    df = pd.DataFrame(dict(text=[text[i : i + 2000] for i in range(0, len(text), 2000)]))
    tok = Tokenizer(Characters(), rules=[], sep="")
    dls = TextDataLoaders.from_df(
        df, text_col="text", is_lm=True, tok_tfm=tok, bs=8, seq_len=64, device=torch.device("cpu")
    )
    config = awd_lstm_lm_config | dict(emb_sz=256, n_hid=256, n_layers=1)
    return language_model_learner(dls, AWD_LSTM, config=config, pretrained=False)


def measure(short: bool = False) -> list[Row]:
    "Characters a second, in turn."
    text = read_text(nietzsche())[:60_000]
    dls, n, few, n_prompts = (
        CharDataLoaders.from_text(text, valid="tail", device="cpu"),
        *((30, 5, 8) if short else (500, 100, 256)),
    )
    learns = {a: char_learner(dls, a, seed=0) for a in ("rnn", "lstm")}
    peer = lm_learner(text)
    threads = torch.get_num_threads()
    prompts = [text[i : i + 8] for i in range(n_prompts)]
    runs = {("`LMLearner.predict`", ""): (lambda: peer.predict("for thos", few, no_bar=True), few)}
    for a, learn in learns.items():

        def plain(x, a=a, model=learn.model):
            with torch.no_grad():
                return ORACLES[a](model, x)

        runs |= {
            (f"`{a}`", ", one prompt"): (lambda learn=learn: learn.generate("for thos", n, seed=1), n),
            (f"`{a}`", ", one prompt, top_p=.9"): (
                lambda learn=learn: learn.generate("for thos", n, seed=1, top_p=0.9),
                n,
            ),
            (f"`{a}`", ", streamed"): (
                lambda learn=learn: "".join(learn.generate("for thos", n, seed=1, stream=True)),
                n,
            ),
            (f"`{a}`", f", {n_prompts} prompts"): (
                lambda learn=learn: learn.generate(prompts, few, seed=1),
                few * n_prompts,
            ),
            (f"`{a}`", ", the notebook's loop"): (
                lambda plain=plain: get_next_n(plain, dls.vocab.itos, "for thos", few),
                few,
            ),
        }
    try:
        torch.set_num_threads(1)
        times = in_turn({k: f for k, (f, _) in runs.items()}, 1 if short else 5)
    finally:
        torch.set_num_threads(threads)
    rates = {k: [n / s for s in times[k]] for k, (_, n) in runs.items()}

    def against(a, b):
        return [x / y for x, y in zip(rates[a], rates[b])]

    return [Row("".join(k), v, "{:,.0f}", " characters/s") for k, v in rates.items()] + [
        Row(
            "`lstm`, one prompt, against `LMLearner.predict`",
            against(("`lstm`", ", one prompt"), ("`LMLearner.predict`", "")),
            "{:.1f}",
            must=10,
        ),
        Row(
            "`rnn`, one prompt, against the notebook's loop",
            against(("`rnn`", ", one prompt"), ("`rnn`", ", the notebook's loop")),
            "{:.1f}",
        ),
    ]
