"""Generate with vocabularies that have no padding at index 0: `char_view` shows a learner's model as one that has it.

Generation pads with index 0 and never chooses it. With a `TokenVocab`, index 0 may be a character, and special tokens
may stand anywhere. The view has padding, then the characters. Probabilities are those of characters only.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .._checks import shown
from .._utils import unwrap_model
from ..data.token_vocab import TokenVocab
from ..errors import ArchError
from .decoders import has_steps
from .outputs import last_log_probs

if TYPE_CHECKING:
    from fastai.basics import Learner  # `load_generator` works without fastai

__all__ = ["char_view"]


def char_view(
    learn: "Learner",  # a learner of characters
) -> "Learner | SimpleNamespace":  # itself with a `CharVocab`, else an object with `model` and `dls`
    "Return what the functions of this package generate with."
    vocab = getattr(getattr(learn, "dls", None), "vocab", None)
    if vocab is None:
        raise ArchError(f"learn={shown(learn)} is not a learner of characters; make one with char_learner")
    if not isinstance(vocab, TokenVocab):
        return learn
    model = unwrap_model(learn.model)
    kind = _CharSteps if has_steps(model) else CharColumns
    view = kind(model, vocab)
    # not the whole view: another thread may train the model
    view.index = view.index.to(next(model.parameters()).device)
    return SimpleNamespace(model=view, dls=SimpleNamespace(vocab=vocab.chars, seq_len=learn.dls.seq_len))


class CharColumns(nn.Module):
    "A model with the indices and columns of `TokenVocab.chars`: padding, then the characters."

    def __init__(self, model: nn.Module, vocab: TokenVocab):
        super().__init__()
        self.model = model
        self.vocab_sz = len(vocab)
        self.register_buffer("index", torch.from_numpy(vocab.index.astype("int64")), persistent=False)
        for name in ("seq_len", "n_hid"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def columns(self, log_probs: Tensor) -> Tensor:  # (rows, V) to (rows, characters and padding)
        "Select the columns of the characters. Padding gets probability 0."
        if log_probs.shape[-1] != self.vocab_sz:
            raise ArchError(
                f"{type(self.model).__name__} returned {log_probs.shape[-1]} numbers for each character, "
                f"and dls.vocab has {self.vocab_sz} entries; build the model with vocab_sz=len(dls.vocab)"
            )
        chars = log_probs[:, self.index[1:]].log_softmax(-1)
        return torch.cat([torch.full_like(chars[:, :1], -torch.inf), chars], 1)

    def forward(self, ids):
        return self.columns(last_log_probs(self.model(self.index[ids])))

    def __getattr__(self, name):
        if name == "reset":
            # models without a state have none
            return getattr(super().__getattr__("model"), name)
        return super().__getattr__(name)


class _CharSteps(CharColumns):
    "The same for a model with steps."

    def table(self):
        return self.model.table()[self.index]

    def init_hidden(self, bs):
        return self.model.init_hidden(bs)

    def step(self, inp, state):
        return self.model.step(inp, state)

    def log_probs(self, state):
        return self.columns(self.model.log_probs(state))
