"""What the server answers equals what the learner computes, for windows, states and ensembles."""

import asyncio
import itertools
import threading
import time

import numpy as np
import pytest
import torch
from asking import ask, floats
from small_models import Whole, build

from fastai_charrnn.all import python_reference
from fastai_charrnn.serve.describe import load_served

numbers = pytest.mark.parametrize("number", range(3), ids=["window", "state", "ensemble"])
TEXT = python_reference()[20_000:21_300]


def test_models_are_described(port, served_learners):
    models = ask(port, "/api/models").json()["models"]
    assert [model["mode"] for model in models] == [learn.dls.mode for learn in served_learners]
    assert [(model["nUnits"], model["members"]) for model in models] == [(24, 1), (24, 1), (24, 2)]
    assert models[0]["vocab"] == ["", *served_learners[0].dls.vocab.itos[1:]]
    assert models[0]["facts"]["n_weights"] == sum(p.numel() for p in served_learners[0].model.parameters())


@numbers
@pytest.mark.parametrize("text", ["", "T", TEXT], ids=["empty", "short", "long"])
def test_the_next_character_is_that_of_the_learner(port, served_learners, number, text):
    learn = served_learners[number]
    # the second time from states that were kept
    for _ in range(2):
        answer = ask(port, f"/api/{number}/next", {"text": text}).json()
        expected = learn.next_probs(text)
        probs = np.exp(floats(answer["logProbs"]))
        assert np.allclose(probs[1:], [expected[char] for char in learn.dls.vocab.itos[1:]], atol=1e-5)
        assert answer["unknown"] == []
        assert len(floats(answer["units"])) == 24


@numbers
def test_the_score_is_that_of_the_learner(port, served_learners, number):
    lines = ask(port, f"/api/{number}/score", {"text": TEXT, "units": [3, 0]}).lines()
    assert lines.pop() == {"end": True}
    nats = [floats(line["nats"]) for line in lines]
    assert [line["start"] for line in lines] == [0, *np.cumsum(list(map(len, nats)))[:-1]]
    expected = served_learners[number].score(TEXT).log_probs
    assert np.allclose(-np.concatenate(nats), expected, atol=1e-4)
    # the state after the text is that of `next`
    units = np.concatenate([floats(line["units"]).reshape(2, -1).T for line in lines])
    last = floats(ask(port, f"/api/{number}/next", {"text": TEXT}).json()["units"])
    assert len(units) == len(TEXT)
    assert np.allclose(units[-1], last[[3, 0]], atol=1e-5)


@numbers
def test_a_continuation_is_that_of_the_learner(port, served_learners, number):
    request = {"text": "The value", "n": 60, "temperature": 0.7, "topP": 0.9, "seed": 5}
    lines = ask(port, f"/api/{number}/generate", request).lines()
    assert lines.pop() == {"end": True}
    written = "".join(itertools.chain.from_iterable(line["chars"] for line in lines))
    expected = served_learners[number].generate("The value", 60, temperature=0.7, top_p=0.9, seed=5)
    assert written == expected.new


@numbers
def test_connectivity_has_a_number_for_each_character_up_to_there(port, number):
    norms = floats(ask(port, f"/api/{number}/connectivity", {"text": TEXT, "at": 400}).json()["norms"])
    assert len(norms) == 401
    assert (norms[-3:] > 0).all()
    n_read = 256 if number == 1 else 8
    assert not norms[:-n_read].any()


def test_unknown_characters_are_told_and_left_out(port):
    answer = ask(port, "/api/0/next", {"text": "the \U0001f600é valu\ud800é"}).json()
    assert [(o["char"], o["at"]) for o in answer["unknown"]] == [("\U0001f600", 4), ("é", 5), ("\ud800", 11)]
    expected = floats(ask(port, "/api/0/next", {"text": "the  valu"}).json()["logProbs"])
    assert np.array_equal(floats(answer["logProbs"]), expected)


def test_a_model_without_steps_is_served_without_units(small):
    learn = build(small, "rnn")
    learn.model = Whole(learn.model).eval()
    (model,) = load_served([learn])
    assert model.n_units == 0
    blocks = list(model.score(TEXT, []))
    assert len(blocks) > 1
    assert np.allclose(-np.concatenate([nats for _, nats, _ in blocks]), learn.score(TEXT).log_probs, atol=1e-5)
    log_probs, units, _ = model.next("The ")
    expected = learn.next_probs("The ")
    assert np.allclose(np.exp(log_probs[1:]), [expected[char] for char in learn.dls.vocab.itos[1:]], atol=1e-6)
    assert len(units) == 0


def test_a_served_model_stays_when_the_learner_is_trained(small):
    learn = build(small, "rnn")
    (model,) = load_served([learn])
    before, _, _ = model.next("The ")
    with torch.no_grad():
        learn.model.out.bias += torch.arange(len(learn.dls.vocab))
    assert np.array_equal(model.next("The ")[0], before)


def test_a_stream_that_nobody_reads_is_computed_no_further(served_learners):
    "The event loop cancels the iterator when the browser leaves."
    (model,) = load_served(served_learners[:1])
    n_made = []

    def blocks():
        for i in range(1000):
            n_made.append(i)
            yield i

    async def read_some():
        async for block in model.blocks(blocks):
            if block == 3:
                await asyncio.sleep(60)

    async def leave():
        task = asyncio.create_task(read_some())
        while len(n_made) < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.05)

    asyncio.run(leave())
    assert n_made == [0, 1, 2, 3]


def test_short_questions_do_not_wait_for_long_answers(port):
    "A score of a long text leaves turns for the next character."
    done = threading.Event()

    def score():
        assert ask(port, "/api/1/score", {"text": TEXT * 10}).lines()[-1] == {"end": True}
        done.set()

    thread = threading.Thread(target=score)
    thread.start()
    n_answers = 0
    while not done.is_set():
        assert ask(port, "/api/1/next", {"text": "The "}).status == 200
        n_answers += not done.is_set()
        time.sleep(0.01)
    thread.join()
    assert n_answers > 0


def test_only_the_end_of_a_text_that_is_typed_is_read(served_learners):
    (model,) = load_served(served_learners[1:2])
    model.next(TEXT)
    n_read = []
    read = model.states._read

    def counted(ids, state):
        n_read.append(len(ids))
        return read(ids, state)

    model.states._read = counted
    model.next(TEXT + "T")
    model.next(TEXT[:-1] + "x")
    model.next("x" + TEXT[:300])
    assert n_read == [1, 20, 256, 45]
