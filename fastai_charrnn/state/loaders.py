"""Where a loader is: the state of its random generators, and a pass that begins at a later batch.

Works for every loader of fastai and PyTorch. `WindowDL` leaves batches out. Other loaders make them for nothing.
"""

from collections.abc import Iterator

from .random_states import set_random_states

__all__ = ["loader_state", "set_loader_state", "batches_from"]


def loader_state(
    dl: object,  # a loader of fastai or PyTorch
) -> dict:  # by name; empty if the loader draws from the global random state
    "The state of the generators of a loader."
    state = {}
    if hasattr(dl, "rng"):
        state["rng"] = dl.rng.getstate()
    for name, generator in _generators(dl):
        state[name] = generator.get_state()
    return state


def set_loader_state(
    dl: object,  # a loader of fastai or PyTorch
    state: dict,  # what `loader_state` returned
):
    "Set the generators of a loader."
    if "rng" in state and hasattr(dl, "rng"):
        dl.rng.setstate(state["rng"])
    for name, generator in _generators(dl):
        if name in state:
            generator.set_state(state[name])


def _generators(dl):
    "The generators of a loader of PyTorch and of its sampler, by name."
    holders = {"generator": dl, "sampler": getattr(dl, "sampler", None)}
    found = {name: getattr(holder, "generator", None) for name, holder in holders.items()}
    return [(name, generator) for name, generator in found.items() if hasattr(generator, "get_state")]


def batches_from(
    dl: object,  # a loader of fastai or PyTorch
    start: dict,  # "random" and "loader": the states at the start of the pass
    n_done: int,  # how many batches to leave out
) -> Iterator:  # of batches
    "Begin a pass as it began before, and yield its batches after the first `n_done`."
    set_random_states(start["random"])
    if hasattr(type(dl), "load_state_dict"):
        dl.load_state_dict({"rng": start["loader"]["rng"], "n_done": n_done})
        return iter(dl)
    set_loader_state(dl, start["loader"])
    batches = iter(dl)
    for _ in range(n_done):
        next(batches, None)
    return batches
