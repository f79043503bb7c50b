"""Limits of model files. A file beyond one of them is refused before anything of its size is built.

They are far above what training makes. They bound the memory and the time that reading a stranger's file takes.
"""

from ..models.registry import MAX_LAYERS, MAX_MODELS

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_JSON_VALUES",
    "MAX_JSON_DEPTH",
    "MAX_TENSORS",
    "MAX_NAME",
    "MAX_VOCAB",
    "MAX_TOKEN",
    "MAX_SEQ_LEN",
    "MAX_LAYERS",
    "MAX_MODELS",
    "MAX_COUNT",
    "MAX_TEXT",
]

MAX_HEADER_BYTES = 2**23  # names, shapes and description: 8 MiB hold 200,000 characters and 300,000 documents
MAX_JSON_VALUES = 500_000  # numbers, texts, lists and objects in the header or in the description
MAX_JSON_DEPTH = 20  # lists and objects inside each other; ours have 6
MAX_TENSORS = 4096  # weights and buffers: an ensemble of 100 networks has about 700
MAX_NAME = 200  # characters of the name of a tensor, an argument, a metric or a package
MAX_VOCAB = 200_000  # characters: Unicode 16 has 155,000
MAX_TOKEN = 64  # characters of a special token, such as "xxbos"
MAX_SEQ_LEN = 2**16  # characters in a window: each one takes a step of the network
MAX_COUNT = 2**53  # characters of a text, epochs, rows of a batch: whole numbers that JSON keeps exactly
MAX_TEXT = 1000  # characters of a description in words, such as that of the split
