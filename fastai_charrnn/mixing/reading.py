"""Predict a text by a model that learns while it reads, mixed with counts: `learning_while_reading`.

    learning_while_reading(learn, text[9000:10000], before=text[:9000])

A character is a few binary decisions (`code_tree`). Counts of contexts predict each of them (`counts`), and so does the
model, whose weights take steps (`dynamic_evaluation`). A mixer that learns from each decision mixes both (`mixer`).
"""

from contextlib import closing

import numpy as np

from ..adapt import check_learner, read_and_learn
from ..data.vocab import PAD
from ..learner import CharLearner
from ..metrics import to_bits
from .code_tree import CodeTree
from .counts import OnlineCounts
from .inputs import mixer_inputs
from .mixer import GatedMixer, log_loss

__all__ = ["learning_while_reading"]

# the last characters of `before` that are counted, to limit time and memory
_max_before = 1_000_000
# characters of `before` that the model reads to have a state
_n_state = 500
# parts of `before` that are counted side by side, the fewest decisions of a part, and the last decisions, one by one
_n_streams, _min_decisions, _n_last = 32, 2000, 250_000
_lr = 0.001
# weights of the model and of all counts together at first, with and without `before`: for a good model, and a poor one
_weights = {True: ((0.7, 0.3), (0.2, 0.8)), False: ((1.0, 0.0), (0.5, 0.5))}
# of the final average
_priors = dict(good=0.4, poor=0.2, dynamic=0.2, counts=0.2)


def learning_while_reading(
    learn: CharLearner,  # a trained learner
    text: str,  # a text of at least two characters
    before: str = "",  # the text before, which the model may know: it is counted, not predicted
    **kwargs,  # as `dynamic_evaluation`: lr, decay, segment, unk
) -> dict[str, float]:  # mixed_loss, dynamic_loss and counts_loss in nats, mixed_bits_per_char, n_counted
    """Predict each character before it is learnt, by the model with steps, by counts, and by a mixture of both.

    `mixed_loss` is at most by 1.7 / n nats larger than each of the other two losses, n being the characters that are
    predicted. Of `before`, the last million characters are counted. Without `before`, counts begin empty, and the first
    character is not predicted. Weights are restored. Raises as `dynamic_evaluation`."""
    check_learner(learn)
    losses = reading_losses(learn, text, before, **kwargs)
    means = {f"{name}_loss": float(values.mean()) for name, values in losses.items()}
    n_known = len(learn.dls.vocab.encode(before, unk=kwargs.get("unk", "error")))
    return means | dict(mixed_bits_per_char=to_bits(means["mixed_loss"]), n_counted=min(n_known, _max_before))


def reading_losses(
    learn: CharLearner,  # as `learning_while_reading`
    text: str,  # as `learning_while_reading`
    before: str = "",  # as `learning_while_reading`
    unk: str = "error",  # as `CharVocab.encode`
    **kwargs,  # as `dynamic_evaluation`: lr, decay, segment
) -> dict[str, np.ndarray]:  # float64 nats of each predicted character: mixed, dynamic (the model), counts
    "The losses of `learning_while_reading` for each character."
    vocab = learn.dls.vocab
    seen = vocab.encode(before, unk=unk)[-_max_before:].astype(np.int64)
    # characters that are skipped must be skipped here too
    state = vocab.decode(seen[-_n_state:])
    # closed at once when interrupted, so that the weights are restored
    with closing(read_and_learn(learn, text, unk=unk, before=state, **kwargs)) as segments:
        tree, model_logits = _model_logits(segments, seen, vocab.itos)
    ids = np.concatenate([seen, vocab.encode(text, unk=unk).astype(np.int64)])
    # without a text before, the first character is not predicted
    first = max(len(seen), 1)
    inputs = mixer_inputs(ids, vocab.itos, tree)
    begin = int((inputs.decisions.char < first).sum())
    counts = OnlineCounts(inputs)
    counts.learn(begin, max(min(_n_streams, begin // _min_decisions), 1), _n_last)
    count_logits, count_inputs = counts.predict(begin)
    inputs = inputs._replace(decisions=inputs.decisions.part(begin), gates=inputs.gates[begin:])
    x = np.concatenate([model_logits[:, None], count_logits, count_inputs], 1).astype(np.float32)
    good, poor = (_mixed(inputs, x, count_logits.shape[1], weights) for weights in _weights[len(seen) > 0])
    logits = dict(good=good, poor=poor, dynamic=model_logits, counts=count_logits.mean(1))
    chars = inputs.decisions.char - first
    losses = {
        name: np.bincount(chars, log_loss(values, inputs.decisions.bit), len(ids) - first)
        for name, values in logits.items()
    }
    return dict(mixed=_averaged(losses), dynamic=losses["dynamic"], counts=losses["counts"])


def _model_logits(segments, seen, itos):
    "The tree, made before any character of the text is known, and the log odds of the model at its decisions."
    tree = None
    logits = []
    for log_probs, targets in segments:
        log_probs = log_probs.cpu().numpy()
        if tree is None:
            tree = CodeTree(_frequencies(seen, log_probs[0], itos))
        logits.append(tree.logits(log_probs, targets.cpu().numpy()))
    return tree, np.concatenate(logits)


def _frequencies(seen, log_probs, itos):
    "How often each character is expected: as before, and as the model predicts the first one. Padding is not."
    expected = 0.01 + 100 * np.exp(log_probs.astype(np.float64))
    frequencies = expected + np.bincount(seen, minlength=len(itos))
    return np.where(np.array(itos) == PAD, 0, frequencies)


def _mixed(inputs, x, n_mixers, weights):
    "The log odds of the mixture, from those of the model, of the counts' mixers, and of single counts."
    of_model, of_counts = weights
    initial = np.zeros(x.shape[1])
    initial[0] = of_model
    initial[1 : n_mixers + 1] = of_counts / n_mixers
    mixer = GatedMixer(initial, inputs.sizes, _lr)
    bits = inputs.decisions.bit[:, None]
    mixed = np.empty(len(bits))
    for k in range(len(bits)):
        mixed[k] = mixer.mix(x[k : k + 1], inputs.gates[k : k + 1]).mean()
        mixer.learn(bits[k : k + 1])
    return mixed


def _averaged(losses):
    """The losses of the mean of all predictions, each weighted by how well it predicted so far (Bayes' rule).

    So the sum is at most by -log of a prior larger than that of the prediction that has it."""
    nats = np.stack([losses[name] for name in _priors])
    priors = np.log(list(_priors.values()))
    so_far = np.cumsum(nats, 1)
    evidence = np.logaddexp.reduce(priors[:, None] - so_far, 0)
    return -np.diff(evidence, prepend=0.0)
