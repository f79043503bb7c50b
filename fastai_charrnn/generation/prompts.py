"""From prompts to tensors: encode texts, and pad them to what the model reads."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .._utils import unwrap_model
from ..errors import GenerationError
from .decoders import MAX_STATES, is_stateful

_max_state_numbers = 2**25  # numbers in the hidden states of a batch: 256 MB in float64


class TextModel(Protocol):
    "What can generate text: a learner whose `dls` has a character vocabulary, or a `CharGenerator`."

    model: Any  # (bs, n) indices to (bs, V) log-probabilities
    dls: Any  # with `vocab` and `seq_len`


def single_text(text: str) -> str:
    "Return `text`. Raises `GenerationError` for anything but a str."
    if not isinstance(text, str):
        raise GenerationError(f"pass one text as a str, not {type(text).__name__}")
    return text


def encode_prompts(
    learn: "TextModel",  # a learner whose `dls` has a character vocabulary
    prompt: str | Sequence[str],  # one text, or several
    unk: str = "error",  # what to do with unknown characters, as in `generate`
) -> list[np.ndarray]:  # for each text its indices
    "Encode one or several prompts. Raises `UnknownCharError`, and `GenerationError` for other types."
    # a learner searches for it in all loaders
    vocab = learn.dls.vocab
    vocab.check_unk(unk)
    return [vocab.encode(p, unk=unk) for p in prompt_list(prompt)]


def prompt_list(
    prompt: str | Sequence[str],  # one text, or several
) -> list[str]:
    "Return the prompts as a list. Raises `GenerationError` for what has no items."
    try:
        return [prompt] if isinstance(prompt, (str, bytes)) else list(prompt)
    except TypeError:
        raise GenerationError(f"a prompt is a str, or a list of several; got {type(prompt).__name__}") from None


def window_len(
    learn: "TextModel",  # a learner of characters
) -> int:
    "Return how many characters the model reads, or its training windows had."
    return getattr(unwrap_model(learn.model), "seq_len", None) or learn.dls.seq_len


def model_device(learn: "TextModel") -> torch.device:
    "Return the device of the model's parameters."
    return next(learn.model.parameters()).device


def prompt_rows(
    learn: "TextModel",  # a learner of characters
    encoded: Sequence[np.ndarray],  # for each prompt its indices
) -> Tensor:  # (n_prompts, width) int64, on the model's device
    """Pad prompts with index 0 on the left to what the model reads.

    The width is the window of the model: only the end of a long prompt is kept. For a stateful model it is the length
    of the longest prompt."""
    if is_stateful(unwrap_model(learn.model)):
        width = max(map(len, encoded), default=0)
    else:
        width = window_len(learn)
    rows = torch.zeros(len(encoded), width, dtype=torch.int64)
    for row, ids in zip(rows, encoded):
        tail = ids[-width:] if width else ids
        if len(tail):
            row[-len(tail) :] = torch.from_numpy(tail.astype(np.int64))
    return rows.to(model_device(learn))


def seen_chars(
    learn: "TextModel",  # a learner of characters
    encoded: Sequence[np.ndarray],  # for each prompt its indices
) -> Tensor:  # (n_prompts, V) bool, on the model's device
    "Return which characters occur in each prompt, for the repetition penalty."
    seen = np.zeros((len(encoded), len(learn.dls.vocab)), bool)
    for row, ids in zip(seen, encoded):
        row[ids] = True
    return torch.from_numpy(seen).to(model_device(learn))


def max_rows(
    learn: "TextModel",  # a learner of characters
) -> int:
    """Return how many rows are generated at once.

    A model with a window keeps one hidden state for each of its characters, at most `MAX_STATES`."""
    model = unwrap_model(learn.model)
    states_per_row = 1 if is_stateful(model) else min(window_len(learn), MAX_STATES)
    return max(_max_state_numbers // (states_per_row * getattr(model, "n_hid", 256)), 1)
