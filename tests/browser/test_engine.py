"""The engine in JavaScript computes what PyTorch computes, for every architecture and mode, in a real browser."""

import base64

import numpy as np
import pytest
import torch
from engine_cases import CASES, TEXTS, case_learner, case_name, expected, log_probs, packed

from fastai_charrnn.analysis.connectivity import connectivity
from fastai_charrnn.data.token_vocab import TokenVocab
from fastai_charrnn.generation.char_view import char_view
from fastai_charrnn.generation.decoders import next_log_probs
from fastai_charrnn.generation.filters import filter_scores
from fastai_charrnn.generation.options import GenerationConfig
from fastai_charrnn.generation.prompts import prompt_rows
from fastai_charrnn.page.engine import engine_source

# what the engine computes for a case: as `engine_cases.expected`
RUN = """
([packed, texts]) => {
    const model = CharRNN.load(packed);
    const read = (text) => model.encode(text).ids.reduce((state, id) => model.feed(state, id), model.start());
    const long = model.encode(texts.at(-1)).ids;
    const said = model.encode("said 漢 😀.").ids;
    const reader = new CharRNN.Reader(model);
    reader.read(long);
    const row = ({ nats: { length: n }, units }, k) => Array.from(units.subarray(k * n, (k + 1) * n));
    const numbers = [...Array(model.nHid).keys()];
    const parts = [...reader.score({ units: numbers, length: 100 })];
    return {
        log_probs: texts.map((text) => Array.from(model.logProbs(read(text)))),
        nats: parts.map((part) => Array.from(part.nats)).flat(),
        units: numbers.map((k) => parts.map((part) => row(part, k)).flat()),
        connectivity: Array.from(said, (_, at) => Array.from(model.connectivity(said, at))),
        mode: model.mode,
    };
}
"""


@pytest.fixture(scope="module")
def run(browser):
    "A function that evaluates JavaScript in a page with the engine."
    page = browser.new_page()
    page.add_script_tag(content=engine_source())
    yield page.evaluate
    page.close()


@pytest.fixture(scope="module")
def results(run):
    "For each case what Python computes and what the engine computes. Each is computed once."
    known = {}

    def of(case):
        name = case_name(case)
        if name not in known:
            theirs = expected(case)
            known[name] = theirs, run(RUN, [theirs["packed"], TEXTS])
        return known[name]

    return of


@pytest.fixture(scope="module")
def sampled(run):
    "A learner, its log-probabilities after a text, and a function that draws from them in the browser."
    learn = case_learner(("rnn", {}, "windows"))
    scores = log_probs(learn, "The ")

    def draw(n, **options):
        script = """([logProbs, options, n]) => {
            const random = CharRNN.random(7);
            return Array.from({ length: n }, () => CharRNN.sample(logProbs, options, random));
        }"""
        return np.array(run(script, [scores.tolist(), options, n]))

    return learn, scores, draw


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_log_probs_equal_pytorch_after_every_text(results, case):
    theirs, ours = results(case)
    assert ours["mode"] == theirs["mode"]
    np.testing.assert_allclose(ours["log_probs"], theirs["log_probs"], atol=1e-3, rtol=0)
    np.testing.assert_allclose(np.exp(ours["log_probs"]).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_a_text_scored_in_parts_has_the_surprise_and_the_hidden_states_of_python(results, case):
    theirs, ours = results(case)
    np.testing.assert_allclose(ours["nats"], theirs["nats"], atol=1e-3, rtol=0)
    np.testing.assert_allclose(np.transpose(ours["units"]), theirs["units"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_connectivity_equals_autograd(results, case):
    theirs, ours = results(case)
    for found, norms in zip(ours["connectivity"], theirs["connectivity"], strict=True):
        np.testing.assert_allclose(found, norms, atol=1e-5 + 5e-3 * norms.max(), rtol=0)
    assert max(norms.max() for norms in theirs["connectivity"]) > 0.01


def test_gradients_go_through_long_texts_part_by_part(run):
    "The derivative of an integrator does not vanish: identity weights and one unit, far below saturation."
    learn = case_learner(("loop", {}, "streams"))
    with torch.no_grad():
        learn.model.hid.weight.copy_(torch.eye(24))
        learn.model.hid.bias.zero_()
        learn.model.inp.bias.zero_()
        learn.model.inp.weight.mul_(1e-4)
    text = "The quick " * 30
    script = """([packed, text]) => {
        const model = CharRNN.load(packed);
        const { ids } = model.encode(text);
        return Array.from(model.connectivity(ids, ids.length - 1));
    }"""

    theirs = connectivity(learn, text)
    assert theirs.min() > 0 and theirs[0] > 0.1 * theirs[-1]
    np.testing.assert_allclose(run(script, [packed(learn), text]), theirs, rtol=0.01)


@pytest.mark.parametrize("case", [CASES[6], CASES[12], CASES[14]], ids=case_name)
def test_a_text_that_is_edited_has_the_state_of_one_that_is_read_anew(run, results, case):
    script = """([packed, texts]) => {
        const model = CharRNN.load(packed);
        const reader = new CharRNN.Reader(model);
        return texts.map((text) => {
            const { ids } = model.encode(text);
            let state = null;
            let calls = 0;
            while (!state) {
                state = reader.read(ids, 50);
                calls++;
            }
            const anew = ids.reduce((s, id) => model.feed(s, id), model.start());
            const middle = ids.subarray(0, 5).reduce((s, id) => model.feed(s, id), model.start());
            const pairs = [[state, anew], [reader.state(5), middle]];
            return [calls, ...pairs.map(([a, b]) => {
                const other = model.logProbs(b);
                return Math.max(...model.logProbs(a).map((v, i) => Math.abs(v - other[i])));
            })];
        });
    }"""
    long = "12 lazy dogs! said " * 20
    edits = ["", "The", "The quick", "The quic", long, long + "x", long[:-1], long[:130] + "??" + long[130:], long[7:]]
    found = np.array(run(script, [results(case)[0]["packed"], edits]))
    assert found[:, 1:].max() == 0
    assert (found[:, 0] == 1).all() == (case[2] == "windows")


def test_unknown_characters_are_left_out_and_named_with_their_positions(run, results):
    script = """([packed, text]) => {
        const model = CharRNN.load(packed);
        const { ids, kept, unknown } = model.encode(text);
        return [Array.from(ids, (id) => model.vocab[id]), kept, unknown];
    }"""
    chars, kept, unknown = run(script, [results(CASES[0])[0]["packed"], "😀✗T\0漢😎\ud83d"])
    assert chars == ["😀", "T", "漢"]
    assert kept == [0, 2, 4]
    assert [(u["char"], u["at"]) for u in unknown] == [("✗", 1), ("\0", 3), ("😎", 5), ("\ud83d", 6)]


def test_characters_of_foreign_vocabularies_keep_their_probabilities(run):
    "Their special tokens are left out, and what pads windows is never predicted."

    learn = case_learner(("gru", dict(tie_weights=True), "windows"))
    itos = list(learn.dls.vocab.itos)
    itos[0] = "xxpad"
    itos[3] = "xxbos"
    learn.dls.vocab = TokenVocab(itos[::-1])
    view = char_view(learn)
    rows = prompt_rows(view, [view.dls.vocab.encode("fox")])
    theirs = next_log_probs(view.model, rows)[0].numpy()
    script = """(packed) => {
        const model = CharRNN.load(packed);
        const state = model.encode("fox").ids.reduce((s, id) => model.feed(s, id), model.start());
        return [Array.from(model.logProbs(state)), model.vocab];
    }"""
    found, vocab = run(script, packed(learn))
    assert vocab[1:] == view.dls.vocab.itos[1:]
    np.testing.assert_allclose(found[1:], theirs[1:], atol=1e-3, rtol=0)
    assert found[0] < -1000


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(format=2), "a packed model has format 1, got 2"),
        (dict(arch="toString"), "the engine does not know toString"),
        (dict(weights=base64.b64encode(bytes(100)).decode()), "emb.weight is cut short"),
    ],
)
def test_what_cannot_be_loaded_is_refused(run, results, change, message):
    good = results(CASES[0])[0]["packed"]
    member = good["members"][0] | {k: v for k, v in change.items() if k != "format"}
    bad = good | {"members": [member]} | {k: v for k, v in change.items() if k == "format"}
    script = "(packed) => { try { CharRNN.load(packed); } catch (error) { return error.message; } }"
    assert run(script, bad) == message


def _chi_square(counts, probs):
    "The statistic over classes of at least 5 expected draws, and the degrees of freedom. Rare ones are one class."
    order = np.argsort(-probs)
    counts, expected = counts[order], (probs * counts.sum())[order]
    n = max(int((expected >= 5).sum()), 1)
    counts = np.append(counts[:n], counts[n:].sum())
    expected = np.append(expected[:n], expected[n:].sum())
    if expected[-1] < 5:
        counts, expected = counts[:-1], expected[:-1]
    return ((counts - expected) ** 2 / expected).sum(), len(expected) - 1


@pytest.mark.parametrize("temperature, top_p", [(1, 1), (0.5, 1), (2, 1), (1, 0.9), (0.7, 0.6), (1.5, 0.95), (1, 0)])
def test_draws_have_the_probabilities_of_the_filters_in_python(sampled, temperature, top_p):
    _, scores, draw = sampled
    options = GenerationConfig(temperature=temperature, top_p=None if top_p == 1 else top_p)
    # padding is never chosen
    filtered = filter_scores(torch.from_numpy(scores[None, 1:]), options).softmax(-1)[0].numpy()
    counts = np.bincount(draw(5_000, temperature=temperature, topP=top_p), minlength=len(scores))
    assert counts[0] == 0
    assert (counts[1:][filtered == 0] == 0).all()
    statistic, freedom = _chi_square(counts[1:], filtered)
    # the mean of chi-square is its degrees of freedom, its variance twice that; six deviations are one in a million
    assert statistic < freedom + 6 * np.sqrt(2 * freedom) + 1e-9


def test_temperature_zero_takes_the_most_likely(sampled):
    _, scores, draw = sampled
    assert set(draw(10, temperature=0, topP=0.5)) == {int(scores[1:].argmax()) + 1}


def test_texts_of_two_characters_have_the_joint_probabilities(run, sampled):
    learn, scores, _ = sampled
    script = """([packed, n]) => {
        const model = CharRNN.load(packed);
        const random = CharRNN.random(3);
        const state = model.encode("The ").ids.reduce((s, id) => model.feed(s, id), model.start());
        const first = model.logProbs(state);
        return Array.from({ length: n }, () => {
            const id = CharRNN.sample(first, {}, random);
            return [id, CharRNN.sample(model.logProbs(model.feed(state, id)), {}, random)];
        });
    }"""
    pairs = np.array(run(script, [packed(learn), 2000]))
    n_chars = len(scores) - 1
    counts = np.bincount((pairs[:, 0] - 1) * n_chars + pairs[:, 1] - 1, minlength=n_chars**2)
    second = np.array([log_probs(learn, "The " + char)[1:] for char in learn.dls.vocab.itos[1:]])
    probs = np.exp(scores[1:, None] + second)
    statistic, freedom = _chi_square(counts, (probs / probs.sum()).ravel())
    assert statistic < freedom + 6 * np.sqrt(2 * freedom)


def _sfc32(seed):
    "The generator of `sampling.js`, in Python's integers."
    mask = 2**32 - 1

    def mix(x):
        x = (x ^ x >> 16) * 0x85EBCA6B & mask
        x = (x ^ x >> 13) * 0xC2B2AE35 & mask
        return x ^ x >> 16

    a = mix(seed & mask)
    b = mix(seed >> 32 ^ 0x9E3779B9)
    c = mix(a ^ b)
    counter = 1
    bits = []
    while True:
        out = a + b + counter & mask
        counter = counter + 1 & mask
        a = b ^ b >> 9
        b = c + (c << 3) & mask
        c = (c << 21 & mask | c >> 11) + out & mask
        bits.append(out)
        if len(bits) > 12 and len(bits) % 2 == 0:
            yield ((bits[-2] >> 5) * 2**26 + (bits[-1] >> 6)) / 2**53


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 5, 2**53 - 1])
def test_random_numbers_are_those_of_sfc32(run, seed):
    script = "(seed) => { const r = CharRNN.random(seed); return [r(), r(), r()]; }"
    numbers = _sfc32(seed)
    assert run(script, seed) == [next(numbers) for _ in range(3)]
