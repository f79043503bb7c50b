"""Sampling on indices: the loop that asks the model, filters its scores, draws, and feeds the result back.

`greedy_ids` takes the most likely index each time, `sample_ids` follows a `GenerationConfig`, `stream_ids` yields one
index at a time. `text` handles text and learners, `filters` the options, `random_streams` the random numbers.
The result for a row depends only on its prompt, its number and the seed, not on other rows or the device.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .checks import check_log_probs, check_weights
from .decoders import decoder, is_stateful, text_decoder
from .filters import draw, filter_scores
from .loops import MIN_LENGTH, copy_loops, loop_context
from .options import GenerationConfig
from .random_streams import Uniforms, stream_keys
from .replayed import replayed_sampler
from .rows import Rows

__all__ = ["greedy_ids", "sample_ids", "stream_ids", "Sampler"]


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
        with torch.inference_mode():
            self.decoder = text_decoder(model, ids)
        self.uniforms = None if options.greedy else Uniforms(options.seed, stream_keys(ids, numbers), ids.device)
        self.seen = None if options.repetition_penalty is None else seen[:, 1:].clone()
        # None, unless `replayed_steps` asks for it
        self.replayed = replayed_sampler(self)

    def sample(
        self,
        k: int,  # characters for each row
    ) -> tuple[Tensor, Tensor]:  # (rows, k) int64 and (rows, k) float64, on the model's device
        "Return the next `k` indices of each row and their log-probabilities, without waiting for the device."
        with self.decoder.running():
            return self.sample_eagerly(k) if self.replayed is None else self.replayed.sample(k)

    def sample_eagerly(self, k: int) -> tuple[Tensor, Tensor]:
        "As `sample`, without replays. To be called within the decoder's `running()`."
        uniforms = self.uniforms.take(k) if self.uniforms else [None] * k
        ids, log_probs = zip(*map(self.step, uniforms))
        return torch.stack(ids, 1), torch.cat(log_probs, 1)

    def step(
        self,
        u: Tensor | None,  # (rows, 1) float64 random numbers; None: take the most likely
    ) -> tuple[Tensor, Tensor]:  # (rows,) int64 and (rows, 1) float64
        "Choose one index for each row and feed it to the decoder. Also return the log-probabilities."
        all_log_probs = self.decoder.log_probs().double().log_softmax(-1)
        index = self._choose(all_log_probs, u)
        self.decoder.feed(index)
        return index, all_log_probs.gather(1, index[:, None])

    def _choose(self, log_probs, u):
        "One index for each row. The scores leave out column 0, the padding: column i is index i+1."
        scores = filter_scores(log_probs[:, 1:], self.options, self.seen)
        column = scores.argmax(-1) if u is None else draw(scores, u)
        if self.seen is not None:
            self.seen.scatter_(1, column[:, None], True)
        return column + 1

    def select(
        self,
        rows: Tensor,  # (m,) int64
    ):
        "Keep only these rows."
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
