"""The engine in JavaScript computes what PyTorch computes, for every architecture and mode, in a real browser."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_cases import CASES, TEXTS, case_learner, case_name, expected, packed

from fastai_charrnn.analysis.connectivity import connectivity
from fastai_charrnn.data.token_vocab import TokenVocab
from fastai_charrnn.generation.char_view import char_view
from fastai_charrnn.generation.decoders import next_log_probs
from fastai_charrnn.generation.prompts import prompt_rows
from fastai_charrnn.page import engine

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
def results(run_js):
    "For each case what Python computes and what the engine computes. Each is computed once."
    known = {}

    def of(case):
        name = case_name(case)
        if name not in known:
            theirs = expected(case)
            known[name] = theirs, run_js(RUN, [theirs["packed"], TEXTS])
        return known[name]

    return of


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_log_probs_equal_pytorch_after_every_text(results, case):
    theirs, ours = results(case)
    assert ours["mode"] == theirs["mode"]
    np.testing.assert_allclose(ours["log_probs"], theirs["log_probs"], atol=2e-4, rtol=0)
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
        np.testing.assert_allclose(found, norms, atol=1e-5 + 1e-3 * norms.max(), rtol=0)
    assert max(norms.max() for norms in theirs["connectivity"]) > 0.01


def test_gradients_go_through_long_texts_part_by_part(run_js):
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
        const states = [model.start()];
        for (const id of ids) states.push(model.feed(states.at(-1), id));
        const known = CharRNN.Reader.of(model, ids, (n) => states[n]);
        return [model.connectivity(ids, ids.length - 1), known.connectivity(ids.length - 1)].map((a) => Array.from(a));
    }"""
    theirs = connectivity(learn, text)
    assert theirs.min() > 0 and theirs[0] > 0.1 * theirs[-1]
    anew, from_known_states = run_js(script, [packed(learn), text])
    np.testing.assert_allclose(anew, theirs, rtol=0.01)
    assert from_known_states == anew


@pytest.mark.parametrize("case", [CASES[6], CASES[12], CASES[14]], ids=case_name)
def test_a_text_that_is_edited_has_the_state_of_one_that_is_read_anew(run_js, results, case):
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
    found = np.array(run_js(script, [results(case)[0]["packed"], edits]))
    assert found[:, 1:].max() == 0
    assert (found[:, 0] == 1).all() == (case[2] == "windows")


@pytest.mark.parametrize("case", [CASES[6], CASES[12]], ids=case_name)
def test_a_worker_that_keeps_few_states_of_a_long_text_answers_as_one_that_keeps_all(run_js, results, case):
    source = Path(engine.__file__).with_name("assets").joinpath("worker.js").read_text(encoding="utf-8")
    limit = "MAX_NUMBERS = 2 ** 24"
    assert limit in source
    script = """async ([source, packed, text]) => {
        const { port1, port2 } = new MessageChannel();
        new Function(source + "; return CharWorker;")().listen(port2);
        const parts = [];
        const answer = (message) => new Promise((resolve) => {
            port1.onmessage = ({ data }) => (data.part ? parts.push(...data.part) : resolve(data));
            port1.postMessage(message);
        });
        port1.postMessage({ load: JSON.stringify(packed) });
        const options = { n: 20, temperature: 1, topP: 1, seed: 3 };
        const { result: next } = await answer({ id: 1, method: "next", args: [text] });
        const { result: norms } = await answer({ id: 2, method: "connectivity", args: [text, 140] });
        await answer({ id: 3, method: "generate", args: [text, options] });
        const edited = text.slice(0, 133) + text.slice(140);
        const { result: last } = await answer({ id: 4, method: "next", args: [edited] });
        const points = parts.map((char) => char.codePointAt(0));
        return [next.logProbs, norms, points, last.logProbs].map((a) => Array.from(a));
    }"""
    packed_model = results(case)[0]["packed"]
    few, all_states = [
        run_js(script, [text, packed_model, TEXTS[-1]])
        for text in (source.replace(limit, "MAX_NUMBERS = 2 ** 8"), source)
    ]
    for found, expected_values in zip(few, all_states, strict=True):
        np.testing.assert_allclose(found, expected_values, rtol=1e-6)
    assert len(few[1]) == 141 and len(few[2]) == 20


def test_unknown_characters_are_left_out_and_named_with_their_positions(run_js, results):
    script = """([packed, text]) => {
        const model = CharRNN.load(packed);
        const { ids, kept, unknown } = model.encode(text);
        return [Array.from(ids, (id) => model.vocab[id]), kept, unknown];
    }"""
    chars, kept, unknown = run_js(script, [results(CASES[0])[0]["packed"], "😀✗T\0漢😎\ud83d"])
    assert chars == ["😀", "T", "漢"]
    assert kept == [0, 2, 4]
    assert [(u["char"], u["at"]) for u in unknown] == [("✗", 1), ("\0", 3), ("😎", 5), ("\ud83d", 6)]


def test_characters_of_foreign_vocabularies_keep_their_probabilities(run_js):
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
    found, vocab = run_js(script, packed(learn))
    assert vocab[1:] == view.dls.vocab.itos[1:]
    np.testing.assert_allclose(found[1:], theirs[1:], atol=1e-3, rtol=0)
    assert found[0] < -1000


def test_every_float16_is_decoded_as_numpy_decodes_it(run_js):
    found = run_js("() => Array.from({ length: 65536 }, (_, bits) => CharRNN.numbers.halfToNumber(bits))")
    np.testing.assert_array_equal(found, np.arange(65_536, dtype="<u2").view("<f2").astype(np.float64))


def test_the_engine_defines_one_global_name(page):
    script = "() => Object.getOwnPropertyNames(globalThis)"
    before = page.evaluate(script)
    page.add_script_tag(content=engine.engine_source())
    assert set(page.evaluate(script)) - set(before) == {"CharRNN"}


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(format=2), "a packed model has format 1, got 2"),
        (dict(arch="toString"), "the engine does not know toString"),
        (dict(weights=base64.b64encode(bytes(100)).decode()), "emb.weight is cut short"),
    ],
)
def test_what_cannot_be_loaded_is_refused(run_js, results, change, message):
    good = results(CASES[0])[0]["packed"]
    member = good["members"][0] | {k: v for k, v in change.items() if k != "format"}
    bad = good | {"members": [member]} | {k: v for k, v in change.items() if k == "format"}
    script = "(packed) => { try { CharRNN.load(packed); } catch (error) { return error.message; } }"
    assert run_js(script, bad) == message
