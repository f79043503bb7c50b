"""Text in, text out: what follows a prompt, by a learner with a vocabulary.

    learn.predict_next("for thos")               # 'e'
    learn.predict_next("for thos", n=40)         # the prompt and 40 characters more, the likeliest each time
    learn.generate("for thos", 200, seed=1)      # drawn: a `ScoredText`, which prints as its text
    learn.score("for those who")                 # how likely the model finds a text
    learn.next_probs("for thos")                 # {'e': 0.98, …}

A model with a window reads the last `window` characters of a prompt; shorter ones, the empty one too, are padded on the left
with index 0, a character no training text holds. A model that carries its state reads prompts whole, from its first state; after an
empty one it predicts from that state alone. The model's mode and every random state stay as they were.
"""

import secrets
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from fastcore.foundation import L
from torch import nn

from .._utils import is_count, is_whole
from ..errors import CharRnnWarning, DataError, GenerationError
from .beam import beam_ids
from .decoders import is_stateful, next_log_probs
from .options import MOST, GenerationConfig, StopMatcher
from .sampling import check_weights, greedy_ids, sample_ids, score_ids, stream_ids
from .scored import ScoredText

if TYPE_CHECKING:
    from fastai.basics import Learner  # a command that only writes does without fastai

__all__ = ["predict_next", "next_probs", "generate", "score", "CharStream", "get_next", "get_next_n"]

_most_states = 2**25  # numbers in the hidden states of a batch: 256 MB


def predict_next(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | list[str],  # what to continue, or several texts, continued as one batch; may be empty
    n: int | None = None,  # None: the next character alone; else the prompt and n characters
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> str | list[str]:  # for each prompt one character, or the prompt (as the model read it) and n more
    """The likeliest continuation of `prompt`, one character at a time.

    Raises `UnknownCharError` for characters outside the vocabulary, `DataError` for a negative n."""
    if not (n is None or is_whole(n)):
        raise DataError(
            f"n={n} is not a number of characters; pass a whole number from 0 up, or None for the next character alone"
        )
    encoded = _encode(self, prompt, unk)
    decode = self.dls.vocab.decode
    if n is not None and len(encoded) * n > MOST:
        raise DataError(
            f"n={n:,} is more than the {MOST:,} characters kept in memory; "
            "pass less, or use generate(…, temperature=0, stream=True)"
        )
    new = greedy_ids(_bare(self.model), _rows(self, encoded), 1 if n is None else int(n)).cpu()
    texts = [decode(o) if n is None else decode(p) + decode(o) for p, o in zip(encoded, new)]
    return texts[0] if isinstance(prompt, str) else texts


def next_probs(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str,  # what comes before
    top: int | None = None,  # how many characters to name; None: all
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> dict[str, float]:  # character to probability, likeliest first; index 0, the padding, is '\0'
    "How likely each character is to follow `prompt`. Raises `UnknownCharError`, and `GenerationError` for an impossible `top`."
    if not (top is None or is_count(top)):
        raise GenerationError(
            f"top={top!r} is not a number of characters; pass a whole number from 1 up, or None for all"
        )
    check_weights(_bare(self.model))
    probs, order = (
        next_log_probs(_bare(self.model), _rows(self, _encode(self, str_of(prompt), unk)))[0]
        .exp()
        .sort(descending=True, stable=True)
    )
    return {self.dls.vocab[i]: p for i, p in zip(order[:top].tolist(), probs[:top].tolist())}


def generate(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # what to continue, or several texts, continued as one batch; may be empty
    n: int | None = 200,  # characters to write, at most; None, with `stream`: without end
    temperature: float = 0.8,  # 0: the likeliest each time; below 1 likelier characters gain, above 1 rarer ones do
    top_k: int | None = None,  # choose among the k likeliest
    top_p: float | None = None,  # choose among the fewest that have this probability together
    min_p: float | None = None,  # choose among those with at least this part of the likeliest's probability
    repetition_penalty: float
    | None = None,  # above 1: characters that already stand in the text, prompt included, are less likely
    stop: str
    | Sequence[str]
    | Callable[[str], bool]
    | None = None,  # end a text after this string, one of these, or when this of the continuation is true
    seed: int | None = None,  # what to draw with; None: one of the system's entropy, kept in the result
    num: int = 1,  # continuations of each prompt
    stream: bool = False,  # give one text's characters as they are written
    return_prompt: bool = True,  # whether texts begin with the prompt, as the model read it
    beam: int | None = None,  # search for the likeliest continuations, this many at a time, instead of drawing
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> (
    "ScoredText|L|CharStream"
):  # a text; for several prompts, num above 1 or beam an `L` of them, by prompt; for stream characters
    """Continue `prompt` by drawing characters, or at temperature 0 by taking the likeliest.

    Options apply in Hugging Face's order, each to what the one before leaves: repetition penalty (CTRL, Keskar et al. 2019),
    temperature, top_k, top_p (nucleus sampling, Holtzman et al. 2020, *The Curious Case of Neural Text Degeneration*), min_p
    (Nguyen et al. 2024, *Turning Up the Heat*). Padding is never written. A stopped text ends with its `stop` string.
    The same seed gives the same text, whatever is generated beside it, streamed or not, on any device: each prompt, and each of its
    continuations, draws from a stream of its own, and steps are computed in float64. (A model without the step protocol is used as it is: there, rounding
    that differs with a batch's size changes a few draws in a million.)
    `beam` gives the k likeliest by `log_prob`, whatever their length; it draws nothing, so that other options are an error.
    Warns once where greedy text repeats itself. Raises `UnknownCharError`, and `GenerationError` for options without sense or a model
    whose predictions are not numbers."""
    o = GenerationConfig(temperature, top_k, top_p, min_p, repetition_penalty, stop, seed, num, beam)
    if stream:
        return CharStream(self, prompt, n, o, return_prompt, unk)
    texts, period = continue_texts(self, prompt, n, o, return_prompt, unk)
    if period:
        _warn_of_loop(period, 2)
    return texts[0] if isinstance(prompt, str) and num == 1 and beam is None else texts


def continue_texts(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # what to continue, or several texts
    n: int,  # characters to write, at most
    options: GenerationConfig,  # how
    return_prompt: bool = True,  # whether texts begin with the prompt
    unk: str = "error",  # as in `generate`
) -> tuple[
    L, int | None
]:  # `ScoredText`s by prompt; after how many characters one of them repeats itself, if it is greedy and does
    "What `generate` does, without a warning."
    encoded = _encode(learn, prompt, unk)
    model = _bare(learn.model)
    o = _checked(learn, n, options, len(encoded))
    found, period = [], None

    def ends():
        return StopMatcher(o, learn.dls.vocab.decode)

    if o.beam is not None:
        for p in encoded:
            found += [
                (p, *text)
                for text in beam_ids(model, _rows(learn, [p]), int(n), o.beam, ends if o.stop is not None else None)
            ]
    else:
        jobs = [(p, k) for p in encoded for k in range(o.num)]
        for part in _parts(learn, jobs):
            rows = [p for p, _ in part]
            stops = [ends() for _ in part]
            *new, p = sample_ids(
                model,
                _rows(learn, rows),
                int(n),
                o,
                [k for _, k in part],
                _seen(learn, rows, o),
                (lambda row, ids, stops=stops: stops[row](ids)) if o.stop is not None else None,
            )
            found = found + list(zip(rows, *new))
            period = period or p
    decode = learn.dls.vocab.decode
    drawn = None if o.greedy or o.beam else int(o.seed)
    return L(ScoredText(decode(p), decode(c), lp, drawn, bool(return_prompt)) for p, c, lp in found), period


class CharStream:
    """The characters of one text as they are written: an iterator, prompt first where it is wanted. Same text as without `stream`.

    Between two characters the model is free for other use. Training it then does not change the text, if the model has the step
    protocol: its steps are taken from a copy in float64, made with the stream."""

    def __init__(
        self,
        learn: "Learner",  # as `self` in `generate`, likewise the others
        prompt: str,
        n: int | None,  # None: without end
        options: GenerationConfig,
        return_prompt: bool = True,
        unk: str = "error",
    ):
        if not isinstance(prompt, str):
            raise GenerationError("stream=True gives the characters of one text; pass one prompt as a str")
        if options.num != 1 or options.beam is not None:
            raise GenerationError("stream=True gives the characters of one text; leave out num and beam")
        (encoded,) = _encode(learn, prompt, unk)
        self.options = o = _checked(learn, n, options, 1, stream=True)
        self.prompt = learn.dls.vocab.decode(encoded) if return_prompt else ""
        self.vocab = learn.dls.vocab
        self.n = n
        self.ids = stream_ids(_bare(learn.model), _rows(learn, [encoded]), o, _seen(learn, [encoded], o), self._looped)
        self.chars = self._chars()

    @property
    def seed(self) -> int | None:  # None where nothing is drawn
        "What it is drawn with."
        return None if self.options.greedy else self.options.seed

    def _chars(self):
        yield from self.prompt
        stops = StopMatcher(self.options, self.vocab.decode) if self.options.stop is not None else None
        for k, i in enumerate(self.ids if self.n is None or self.n > 0 else (), 1):
            yield self.vocab[i]
            if k == self.n or stops is not None and stops([i]) is not None:
                return

    def _looped(self):
        _warn_of_loop(None, 5)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self.chars)


def score(
    self: "Learner",  # a learner whose `dls` has a character vocabulary
    text: str,  # what to score; may be empty
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> ScoredText:  # all of it as `new`: `nll` in nats, `bits`, `bits_per_char`
    """How likely the model finds each character of `text` after those before it, every character once.

    A model with a window scores the first characters from windows padded with index 0, as short prompts are.
    Raises `UnknownCharError`, and `GenerationError` for a model whose predictions are not numbers."""
    (ids,) = _encode(self, str_of(text), unk)
    return ScoredText("", self.dls.vocab.decode(ids), score_ids(_bare(self.model), ids, _window(self), _device(self)))


def get_next(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    inp: str,  # what comes before
) -> str:  # one character
    "The likeliest next character, by the reference's own name."
    return predict_next(learn, inp)


def get_next_n(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    inp: str,  # what to continue
    n: int,  # how many characters
) -> str:  # `inp` and n characters
    "The likeliest continuation, by the reference's own name."
    return predict_next(learn, inp, n=n)


def str_of(text):
    "The text, if it is one."
    if not isinstance(text, str):
        raise GenerationError(f"this takes one text as a str, not {type(text).__name__}")
    return text


def _encode(learn, prompt, unk):
    "The indices of every prompt."
    learn.dls.vocab.check_unk(unk)
    try:
        prompts = [prompt] if isinstance(prompt, (str, bytes)) else list(prompt)
    except TypeError:
        raise GenerationError(f"a prompt is a str, or several in a list; not {type(prompt).__name__}") from None
    return [learn.dls.vocab.encode(p, unk=unk) for p in prompts]


def check_request(
    learn: "Learner",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # what to continue, or several texts
    n: int,  # characters to write, at most
    options: GenerationConfig,  # how
    unk: str = "error",  # as in `generate`
):
    "Raise what `generate` would raise, before it is needed."
    _checked(learn, n, options, len(_encode(learn, prompt, unk)))


def _checked(learn, n, o, n_prompts, stream=False):
    "The options with a seed; raises where they do not go with one another, the vocabulary or memory."
    if not (n is None or is_whole(n)):
        raise GenerationError(f"n={n!r} is not a number of characters; pass a whole number from 0 up")
    if n is None and not stream:
        raise GenerationError(
            "n=None writes without end, which goes with stream=True alone; pass a number of characters"
        )
    rows = n_prompts * o.num * (o.beam or 1)
    if not stream and rows * (n + 100) > MOST:
        raise GenerationError(
            f"n={n:,} for {rows:,} texts is more than the {MOST:,} characters kept in memory; pass stream=True, or ask in parts"
        )
    if len(learn.dls.vocab) < 2:
        raise GenerationError("the vocabulary has no character but the padding; train on a text")
    for s in o.stops:
        if odd := [c for c in s if c not in learn.dls.vocab or c == "\0"]:
            raise GenerationError(f"stop={s!r} is never written: {odd[0]!r} is not in the vocabulary; leave it out")
    if o.seed is not None:
        return o
    return replace(o, seed=secrets.randbits(32)) if o.beam is None else o


def _parts(learn, jobs):
    "Batches of rows that fit."
    size = max(
        _most_states
        // ((1 if is_stateful(_bare(learn.model)) else _window(learn)) * getattr(_bare(learn.model), "n_hid", 256)),
        1,
    )
    return [jobs[i : i + size] for i in range(0, len(jobs), size)]


def _bare(model):
    return model.module if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) else model


def _window(learn):
    return getattr(_bare(learn.model), "seq_len", None) or learn.dls.seq_len


def _device(learn):
    return next(learn.model.parameters()).device


def _rows(learn, encoded):
    "Prompts as the model reads them: (n_prompts, window), or as wide as the longest where the state is carried; on the model's device."
    width = max(map(len, encoded), default=0) if is_stateful(_bare(learn.model)) else _window(learn)
    rows = torch.zeros(len(encoded), width, dtype=torch.int64)
    for row, ids in zip(rows, encoded):
        if len(ids := ids[-width:] if width else ids):
            row[-len(ids) :] = torch.from_numpy(ids.astype(np.int64))
    return rows.to(_device(learn))


def _seen(learn, encoded, o):
    "Which characters stand in each prompt, where the repetition penalty asks."
    if o.repetition_penalty is None:
        return None
    seen = np.zeros((len(encoded), len(learn.dls.vocab)), bool)
    for row, ids in zip(seen, encoded):
        row[ids] = True
    return torch.from_numpy(seen).to(_device(learn))


def _warn_of_loop(period, level):
    after = f" every {period:,} characters" if period else ""
    warnings.warn(
        f"the greedy text repeats itself{after}; temperature=.8 draws instead of taking the likeliest, repetition_penalty=1.2 makes what was written less likely",
        CharRnnWarning,
        stacklevel=level + 1,
    )
