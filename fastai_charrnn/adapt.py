"""A trained model goes on to another text: `extend_vocab` teaches it new characters, `dynamic_evaluation` lets it learn while it reads.

dls = CharDataLoaders.from_text(other, vocab=learn.dls.vocab.extended(other))
learn = extend_vocab(learn, dls)
learn.fit_one_cycle(2, 1e-3)
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .data.loaders import CharDataLoaders
from .errors import ArchError, DataError, VocabError
from .learner import CharLearner, char_learner
from .metrics import to_bits

__all__ = ["extend_vocab", "dynamic_evaluation"]


def extend_vocab(
    learn: CharLearner,  # a trained learner
    dls: CharDataLoaders,  # the text to go on with, with `vocab=learn.dls.vocab.extended(text)`
    **kwargs,  # as `char_learner`: lr, metrics, cbs …
) -> CharLearner:  # a new learner on `dls`; `learn` stays as it is
    """A learner whose model knows more characters: new rows are the mean of the old, in the embedding and in the read-out.

    What is known keeps its index and its scores: the probabilities of old characters shrink by one common factor (in an
    ensemble, by one for each network). Every weight that has as many rows as the vocabulary is extended. Raises `VocabError`
    if the vocabulary of `dls` does not begin with the learner's, `ArchError` for a model without embedding and read-out of that size."""
    old, new = learn.dls.vocab, dls.vocab
    if list(new)[: len(old)] != list(old):
        raise VocabError(
            "the vocabulary of dls does not begin with the learner's; make it with CharDataLoaders.from_text(text, vocab=learn.dls.vocab.extended(text))"
        )
    cls = learn.arch.name if learn.arch.registered else learn.arch.cls
    other = char_learner(
        dls, cls, config=learn.arch_config, loss_func=learn.loss_func, opt_func=learn.opt_func, **kwargs
    )
    want, have = other.model.state_dict(), learn.model.state_dict()
    got = {k: _longer(v, want[k].shape, len(old)) for k, v in have.items()}
    if len(new) > len(old) and sum(v.shape != have[k].shape for k, v in got.items()) < 2:
        raise ArchError(
            f"{type(learn.model).__name__} has no embedding and read-out with a row for every character, so that it cannot learn more of them"
        )
    other.model.load_state_dict(got)
    return other


def _longer(v, shape, n):
    "`v` with as many rows as the vocabulary, the new ones the mean of the old. (Index 0 is padding, and no part of the mean.)"
    v = v.detach()
    if v.shape == shape:
        return v.clone()
    if v.shape[1:] != shape[1:] or len(v) != n:
        raise ArchError(
            f"a weight of shape {tuple(v.shape)} cannot become {tuple(shape)}: only rows of characters are added"
        )
    return torch.cat([v, v[1:].mean(0, keepdim=True).expand(shape[0] - n, *shape[1:])])


def dynamic_evaluation(
    learn: CharLearner,  # a trained learner
    text: str,  # a text of at least two characters
    lr: float = 1e-4,  # how far a step goes, once its gradient is scaled to size one
    decay: float = 0.0005,  # the part of the way back to the trained weights that each step also goes
    segment: int = 20,  # characters read between two steps
    unk: str = "error",  # characters outside the vocabulary: "error", "skip", or a known character to put in their place
) -> dict[str, float]:  # dynamic_loss in nats, dynamic_bits_per_char
    """How well a model predicts a text that it learns from while it reads: every character is predicted before it is learnt.

    The text is one stream. After each segment the weights take a step along its gradient, scaled by the root of its mean
    square, and decay towards what they were (Krause, Kahembwe, Murray & Renals 2018, *Dynamic Evaluation of Neural Sequence
    Models*). Not to be compared with a loss of fixed weights. The learner's weights are put back.
    Raises `DataError` for a text too short, `UnknownCharError`, `ArchError` for a model without the step protocol."""
    model = getattr(learn.model, "module", learn.model)
    ids = learn.dls.vocab.encode(text, unk=unk)
    if not hasattr(model, "reading"):
        raise ArchError(f"{type(model).__name__} cannot carry a state; derive it from CharModel")
    if len(ids) < 2:
        raise DataError(f"the text has {len(ids)} characters; a character and its target need 2")
    ps = [p for p in model.parameters() if p.requires_grad]
    ids = torch.from_numpy(ids.astype("int64")).to(ps[0].device)
    first = [p.detach().clone() for p in ps]
    modes = [m for m in model.modules() if m.training]
    model.eval()
    try:
        with model.reading("every", None):
            total = _read_and_learn(model, ids, ps, first, lr, decay, segment)
    finally:
        with torch.no_grad():
            torch._foreach_copy_(ps, first)
        for m in modes:
            m.training = True
    nats = float(total) / (len(ids) - 1)
    return dict(dynamic_loss=nats, dynamic_bits_per_char=to_bits(nats))


def _read_and_learn(model, ids, ps, first, lr, decay, segment) -> Tensor:
    total = ids.new_zeros((), dtype=torch.float64)
    square = [torch.zeros_like(p) for p in ps]
    for k, a in enumerate(range(0, len(ids) - 1, segment)):
        x = ids[None, a : a + segment]
        y = ids[a + 1 : a + segment + 1]
        out = model(x[:, : len(y)])[0]
        loss = F.nll_loss(out.float(), y, reduction="sum")
        total += loss.detach().double()
        grads = torch.autograd.grad(loss / len(y), ps, allow_unused=True)
        grads = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, ps)]
        with torch.no_grad():
            torch._foreach_mul_(square, 0.999)
            torch._foreach_addcmul_(square, grads, grads, 0.001)
            scale = torch._foreach_div(square, 1 - 0.999 ** (k + 1))
            torch._foreach_sqrt_(scale)
            torch._foreach_add_(scale, 1e-8)
            torch._foreach_addcdiv_(ps, grads, scale, -lr)
            torch._foreach_lerp_(ps, first, decay)
    return total
