"""Adapt a trained model to another text: `extend_vocab` adds characters, `dynamic_evaluation` trains while it reads.

Train on after `extend_vocab`, as the new characters are not learnt yet:

    dls = CharDataLoaders.from_text(other, vocab=learn.dls.vocab.extended(other))
    learn = extend_vocab(learn, dls)
    learn.fit_one_cycle(2, 1e-3)
"""

from collections.abc import Iterator
from contextlib import closing

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._checks import check_count, check_number, shown
from ._memory import kept_memory
from ._utils import modes_restored, unwrap_model
from .callback.fit_context import check_thread
from .data.loaders import CharDataLoaders
from .data.protocol import as_char_dls
from .errors import ArchError, DataError, VocabError
from .learner import CharLearner, char_learner
from .metrics import to_bits
from .models.mixture import CharMixture

__all__ = ["extend_vocab", "dynamic_evaluation"]


def extend_vocab(
    learn: CharLearner,  # a trained learner
    dls: CharDataLoaders,  # the text to train on, with `vocab=learn.dls.vocab.extended(text)`
    **kwargs,  # as `char_learner`: lr, metrics, cbs …
) -> CharLearner:  # a new learner on `dls`, with the training log of `learn`, which does not change
    """Make a learner whose model has more characters.

    Their rows in the embedding and the output layer are the mean of the others, as in every weight with a row for each
    character. Known characters keep their indices and scores: their probabilities shrink by a common factor (in an
    ensemble, by one factor for each member). Raises `VocabError` if the vocabulary of `dls` does not begin with the
    learner's, `ArchError` for a model without an embedding and output layer of its size."""
    check_learner(learn)
    old_size = len(learn.dls.vocab)
    as_char_dls(dls)
    if list(dls.vocab)[:old_size] != list(learn.dls.vocab):
        raise VocabError(
            "the vocabulary of dls does not begin with the learner's; make it with "
            "CharDataLoaders.from_text(text, vocab=learn.dls.vocab.extended(text))"
        )
    model = unwrap_model(learn.model)
    if isinstance(model, CharMixture):
        raise ArchError("the vocabulary of a mixture cannot be extended; extend its network, and call mix_counts again")
    arch = learn.arch.name if learn.arch.registered else learn.arch.cls
    extended = char_learner(
        dls, arch, config=learn.arch_config, loss_func=learn.loss_func, opt_func=learn.opt_func, **kwargs
    )
    weights = model.state_dict()
    shapes = {name: weight.shape for name, weight in extended.model.state_dict().items()}
    n_extended = sum(weight.shape != shapes[name] for name, weight in weights.items())
    if len(dls.vocab) > old_size and n_extended < 2:
        raise ArchError(
            f"{type(model).__name__} has no embedding and output layer with a row for each character, "
            "so its vocabulary cannot be extended; derive it from CharModel"
        )
    weights = {name: _with_rows(weight.detach(), shapes[name], old_size) for name, weight in weights.items()}
    extended.model.load_state_dict(weights)
    if hasattr(learn, "training_log"):
        extended.training_log.rows += learn.training_log.rows
    return extended


def check_learner(learn):
    if not isinstance(learn, CharLearner):
        raise ArchError(f"learn={shown(learn)} is not a CharLearner; make one with char_learner")


def _with_rows(weight, shape, old_size):
    "A copy of `weight` with rows added to reach `shape`, each the mean of the rows of characters."
    if weight.shape == shape:
        return weight.clone()
    if weight.shape[1:] != shape[1:] or len(weight) != old_size:
        raise ArchError(
            f"a weight of shape {tuple(weight.shape)} cannot become {tuple(shape)}: only rows of characters are added"
        )
    # row 0 is padding, not a character
    mean = weight[1:].mean(0, keepdim=True)
    return torch.cat([weight, mean.expand(shape[0] - old_size, *shape[1:])])


def dynamic_evaluation(
    learn: CharLearner,  # a trained learner
    text: str,  # a text of at least two characters
    lr: float = 1e-4,  # size of a step whose gradient is scaled to one
    decay: float = 0.0005,  # how far each step moves the weights back towards the trained ones, between 0 and 1
    segment: int = 20,  # characters between two steps
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to replace them
) -> dict[str, float]:  # dynamic_loss in nats, dynamic_bits_per_char
    """Evaluate a model that is trained on the text while it reads: each character is predicted before it is learnt.

    The text is one stream. After each segment, the weights take a step along its gradient, divided by the root of its
    mean square, and decay towards the trained weights (Krause, Kahembwe, Murray & Renals 2018, *Dynamic Evaluation of
    Neural Sequence Models*). The loss cannot be compared with one of fixed weights. The weights are restored.
    Raises `DataError` for a short text, `UnknownCharError`, `ArchError` for a model that is no `CharModel`."""
    total = 0.0
    n_chars = 0
    # closed at once when interrupted, so that the weights are restored
    with closing(read_and_learn(learn, text, lr=lr, decay=decay, segment=segment, unk=unk)) as segments:
        for log_probs, targets in segments:
            total += float(F.nll_loss(log_probs.double(), targets, reduction="sum"))
            n_chars += len(targets)
    nats = total / n_chars
    return dict(dynamic_loss=nats, dynamic_bits_per_char=to_bits(nats))


def read_and_learn(
    learn: CharLearner,  # a trained learner
    text: str,  # a text of at least two characters
    lr: float = 1e-4,  # as `dynamic_evaluation`
    decay: float = 0.0005,  # as `dynamic_evaluation`
    segment: int = 20,  # as `dynamic_evaluation`
    unk: str = "error",  # as `dynamic_evaluation`
    before: str = "",  # text to read first, without learning
) -> Iterator[tuple[Tensor, Tensor]]:  # (n, V) float32 log-probabilities and (n,) int64 characters of each segment
    """Predict the characters of a text but the first, and learn each segment after its predictions are taken.

    With `before`, the first character is predicted too. The weights are restored when the generator ends or is closed.
    Raises as `dynamic_evaluation`."""
    check_learner(learn)
    check_thread(learn)
    check_number("lr", lr, hint="1e-4 is usual")
    check_number("decay", decay, 0, 1)
    segment = check_count("segment", segment, hint="20 is usual")
    model = unwrap_model(learn.model)
    ids, seen = (learn.dls.vocab.encode(part, unk=unk).astype("int64") for part in (text, before))
    if not hasattr(model, "reading"):
        raise ArchError(f"{type(model).__name__} cannot carry a state; derive it from CharModel")
    if len(ids) < 2:
        raise DataError(f"the text has {len(ids)} characters; a character and its target need 2")
    optimizer = _DynamicOptimizer([p for p in model.parameters() if p.requires_grad], lr, decay)
    ids, seen = (torch.from_numpy(part).to(optimizer.weights[0].device) for part in (ids, seen))
    with kept_memory(), modes_restored(model), model.reading("every", None):
        model.eval()
        try:
            if len(seen) > 1:
                with torch.no_grad():
                    model(seen[None, :-1])
            yield from _segments(model, torch.cat([seen[-1:], ids]), min(segment, len(ids)), optimizer)
        finally:
            optimizer.restore()


def _segments(model: nn.Module, ids: Tensor, segment: int, optimizer: "_DynamicOptimizer"):
    "The predictions of each segment, with a step after they were taken."
    for targets, x in zip(ids[1:].split(segment), ids[:-1].split(segment)):
        log_probs = model(x[None])[0].float()
        yield log_probs.detach(), targets
        optimizer.step(F.nll_loss(log_probs, targets))


class _DynamicOptimizer:
    "Steps along gradients divided by the root of their mean square, with decay towards the initial weights."

    beta = 0.999
    eps = 1e-8

    def __init__(self, weights: list[Tensor], lr: float, decay: float):
        self.weights = weights
        self.lr = lr
        self.decay = decay
        self.initial = [w.detach().clone() for w in weights]
        self.mean_square = [torch.zeros_like(w) for w in weights]
        self.n_steps = 0

    def step(self, loss: Tensor):
        grads = torch.autograd.grad(loss, self.weights, allow_unused=True)
        grads = [torch.zeros_like(w) if g is None else g for g, w in zip(grads, self.weights)]
        self.n_steps += 1
        with torch.no_grad():
            torch._foreach_mul_(self.mean_square, self.beta)
            torch._foreach_addcmul_(self.mean_square, grads, grads, 1 - self.beta)
            torch._foreach_addcdiv_(self.weights, grads, self._root_mean_square(), -self.lr)
            torch._foreach_lerp_(self.weights, self.initial, self.decay)

    def _root_mean_square(self):
        "Corrected for the first steps, whose mean begins at zero, as Adam does."
        root = torch._foreach_div(self.mean_square, 1 - self.beta**self.n_steps)
        torch._foreach_sqrt_(root)
        torch._foreach_add_(root, self.eps)
        return root

    def restore(self):
        "Copy the initial weights back."
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.initial)
