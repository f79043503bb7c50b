"""Log-probabilities of a given text: `score_ids`, on indices. Text in, `ScoredText` out is `text.score`."""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from .checks import check_log_probs, check_weights
from .decoders import decoder, is_stateful
from .model_view import eval_view
from .outputs import last_log_probs, read_windows

__all__ = ["score_ids"]

_max_state_numbers = 2**21  # numbers in the hidden states of the windows scored at once: 8 MB in float32
_stateful_block = 1024  # characters between two copies of results from the device


def score_ids(
    model: nn.Module,  # (bs, n) indices to (bs, V) log-probabilities
    ids: np.ndarray,  # (n,) indices of the text
    seq_len: int,  # characters that the model reads; ignored for a stateful model
    device: torch.device,  # the model's device
) -> np.ndarray:  # (n,) float32
    """Return the log-probability of each index, given the `seq_len` before it, or all before it for a stateful model.

    The first windows are padded with index 0 on the left.
    Raises `GenerationError` if the weights or the predictions are not finite."""
    check_weights(model)
    if is_stateful(model):
        blocks = _stateful_scores(model, ids, device)
    else:
        blocks = _window_scores(model, ids, seq_len, device)
    log_probs = np.concatenate([np.zeros(0, np.float32), *blocks])
    check_log_probs(log_probs, model)
    return log_probs


def _window_scores(model, ids, seq_len, device):
    n_windows = max(_max_state_numbers // (seq_len * getattr(model, "n_hid", 256)), 1)
    padded = np.concatenate([np.zeros(seq_len, ids.dtype), ids])
    windows = sliding_window_view(padded, seq_len)
    view = eval_view(model)
    for start in range(0, len(ids), n_windows):
        targets = ids[start : start + n_windows]
        x = _to_tensor(windows[start : start + len(targets)], device)
        with torch.inference_mode():
            scores = _of_targets(read_windows(view, x, torch.float64), targets)
        yield scores


def _stateful_scores(model, ids, device):
    with torch.inference_mode():
        reader = decoder(model, torch.zeros(1, 0, dtype=torch.int64, device=device))
    for start in range(0, len(ids), _stateful_block):
        targets = ids[start : start + _stateful_block]
        log_probs = []
        with reader.running():
            for index in _to_tensor(targets, device).unbind():
                log_probs.append(reader.log_probs())
                reader.feed(index[None])
            scores = _of_targets(last_log_probs(torch.cat(log_probs), torch.float64), targets)
        yield scores


def _to_tensor(ids, device):
    return torch.from_numpy(ids.astype(np.int64)).to(device)


def _of_targets(log_probs, targets):
    "The log-probability of each target, as float32."
    columns = _to_tensor(targets, log_probs.device)[:, None]
    return log_probs.gather(1, columns)[:, 0].float().cpu().numpy()
