"""Sampling on indices: the loop that asks the model, filters its scores, draws, and feeds the result back.

`greedy_ids` takes the most likely index each time, `sample_ids` follows a `GenerationConfig`, `stream_ids` yields one
index at a time. `text` handles text and learners, `filters` the options, `random_streams` the random numbers.
The result for a row depends only on its prompt, its number and the seed, not on other rows.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .checks import check_log_probs, check_weights
from .decoders import decoder, is_stateful
from .filters import draw, filter_scores
from .loops import MIN_LENGTH, copy_loops, loop_context
from .options import GenerationConfig
from .random_streams import Uniforms, stream_keys
from .replayed import replayed_sampler
from .rows import Rows
from .text_decoder import text_decoder

__all__ = ["greedy_ids", "sample_ids", "stream_ids", "Sampler"]

_max_kept = 2**16  # log-probabilities


def greedy_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (n_prompts, seq_len) int64 indices to continue, on the model's device
    n: int,  # characters to generate for each
    loops: bool = True,  # whether to copy the remainder once every row repeats itself; False computes all
) -> Tensor:  # (n_prompts, n) int64, on the same device
    "Continue each row with the most likely index, `n` times. Raises `GenerationError` if the weights are not finite."
    new = ids.new_empty(len(ids), n)
    done = 0
    loops = loops and not is_stateful(model)
    with torch.inference_mode():
        reader = decoder(model, ids)
        while done < n:
            end = min(n, max(MIN_LENGTH, done + done // 4)) if loops else n
            new[:, done:end] = torch.stack([reader.next() for _ in range(done, end)], 1)
            done = end
            if loops and done < n and copy_loops(ids, done, new):
                break
    # argmax of NaN is index 0, the padding
    if not new.all():
        check_weights(model)
    return new


class Sampler:
    """Continues rows as a `GenerationConfig` says. Never chooses index 0 (padding).

    Log-probabilities are those of the model itself, before temperature and filters.
    Raises `GenerationError` if the weights are not finite."""

    def __init__(
        self,
        model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
        ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device
        options: GenerationConfig,  # with its seed
        numbers: Sequence[int],  # for each row its number among the continuations of its prompt
        seen: Tensor | None = None,  # (rows, V) bool: indices that occur in each text, for a repetition penalty
    ):
        check_weights(model)
        self.options = options
        self.only_temperature = options.only_temperature
        self.n_rows = len(ids)
        with torch.inference_mode():
            self.decoder = text_decoder(model, self._repeated(ids))
        numbers = self._repeated(torch.as_tensor(numbers)).tolist()
        self.uniforms = None
        if not options.greedy:
            self.uniforms = Uniforms(options.seed, stream_keys(self._repeated(ids), numbers), ids.device)
        self.seen = None if options.repetition_penalty is None else self._repeated(seen[:, 1:]).clone()
        # None, unless `replayed_steps` asks for it
        self.replayed = replayed_sampler(self)

    def _repeated(self, rows):
        "A single row twice: a product of one row rounds differently from others, so it would be padded at each step."
        return rows.expand(2, *rows.shape[1:]) if self.n_rows == 1 else rows

    def sample(
        self,
        k: int,  # characters for each row
    ) -> tuple[Tensor, Tensor]:  # (rows, k) int64 and (rows, k) float64, on the model's device
        "Return the next `k` indices of each row and their log-probabilities, without waiting for the device."
        with self.decoder.running():
            ids, log_probs = self.sample_eagerly(k) if self.replayed is None else self.replayed.sample(k)
        return ids[: self.n_rows], log_probs[: self.n_rows]

    def sample_eagerly(self, k: int) -> tuple[Tensor, Tensor]:
        "As `sample`, without replays, and a single row twice. To be called within the decoder's `running()`."
        uniforms = self.uniforms.take(k) if self.uniforms else [None] * k
        parts = []
        while uniforms:
            parts.append(self._sample(uniforms))
            uniforms = uniforms[parts[-1][0].shape[1] :]
        ids, log_probs = zip(*parts)
        return torch.cat(ids, 1), torch.cat(log_probs, 1)

    def _sample(self, uniforms):
        "Some characters of each row, as long as the log-probabilities of all characters take little memory."
        ids = []
        log_probs = []
        for u in uniforms:
            log_probs.append(self._log_probs())
            ids.append(self._choose(log_probs[-1], u))
            self.decoder.feed(ids[-1])
            if len(ids) * log_probs[-1].numel() >= _max_kept:
                break
        ids = torch.stack(ids, 1)
        return ids, torch.stack(log_probs, 1).gather(2, ids[..., None])[..., 0].double()

    def step(
        self,
        u: Tensor | None,  # (rows, 1) float64 random numbers; None: take the most likely
    ) -> tuple[Tensor, Tensor]:  # (rows,) int64 and (rows, 1) float64
        "Choose one index for each row and feed it to the decoder. Also return the log-probabilities."
        log_probs = self._log_probs()
        index = self._choose(log_probs, u)
        self.decoder.feed(index)
        return index, log_probs.gather(1, index[:, None]).double()

    def _log_probs(self):
        log_probs = self.decoder.log_probs()
        # those of a model in 16 bits are coarse
        return log_probs.double().log_softmax(-1) if log_probs.dtype.itemsize < 4 else log_probs

    def _choose(self, log_probs, u):
        "One index for each row. The scores leave out column 0, the padding: column i is index i+1."
        scores = log_probs[:, 1:].double()
        if self.only_temperature:
            return draw(scores, u, self.options.temperature) + 1
        scores = filter_scores(scores, self.options, self.seen)
        column = scores.argmax(-1) if u is None else draw(scores, u)
        if self.seen is not None:
            self.seen.scatter_(1, column[:, None], True)
        return column + 1

    def select(
        self,
        rows: Tensor,  # (m,) int64
    ):
        "Keep only these rows."
        self.n_rows = len(rows)
        rows = self._repeated(rows)
        with torch.inference_mode():
            self.decoder.select(rows)
            if self.uniforms:
                self.uniforms.select(rows)
            if self.seen is not None:
                self.seen = self.seen[rows]
        if self.replayed is not None:
            self.replayed.drop()


def sample_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device
    n: int,  # characters to generate for each, at most
    options: GenerationConfig,  # with its seed
    numbers: Sequence[int],  # for each row its number among the continuations of its prompt
    seen: Tensor | None = None,  # (rows, V) bool: indices that occur in each text, for a repetition penalty
    stop_fn: Callable | None = None,  # (row, new indices) to how many of these belong to the text; None: all, continue
) -> tuple[list[np.ndarray], list[np.ndarray], int | None]:  # indices, log-probabilities (float32), period of a loop
    """Continue each row. Rows that have ended leave the batch.

    The period is that of the first greedy row that repeats itself, or None.
    Raises `GenerationError` if the weights or the predictions are not finite."""
    sampler = Sampler(model, ids, options, numbers, seen)
    rows = Rows(len(ids), n)
    can_copy = options.greedy and seen is None and stop_fn is None and not is_stateful(model)
    check_often = can_copy or stop_fn is not None
    while not rows.finished:
        new, log_probs = (t.cpu().numpy() for t in sampler.sample(rows.block_size(check_often)))
        check_log_probs(log_probs, model)
        rows.append(new, log_probs)
        if stop_fn is not None:
            _retire(rows, sampler, stop_fn, ids.device)
        if can_copy:
            rows.copy_loops(ids)
    period = rows.first_period(ids, loop_context(model, ids, options)) if options.greedy else None
    return *rows.texts(), period


def _retire(rows, sampler, stop_fn, device):
    "Take the rows that have ended out of the batch."
    n_active = len(rows.active)
    remaining = rows.retire(stop_fn)
    if len(remaining) < n_active:
        sampler.select(torch.from_numpy(remaining).to(device))


def stream_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (1, n) int64 indices to continue, on the model's device
    options: GenerationConfig,  # with its seed
    seen: Tensor | None = None,  # (1, V) bool: indices that occur in the text, for a repetition penalty
) -> Iterator[int]:  # endless
    """Yield the indices that `sample_ids` returns, one at a time, in constant memory.

    The model's mode and the gradient setting are not changed between two indices."""
    # not a generator itself: here errors are raised and the model is copied before the first index is asked for
    return _stream(Sampler(model, ids, options, [0], seen), model)


def _stream(sampler, model):
    while True:
        index, log_prob = sampler.sample(1)
        check_log_probs(log_prob.cpu().numpy(), model)
        yield int(index)
