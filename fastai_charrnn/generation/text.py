"""Text in, text out: predict and score text with a learner that has a vocabulary; `generate` samples it.

    learn.predict_next("for thos")               # 'e'
    learn.predict_next("for thos", n=40)         # the prompt and 40 more characters, the most likely each time
    learn.generate("for thos", 200, seed=1)      # sampled: a `ScoredText`, which prints as text
    learn.score("for those who")                 # how likely the model finds a text
    learn.next_probs("for thos")                 # {'e': 0.98, …}

A model with a window reads the last `seq_len` characters of a prompt. Shorter prompts are padded on the left with
index 0. A stateful model reads the whole prompt. The model's mode and all random states are left unchanged.
"""

from typing import overload

from .._utils import unwrap_model
from .char_view import char_view
from .checks import check_predict_length, check_top, check_weights
from .decoders import next_log_probs
from .prompts import TextModel, encode_prompts, model_device, prompt_rows, single_text, window_len
from .sampling import greedy_ids
from .scored import ScoredText
from .scoring import score_ids

__all__ = ["predict_next", "next_probs", "score", "get_next", "get_next_n"]


@overload
def predict_next(self: TextModel, prompt: str, n: int | None = ..., unk: str = ...) -> str: ...
@overload
def predict_next(self: TextModel, prompt: list[str], n: int | None = ..., unk: str = ...) -> list[str]: ...
def predict_next(
    self: TextModel,  # a learner whose `dls` has a character vocabulary
    prompt: str | list[str],  # one text to continue, or several as one batch; may be empty
    n: int | None = None,  # characters to append; None: return only the next character
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> str | list[str]:  # for each prompt the next character, or the prompt without unknown characters and `n` more
    """Continue `prompt` with the most likely character each time.

    Raises `UnknownCharError` for characters outside the vocabulary, `DataError` for an impossible `n`."""
    self = char_view(self)
    encoded = encode_prompts(self, prompt, unk)
    check_predict_length(n, len(encoded))
    new = greedy_ids(unwrap_model(self.model), prompt_rows(self, encoded), 1 if n is None else int(n)).cpu()
    decode = self.dls.vocab.decode
    texts = [decode(ids) for ids in new]
    if n is not None:
        texts = [decode(ids) + text for ids, text in zip(encoded, texts)]
    return texts[0] if isinstance(prompt, str) else texts


def next_probs(
    self: TextModel,  # a learner whose `dls` has a character vocabulary
    prompt: str,  # text before the character
    top: int | None = None,  # return only the `top` most likely characters; None: all
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> dict[str, float]:  # character to probability, most likely first; index 0 (padding) is '\0'
    """Return the probability of each character to follow `prompt`.

    Raises `UnknownCharError`, and `GenerationError` for an impossible `top` or weights that are not finite."""
    check_top(top)
    self = char_view(self)
    model = unwrap_model(self.model)
    check_weights(model)
    (log_probs,) = next_log_probs(model, prompt_rows(self, encode_prompts(self, single_text(prompt), unk)))
    probs, order = log_probs.exp().sort(descending=True, stable=True)
    return {self.dls.vocab[i]: p for i, p in zip(order[:top].tolist(), probs[:top].tolist())}


def score(
    self: TextModel,  # a learner whose `dls` has a character vocabulary
    text: str,  # may be empty
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> ScoredText:  # the whole text as `new`, with `nll` in nats, `bits`, `bits_per_char`
    """Return the text with the log-probability of each character, given those before it.

    A model with a window scores the first characters from windows padded with index 0, as it does for short prompts.
    Raises `UnknownCharError`, and `GenerationError` for a model whose weights or predictions are not finite."""
    self = char_view(self)
    (ids,) = encode_prompts(self, single_text(text), unk)
    log_probs = score_ids(unwrap_model(self.model), ids, window_len(self), model_device(self))
    return ScoredText("", self.dls.vocab.decode(ids), log_probs)


def get_next(
    learn: TextModel,  # a learner whose `dls` has a character vocabulary
    inp: str,  # text before the character
) -> str:  # one character
    "Return the most likely next character. Lesson 6's name for `predict_next`."
    return predict_next(learn, inp)


def get_next_n(
    learn: TextModel,  # a learner whose `dls` has a character vocabulary
    inp: str,  # text to continue
    n: int,  # characters to append
) -> str:  # `inp` and `n` more characters
    "Return the most likely continuation. Lesson 6's name for `predict_next` with `n`."
    return predict_next(learn, inp, n=n)
