"""Which earlier characters a prediction depends on: `connectivity`, by gradient.

    connectivity(learn, "those who", 8)      # (9,): how much each character matters for what follows "those who"

The measure is that of Madsen, *Visualizing memorization in RNNs* (Distill 2019): the norm of the gradient of a
prediction with respect to the embedding of each character. Distill's prediction is the largest logit. Here it is the
log-probability of a character, which has the same meaning for every architecture and for the mean of an ensemble.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from fastai.basics import Learner
from torch import Tensor, nn

from .._checks import check_count, shown
from .._utils import unwrap_model
from ..data.char_checks import check_str
from ..errors import ArchError, DataError
from ..generation.char_view import CharColumns, char_view
from ..generation.checks import check_weights
from ..generation.model_view import eval_view
from ..generation.outputs import read_windows
from ..generation.prompts import encode_prompts, prompt_rows
from ..models.base import CharModel
from ..models.mixed_network import network_of

__all__ = ["connectivity"]

_own_models = CharModel.__module__.rpartition(".")[0]
# largest difference of log-probabilities between a model and its copy that looks up positions
_max_difference = 1e-3


def connectivity(
    learn: Learner,  # a learner of characters
    text: str,  # the text that the model reads
    at: int | None = None,  # position of the last character that is read; None: the last of `text`
    char: str | None = None,  # the character that is predicted; None: the most likely one
) -> np.ndarray:  # (at + 1,) float64: for each character of `text[:at + 1]` the norm of its gradient
    """Return how much the prediction after `text[at]` depends on each character up to there.

    The numbers are norms of the gradient of log P(char | text[:at + 1]), in nats, with respect to the embedding of each
    character. Of an ensemble, log P is that of the mean probability, and the embedding that of all members. Before the
    window of a model with a window they are 0. The padding is never the most likely character. The learner, its
    gradients and random states are left unchanged.

    Raises `UnknownCharError` for characters outside the vocabulary, `DataError` for an impossible `at` or `char`, and
    `ArchError` for a model that does not look characters up in one embedding each."""
    return norms_and_char(learn, text, at, char)[0]


def norms_and_char(
    learn: Learner,  # as in `connectivity`
    text: str,
    at: int | None = None,
    char: str | None = None,
) -> tuple[np.ndarray, str]:
    "Return what `connectivity` returns, and the character that is predicted."
    at = _checked_position(text, at)
    view = char_view(learn)
    model = unwrap_model(view.model)
    check_weights(model)
    (ids,) = encode_prompts(view, text[: at + 1])
    target = None if char is None else _char_index(view.dls.vocab, char)
    norms, chosen = gradient_norms(model, prompt_rows(view, [ids]), len(learn.dls.vocab), target)
    result = np.zeros(at + 1)
    n_read = min(norms.shape[1], at + 1)
    result[-n_read:] = norms[0, -n_read:].double().cpu().numpy()
    return result, view.dls.vocab[int(chosen)]


def _checked_position(text, at):
    check_str(text)
    if not text:
        raise DataError("text is empty; pass at least one character")
    hint = f"or None for the last of the {len(text):,} characters"
    return len(text) - 1 if at is None else check_count("at", at, 0, len(text) - 1, hint=hint)


def _char_index(vocab, char):
    if not isinstance(char, str) or len(char) != 1:
        raise DataError(f"char={shown(char)} is not a character; pass one of the vocabulary, or None")
    return int(vocab.encode(char)[0])


def gradient_norms(
    model: nn.Module,  # (bs, n) indices to log-probabilities or logits
    rows: Tensor,  # (bs, n) indices on the model's device
    n_vocab: int,  # rows of the model's embeddings
    target: int | None = None,  # index of the predicted character; None: the most likely one of each row
) -> tuple[Tensor, Tensor]:  # norms (bs, n), the index predicted after each row (bs,)
    "The norm of the gradient of each row's log-probability with respect to the embedding of each of its characters."
    columns = None
    if isinstance(model, CharColumns):
        rows, columns, model = model.index[rows], model.columns, model.model
    # counts have no gradients
    model = network_of(model)
    with torch.inference_mode(False), torch.enable_grad(), _without_cudnn(rows):
        # rows made in inference mode cannot be used for gradients
        rows = rows.clone()
        by_position, tables = _reads_positions(model, rows, n_vocab)
        log_probs = _log_probs(by_position, _positions(rows), model)
        _check_equal(log_probs, model, rows)
        log_probs = log_probs if columns is None else columns(log_probs)
        # padding is no character
        chosen = log_probs[:, 1:].argmax(-1) + 1 if target is None else rows.new_full((len(rows),), target)
        grads = torch.autograd.grad(log_probs.gather(1, chosen[:, None]).sum(), tables)
    # the table has one row more than there are positions
    return torch.cat([grad[:-1] for grad in grads], 1).norm(dim=1).view(rows.shape), chosen


@contextmanager
def _without_cudnn(rows) -> Iterator[None]:
    "cuDNN has gradients in training mode only."
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not rows.is_cuda):
        yield


def _positions(rows):
    "A number for each position of each row."
    return torch.arange(rows.numel(), device=rows.device).view(rows.shape)


def _reads_positions(model, rows, n_vocab):
    """A view of the model that reads positions instead of characters, and the tables that it looks them up in.

    A table has a row for each position: the embedding of the character there. So each position has a gradient."""
    view = eval_view(model)
    embeddings = [m for m in view.modules() if isinstance(m, nn.Embedding) and m.num_embeddings == n_vocab]
    if not embeddings:
        raise ArchError(
            f"{type(model).__name__} has no nn.Embedding with a row for each of the {n_vocab} entries of the "
            "vocabulary, so there is no gradient of a character; connectivity needs one"
        )
    tables = {id(embedding): _table(embedding, rows) for embedding in embeddings}
    for parent in view.modules():
        replaced = {name: tables[id(part)] for name, part in parent._modules.items() if id(part) in tables}
        parent._modules.update(replaced)
        if replaced and isinstance(parent, CharModel):
            parent.vocab_sz = rows.numel() + 1
    return tables.get(id(view), view), [table.weight for table in tables.values()]


def _table(embedding, rows):
    "The embedding of each position, by calling the module, so that its hooks act."
    weight = embedding(rows).detach().flatten(0, 1)
    # fastai's `EmbeddingDropout` computes no gradient of the last row
    weight = torch.cat([weight, torch.zeros_like(weight[:1])])
    return nn.Embedding(*weight.shape, _weight=weight)


def _is_own(model):
    "Whether the model and the members of an ensemble are of classes of this package."
    classes = {type(model)} | {type(m) for m in model.modules() if isinstance(m, CharModel)}
    return all(cls.__module__.startswith(_own_models) for cls in classes)


def _log_probs(by_position, positions, model):
    "The log-probabilities after each row of positions."
    if _is_own(model):
        return read_windows(by_position, positions)
    try:
        return read_windows(by_position, positions)
    except (RuntimeError, IndexError) as e:
        raise _not_by_embedding(model) from e


def _check_equal(log_probs, model, rows):
    "Raise `ArchError` if a model of another class uses characters in other ways than to look up their embedding."
    if _is_own(model):
        return
    with torch.no_grad():
        expected = read_windows(eval_view(model), rows)
        if not torch.allclose(log_probs, expected, atol=_max_difference, rtol=_max_difference):
            raise _not_by_embedding(model)


def _not_by_embedding(model):
    return ArchError(
        f"{type(model).__name__} uses characters in other ways than to look up their embedding, so the gradient of an "
        "embedding does not say how much a character matters; connectivity needs a model that reads embeddings only"
    )
