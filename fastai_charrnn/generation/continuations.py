"""The next words of a text, with their probabilities, for interactive writing: `TextState`.

    state = TextState.start(learn, "It was ")
    state.likeliest(5)           # [Continuation(text='the ', prob=.21), …]
    state = state.extended("the ")

A state has read its text. Extending it reads only the new characters, and the old state stays as it was.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from .._utils import unwrap_model
from ..errors import GenerationError
from .beam import search
from .char_view import char_view
from .checks import check_log_probs, check_weights
from .decoders import SlidingWindowDecoder, decoder
from .filters import draw, filter_scores
from .options import GenerationConfig, StopMatcher
from .prompts import encode_prompts, model_device, prompt_rows, single_text
from .random_streams import Uniforms, stream_keys

if TYPE_CHECKING:
    from fastai.basics import Learner  # `load_generator` works without fastai

__all__ = ["Continuation", "TextState"]

_max_word = 24  # characters of a word; a longer one is cut
_min_width = 32  # beams of a search
_draws = 8  # draws for each continuation that is wanted, as some are equal


class Continuation(NamedTuple):
    "Some words, up to and including the white space after the last."

    text: str  # the characters to add
    prob: float  # their probability after the text, under the model itself


@dataclass(frozen=True)
class TextState:
    "A text that a model has read. Make it with `start`."

    learn: "Learner"  # a learner or a `CharGenerator`
    text: str  # what was read
    unk: str  # what to do with unknown characters, as in `generate`
    reader: SlidingWindowDecoder  # the decoder that has read the text

    @classmethod
    def start(
        cls,
        learn: "Learner",  # a learner or a `CharGenerator`
        text: str = "",  # the text to begin with
        unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
    ) -> "TextState":
        "Read a text. Raises `UnknownCharError`, and `GenerationError` if the weights are not finite."
        learn = char_view(learn)
        model = unwrap_model(learn.model)
        check_weights(model)
        encoded = encode_prompts(learn, single_text(text), unk)
        with torch.inference_mode():
            reader = decoder(model, prompt_rows(learn, encoded), exact=True)
        return cls(learn, learn.dls.vocab.decode(encoded[0]), unk, reader)

    def extended(
        self,
        text: str,  # what follows
    ) -> "TextState":  # this state does not change
        "Read more characters. Raises `UnknownCharError`."
        (ids,) = encode_prompts(self.learn, single_text(text), self.unk)
        reader = self._fork(1)
        with reader.running():
            for c in torch.from_numpy(ids.astype(np.int64)).to(model_device(self.learn)):
                reader.feed(c[None])
        return replace(self, text=self.text + self.learn.dls.vocab.decode(ids), reader=reader)

    def likeliest(
        self,
        k: int = 5,  # continuations
        words: int = 1,  # words in each
    ) -> list[Continuation]:  # at most k, the likeliest first
        "The most likely next words that a beam search finds. Words end with white space, or after 24 characters."
        options = GenerationConfig(stop=lambda new: _n_words(new) >= words, beam=max(4 * k, _min_width))
        model = unwrap_model(self.learn.model)
        decode = self.learn.dls.vocab.decode
        n_chars = _max_word * words
        device = model_device(self.learn)
        found = search(self._fork(1), model, n_chars, options.beam, lambda: StopMatcher(options, decode), device)
        return [Continuation(decode(ids), _prob(log_probs)) for ids, log_probs in found[:k]]

    def drawn(
        self,
        k: int = 5,  # continuations
        words: int = 1,  # words in each
        temperature: float = 0.8,  # above 0
        seed: int = 0,  # equal seeds draw the same after the same text
    ) -> list[Continuation]:  # at most k, the likeliest first
        "Different next words drawn at random. There are fewer than `k` if most draws are equal."
        options = GenerationConfig(temperature=temperature, seed=seed)
        if options.greedy:
            raise GenerationError("temperature=0 draws nothing; use likeliest")
        found = {}
        for ids, log_probs in self._draw(k * _draws, _max_word * words, options):
            text = _first_words(self.learn.dls.vocab.decode(ids), words)
            found.setdefault(text, Continuation(text, _prob(log_probs[: len(text)])))
        return sorted(list(found.values())[:k], key=lambda continuation: -continuation.prob)

    def _draw(self, n_rows, n_chars, options):
        "Indices and log-probabilities (n_chars,) of some draws."
        model = unwrap_model(self.learn.model)
        device = model_device(self.learn)
        prompt = prompt_rows(self.learn, encode_prompts(self.learn, self.text, self.unk))
        keys = stream_keys(prompt.expand(n_rows, -1), range(n_rows))
        reader = self._fork(n_rows)
        ids = []
        log_probs = []
        with reader.running():
            for u in Uniforms(options.seed, keys, device).take(n_chars):
                scores = reader.log_probs().double().log_softmax(-1)
                # without column 0, the padding
                index = draw(filter_scores(scores[:, 1:], options), u) + 1
                reader.feed(index)
                ids.append(index)
                log_probs.append(scores.gather(1, index[:, None])[:, 0])
            ids, log_probs = (torch.stack(o, 1).cpu().numpy() for o in (ids, log_probs))
        check_log_probs(log_probs, model)
        return zip(ids, log_probs)

    def _fork(self, n_rows):
        "A copy of the decoder in some equal rows. Reading does not change the decoder itself."
        reader = copy(self.reader)
        with reader.running():
            reader.select(torch.zeros(n_rows, dtype=torch.int64, device=model_device(self.learn)))
        return reader


def _prob(log_probs):
    return float(np.exp(log_probs.sum(dtype=np.float64)))


def _n_words(text):
    "The number of words that have ended with white space."
    return sum(not before.isspace() and char.isspace() for before, char in zip(text, text[1:]))


def _first_words(text, words):
    "The beginning of a text, up to and including the white space after this many words."
    for end in range(2, len(text) + 1):
        if _n_words(text[:end]) >= words:
            return text[:end]
    return text
