"""From a model and indices to the next indices: indices in, indices out, no text and no learner.

Every row of a batch draws from a stream of its own, keyed by the seed, what the model reads of the prompt, and the row's number among
that prompt's continuations. What a row draws depends on no other row, on no device, and not on how many characters are written at
a time. (The prompt is in the key because rows that drew the same numbers would come to write the same text.)
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import GenerationError
from .decoders import StatefulDecoder, decoder, eval_mode, is_stateful
from .filters import draw, filter_scores
from .options import GenerationConfig

__all__ = ["greedy_ids", "sample_ids", "score_ids", "stream_ids", "stream_keys", "Sampler", "Uniforms"]

_look_after = 64  # characters written before the first look for a loop
_block = 256  # characters between two looks at what was written
_most_states = 2**21  # numbers in the hidden states of the windows scored at a time: 8 MB
_unwindowed = 32  # characters that make a repetition where no window does


def greedy_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (n_prompts, window) int64 indices to continue, on the model's device
    n: int,  # how many to write for each
    loops: bool = True,  # whether to copy what is left once every row repeats itself; False computes all
) -> Tensor:  # (n_prompts, n) int64, on the same device
    """The likeliest continuation of each row, character after character.

    With a window, what follows is a function of the last `window` characters, so that a row whose last window stood in it before
    goes on as it did then: once this holds for every row, the rest is copied."""
    out = ids.new_empty(len(ids), n)
    done = 0
    loops = loops and not is_stateful(model)
    with eval_mode(model):
        reader = decoder(model, ids)
        while done < n:
            to = min(n, max(_look_after, done + done // 4)) if loops else n
            out[:, done:to] = torch.stack([reader.next() for _ in range(done, to)], 1)
            done = to
            if loops and done < n and (periods := _periods(ids, out[:, :done])) is not None:
                for row, p in zip(out, periods):
                    row[done:] = row[done - p : done].repeat(-(-(n - done) // p))[: n - done]
                done = n
    if not out.all():
        check_weights(model)  # where nothing is a number, the likeliest is index 0
    return out


def stream_keys(
    ids: Tensor,  # (rows, n): what the model reads, padded on the left
    numbers: Sequence[int],  # for each row its number among the continuations of its prompt
) -> np.ndarray:  # (rows,) uint64
    "Which stream each row draws from: 64 bits of BLAKE2b of the indices, eight bytes each, and the number."
    rows = [np.append(row[row > 0], k) for row, k in zip(ids.cpu().numpy(), numbers)]
    return np.array(
        [int.from_bytes(hashlib.blake2b(o.astype("<i8").tobytes(), digest_size=8).digest(), "little") for o in rows],
        np.uint64,
    )


class Uniforms:
    "For each row a stream of uniform numbers of its own, the same however many are taken at a time."

    def __init__(
        self,
        seed: int,  # from 0 to 2**64-1
        keys: np.ndarray,  # (rows,) uint64: which of the seed's streams each row draws from, as `stream_keys` gives them
        device: torch.device,  # where to put them
    ):
        self.device = device
        distinct, rows = np.unique(keys, return_inverse=True)
        self.rows = torch.from_numpy(rows).to(device)
        self.streams = [np.random.Philox(key=np.array([seed, o], np.uint64)) for o in distinct]

    def take(
        self,
        k: int,  # how many for each row
    ) -> tuple[Tensor, ...]:  # k of (rows, 1), float64, from [0, 1)
        "The next of every row, in one transfer."
        raw = np.stack([o.random_raw(k) for o in self.streams], 1) >> np.uint64(12)
        return torch.from_numpy(raw * 2.0**-52).to(self.device)[:, self.rows, None].unbind()

    def select(
        self,
        rows: Tensor,  # (m,) int64
    ):
        "Go on with these rows; the others' streams go on unheard."
        self.rows = self.rows[rows]


class Sampler:
    "Writes rows by the options given, index 0 (the padding) never, and keeps each character's log-probability under the model itself."

    def __init__(
        self,
        model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
        ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device
        o: GenerationConfig,  # with its seed
        numbers: Sequence[int],  # for each row its number among the continuations of its prompt
        seen: Tensor
        | None = None,  # (rows, V) bool, for a repetition penalty: the indices that already stand in each text
    ):
        check_weights(model)
        self.o = o
        with torch.inference_mode():
            self.decoder = decoder(model, ids, exact=True)
        self.uniforms = None if o.greedy else Uniforms(o.seed, stream_keys(ids, numbers), ids.device)
        self.seen = seen[:, 1:].clone() if o.repetition_penalty is not None else None

    def write(
        self,
        k: int,  # how many characters
    ) -> tuple[Tensor, Tensor]:  # (rows, k) int64 and (rows, k) float64, on the model's device
        "The next k characters of each row and their log-probabilities. Nothing waits for the device in between."
        chars = []
        logs = []
        us = self.uniforms.take(k) if self.uniforms else [None] * k
        with self.decoder.running():
            for u in us:
                lp = self.decoder.log_probs().double().log_softmax(-1)
                scores = filter_scores(lp[:, 1:], self.o, self.seen)
                c = (scores.argmax(-1) if u is None else draw(scores, u)).add_(1)
                if self.seen is not None:
                    self.seen.scatter_(1, c[:, None] - 1, True)
                self.decoder.feed(c)
                chars.append(c)
                logs.append(lp.gather(1, c[:, None]))
            return torch.stack(chars, 1), torch.cat(logs, 1)

    def select(
        self,
        rows: Tensor,  # (m,) int64
    ):
        "Go on with these rows."
        with torch.inference_mode():
            self.decoder.select(rows)
            if self.uniforms:
                self.uniforms.select(rows)
            if self.seen is not None:
                self.seen = self.seen[rows]


def sample_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: Tensor,  # (rows, n) int64 indices to continue, on the model's device
    n: int,  # how many to write for each, at most
    o: GenerationConfig,  # with its seed
    numbers: Sequence[int],  # for each row its number among the continuations of its prompt
    seen: Tensor | None = None,  # (rows, V) bool, for a repetition penalty: the indices that already stand in each text
    ends: Callable
    | None = None,  # told a row and what is new in it, (k,): how many of these belong to it, None for all
) -> tuple[
    list[np.ndarray], list[np.ndarray], int | None
]:  # for each row indices and log-probabilities (float32); the period of a row that repeats itself, if one does
    """Continuations of the rows. Raises `GenerationError` for a model whose numbers are none.

    A row that has ended is left out of the batch while the others go on."""
    out = np.zeros((len(ids), n), np.int32)
    logs = np.zeros((len(ids), n), np.float32)
    length = np.full(len(ids), n)
    writer = Sampler(model, ids, o, numbers, seen)
    live = np.arange(len(ids))
    done = 0
    loops = o.greedy and seen is None and ends is None and not is_stateful(model)
    while done < n and len(live):
        k = min(n - done, _block, max(16, done // 4) if loops or ends else _block)
        c, lp = (t.cpu().numpy() for t in writer.write(k))
        check_numbers(lp, model)
        out[live, done : done + k], logs[live, done : done + k] = c, lp
        if ends is not None:
            cut = [ends(row, new) for row, new in zip(live, c)]
            for row, at in zip(live, cut):
                if at is not None:
                    length[row] = done + at
            going = np.array([at is None for at in cut])
            if not going.all():
                writer.select(torch.from_numpy(np.flatnonzero(going)).to(ids.device))
            live = live[going]
        done += k
        if (
            loops
            and done < n
            and done >= _look_after
            and (periods := _periods(ids, torch.from_numpy(out[:, :done]))) is not None
        ):
            for rows in (out, logs):
                for row, p in zip(rows, periods):
                    row[done:] = np.resize(row[done - p : done], n - done)
            done = n
    periods = [
        p for row in live if o.greedy and (p := period(ids[row].cpu().numpy(), out[row], _context(model, ids, o)))
    ]
    return [a[:k] for a, k in zip(out, length)], [a[:k] for a, k in zip(logs, length)], periods[0] if periods else None


def stream_ids(
    model: nn.Module,  # as in `sample_ids`, likewise the others; one row
    ids: Tensor,
    o: GenerationConfig,
    seen: Tensor | None = None,
    looped: Callable[[], None] | None = None,  # called once, when greedy text begins to repeat itself
) -> Iterator[int]:  # index after index, without end
    "The same indices one at a time, in memory that does not grow. No mode or gradient setting is changed between two of them."
    return _streamed(
        Sampler(model, ids, o, [0], seen),
        model,
        [] if is_stateful(model) else ids[0].tolist(),
        _context(model, ids, o),
        looped if o.greedy else None,
    )


def _streamed(writer, model, recent, size, looped):
    marked = list(recent)
    at = 0
    power = 1
    while True:
        c, lp = writer.write(1)
        check_numbers(lp.cpu().numpy(), model)
        yield (i := int(c))
        if looped:  # the marked window moves to every power of two: whatever returns is met (Brent 1980)
            recent = [*recent, i][-size:]
            if recent == marked and len(recent) == size:
                looped, _ = None, looped()
            elif (at := at + 1) == power:
                marked = recent
                power = power * 2
                at = 0


def check_numbers(
    log_probs: np.ndarray,  # of the characters chosen
    model: nn.Module,  # what gave them
):
    "Raise `GenerationError` if they are not finite."
    if np.isfinite(log_probs).all():
        return
    check_weights(model)
    raise GenerationError(
        "the model gives no character but the padding a probability that is a finite number; load an earlier save, or train again with a lower learning rate"
    )


def check_weights(
    model: nn.Module,  # any
):
    "Raise `GenerationError` if its weights are not finite."
    if bad := [k for k, p in model.named_parameters() if not torch.isfinite(p).all()]:
        holds = "holds" if len(bad) == 1 else "hold"
        raise GenerationError(
            f"the model's predictions are not numbers, for {', '.join(bad)} {holds} NaN or infinity; "
            "load an earlier save, or train again with a lower learning rate"
        )


def _context(model, ids, o):
    "How many equal characters make a repetition: those that determine the next one, if that many do."
    if is_stateful(model):
        return _unwindowed
    if o.repetition_penalty is not None:
        return max(ids.shape[1], _unwindowed)
    return ids.shape[1]


def period(
    ids: np.ndarray,  # what was continued, (n,)
    out: np.ndarray,  # its continuation
    size: int,  # how many characters must have stood before
) -> int | None:  # after how many characters it repeats itself
    "Where the last `size` characters of the text stood in it before, if they did."
    text = np.concatenate([ids[-size:], out]).astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    if len(out) == 0 or len(text) < size or (before := text.rfind(text[-size:], 0, len(text) - 1)) < 0:
        return None
    return len(text) - size - before


def _periods(ids, out):
    "After how many characters each row repeats itself, if all do."
    periods = []
    for a, b in zip(ids.cpu().numpy(), out.cpu().numpy()):
        periods.append(period(a, b, len(a)))
        if periods[-1] is None:
            return None
    return periods


def score_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: np.ndarray,  # (n,) the encoded text
    seq_len: int,  # characters the model reads; no matter where it carries its state
    device: torch.device,  # the model's
) -> np.ndarray:  # (n,) float32
    "The log-probability of each index after those before it: after `window` of them, padded on the left, or after all where the state is carried."
    check_weights(model)
    parts = _carried_scores(model, ids, device) if is_stateful(model) else _window_scores(model, ids, seq_len, device)
    out = np.concatenate([np.zeros(0, np.float32), *parts])
    check_numbers(out, model)
    return out


def _window_scores(model, ids, seq_len, device):
    size = max(_most_states // (seq_len * getattr(model, "n_hid", 256)), 16)  # windows at a time
    padded = np.concatenate([np.zeros(seq_len, ids.dtype), ids])
    for a in range(0, len(ids), size):
        piece = (
            torch.from_numpy(padded[a : a + size + seq_len].astype(np.int64))
            .to(device)
            .unfold(0, seq_len, 1)[: min(size, len(ids) - a)]
        )
        with eval_mode(model):
            lp = model(piece).double().log_softmax(-1)
        yield _picked(lp, ids[a : a + size])


def _carried_scores(model, ids, device):
    with torch.inference_mode():
        reader = StatefulDecoder(model, torch.zeros(1, 0, dtype=torch.int64, device=device))
    for a in range(0, len(ids), 1024):
        lps = []
        with reader.running():
            for c in torch.from_numpy(ids[a : a + 1024].astype(np.int64)).to(device).unbind():
                lps.append(reader.log_probs())
                reader.feed(c[None])
            yield _picked(torch.cat(lps).double().log_softmax(-1), ids[a : a + 1024])


def _picked(lp, ids):
    return lp.gather(1, torch.from_numpy(ids.astype(np.int64)).to(lp.device)[:, None])[:, 0].float().cpu().numpy()
