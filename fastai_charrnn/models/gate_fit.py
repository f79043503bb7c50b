"""Fit the gate of a mixture on a text that neither the network nor the counts have seen: `fit_gate`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils import modes_restored
from .base import CharModel
from .contexts import first_context
from .counts import CharCounts
from .gate import CharGate, GateInputs, joined, mixed, select

__all__ = ["fit_gate"]

_n_before = 64  # characters that are read before each row
_row_len = 256  # characters of a row, about
_bs = 500  # characters of a step at most
_n_epochs = 12
_n_steps = 240  # at least; a large vocabulary has smaller steps
_max_work = 500_000_000  # log-probabilities that all epochs mix, which limits the time to some seconds
_lr = 0.02
_strength = 100.0  # of the decay towards the network alone, in characters
_max_chars = 32_000  # of a longer text, stretches are used
_max_numbers = 2**26  # log-probabilities that are kept
_max_mixed = 2**22  # log-probabilities whose inputs are made at once


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
    loss = _loss(gate, inputs, targets, ends)
    _fold(gate, *scale)
    kept = loss < alone
    if kept:
        gate.share_trust()
    else:
        gate.reset()
    return dict(network=alone, mixture=min(loss, alone), kept=kept)


def _read(network, counts, text, n_before, seed):
    "The inputs of the gate in random order, the targets, and where the innovations of each row end."
    n = min(_max_chars, max(_max_numbers // counts.vocab_sz, _bs))
    places = _places(text, max(min(n_before, _n_before + 1), 1), n)
    log_probs = _log_probs(network, text, places)
    contexts, _ = counts.read(text[None, :-1], first_context(1, counts.n_orders, text.device))
    places = places.flatten()
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed)).to(text.device)
    n_rows = max(1, _max_mixed // counts.vocab_sz)
    parts = zip(log_probs[order].split(n_rows), contexts[0, places[order] - 1].split(n_rows))
    inputs = joined([GateInputs(counts, p, rows) for p, rows in parts])
    by_row = inputs.innovations.row.argsort(stable=True)
    inputs.innovations = type(inputs.innovations)(*(o[by_row] for o in inputs.innovations))
    sizes = torch.bincount(inputs.innovations.row, minlength=len(order))
    return inputs, text[places[order]], [0, *sizes.cumsum(0).tolist()]


def _places(text, first, n):
    "Where the characters are that the gate is fitted on (rows, length): about n in rows that are spread over the text."
    n = min(n, len(text) - first)
    n_rows = max(1, round(n / _row_len))
    length = n // n_rows
    begins = torch.linspace(first, len(text) - length, n_rows, dtype=torch.float64, device=text.device).long()
    return begins[:, None] + torch.arange(length, device=text.device)


def _log_probs(network, text, places):
    "Predict the characters at these places (rows * length, V). Each row is read after the characters before it."
    before = torch.arange(-_n_before - 1, 0, device=text.device)
    x = text[torch.cat([places[:, :1] + before, places[:, :-1]], 1).clamp(min=0)]
    with modes_restored(network):
        network.eval()
        outs, _ = network.forward_seq(x, network.init_hidden(len(x)))
        return network.head(outs[_n_before:]).transpose(0, 1).flatten(0, 1)


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
def _loss(gate, inputs, targets, ends):
    "The mean loss, computed in parts."
    total = 0.0
    for begin in range(0, len(targets), _bs):
        end = min(begin + _bs, len(targets))
        part = select(inputs, begin, end, ends[begin], ends[end])
        total += float(F.nll_loss(gate(part), targets[begin:end], reduction="sum"))
    return total / len(targets)


def _plan(n, vocab_sz):
    "The number of epochs, and the characters of a step."
    bs = min(_bs, n)
    n_epochs = max(1, min(max(_n_epochs, -(-_n_steps * bs // n)), _max_work // (n * vocab_sz)))
    return n_epochs, max(1, min(bs, n_epochs * n // _n_steps))


def _train(gate: CharGate, inputs: GateInputs, targets: Tensor, ends: list[int], seed: int):
    "Minimize the loss and the decay with Adam, with a learning rate that falls to 0."
    weights = [p.detach().clone().requires_grad_() for p in (gate.weight, gate.bias)]
    starts = [w.detach().clone() for w in weights]
    optimizer = torch.optim.Adam(weights, _lr, betas=(0.9, 0.99))
    n_epochs, bs = _plan(*inputs.log_probs.shape)
    begins = list(range(0, len(targets), bs))
    generator = torch.Generator().manual_seed(seed)
    n_steps = n_epochs * len(begins)
    decay = _strength / len(targets)
    step = 0
    for _ in range(n_epochs):
        for k in torch.randperm(len(begins), generator=generator).tolist():
            begin = begins[k]
            end = min(begin + bs, len(targets))
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
