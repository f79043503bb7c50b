"""Plain definitions of sampling: one number at a time, in Python's own arithmetic, without batches or cached states.

Tests compare `generation.filters` and `generation.sampling` with these functions.
"""

import copy
import hashlib
import itertools
import math

import numpy as np
import torch
from oracles import ORACLES


def penalize(scores, seen, penalty):
    return [_penalized(s, penalty) if i in seen else s for i, s in enumerate(scores)]


def _penalized(score, penalty):
    return score / penalty if score > 0 else score * penalty


def divide_by_temperature(scores, temperature):
    return [s / temperature for s in scores]


def probs(scores):
    largest = max(scores)
    weights = [math.exp(s - largest) for s in scores]
    total = math.fsum(weights)
    return [w / total for w in weights]


def ranked(scores):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def exclude_others(scores, kept):
    return [s if i in kept else -math.inf for i, s in enumerate(scores)]


def top_k(scores, k):
    return exclude_others(scores, set(ranked(scores)[:k]))


def top_p(scores, p):
    all_probs = probs(scores)
    kept = set()
    total = 0.0
    for i in ranked(scores):
        if kept and total >= p:
            break
        kept.add(i)
        total += all_probs[i]
    return exclude_others(scores, kept)


def min_p(scores, p):
    all_probs = probs(scores)
    least = p * max(all_probs)
    return exclude_others(scores, {i for i, v in enumerate(all_probs) if v >= least})


def uniforms(seed, ids, number=0):
    "Random numbers of continuation `number` of a prompt of which the model reads the indices `ids`."
    data = b"".join(i.to_bytes(8, "little") for i in [*ids, number])
    key = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    stream = np.random.Philox(key=np.array([seed, key], np.uint64))
    while True:
        yield int(stream.random_raw() >> 12) * 2.0**-52


def draw(scores, u):
    "The first index whose cumulative probability exceeds `u`."
    total = 0.0
    for i, p in enumerate(probs(scores)):
        total += p
        if u < total:
            return i
    return max(i for i, s in enumerate(scores) if s > -math.inf)


def choose(scores, temperature, us):
    "The most likely index at temperature 0, else one drawn with the next number of `us`."
    if temperature == 0:
        return ranked(scores)[0]
    return draw(divide_by_temperature(scores, temperature), next(us))


def certainty(scores, temperature, u):
    "How much the probabilities must change at least to change the index that `choose` returns."
    if temperature == 0:
        first, second = sorted(probs(scores))[:-3:-1]
        return first - second
    totals = itertools.accumulate(probs(divide_by_temperature(scores, temperature)))
    # the last total is 1, which no number reaches
    return min(abs(u - total) for total in list(totals)[:-1])


def sample(model, arch, prompts, n, temperature, seed=0):
    """Continue encoded prompts (lists of indices) by a sliding window, in float64.

    Return the continuations, and the log-probability and the `certainty` of each index."""
    model = copy.deepcopy(model).double().eval()
    texts = [list(p) for p in prompts]
    log_probs = [[] for _ in prompts]
    certainties = [[] for _ in prompts]
    streams = [uniforms(seed, p[-model.seq_len :]) for p in prompts]
    for _ in range(n):
        predictions = _predict(model, arch, texts)
        for i, prediction in enumerate(predictions):
            # index 0, the padding, is never chosen
            scores = prediction[1:]
            u = next(streams[i]) if temperature else None
            index = 1 + choose(scores, temperature, iter([u]))
            texts[i].append(index)
            log_probs[i].append(prediction[index])
            certainties[i].append(certainty(scores, temperature, u))
    return [text[len(p) :] for text, p in zip(texts, prompts)], log_probs, certainties


def _predict(model, arch, texts):
    "Log-probabilities of the index after each text, as lists."
    padding = [0] * model.seq_len
    windows = torch.tensor([(padding + text)[-model.seq_len :] for text in texts])
    with torch.no_grad():
        return ORACLES[arch](model, windows).tolist()
