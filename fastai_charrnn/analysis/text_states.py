"""Read a text with a model, and keep the state before and after each character (`TextStates`)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from .._checks import check_count, check_memory
from .._utils import unwrap_model
from ..data.char_checks import check_str
from ..data.reading import check_mode
from ..errors import ArchError
from ..generation.char_view import char_view
from ..generation.checks import check_weights
from ..generation.decoders import is_stateful
from ..generation.model_view import fast_view, has_steps
from ..generation.prompts import TextModel, window_len
from ..models.base import CharModel, State, check_state
from ..models.ensemble import CharEnsemble
from ..models.mixed_network import network_of

__all__ = ["Block", "TextStates", "known_text"]

_max_numbers = 2**21  # numbers in the hidden states of the characters read at once: 8 MB in float32


class Block(NamedTuple):
    "Some characters of a text, one after another."

    ids: Tensor  # (n,) indices of the characters
    before: State  # the state before each character, tensors (n, n_hid)
    after: State  # the state after each character


class TextStates:
    """A text and a model that can read it: `blocks` yields the states.

    `text` is without unknown characters, `model` is a view in evaluation mode, or that of one member of an ensemble."""

    def __init__(
        self,
        learn: TextModel,  # a learner, or a `CharGenerator`
        text: str,  # may be empty
        by: str | None = None,  # "windows", "chunks" or "streams"; None: as the model predicts
        member: int = 0,  # of an ensemble
        unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
    ):
        """Raises `ArchError` for a model without steps, `DataError` for an unknown `by` or member, `UnknownCharError`,
        and `GenerationError` for weights that are not finite."""
        self.text, ids = _encoded(learn, text, unk)
        view = char_view(learn)
        whole = unwrap_model(learn.model)
        if not has_steps(whole):
            raise ArchError(
                f"{type(whole).__name__} has no steps, so its states are not known; derive it from CharModel"
            )
        if by is not None:
            check_mode(by)
        check_weights(whole)
        self.by = by or ("streams" if is_stateful(whole) else "windows")
        self.seq_len = window_len(view)
        self.model = fast_view(_member(whole, member))
        self.n_hid = self.model.n_hid
        self.device = next(whole.parameters()).device
        self._ids = _padded(view, whole, ids, self.seq_len)

    def __len__(self) -> int:
        return len(self.text)

    def blocks(self) -> Iterator[Block]:
        "Yield the characters of the text in order, each once."
        check_memory(8 * len(self) * self.n_hid, f"the states of {len(self):,} characters", "pass a shorter text")
        read = dict(windows=self._windows, chunks=self._chunks, streams=self._streams)[self.by]
        with torch.inference_mode():
            self._table = self.model.table()
            yield from read()

    def _windows(self):
        "Each character is the last of a window, which begins with zeros."
        n_rows = max(_max_numbers // (self.seq_len * self.n_hid), 1)
        windows = sliding_window_view(self._ids, self.seq_len)
        for start in range(1, len(windows), n_rows):
            x = self._tensor(windows[start : start + n_rows])
            before = self._encode(x[:, :-1])
            yield Block(x[:, -1], before, self._step(x[:, -1], before))

    def _chunks(self):
        "Rows of `seq_len` characters, each of which begins with zeros. The last one may be shorter."
        ids = self._ids[self.seq_len :]
        n_whole = len(ids) // self.seq_len * self.seq_len
        rows = ids[:n_whole].reshape(-1, self.seq_len)
        n_rows = max(_max_numbers // (self.seq_len * self.n_hid), 1)
        for start in range(0, len(rows), n_rows):
            x = self._tensor(rows[start : start + n_rows])
            yield self._read(x, self._zeros(len(x)))[0]
        if n_whole < len(ids):
            yield self._read(self._tensor(ids[None, n_whole:]), self._zeros(1))[0]

    def _streams(self):
        "One row, which begins with zeros."
        ids = self._ids[self.seq_len :]
        n_chars = max(_max_numbers // self.n_hid, 1)
        state = self._zeros(1)
        for start in range(0, len(ids), n_chars):
            block, state = self._read(self._tensor(ids[None, start : start + n_chars]), state)
            yield block

    def _read(self, x, state):
        "Read rows (rows, n) character by character. Returns a block of row after row, and the last state."
        states = [state]
        for chars in x.t():
            states.append(self._step(chars, states[-1]))
        before, after = (tuple(map(_by_row, zip(*part))) for part in (states[:-1], states[1:]))
        return Block(x.flatten(), before, after), states[-1]

    def _encode(self, x):
        "The state after windows (rows, n)."
        state = self._zeros(len(x))
        if not x.shape[1]:
            return state
        if isinstance(self.model, CharModel) and self.model.fixed_seq_len is None:
            return self.model.encode(x)
        for chars in x.t():
            state = self._step(chars, state)
        return state

    def _zeros(self, n_rows):
        return check_state(self.model, self.model.init_hidden(n_rows))

    def _step(self, chars, state):
        return check_state(self.model, self.model.step(F.embedding(chars, self._table), state))

    def _tensor(self, ids):
        return torch.from_numpy(ids.astype(np.int64)).to(self.device)


def known_text(
    learn: TextModel,  # a learner, or a `CharGenerator`
    text: str,  # any
    unk: str = "error",  # unknown characters: "error", "skip", or a known character that replaces them
) -> str:
    "The characters of a text that the model reads. Raises `UnknownCharError`."
    return _encoded(learn, text, unk)[0]


def _encoded(learn, text, unk):
    "The text that is read, and its indices with padding at 0."
    check_str(text)
    vocab = char_view(learn).dls.vocab
    vocab.check_unk(unk)
    ids = vocab.encode(text, unk=unk)
    return vocab.decode(ids), ids


def _member(model: nn.Module, member: int) -> nn.Module:
    "The model itself, or one member of an ensemble. Of a mixture, its network."
    model = network_of(model)
    n_members = len(model.members) if isinstance(model, CharEnsemble) else 1
    member = check_count("member", member, 0, n_members - 1, hint=f"the model has {n_members}, numbered from 0")
    return model.members[member] if isinstance(model, CharEnsemble) else model


def _padded(view, model, ids, seq_len):
    "The model's own indices of a text, after `seq_len` times the padding that short prompts are filled with."
    ids = np.concatenate([np.zeros(seq_len, np.int64), ids.astype(np.int64)])
    if unwrap_model(view.model) is model:
        return ids
    # a `TokenVocab` has other indices
    return view.model.index.cpu().numpy().astype(np.int64)[ids]


def _by_row(tensors):
    "Tensors (rows, n_hid) of n steps as one (rows * n, n_hid), row after row."
    return torch.stack(tensors, 1).flatten(0, 1)
