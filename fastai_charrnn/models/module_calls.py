"""Whether a model must call its modules, or may read their weights directly, which is faster (`must_call`).

Hooks, parametrizations and pruning act when a module is called. So do modules that replace others, such as quantized
ones and fastai's `WeightDropout`.
"""

from torch import nn

__all__ = ["parts_of", "must_call", "any_hooked"]

# Classes of modules whose weights the fast recurrences read, and the names of these modules in models and layers.
_readable = frozenset({nn.Embedding, nn.Linear, nn.RNN, nn.GRU, nn.LSTM})
# Classes of modules that compute with each row for itself.
_row_wise = frozenset({nn.Linear, nn.LayerNorm, nn.Dropout})
_names = frozenset({"emb", "inp", "hid", "rnn"})

# A dict of modules, and a name in it. Modules are looked up each time, as they may be replaced.
Part = tuple[dict[str, nn.Module], str]


def parts_of(
    *parents: nn.Module,  # a model, its layers, or lists of modules
) -> tuple[Part, ...]:
    "Return where the modules are whose weights are read directly."
    return tuple((parent._modules, name) for parent in parents for name in _readable_names(parent))


def _readable_names(parent):
    if isinstance(parent, nn.ModuleList):
        return list(parent._modules)
    return [name for name, part in parent._modules.items() if name in _names and not isinstance(part, nn.ModuleList)]


def must_call(
    parts: tuple[Part, ...],  # from `parts_of`
) -> bool:
    "Whether one of the modules has hooks, or is of a class whose weights cannot be read. Takes less than 1 µs."
    for modules, name in parts:
        module = modules[name]
        if type(module) not in _readable or module._forward_hooks or module._forward_pre_hooks:
            return True
        if module._backward_hooks or module._backward_pre_hooks:
            return True
    return False


def any_hooked(
    *modules: nn.Module,  # those that the model calls
) -> bool:
    "Whether one of the modules has hooks, or may not compute each row for itself: it must see all rows of a batch."
    for module in modules:
        if type(module) not in _row_wise or module._forward_hooks or module._forward_pre_hooks:
            return True
        if module._backward_hooks or module._backward_pre_hooks:
            return True
    return False
