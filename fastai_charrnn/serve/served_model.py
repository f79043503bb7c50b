"""One model that the server answers with: `ServedModel` predicts, scores, explains and continues texts.

Its work runs in one thread of its own, so requests for a model take turns and never wait for another model. Long work
is an iterator that is asked for one short block at a time: others get their turn in between, and work that nobody waits
for any more is not asked for its next block.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from .._utils import unwrap_model
from ..errors import UnknownCharError
from ..generation.checks import check_weights
from ..generation.decoders import is_stateful, next_log_probs
from ..generation.generate import generate
from ..generation.model_view import eval_view
from ..generation.prompts import TextModel, prompt_rows, window_len
from ..generation.scoring import score_ids
from ..models.base import CharModel
from ..models.mixed_network import network_of
from .inputs import RequestError
from .prefix_states import PrefixStates

__all__ = ["ServedModel"]

_block_numbers = 2**19  # numbers in the hidden states of the windows that are read at once: some milliseconds
_max_block = 512  # characters of a block
_burst = 0.03  # seconds of generated characters that are sent together
_max_connected = 256  # characters before a prediction that its gradient is computed for
_n_listed = 100  # unknown characters that are told
_end = object()


class ServedModel:
    "A model and the thread that computes with it. Numbers are those of `learn.score`, `next_probs` and `generate`."

    def __init__(
        self,
        generator: TextModel,  # a `CharGenerator`, or a learner in evaluation mode that is not trained
        info: dict[str, Any],  # what the page shows of it, as JSON values
    ):
        check_weights(unwrap_model(generator.model))
        self.generator = generator
        self.model = eval_view(unwrap_model(generator.model))
        self.vocab = generator.dls.vocab
        self.is_own = isinstance(self.model, CharModel)
        self.states = PrefixStates(self.model) if self.is_own and is_stateful(self.model) else None
        # the output of a mixture begins with that of its network
        self.network = network_of(self.model)
        self.n_members = getattr(self.network, "n_models", 1)
        self.n_units = self._count_units()
        self.info = info | dict(nUnits=self.n_units, members=self.n_members)
        self.closed = False
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    def _count_units(self):
        "Units of the last layer of the first member; 0 for a model of another kind."
        if not self.is_own:
            return 0
        with torch.inference_mode():
            width = self.network.output(self.network.init_hidden(1)).shape[-1]
        return width // self.n_members

    # what runs in the thread

    def next(
        self,
        text: str,  # the text so far
    ) -> tuple[np.ndarray, np.ndarray, list[dict]]:  # log-probabilities (V,), units (n_units,), unknown characters
        "Predict the next character."
        ids, unknown = self.encode(text)
        log_probs, outputs = self._after(ids)
        return log_probs[0].float().cpu().numpy(), outputs[0].float().cpu().numpy()[: self.n_units], unknown

    def _after(self, ids):
        "Log-probabilities (1, V) and output (1, n_hid) after a text."
        if self.states:
            return self.states.after(ids)
        rows = prompt_rows(self.generator, [ids])
        if not self.is_own:
            log_probs = next_log_probs(self.model, rows)
            return log_probs, log_probs[:, :0]
        with torch.inference_mode():
            state = self.model.encode(rows)
            return self.model.log_probs(state), self.model.output(state)

    def score(
        self,
        text: str,  # what to read
        units: list[int],  # numbers of the units to return
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:  # start, surprise in nats (n,), values of the units (k, n)
        "Read a text block by block. Characters that the model does not know are left out."
        ids, _ = self.encode(text)
        blocks = self._blocks(ids) if self.is_own else self._without_units(ids)
        for start, nats, outputs in blocks:
            yield start, nats, outputs[:, units].T

    def generate(
        self,
        text: str,  # the text to continue
        options: dict[str, Any],  # of `generate`
    ) -> Iterator[str]:  # some characters at a time
        "Continue a text, as `learn.generate` does with the same options."
        chars = generate(self.generator, text, stream=True, return_prompt=False, unk="skip", **options)
        while burst := "".join(_until(time.perf_counter() + _burst, chars)):
            yield burst

    def connectivity(
        self,
        text: str,  # what the model reads
        at: int,  # position of the last character that is read, among those that the model knows
    ) -> np.ndarray:  # (at + 1,) float32; 0 before the last 256 characters
        "How much the prediction after a character depends on each character before it."
        from ..analysis.connectivity import connectivity

        ids, _ = self.encode(text)
        if at >= len(ids):
            raise RequestError(f"at must be below {len(ids):,}, the number of known characters in the text")
        recent = self.vocab.decode(ids[max(at + 1 - _max_connected, 0) : at + 1])
        norms = connectivity(self.generator, recent)
        return np.concatenate([np.zeros(at + 1 - len(norms)), norms])

    def encode(
        self,
        text: str,  # any text
    ) -> tuple[np.ndarray, list[dict]]:  # indices of its known characters; unknown ones, each with its first position
        "Look up the characters of a text."
        try:
            return self.vocab.encode(text), []
        except UnknownCharError as error:
            unknown = [dict(char=char, at=at) for char, at in zip(error.chars, error.positions)]
            return self.vocab.encode(text, unk="skip"), unknown[:_n_listed]

    def _blocks(self, ids):
        "Start, surprise and outputs of each block."
        if not self.states:
            yield from self._windows(ids)
            return
        for start, log_probs, outputs in self.states.read(ids):
            nats = _surprise(log_probs, ids[start : start + len(log_probs)])
            yield start, nats, outputs[:, : self.n_units].cpu().numpy()

    def _windows(self, ids):
        "Each window predicts the character after it, and its state is the one after its last character."
        seq_len = window_len(self.generator)
        device = next(self.model.parameters()).device
        windows = sliding_window_view(np.concatenate([np.zeros(seq_len, ids.dtype), ids]), seq_len)
        size = min(max(_block_numbers // (seq_len * self.model.n_hid), 16), _max_block)
        for start in range(0, len(ids), size):
            x = torch.from_numpy(windows[start : start + size + 1].astype(np.int64)).to(device)
            with torch.inference_mode():
                state = self.model.encode(x)
                log_probs = self.model.log_probs(state)[:-1].float()
                outputs = self.model.output(state)[1:, : self.n_units].float()
            yield start, _surprise(log_probs, ids[start : start + size]), outputs.cpu().numpy()

    def _without_units(self, ids):
        "For models of other kinds, which have no units to show."
        seq_len = window_len(self.generator)
        device = next(self.generator.model.parameters()).device
        # a state cannot be carried from block to block here
        size = max(len(ids), 1) if is_stateful(self.model) else _max_block
        for start in range(0, len(ids), size):
            begin = max(start - seq_len, 0)
            log_probs = score_ids(self.model, ids[begin : start + size], seq_len, device)[start - begin :]
            yield start, -log_probs, np.zeros((len(log_probs), 0), np.float32)

    # what the event loop calls

    async def run(
        self,
        function: Callable,  # what to compute
        *args,  # its arguments
    ) -> Any:
        """Compute in the thread of the model. If the caller is cancelled before its turn, nothing is computed.

        Raises `RequestError` once the server ends."""
        if self.closed:
            raise RequestError("the server has ended; start it again", "lost", 503)
        return await asyncio.get_running_loop().run_in_executor(self.worker, function, *args)

    async def blocks(
        self,
        make: Callable,  # makes an iterator
        *args,  # its arguments
    ) -> AsyncIterator[Any]:
        "Iterate in the thread of the model, one block at a time. If the caller is cancelled, no further block is made."
        iterator = await self.run(lambda: iter(make(*args)))
        while (block := await self.run(next, iterator, _end)) is not _end:
            yield block

    def close(self):
        "End streams after the block that is computed."
        self.closed = True


def _until(end, chars):
    "Yield characters until a time. At least one, if there is one."
    yield from islice(chars, 1)
    while time.perf_counter() < end and (char := next(chars, None)) is not None:
        yield char


def _surprise(log_probs, ids):
    "The surprise of each index in nats, from the log-probabilities before it (n, V)."
    targets = torch.from_numpy(ids.astype(np.int64)).to(log_probs.device)
    return -log_probs.gather(1, targets[:, None])[:, 0].cpu().numpy()
