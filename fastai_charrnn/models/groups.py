"""`char_splitter` splits the weights of a model into parameter groups by layer, for `freeze` and slices of rates."""

from torch import nn

from .._utils import unwrap_model
from .base import CharModel

__all__ = ["char_splitter"]


def char_splitter(
    model: nn.Module,  # any model
) -> list[list[nn.Parameter]]:  # groups, from the input to the output
    """Return a group for the embedding, one for each recurrent layer, and one for the output layer.

    Weights that embedding and output layer share are in the last group. Groups of an ensemble hold the layers of all
    members. A model of another class has a group for each child that has parameters. The default of `char_learner`;
    fastai's own is one group for all parameters."""
    model = unwrap_model(model)
    layers = model.layer_groups() if isinstance(model, CharModel) else [[child] for child in model.children()]
    seen = set()
    groups = [_unseen(modules, seen) for modules in reversed(layers)]
    own = _unseen([model], seen)
    groups = [group for group in reversed(groups) if group]
    if not groups:
        return [own]
    # parameters of the model itself, such as a first state that is learnt
    groups[0] = own + groups[0]
    return groups


def _unseen(modules, seen):
    "The parameters of the modules that are in no group yet."
    found = [p for module in modules for p in module.parameters()]
    unseen = [p for p in dict.fromkeys(found) if p not in seen]
    seen.update(unseen)
    return unseen
