"""Generate text with a learner that has a vocabulary: `generate`, with our names of the options or Hugging Face's."""

from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

from .char_stream import CharStream
from .continuing import continue_texts
from .loops import warn_about_loop
from .names import Stop, TextOptions, both_spellings
from .options import DEFAULT_N, GenerationConfig
from .prompts import TextModel
from .scored import ScoredText
from .scored_texts import ScoredTexts

__all__ = ["generate"]


class AllOptions(TextOptions, total=False):
    "What `generate` accepts after `temperature`, if it returns no stream."

    num: int | None
    beam: int | None
    num_return_sequences: int | None
    num_beams: int | None
    config: GenerationConfig | Any
    generation_config: GenerationConfig | Any


# the types of a single text, several texts, a stream, and of texts as a config says
@overload
def generate(  # type: ignore[overload-overlap]  # a str is a sequence, too
    self: TextModel,
    prompt: str,
    n: int = ...,
    temperature: float = ...,
    *,
    stream: Literal[False] = ...,
    num: Literal[1] | None = ...,
    num_return_sequences: Literal[1] | None = ...,
    beam: None = ...,
    num_beams: Literal[1] | None = ...,
    **options: Unpack[TextOptions],
) -> ScoredText: ...
@overload
def generate(
    self: TextModel,
    prompt: str | Sequence[str],
    n: int = ...,
    temperature: float = ...,
    *,
    stream: Literal[False] = ...,
    num: int | None = ...,
    num_return_sequences: int | None = ...,
    beam: int | None = ...,
    num_beams: int | None = ...,
    **options: Unpack[TextOptions],
) -> ScoredTexts: ...
@overload
def generate(
    self: TextModel,
    prompt: str,
    n: int | GenerationConfig | None = ...,
    temperature: float = ...,
    *,
    stream: Literal[True],
    **options: Unpack[AllOptions],
) -> CharStream: ...
@overload
def generate(
    self: TextModel,
    prompt: str | Sequence[str],
    n: int | GenerationConfig | Any = ...,
    temperature: float = ...,
    **options: Unpack[AllOptions],
) -> ScoredText | ScoredTexts: ...
@both_spellings
def generate(
    self: TextModel,  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text to continue, or several as one batch; may be empty
    n: int | GenerationConfig | None = DEFAULT_N,  # characters to generate, at most; None, with `stream`: without end
    temperature: float = 0.8,  # below 1: likely characters more often; above 1: rare ones; 0: always the most likely
    top_k: int | None = None,  # choose among the k most likely characters
    top_p: float | None = None,  # choose among the fewest characters with this total probability
    min_p: float | None = None,  # choose among characters at least `min_p` times as likely as the most likely
    repetition_penalty: float | None = None,  # above 1: characters of the text and its prompt become less likely
    stop: Stop = None,  # string(s) that end a text, or a test of it
    seed: int | None = None,  # seed of the random numbers; None: a new one, kept in the result
    num: int | None = None,  # continuations of each prompt; None: 1, or with `beam` all that it finds
    stream: bool = False,  # return an iterator over the characters of one text
    return_prompt: bool = True,  # whether texts begin with the prompt, without unknown characters
    beam: int | None = None,  # search for the most likely texts with this beam width, instead of sampling
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
    config: GenerationConfig | None = None,  # several options at once; can be passed in place of `n`
) -> (
    ScoredText | ScoredTexts | CharStream
):  # several texts, prompt by prompt, for several prompts, `num` above 1, or `beam`
    """Continue `prompt` by sampling characters, or at temperature 0 by taking the most likely.

    Options apply in Hugging Face's order, each to the result of the one before: repetition penalty (CTRL, Keskar et al.
    2019), temperature, top_k, top_p (nucleus sampling, Holtzman et al. 2020, *The Curious Case of Neural Text
    Degeneration*), min_p (Nguyen et al. 2024, *Turning Up the Heat*). Padding is never generated.

    A text ends with its `stop` string. A `stop` function gets the continuation after each character, without the
    prompt.

    The same seed gives the same text, streamed or not, alone or in a batch: each continuation of each prompt has its
    own random numbers, and its scores do not depend on the batch. On another device, and for a model without the step
    protocol in another batch, rounding changes a few draws in a million.

    `beam=k` returns the k texts with the highest `log_prob`, or the first `num` of them, without a correction for
    length. It draws nothing, and raises an error for options that change a draw.

    Hugging Face's `max_new_tokens`, `num_return_sequences`, `do_sample`, `num_beams`, `stop_strings` and
    `generation_config` are accepted too. `config` is a `GenerationConfig`, or that of transformers; other arguments
    override it.

    Warns once if greedy text repeats itself. Raises `UnknownCharError`, and `GenerationError` for invalid options, for
    an option in both spellings with different values, or for a model whose weights or predictions are not finite."""
    # `config` has been merged into the other arguments by the decorator
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
        n=n,
    )
    if stream:
        return CharStream(self, prompt, options, return_prompt, unk)
    texts, period = continue_texts(self, prompt, options, return_prompt, unk)
    if period:
        # to the caller, past the decorator
        warn_about_loop(period, stacklevel=3)
    return texts[0] if isinstance(prompt, str) and options.num == 1 and beam is None else texts
