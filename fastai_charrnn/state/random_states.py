"""The states of all global random generators: Python's, NumPy's, PyTorch's on the CPU and on every GPU."""

import random

import numpy as np
import torch

__all__ = ["random_states", "torch_random_states", "set_random_states"]


def random_states() -> dict:  # by name, of plain values and tensors
    "Return the states."
    return {"python": random.getstate(), "numpy": np.random.get_state()} | torch_random_states()


def torch_random_states() -> dict:  # tensors
    "Return the states of PyTorch's generators."
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return {"torch": torch.get_rng_state(), "cuda": list(gpus)}


def set_random_states(
    states: dict,  # what `random_states` or `torch_random_states` returned
):
    "Set the states. Those of GPUs that this machine lacks are left out."
    if "python" in states:
        random.setstate(states["python"])
        np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
