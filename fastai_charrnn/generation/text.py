"""Text in, text out: predict, sample, search for and score text with a learner that has a vocabulary.

    learn.predict_next("for thos")               # 'e'
    learn.predict_next("for thos", n=40)         # the prompt and 40 more characters, the most likely each time
    learn.generate("for thos", 200, seed=1)      # sampled: a `ScoredText`, which prints as text
    learn.score("for those who")                 # how likely the model finds a text
    learn.next_probs("for thos")                 # {'e': 0.98, …}

A model with a window reads the last `seq_len` characters of a prompt. Shorter prompts are padded on the left with
index 0. A stateful model reads the whole prompt. The model's mode and all random states are left unchanged.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fastcore.foundation import L

from .._utils import unwrap_model
from .beam import beam_ids
from .char_stream import CharStream
from .checks import check_predict_length, check_top, check_weights, checked_options
from .decoders import next_log_probs
from .loops import warn_about_loop
from .options import GenerationConfig, StopMatcher
from .prompts import encode_prompts, max_rows, model_device, prompt_rows, seen_chars, single_text, window_len
from .sampling import greedy_ids, sample_ids
from .scored import ScoredText
from .scoring import score_ids

if TYPE_CHECKING:
    from fastai.basics import Learner  # `load_generator` works without fastai

__all__ = ["predict_next", "next_probs", "generate", "score", "get_next", "get_next_n"]


def predict_next(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | list[str],  # one text to continue, or several as one batch; may be empty
    n: int | None = None,  # characters to append; None: return only the next character
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> str | list[str]:  # for each prompt the next character, or the prompt without unknown characters and `n` more
    """Continue `prompt` with the most likely character each time.

    Raises `UnknownCharError` for characters outside the vocabulary, `DataError` for an impossible `n`."""
    encoded = encode_prompts(self, prompt, unk)
    check_predict_length(n, len(encoded))
    new = greedy_ids(unwrap_model(self.model), prompt_rows(self, encoded), 1 if n is None else int(n)).cpu()
    decode = self.dls.vocab.decode
    texts = [decode(ids) for ids in new]
    if n is not None:
        texts = [decode(ids) + text for ids, text in zip(encoded, texts)]
    return texts[0] if isinstance(prompt, str) else texts


def next_probs(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str,  # text before the character
    top: int | None = None,  # return only the `top` most likely characters; None: all
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> dict[str, float]:  # character to probability, most likely first; index 0 (padding) is '\0'
    """Return the probability of each character to follow `prompt`.

    Raises `UnknownCharError`, and `GenerationError` for an impossible `top` or weights that are not finite."""
    check_top(top)
    model = unwrap_model(self.model)
    check_weights(model)
    (log_probs,) = next_log_probs(model, prompt_rows(self, encode_prompts(self, single_text(prompt), unk)))
    probs, order = log_probs.exp().sort(descending=True, stable=True)
    return {self.dls.vocab[i]: p for i, p in zip(order[:top].tolist(), probs[:top].tolist())}


def generate(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text to continue, or several as one batch; may be empty
    n: int | None = 200,  # characters to generate, at most; None, with `stream`: without end
    temperature: float = 0.8,  # below 1: likely characters more often; above 1: rare ones; 0: always the most likely
    top_k: int | None = None,  # choose among the k most likely characters
    top_p: float | None = None,  # choose among the fewest characters with this total probability
    min_p: float | None = None,  # choose among characters at least `min_p` times as likely as the most likely
    repetition_penalty: float | None = None,  # above 1: characters of the text and its prompt become less likely
    stop: str | Sequence[str] | Callable[[str], bool] | None = None,  # string(s) that end a text, or a test of it
    seed: int | None = None,  # seed of the random numbers; None: a new one, kept in the result
    num: int = 1,  # continuations of each prompt
    stream: bool = False,  # return an iterator over the characters of one text
    return_prompt: bool = True,  # whether texts begin with the prompt, without unknown characters
    beam: int | None = None,  # search for the most likely texts with this beam width, instead of sampling
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> "ScoredText | L | CharStream":  # `L` of texts, prompt by prompt, for several prompts, `num` above 1, or `beam`
    """Continue `prompt` by sampling characters, or at temperature 0 by taking the most likely.

    Options apply in Hugging Face's order, each to the result of the one before: repetition penalty (CTRL, Keskar et al.
    2019), temperature, top_k, top_p (nucleus sampling, Holtzman et al. 2020, *The Curious Case of Neural Text
    Degeneration*), min_p (Nguyen et al. 2024, *Turning Up the Heat*). Padding is never generated.

    A text ends with its `stop` string. A `stop` function gets the continuation after each character, without the
    prompt.

    The same seed gives the same text on any device, streamed or not, alone or in a batch: each continuation of each
    prompt has its own random numbers, and scores are computed in float64. A model without the step protocol runs in its
    own precision. There, rounding that depends on the batch size changes a few draws in a million.

    `beam=k` returns the k texts with the highest `log_prob`, without a correction for length. It draws nothing, and
    raises an error for options that change a draw.

    Warns once if greedy text repeats itself. Raises `UnknownCharError`, and `GenerationError` for invalid options or a
    model whose weights or predictions are not finite."""
    options = GenerationConfig(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=stop,
        seed=seed,
        num=num,
        beam=beam,
    )
    if stream:
        return CharStream(self, prompt, n, options, return_prompt, unk)
    texts, period = continue_texts(self, prompt, n, options, return_prompt, unk)
    if period:
        warn_about_loop(period, stacklevel=2)
    return texts[0] if isinstance(prompt, str) and num == 1 and beam is None else texts


def check_request(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text to continue, or several
    n: int,  # characters to generate, at most
    options: GenerationConfig,  # how to choose them
    unk: str = "error",  # unknown characters, as in `generate`
):
    "Raise the error that `generate` would raise for these arguments, without generating."
    checked_options(options, learn.dls.vocab, n, len(encode_prompts(learn, prompt, unk)))


def continue_texts(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text to continue, or several
    n: int,  # characters to generate, at most
    options: GenerationConfig,  # how to choose them
    return_prompt: bool = True,  # whether texts begin with the prompt
    unk: str = "error",  # unknown characters, as in `generate`
) -> tuple[L, int | None]:  # `ScoredText`s, prompt by prompt; the period of a greedy text that repeats itself
    "Do what `generate` does, without streams and without a warning."
    encoded = encode_prompts(learn, prompt, unk)
    options = checked_options(options, learn.dls.vocab, n, len(encoded))
    if options.beam is None:
        found, period = _sample(learn, encoded, int(n), options)
    else:
        found, period = _search(learn, encoded, int(n), options), None
    seed = None if options.greedy or options.beam else options.seed
    decode = learn.dls.vocab.decode
    texts = L(
        ScoredText(decode(ids), decode(new), log_probs, seed, bool(return_prompt)) for ids, new, log_probs in found
    )
    return texts, period


def _search(learn, encoded, n, options):
    "Prompt, continuation and log-probabilities of the most likely texts."
    found = []
    for ids in encoded:
        texts = beam_ids(
            unwrap_model(learn.model),
            prompt_rows(learn, [ids]),
            n,
            options.beam,
            None if options.stop is None else lambda: StopMatcher(options, learn.dls.vocab.decode),
        )
        found += [(ids, new, log_probs) for new, log_probs in texts]
    return found


def _sample(learn, encoded, n, options):
    "Prompt, continuation and log-probabilities of sampled texts, and the first period of a loop."
    jobs = [(ids, number) for ids in encoded for number in range(options.num)]
    size = max_rows(learn)
    found = []
    first_period = None
    for start in range(0, len(jobs), size):
        prompts, numbers = zip(*jobs[start : start + size])
        new, log_probs, period = sample_ids(
            unwrap_model(learn.model),
            prompt_rows(learn, prompts),
            n,
            options,
            numbers,
            seen=None if options.repetition_penalty is None else seen_chars(learn, prompts),
            stop_fn=_stop_fn(learn, options, len(prompts)),
        )
        found += zip(prompts, new, log_probs)
        first_period = first_period or period
    return found, first_period


def _stop_fn(learn, options, n_rows):
    "A function of a row and its new indices, which remembers each row's text; None without `stop`."
    if options.stop is None:
        return None
    matchers = [StopMatcher(options, learn.dls.vocab.decode) for _ in range(n_rows)]
    return lambda row, new: matchers[row](new)


def score(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    text: str,  # may be empty
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> ScoredText:  # the whole text as `new`, with `nll` in nats, `bits`, `bits_per_char`
    """Return the text with the log-probability of each character, given those before it.

    A model with a window scores the first characters from windows padded with index 0, as it does for short prompts.
    Raises `UnknownCharError`, and `GenerationError` for a model whose weights or predictions are not finite."""
    (ids,) = encode_prompts(self, single_text(text), unk)
    log_probs = score_ids(unwrap_model(self.model), ids, window_len(self), model_device(self))
    return ScoredText("", self.dls.vocab.decode(ids), log_probs)


def get_next(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    inp: str,  # text before the character
) -> str:  # one character
    "Return the most likely next character. Lesson 6's name for `predict_next`."
    return predict_next(learn, inp)


def get_next_n(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    inp: str,  # text to continue
    n: int,  # characters to append
) -> str:  # `inp` and `n` more characters
    "Return the most likely continuation. Lesson 6's name for `predict_next` with `n`."
    return predict_next(learn, inp, n=n)
