"""An LSTM language model as a plain PyTorch program, to compare with: `train_plain_lstm`."""

import time

import torch
import torch.nn.functional as F
from torch import nn


class PlainLSTM(nn.Module):
    "An LSTM language model as PyTorch's documentation writes it."

    def __init__(self, n_chars):
        super().__init__()
        self.emb = nn.Embedding(n_chars, 42)
        self.rnn = nn.LSTM(42, 256)
        self.out = nn.Linear(256, n_chars)

    def forward(self, x, state=None):
        h, state = self.rnn(self.emb(x), state)
        return self.out(h), state


def train_plain_lstm(
    text: str,  # its last tenth is held out
    seconds: float,  # of training
    seed: int,  # of the weights
) -> dict:  # the row
    "Streams, Adam, clipped gradients and a learning rate that falls linearly with the time."
    chars = sorted(set(text))
    ids = torch.tensor([chars.index(c) for c in text])
    n_train = int(len(text) * 0.9)
    torch.manual_seed(seed)
    model = PlainLSTM(len(chars))
    _fit(model, ids[:n_train], time.perf_counter(), seconds)
    with torch.no_grad():
        logits, _ = model(ids[n_train - 1 : -1, None])
    nats = float(F.cross_entropy(logits[:, 0], ids[n_train:]))
    n_weights = sum(p.numel() for p in model.parameters())
    return dict(seconds=seconds, nats=nats, streams_nats=nats, weights=n_weights)


def _fit(model, ids, start, seconds):
    "Train on 64 streams, 64 characters at a time, until the time is over."
    opt = torch.optim.Adam(model.parameters(), 5e-3)
    streams = ids[: len(ids) // 64 * 64].view(64, -1).t()
    while True:
        state = None
        for i in range(0, len(streams) - 1, 64):
            elapsed = (time.perf_counter() - start) / seconds
            if elapsed >= 1:
                return
            opt.param_groups[0]["lr"] = 5e-3 * min(1, (elapsed + 1e-3) / 0.05, 1 - elapsed)
            y = streams[i + 1 : i + 65]
            logits, state = model(streams[i : i + len(y)], state)
            state = tuple(h.detach() for h in state)
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
