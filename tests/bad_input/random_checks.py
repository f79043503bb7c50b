"""What results of random calls must be, computed slowly: `CHECKS` has a function for each name of a function.

Each gets the object whose method was called, the arguments, and the result.
"""

import numpy as np
import torch
from oracles import get_next_n, library, step_by_step

from fastai_charrnn.all import ScoredText


def check_predict_next(learn, arguments, result):
    "Greedy text, character by character, of a model that reads windows."
    if learn.dls.mode != "windows":
        return
    prompts = arguments["prompt"]
    n = arguments.get("n")
    is_one = isinstance(prompts, str)
    for prompt, found in zip([prompts] if is_one else prompts, [result] if is_one else result, strict=True):
        prompt = known(learn, prompt, arguments)
        window = ("\0" * learn.dls.seq_len + prompt)[-learn.dls.seq_len :]
        text = get_next_n(learn.model, list(learn.dls.vocab), window, 1 if n is None else int(n))
        expected = text[learn.dls.seq_len :]
        assert found == (expected[-1:] if n is None else prompt + expected)


def check_generate(learn, arguments, result):
    "Characters of the vocabulary, no more than asked for, with the log-probabilities of `score`."
    texts = [result] if isinstance(result, str | ScoredText) else result
    for text in texts:
        assert set(str(text)) <= set(learn.dls.vocab) - {"\0"}
        if isinstance(text, ScoredText):
            n = arguments.get("n", 200)
            assert len(text.new) == len(text.log_probs) <= (200 if n is None else n)
            assert np.isfinite(text.log_probs).all()
            whole = learn.score(text.prompt + text.new).log_probs
            np.testing.assert_allclose(text.log_probs, whole[len(text.prompt) :], atol=1e-4)


def check_score(learn, arguments, result):
    "The log-probability of each character, from one window or one step at a time."
    ids = learn.dls.vocab.encode(known(learn, arguments["text"], arguments)).tolist()
    assert len(result.log_probs) == len(ids)
    expected = [row[i] for row, i in zip(_rows(learn, ids), ids)]
    np.testing.assert_allclose(result.log_probs, expected, atol=1e-4)


def _rows(learn, ids):
    "Log-probabilities before each index."
    model = learn.model.eval()
    with torch.no_grad():
        if learn.dls.mode == "windows":
            whole = [0] * learn.dls.seq_len + ids
            windows = [whole[i : i + learn.dls.seq_len] for i in range(len(ids))]
            return library(model, torch.tensor(windows, dtype=torch.int64).reshape(-1, learn.dls.seq_len)).numpy()
        first = model.log_probs(model.init_hidden(1))
        if not ids:
            return first.numpy()
        return torch.cat([first, step_by_step(model, torch.tensor([ids]))[0]]).numpy()


def check_next_probs(learn, arguments, result):
    "Probabilities that fall, and that are all if `top` is None."
    probs = list(result.values())
    assert probs == sorted(probs, reverse=True)
    if arguments.get("top") is None:
        assert abs(sum(probs) - 1) < 1e-4
    else:
        assert len(probs) == min(arguments["top"], len(learn.dls.vocab))


def check_evaluate(learn, arguments, result):
    "The loss of windows is the mean of what `score` finds; any other is finite."
    assert np.isfinite(list(result.values())).all()
    if (arguments.get("by") or learn.dls.mode) == "windows" and learn.dls.mode == "windows":
        text = known(learn, arguments["text"], arguments)
        expected = -learn.score(text).log_probs[learn.dls.seq_len :].mean()
        assert abs(next(iter(result.values())) - expected) < 1e-3


def check_from_text(_, arguments, dls):
    "Windows are pieces of the text, with the characters that follow as targets."
    if not isinstance(arguments["text"], str) or arguments.get("valid_text") is not None:
        return
    text = "".join(dls.vocab.decode(dls.vocab.encode(arguments["text"], unk=arguments.get("unk", "error"))))
    for dl in dls.loaders:
        x, y = next(iter(dl))
        for row, target in list(zip(x, y))[:5]:
            target = target.reshape(-1)
            piece = dls.vocab.decode(row) + dls.vocab.decode(target[-1:])
            assert piece in text
            assert dls.target != "every" or dls.vocab.decode(target) == piece[1:]


def check_encode(vocab, arguments, result):
    "One look-up for each character."
    text = arguments["text"]
    unk = arguments.get("unk", "error")
    chars = [c if c in vocab and c != "\0" else unk for c in text]
    assert result.tolist() == [vocab.o2i[c] for c in chars if c != "skip"]


def known(learn, text, arguments):
    "A text with the characters that `unk` leaves."
    return learn.dls.vocab.decode(learn.dls.vocab.encode(text, unk=arguments.get("unk", "error")))


CHECKS = dict(
    predict_next=check_predict_next,
    generate=check_generate,
    score=check_score,
    next_probs=check_next_probs,
    evaluate=check_evaluate,
    from_text=check_from_text,
    encode=check_encode,
)
