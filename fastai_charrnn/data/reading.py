"""How a text is read for evaluation: the modes "windows", "chunks" and "streams", and the dataset of each.

    windows    every character after the first seq_len, each from the seq_len before it and a state of zeros
    chunks     every character after the first, from a state of zeros at each seq_len-th
    streams    every character after the first, from all before it in its row

A loss depends on the mode: windows see seq_len characters, chunks between one and seq_len, streams all before.
"""

import torch

from ..errors import DataError
from .ids import CharIds, MappedIds
from .streams import CharStreams
from .vocab import CharVocab
from .windows import CharWindows

__all__ = ["MODES", "mode_of", "check_mode", "model_args", "default_bs", "dataset_for"]

MODES = ("windows", "chunks", "streams")


def mode_of(
    target: str,  # "next" or "every"
    stateful: bool,  # whether a model carries its state from batch to batch
) -> str:  # one of MODES
    "The mode of data with this target."
    if stateful:
        return "streams"
    return "chunks" if target == "every" else "windows"


def check_mode(
    mode: str,  # what a user passed as `by`
):
    "Raise `DataError` for an unknown mode."
    if mode not in MODES:
        raise DataError(f'by must be "windows", "chunks" or "streams", got {mode!r}')


def model_args(
    mode: str,  # one of MODES
    seq_len: int,  # characters of a window or chunk
) -> dict:  # target and seq_len
    "The arguments of `CharModel.reading` for a mode."
    return dict(target="next" if mode == "windows" else "every", seq_len=None if mode == "streams" else seq_len)


def default_bs(
    mode: str,  # one of MODES
    n_chars: int,  # characters of the text
) -> int:
    "4,096 windows, 512 chunks, or streams of at least 8,192 characters, up to 64 of them."
    if mode == "streams":
        return min(max(n_chars // 8192, 1), 64)
    return 4096 if mode == "windows" else 512


def dataset_for(
    mode: str,  # one of MODES
    ids: CharIds | MappedIds,  # an encoded text
    vocab: CharVocab,  # the characters of its indices
    seq_len: int,  # characters of a window or chunk
    bs: int,  # rows of a batch
) -> CharWindows | CharStreams:
    "A dataset of the whole text. Raises `DataError` for a text that is too short."
    _check_length(mode, len(ids), seq_len)
    if mode == "windows":
        return CharWindows(ids, vocab, torch.arange(len(ids) - seq_len), seq_len)
    stateful = mode == "streams"
    # streams do not depend on the number of columns, and batches of 128 are fast
    columns = 128 if stateful else seq_len
    return CharStreams(ids, vocab, [(0, len(ids))], bs, columns, stateful=stateful)


def _check_length(mode, n_chars, seq_len):
    if mode == "windows" and n_chars < seq_len + 1:
        need = f"one window of {seq_len} and its target need {seq_len + 1}"
    elif n_chars < 2:
        need = "a character and its target need 2"
    else:
        return
    raise DataError(f"the text has {n_chars} characters; {need}")
