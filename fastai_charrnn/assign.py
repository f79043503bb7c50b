"""Assign loaders to a learner: `learner_dls`, the property `dls` of `CharLearner` that checks them."""

from fastai.basics import DataLoaders, Learner
from torch import nn

from ._utils import unwrap_model
from .data.protocol import as_char_dls
from .errors import ArchError, VocabError
from .models.base import CharModel

__all__ = ["learner_dls"]


def _get(self: Learner) -> DataLoaders:
    "The loaders that the learner trains and validates on. Set others with the same vocabulary to train on them."
    try:
        return vars(self)["dls"]
    except KeyError:
        # a property that raises AttributeError would be looked up in the model
        raise ValueError("this learner has no dls; set learn.dls") from None


def _set(self: Learner, new: DataLoaders):
    """Check loaders, and set how the model reads to how they are read.

    Raises `VocabError` for another vocabulary, `ArchError` for rows, targets or streams that the model cannot read."""
    old = vars(self).get("dls")
    new = as_char_dls(new, old)
    if old is not None and "model" in vars(self):
        _check_vocab(old.vocab, new.vocab)
        _fit_model(unwrap_model(self.model), old, new)
    vars(self)["dls"] = new


learner_dls = property(_get, _set)


def _check_vocab(old, new):
    if list(old) == list(new):
        return
    if set(old) == set(new):
        difference = "the same characters in another order"
    else:
        different = sorted(set(old) ^ set(new))
        difference = f"{len(different)} characters differ, such as {different[0]!r}"
    raise VocabError(
        f"the vocabulary of dls is not the learner's ({difference}); make dls with vocab=learn.dls.vocab, "
        "or extend_vocab(learn, dls) for a text with more characters"
    )


def _fit_model(model: nn.Module, old: DataLoaders, new: DataLoaders):
    "Let the model read as `new` is read. Raises `ArchError` if it cannot."
    reads = (old.target, old.stateful, old.seq_len)
    wanted = (new.target, new.stateful, new.seq_len)
    if reads == wanted:
        return
    is_ours = isinstance(model, CharModel)
    fixed = getattr(model, "fixed_seq_len", None) if is_ours else getattr(model, "seq_len", None)
    cannot_read = fixed is not None and (new.stateful or fixed != new.seq_len)
    if cannot_read or not is_ours and not _can_read(model, old, new):
        raise ArchError(
            f"{type(model).__name__} reads target={old.target!r}, stateful={old.stateful}, seq_len={old.seq_len}, and "
            f"dls have target={new.target!r}, stateful={new.stateful}, seq_len={new.seq_len}; "
            "make dls like these, or a new learner with char_learner"
        )
    if is_ours:
        model.target = new.target
        model.seq_len = None if new.stateful else new.seq_len
        model.reset()


def _can_read(model, old, new):
    "Whether a model of another class can: its output does not change, and a state needs a method `reset`."
    return old.target == new.target and (hasattr(model, "reset") or not new.stateful)
