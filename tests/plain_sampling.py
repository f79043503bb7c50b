"""Generation as its definitions say it: one number at a time, in Python's own arithmetic, every window read anew.

What `filters` and `sampling` do in batches is compared with this.
"""

import copy
import hashlib
import math

import numpy as np
import torch
from oracles import ORACLES


def penalize(scores, seen, penalty):
    return [(s / penalty if s > 0 else s * penalty) if i in seen else s for i, s in enumerate(scores)]


def warm(scores, temperature):
    return [s / temperature for s in scores]


def probs(scores):
    top = max(scores)
    parts = [math.exp(s - top) for s in scores]
    return [p / math.fsum(parts) for p in parts]


def ranked(scores):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def only(scores, kept):
    return [s if i in kept else -math.inf for i, s in enumerate(scores)]


def top_k(scores, k):
    return only(scores, set(ranked(scores)[:k]))


def top_p(scores, p):
    p_of = probs(scores)
    kept = set()
    total = 0.0
    for i in ranked(scores):
        if kept and total >= p:
            break
        kept.add(i)
        total += p_of[i]
    return only(scores, kept)


def min_p(scores, p):
    p_of = probs(scores)
    return only(scores, {i for i, o in enumerate(p_of) if o >= p * max(p_of)})


def uniforms(seed, read, number=0):
    "The numbers that the `number`-th continuation of a prompt draws with, of which the model reads the indices `read`."
    key = hashlib.blake2b(b"".join(i.to_bytes(8, "little") for i in [*read, number]), digest_size=8).digest()
    stream = np.random.Philox(key=np.array([seed, int.from_bytes(key, "little")], np.uint64))
    while True:
        yield int(stream.random_raw() >> 12) * 2.0**-52


def pick(scores, u):
    "The first whose cumulative probability exceeds `u`."
    total = 0.0
    for i, p in enumerate(probs(scores)):
        total += p
        if u < total:
            return i
    return max(i for i, s in enumerate(scores) if s > -math.inf)


def write(model, arch, prompts, n, temperature, seed=0):
    "Continuations of encoded prompts (lists of indices) by the sliding window, and the log-probability of each character."
    model = copy.deepcopy(model).double().eval()
    texts = [list(p) for p in prompts]
    logs = [[] for _ in prompts]
    us = [uniforms(seed, p[-model.seq_len :]) for p in prompts]
    for _ in range(n):
        windows = torch.tensor([([0] * model.seq_len + t)[-model.seq_len :] for t in texts])
        with torch.no_grad():
            out = ORACLES[arch](model, windows).tolist()
        for text, log, lp, u in zip(texts, logs, out, us):
            scores = lp[1:]  # never the padding
            i = 1 + (ranked(scores)[0] if temperature == 0 else pick(warm(scores, temperature), next(u)))
            text.append(i)
            log.append(lp[i])
    return [t[len(p) :] for t, p in zip(texts, prompts)], logs
