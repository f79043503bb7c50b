"""`RNNDropout`, dropout with one mask for all steps of a batch, and what models need for their dropouts."""

from torch import Tensor, nn

from .._checks import is_number, shown
from ..errors import ArchError

__all__ = ["RNNDropout", "same_mask_dropout", "rate_of", "check_dropout"]


def same_mask_dropout(
    x: Tensor,  # (n, …)
    p: float,  # the part that is set to zero
) -> Tensor:  # (n, …)
    "Apply dropout with the same mask at all n steps (Gal & Ghahramani 2016)."
    keep = 1 - p
    return x * x.new_empty(1, *x.shape[1:]).bernoulli_(keep).div_(keep)


class RNNDropout(nn.Dropout):
    "Dropout in training with the same mask at all steps: x (n, …), time first."

    def forward(self, x):
        return same_mask_dropout(x, self.p) if self.training and self.p else x

    def of_matrix(
        self,
        x: Tensor,  # without steps, such as a weight
    ) -> Tensor:
        "Apply dropout to a whole tensor."
        # squeezed, not indexed: the gradient of an index is a copy within zeros
        return self(x[None]).squeeze(0)


def rate_of(
    name: str,  # the name of a dropout module
) -> property:
    "A property of a model: the dropout probability of that module."

    def get(self) -> float:
        "The dropout probability, from 0 to below 1."
        return getattr(self, name).p

    def set_(self, p):
        getattr(self, name).p = p

    return property(get, set_)


def check_dropout(
    **parts: float,  # dropout probabilities by name
):
    "Raise `ArchError` for a dropout outside [0, 1)."
    for name, p in parts.items():
        if not is_number(p) or not 0 <= p < 1:
            raise ArchError(f"{name}={shown(p)} is not from 0 to below 1; 0.5 is a usual value for large layers")
