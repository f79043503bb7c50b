"""Fit the gate of a mixture on a text that neither the network nor the counts have seen: `fit_gate`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils import modes_restored
from .base import CharModel
from .contexts import first_context
from .counts import CharCounts
from .gate import CharGate, GateInputs, mixed, select

__all__ = ["fit_gate"]

_n_before = 64  # characters that are read before each row
_row_len = 256  # characters of a row, about
_bs = 500  # characters of a step
_n_epochs = 12
_min_steps = 240
_lr = 0.02
_strength = 100.0  # of the decay towards the network alone, in characters
_max_chars = 20_000  # the last ones of a longer text are used
_max_numbers = 2**24  # log-probabilities that are kept


def fit_gate(
    network: CharModel,
    counts: CharCounts,
    gate: CharGate,  # is changed
    ids: Tensor,  # (n,) int64, on the model's device
    before: Tensor,  # (m,) int64, the characters before it
    seed: int,
) -> dict:  # nats a character: "network", "mixture"; "kept"
    "Fit the gate, and return to the network alone if that predicts the text better."
    gate.reset()
    with torch.no_grad():
        inputs, targets, ends = _read(network, counts, torch.cat([before[-_n_before - 1 :], ids]), len(before), seed)
        alone = float(F.nll_loss(inputs.log_probs, targets))
    scale = _standardize(inputs)
    _train(gate, inputs, targets, ends, seed)
    loss = _loss(gate, inputs, targets)
    _fold(gate, *scale)
    kept = loss < alone
    if not kept:
        gate.reset()
    return dict(network=alone, mixture=min(loss, alone), kept=kept)


def _read(network, counts, text, n_before, seed):
    "The inputs of the gate in random order, the targets, and where the innovations of each row end."
    n = min(_max_chars, max(_max_numbers // counts.vocab_sz, _bs))
    first = max(len(text) - n, min(n_before, _n_before + 1), 1)
    log_probs, rows, targets = _read_rows(network, counts, text, first)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed)).to(text.device)
    inputs = GateInputs(counts, log_probs[order], rows[order])
    by_row = inputs.innovations.row.argsort(stable=True)
    inputs.innovations = type(inputs.innovations)(*(o[by_row] for o in inputs.innovations))
    sizes = torch.bincount(inputs.innovations.row, minlength=len(targets))
    return inputs, targets[order], [0, *sizes.cumsum(0).tolist()]


def _read_rows(network, counts, text, first):
    "Predict text[first:] in rows that are read side by side, each after the characters before it."
    n = len(text) - first
    n_rows = max(1, round(n / _row_len))
    length = -(-n // n_rows)
    begins = torch.arange(n_rows, device=text.device) * length + first
    places = begins[:, None] + torch.arange(-_n_before - 1, length - 1, device=text.device)
    x = text[places.clamp(0, len(text) - 1)]
    with modes_restored(network):
        network.eval()
        outs, _ = network.forward_seq(x, network.init_hidden(n_rows))
        log_probs = network.head(outs[_n_before:]).transpose(0, 1)
    rows, _ = counts.read(text[None, :-1], first_context(1, counts.n_orders, text.device))
    exists = (places[:, _n_before:] < len(text) - 1).flatten()
    return log_probs.flatten(0, 1)[exists], rows[0, first - 1 :], text[first:]


def _standardize(inputs):
    "Give each feature a mean of 0 and a deviation of 1. Features that hardly vary become 0."
    mean = inputs.features.mean(0)
    deviation = inputs.features.std(0, correction=0)
    scale = torch.where(deviation > 0.01, 1 / deviation.clamp(min=0.01), 0.0)
    inputs.features = (inputs.features - mean) * scale
    return mean, scale


@torch.no_grad()
def _fold(gate, mean, scale):
    "Change the parameters for features as they are."
    gate.weight.mul_(scale)
    gate.bias.sub_(gate.weight @ mean)


@torch.no_grad()
def _loss(gate, inputs, targets):
    return float(F.nll_loss(gate(inputs), targets))


def _train(gate: CharGate, inputs: GateInputs, targets: Tensor, ends: list[int], seed: int):
    "Minimize the loss and the decay with Adam, with a learning rate that falls to 0."
    weights = [p.detach().clone().requires_grad_() for p in (gate.weight, gate.bias)]
    starts = [w.detach().clone() for w in weights]
    optimizer = torch.optim.Adam(weights, _lr, betas=(0.9, 0.99))
    begins = list(range(0, len(targets), _bs))
    generator = torch.Generator().manual_seed(seed)
    n_epochs = max(_n_epochs, -(-_min_steps // len(begins)))
    n_steps = n_epochs * len(begins)
    decay = _strength / len(targets)
    step = 0
    for _ in range(n_epochs):
        for k in torch.randperm(len(begins), generator=generator).tolist():
            begin = begins[k]
            end = min(begin + _bs, len(targets))
            part = select(inputs, begin, end, ends[begin], ends[end])
            with torch.enable_grad():
                loss = F.nll_loss(mixed(part, part.features @ weights[0].t() + weights[1]), targets[begin:end])
                loss = loss + decay * sum((w - start).square().sum() for w, start in zip(weights, starts))
                grads = torch.autograd.grad(loss, weights)
            for w, grad in zip(weights, grads):
                w.grad = grad
            optimizer.param_groups[0]["lr"] = _lr * (1 - step / n_steps)
            optimizer.step()
            step += 1
    with torch.no_grad():
        gate.weight.copy_(weights[0])
        gate.bias.copy_(weights[1])
