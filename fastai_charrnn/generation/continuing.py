"""Continue several prompts as one batch, by sampling or search: `continue_texts`, which `generate` calls."""

from collections.abc import Sequence

from .._utils import unwrap_model
from .beam import beam_ids
from .char_view import char_view
from .checks import checked_options
from .options import GenerationConfig, StopMatcher
from .prompts import TextModel, encode_prompts, max_rows, prompt_list, prompt_rows, seen_chars
from .sampling import sample_ids
from .scored import ScoredText
from .scored_texts import ScoredTexts

__all__ = ["check_request", "continue_texts"]


def check_request(
    learn: TextModel,  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text to continue, or several
    options: GenerationConfig,  # how many characters, and how to choose them
    unk: str = "error",  # unknown characters, as in `generate`
):
    "Raise the error that `generate` would raise for these arguments, without generating."
    learn = char_view(learn)
    checked_options(options, learn.dls.vocab, len(encode_prompts(learn, prompt, unk)))


def continue_texts(
    learn: TextModel,  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text to continue, or several
    options: GenerationConfig,  # how many characters, and how to choose them
    return_prompt: bool = True,  # whether texts begin with the prompt
    unk: str = "error",  # unknown characters, as in `generate`
) -> tuple[ScoredTexts, int | None]:  # `ScoredText`s, prompt by prompt; the period of a greedy text that repeats itself
    "Do what `generate` does, without streams and without a warning."
    learn = char_view(learn)
    prompts = prompt_list(prompt)
    # before all of them are encoded
    options = checked_options(options, learn.dls.vocab, len(prompts))
    encoded = encode_prompts(learn, prompts, unk)
    if options.beam is None:
        found, period = _sample(learn, encoded, options)
    else:
        found, period = _search(learn, encoded, options), None
    seed = None if options.greedy or options.beam else options.seed
    decode = learn.dls.vocab.decode
    texts = ScoredTexts(
        ScoredText(decode(ids), decode(new), log_probs, seed, bool(return_prompt)) for ids, new, log_probs in found
    )
    return texts, period


def _search(learn, encoded, options):
    "Prompt, continuation and log-probabilities of the most likely texts."
    found = []
    for ids in encoded:
        texts = beam_ids(
            unwrap_model(learn.model),
            prompt_rows(learn, [ids]),
            options.n,
            options.beam,
            None if options.stop is None else lambda: StopMatcher(options, learn.dls.vocab.decode),
        )
        found += [(ids, new, log_probs) for new, log_probs in texts[: options.num]]
    return found


def _sample(learn, encoded, options):
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
            options.n,
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
