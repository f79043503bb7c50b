"""Generate in some threads while another trains: `try_one` checks one random case, `tools/soak.py` many.

The weights after training must be those of a training alone. If the learning rate is 0, texts must be those of a
learner that nobody trains.
"""

import copy
import random
import threading
from pathlib import Path

import torch
from fastai.basics import Callback
from fastai.callback.rnn import RNNCallback
from learner_helpers import quiet_fit, weights
from small_models import Whole

from fastai_charrnn.all import CharDataLoaders, char_learner

TEXT = "the quick brown fox jumps over the lazy dog. " * 4
MODES = dict(
    windows=dict(target="next"), chunks=dict(target="every"), streams=dict(target="every", stateful=True, val_bs=2)
)
DROPOUTS = dict(rnn=dict(output_p=0.3), gru=dict(n_layers=2, layer_p=0.3), mullstm={}, ensemble={})
KINDS = [*DROPOUTS, "module", "regularized"]


def make(kind, mode, lr=1e-2):
    "A learner with dropout. A module has no steps; a regularized model keeps its outputs during a batch."
    arch = dict(module="rnn", regularized="rnn").get(kind, kind)
    bs = dict(windows=64, chunks=8, streams=4)[mode]
    dls = CharDataLoaders.from_text(TEXT, seq_len=8, bs=bs, valid="tail", device="cpu", **MODES[mode])
    learn = char_learner(dls, arch, n_hid=8, emb_sz=4, config=DROPOUTS[arch], seed=1, lr=lr)
    for p in learn.model.parameters():
        p.data *= 3
    if kind == "module":
        learn.model = Whole(learn.model)
    if kind == "regularized":
        learn.add_cb(RNNCallback())
    return learn


def ask(learn, seed):
    "What a thread asks of a learner."
    greedy = learn.predict_next("the qu", 6)
    probs = tuple(learn.next_probs("lazy").items())
    scores = tuple(learn.score("fox").log_probs)
    drawn = learn.generate("the ", 6, seed=seed).text
    beam = [o.text for o in learn.generate("dog", 2, beam=2)]
    streamed = "".join(learn.generate("the ", 6, seed=seed, stream=True))
    return greedy, probs, scores, drawn, beam, streamed


def in_thread(f, *args):
    "Call a function in another thread, and wait for its result or error."
    found = []

    def work():
        try:
            found.append(f(*args))
        except Exception as e:
            found.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


class AskAt(Callback):
    "Has another thread ask at each of some events of every batch."

    run_valid = True

    def __init__(self, events, question=ask):
        self.answers = []
        self.question = question
        for event in events:
            setattr(self, event, self._ask)

    def _ask(self):
        before = torch.random.get_rng_state()
        self.answers.append(in_thread(self.question, self.learn, 5))
        assert torch.equal(torch.random.get_rng_state(), before)


def race(learn, n_threads, n_epoch):
    "Train while threads ask again and again. Returns all answers by seed."
    answers = [[] for _ in range(n_threads)]
    errors = []
    ready = threading.Barrier(n_threads + 1)
    done = threading.Event()

    def work(seed):
        ready.wait()
        try:
            while not done.is_set() or not answers[seed]:
                answers[seed].append(ask(learn, seed))
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(n_threads)]
    for thread in threads:
        thread.start()
    ready.wait()
    try:
        quiet_fit(learn, n_epoch)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return answers


def try_one(
    rng: random.Random,  # chooses the case
    folder: Path,  # not used
) -> str:  # the kind of the case
    "Generate in two threads while the main one trains. Raises `AssertionError` for another text or other weights."
    kind, mode = rng.choice(KINDS), rng.choice(list(MODES))
    lr = rng.choice([0.0, 1e-2])
    learn = make(kind, mode, lr)
    alone = copy.deepcopy(learn)
    expected = [ask(alone, seed) for seed in range(2)]
    quiet_fit(alone, 2)
    before = torch.random.get_rng_state()
    answers = race(learn, 2, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(weights(learn), weights(alone)), f"{kind} {mode}: another training"
    if not lr:
        assert all(answer == expected[seed] for seed in range(2) for answer in answers[seed]), f"{kind} {mode}: a text"
    return f"{kind}, {mode}, {'texts' if not lr else 'weights'} equal"
