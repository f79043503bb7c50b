"""A model file opened to write with, and for nothing else: torch is imported, fastai is not, which halves the time to the first character.

write = load_generator("my.safetensors")
write.generate("It was ", 200, seed=1)
"""

from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch import nn

from ..data.vocab import CharVocab
from ..generation.text import generate, next_probs, predict_next, score
from .format import build_described, checked, describe_model, opening, with_suffix

__all__ = ["CharGenerator", "load_generator"]


class CharGenerator:
    "A network and its vocabulary with the verbs of text that a `CharLearner` has. Made by `load_generator`."

    predict_next = predict_next
    next_probs = next_probs
    generate = generate
    score = score

    def __init__(
        self,
        model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
        vocab: CharVocab,  # what its indices mean
        seq_len: int,  # characters it was trained on
    ):
        self.model = model
        self.dls = SimpleNamespace(vocab=vocab, seq_len=seq_len)


def load_generator(
    path: str | Path,  # a file written by `save_model`
    device: str | torch.device | None = None,  # where to put the model; None: the GPU if there is one
) -> CharGenerator:
    "The model of a file in evaluation mode. Runs nothing from the file. Raises `ModelFileError` as `load_model` does."
    path = with_suffix(path)
    d = describe_model(path)
    with opening(path):
        vocab, record = checked(d)
        model = build_described(d, record, len(vocab))
    model.load_state_dict(load_file(path))
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return CharGenerator(model.to(device).eval(), vocab, d["seq_len"])
