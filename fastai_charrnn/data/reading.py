"""How a text is read for evaluation: the modes "windows", "chunks" and "streams", and the dataset of each.

    windows    every character after the first seq_len, each from the seq_len before it and a state of zeros
    chunks     every character after the first, from a state of zeros at each seq_len-th
    streams    every character after the first, from all before it in its row

A loss depends on the mode: windows see seq_len characters, chunks between one and seq_len, streams all before.
"""

import torch

from .._checks import shown
from ..errors import DataError
from .chunks import CharChunks
from .ids import CharIds, MappedIds
from .streams import CharStreams
from .vocab import CharVocab
from .windows import CharWindows

__all__ = ["MODES", "mode_of", "check_mode", "model_args", "default_bs", "default_val_bs", "bounded_bs", "dataset_for"]

MODES = ("windows", "chunks", "streams")
MIN_VAL_BS = 2048  # rows of a validation batch by default, if training batches are not larger
_max_predicted = 2**24  # log-probabilities of a batch that is not trained: 64 MB in float32


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
    if not isinstance(mode, str) or mode not in MODES:
        raise DataError(f'by must be "windows", "chunks" or "streams", got {shown(mode)}')


def model_args(
    mode: str,  # one of MODES
    seq_len: int,  # characters of a window or chunk
) -> dict:  # target and seq_len
    "The arguments of `CharModel.reading` for a mode."
    return dict(target="next" if mode == "windows" else "every", seq_len=None if mode == "streams" else seq_len)


def default_bs(
    mode: str,  # one of MODES
    n_chars: int,  # characters of the text
    seq_len: int,  # characters of a window or chunk
    n_vocab: int,  # entries of the vocabulary
) -> int:
    """Return the rows of a batch: 4,096 windows, 512 chunks, or streams of at least 8,192 characters, up to 64 of them.

    Windows and chunks are bounded, see `bounded_bs`."""
    if mode == "streams":
        return min(max(n_chars // 8192, 1), 64)
    n_targets, bs = (1, 4096) if mode == "windows" else (seq_len, 512)
    return bounded_bs(bs, n_targets, n_vocab)


def default_val_bs(
    bs: int,  # rows of a training batch
    n_targets: int,  # characters predicted in a row
    n_vocab: int,  # entries of the vocabulary
) -> int:
    "Return the rows of a validation batch: 2,048, or as many as in a training batch if these are more, bounded."
    return bounded_bs(max(bs, MIN_VAL_BS), n_targets, n_vocab)


def bounded_bs(
    bs: int,  # rows of a batch
    n_targets: int,  # characters predicted in a row
    n_vocab: int,  # entries of the vocabulary
) -> int:
    "Return `bs`, or the number of rows that have 2**24 log-probabilities, 64 MB in float32, if that is smaller."
    return min(bs, max(_max_predicted // (n_targets * n_vocab), 1))


def dataset_for(
    mode: str,  # one of MODES
    ids: CharIds | MappedIds,  # an encoded text
    vocab: CharVocab,  # the characters of its indices
    seq_len: int,  # characters of a window or chunk
    bs: int,  # rows of a batch
) -> CharWindows | CharChunks | CharStreams:
    "A dataset of the whole text. Raises `DataError` for a text that is too short."
    _check_length(mode, len(ids), seq_len)
    if mode == "windows":
        return CharWindows(ids, vocab, torch.arange(len(ids) - seq_len), seq_len)
    spans = [(0, len(ids))]
    if mode == "chunks":
        return CharChunks(ids, vocab, spans, bs, seq_len)
    # streams do not depend on the number of columns, and batches of 128 are fast
    return CharStreams(ids, vocab, spans, bs, 128, stateful=True)


def _check_length(mode, n_chars, seq_len):
    if mode == "windows" and n_chars < seq_len + 1:
        need = f"one window of {seq_len} and its target need {seq_len + 1}"
    elif n_chars < 2:
        need = "a character and its target need 2"
    else:
        return
    raise DataError(f"the text has {n_chars} characters; {need}")
