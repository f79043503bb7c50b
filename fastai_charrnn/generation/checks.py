"""Checks before and during generation: is the request possible, and are the model's numbers finite?"""

import secrets
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from .._checks import check_count, check_length, check_memory, shown
from ..errors import DataError, GenerationError
from .options import MAX_CHARS, GenerationConfig

_advice = "load an earlier save, or train again with a lower learning rate"


def checked_options(
    options: GenerationConfig,  # how to choose characters
    vocab: Sequence[str],  # the characters that can be generated, after index 0 (padding)
    n_prompts: int,  # texts to continue
    stream: bool = False,  # whether characters are not kept in memory
) -> GenerationConfig:
    "Return the options with a seed. Raises `GenerationError` for an impossible length, vocabulary or `stop` string."
    if not stream:
        _check_memory(options.n, n_prompts * (options.beam or options.num))
    if options.beam:
        # scores of all characters in float64, sorted, with their positions
        what = f"a search with beam={options.beam:,} and {len(vocab):,} characters"
        check_memory(32 * options.beam * len(vocab), what, "pass a smaller beam", GenerationError)
    if len(vocab) < 2:
        raise GenerationError("the vocabulary has no character except padding; train on a text")
    for text in options.stops:
        _check_stop(text, vocab)
    if options.seed is not None or options.beam is not None:
        return options
    return replace(options, seed=secrets.randbits(32))


def _check_memory(n, n_texts):
    if n is None:
        raise GenerationError("n=None never ends, so it needs stream=True; pass a number of characters")
    # a result takes some memory even if it is empty: count 100 characters for it
    if n_texts * (n + 100) > MAX_CHARS:
        raise GenerationError(
            f"n={n:,} for {n_texts:,} texts is more than the {MAX_CHARS:,} characters kept in memory; "
            "pass stream=True, or ask in parts"
        )


def _check_stop(text, vocab):
    for char in text:
        if char not in vocab or char == "\0":
            raise GenerationError(
                f"stop={shown(text)} never occurs in generated text: {char!r} is not in the vocabulary; leave it out"
            )


def check_predict_length(
    n: int | None,  # characters for each prompt; None: one
    n_prompts: int,
):
    "Raise `DataError` unless `n` is None or a number of characters that fits into memory."
    if n is None:
        return
    n = check_length("n", n, hint="or None for only the next character")
    if n_prompts * n > MAX_CHARS:
        raise DataError(
            f"n={n:,} is more than the {MAX_CHARS:,} characters kept in memory; "
            "pass less, or use generate(…, temperature=0, stream=True)"
        )


def check_top(
    top: int | None,  # characters to return; None: all
):
    "Raise `GenerationError` unless `top` is None or a number of characters."
    if top is not None:
        check_count("top", top, error=GenerationError, hint="or None for all")


def check_log_probs(
    log_probs: np.ndarray,  # of the characters chosen
    model: nn.Module,  # the model that predicted them
):
    "Raise `GenerationError` if a log-probability is NaN or infinite."
    if np.isfinite(log_probs).all():
        return
    check_weights(model)
    raise GenerationError(f"all probabilities except padding's are NaN or infinite; {_advice}")


def check_weights(model: nn.Module):
    "Raise `GenerationError`, with the names of the parameters, if a weight is NaN or infinite."
    names = non_finite(model)
    if names:
        raise GenerationError(f"the weights contain NaN or infinity: {', '.join(names)}; {_advice}")


def some_names(
    names: list[str],  # at least one
) -> str:
    "The first three names, and how many more there are."
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def non_finite(
    model: nn.Module,  # any
) -> list[str]:  # names of parameters
    """Which parameters contain NaN or infinity.

    A sum takes a tenth of the time of `isfinite`, and finite weights may have an infinite one. `isfinite` compares a
    tensor with itself. While another thread trains, a weight may change between the two reads, and then looks like NaN.
    So a suspect is copied, and the copy is looked at."""
    suspects = [(name, p.detach()) for name, p in model.named_parameters() if not torch.isfinite(p.detach().sum())]
    return [name for name, p in suspects if not torch.isfinite(p.clone()).all()]
