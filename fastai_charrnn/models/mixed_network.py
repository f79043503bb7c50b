"""The network of a mixture: how one is built, and which model has one: `build_network`, `network_of`."""

from torch import nn

from .._checks import shown
from ..errors import ArchError
from .base import CharModel
from .registry import check_takes, get_arch

__all__ = ["OWN_SIZES", "build_network", "check_network", "network_of"]

OWN_SIZES = "vocab_sz", "emb_sz", "n_hid", "seq_len"  # arguments of the mixture and of its network


def build_network(
    name: str,  # the architecture, from `list_archs()`
    config: dict | None,  # its further arguments
    vocab_sz: int,
    sizes: dict,  # emb_sz, n_hid, seq_len
) -> CharModel:
    "Build the network. Raises `ArchError` for one that cannot be mixed, and for arguments that it does not take."
    arch = get_arch(name)
    if not isinstance(arch.cls, type):
        raise ArchError(f"network={shown(name)} is no class derived from CharModel")
    _check_class(arch.cls)
    config = {} if config is None else config
    if not isinstance(config, dict) or set(config) & set(OWN_SIZES):
        raise ArchError(f"network_config={shown(config)} is not a dict of arguments without {', '.join(OWN_SIZES)}")
    config = {k: v for k, v in arch.config.items() if k not in OWN_SIZES} | config
    check_takes(arch.cls, config)
    return arch.cls(vocab_sz, **sizes, **config)


def network_of(
    model: nn.Module,  # any model
) -> nn.Module:
    "Return the network of a mixture, or the model itself."
    return model.network if isinstance(model, _mixture()) else model


def _mixture():
    # found by its name, as its module imports this one
    return get_arch("mixture").cls


def _check_class(cls):
    if not issubclass(cls, CharModel) or cls.fixed_seq_len is not None or issubclass(cls, _mixture()):
        raise ArchError(
            f"a mixture with {cls.__name__} cannot be made: its network must be a CharModel for windows of any length, "
            'such as "mullstm", "lstm" or "ensemble"'
        )


def check_network(
    network: nn.Module,  # what a user passed
):
    "Raise `ArchError` for a network that cannot be mixed."
    if not isinstance(network, nn.Module):
        raise ArchError(f"network={shown(network)} is not a model; pass learn.model")
    _check_class(type(network))
