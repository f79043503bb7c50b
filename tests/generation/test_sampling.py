"""Sampled text: equal to that of a plain sliding window, whatever else is generated, and ended where it should be."""

import warnings

import numpy as np
import plain_sampling as plain
import pytest
from small_models import Whole, build, lively, random_prompts, stateful

from fastai_charrnn.all import CharRnnWarning

ignore_loops = pytest.mark.filterwarnings("ignore:the greedy text repeats itself")


@ignore_loops
@pytest.mark.parametrize("arch", ["char3", "loop", "concat", "rnn", "gru", "lstm"])
def test_a_thousand_texts_equal_those_of_the_plain_sliding_window(small, arch):
    learn = lively(build(small, arch), 3)
    decode = learn.dls.vocab.decode
    prompts = random_prompts(learn.dls.vocab, 1000)
    encoded = [learn.dls.vocab.encode(p).tolist() for p in prompts]
    for temperature in (0, 0.8):
        generated = learn.generate(prompts, 12, temperature=temperature, seed=3)
        expected, log_probs, certainties = plain.sample(learn.model, arch, encoded, 12, temperature, 3)
        # the rounding of float32, which is another one on other processors, may change a choice that is nearly a tie
        certain = [i for i, row in enumerate(certainties) if min(row) > 1e-5]
        assert len(certain) > 950
        assert [generated[i].text for i in certain] == [prompts[i] + decode(expected[i]) for i in certain]
        for i in certain:
            np.testing.assert_allclose(generated[i].log_probs, log_probs[i], atol=1e-4, rtol=1e-5)
        assert len({o.new for o in generated}) > 100
    # the last ones are sampled
    for i in (0, 1, 77):
        assert learn.generate(prompts[i], 12, temperature=0.8, seed=3).text == generated[i].text


@pytest.mark.parametrize("arch", ["rnn", "lstm", "stateful"])
def test_a_text_depends_only_on_its_prompt_its_number_and_the_seed(small, arch):
    learn = stateful(small) if arch == "stateful" else lively(build(small, arch))
    kw = dict(n=300, temperature=0.9, top_k=20, repetition_penalty=1.1, seed=2**63)
    alone = learn.generate("the valu", **kw)
    batch = learn.generate(["x", "the valu", "", "class of" * 5, "the valu"], num=3, **kw)
    assert len(batch) == 15
    assert [o.prompt for o in batch[:4]] == ["x"] * 3 + ["the valu"]
    for o in (batch[3], batch[12], learn.generate("the valu", num=2, **kw)[0]):
        assert o.text == alone.text
        assert np.array_equal(o.log_probs, alone.log_probs)
    assert len({o.text for o in batch[3:6]}) == 3
    assert "".join(learn.generate("the valu", stream=True, **kw)) == alone.text
    shorter = learn.generate("the valu", **(kw | dict(n=200)))
    assert shorter.text == alone.text[:208]
    assert learn.generate("the valu", **(kw | dict(seed=4))).text != alone.text


def test_texts_of_different_prompts_do_not_converge(trained):
    # they do if all prompts share their random numbers: then two or three endings are left
    # (a few endings of spaces or stars may be equal)
    texts = trained.generate(random_prompts(trained.dls.vocab, 100), 400, seed=1)
    assert len({o.new[-50:] for o in texts}) > 90


def test_equal_prompts_have_equal_texts(trained):
    assert len({o.text for o in trained.generate(["the valu"] * 3, 40, seed=1)}) == 1


def test_a_module_without_steps_generates_in_evaluation_mode(small):
    learn = lively(build(small, "rnn"))
    expected = learn.generate(["the valu", "x"], 50, seed=1)
    learn.model = Whole(learn.model).double().train()
    generated = learn.generate(["the valu", "x"], 50, seed=1)
    assert [o.text for o in generated] == [o.text for o in expected]
    assert learn.model.training
    assert learn.model.drop.training


def test_without_a_seed_every_text_is_new_and_its_seed_reproduces_it(trained):
    first = trained.generate("the", 60)
    second = trained.generate("the", 60)
    assert first.text != second.text
    assert trained.generate("the", 60, seed=first.seed).text == first.text
    stream = trained.generate("the", 60, stream=True)
    assert trained.generate("the", 60, seed=stream.seed).text == "".join(stream)


def test_temperature_0_equals_predict_next(trained):
    with pytest.warns(CharRnnWarning, match="repeats itself every"):
        texts = trained.generate(["the valu", ""], 500, temperature=0)
    assert [o.text for o in texts] == trained.predict_next(["the valu", ""], n=500)
    assert texts[0].seed is None
    assert [*trained.generate("the", 5, temperature=0, stream=True)] == [*trained.predict_next("the", n=5)]


@pytest.mark.parametrize("kw", [dict(), dict(repetition_penalty=1.001)])
@pytest.mark.parametrize("stream", [False, True])
def test_greedy_text_in_a_loop_warns_once_at_the_line_of_the_caller(trained, kw, stream):
    prompt = "the valu" if stream else ["the valu", "a"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        "".join(map(str, trained.generate(prompt, 900, temperature=0, stream=stream, **kw)))
    assert [o.category for o in caught] == [CharRnnWarning]
    assert caught[0].filename == __file__


def test_other_text_in_a_loop_does_not_warn(trained):
    # warnings of this class are errors in tests
    trained.generate("the valu", 900, temperature=1e-9, seed=1)
    trained.predict_next("the valu", n=900)


# where a text ends


def end_of(text, stops):
    "The length of `text` up to the first of `stops`."
    return min((text.find(s) + len(s) for s in stops if s in text), default=len(text))


@pytest.mark.parametrize("stop", [".", "e ", ["on", "\n"]])
def test_a_text_ends_after_its_stop_string_whatever_the_others_do(trained, stop):
    kw = dict(n=400, seed=1, num=3)
    stops = [stop] if isinstance(stop, str) else stop
    for ended, full in zip(trained.generate(["the", "a"], stop=stop, **kw), trained.generate(["the", "a"], **kw)):
        assert ended.new == full.new[: end_of(full.new, stops)]
        assert np.array_equal(ended.log_probs, full.log_probs[: len(ended.new)])


def test_a_stop_function_gets_every_continuation_as_it_grows(trained):
    seen = []

    def has_three_e(text):
        seen.append(text)
        return text.count("e") == 3

    o = trained.generate("the", 99, seed=1, stop=has_three_e)
    assert o.new.count("e") == 3
    assert o.new[-1] == "e"
    assert seen == [o.new[: i + 1] for i in range(len(o.new))]


def test_return_prompt_false_leaves_the_prompt_out(trained):
    o = trained.generate("the valu", 9, seed=1, return_prompt=False)
    assert o.text == o.new
    assert o.prompt == "the valu"
    assert len(o.new) == 9
    assert "".join(trained.generate("the valu", 9, seed=1, return_prompt=False, stream=True)) == o.text


def test_padding_is_never_generated(small):
    learn = build(small, "rnn")
    # the model predicts padding almost certainly
    learn.model.out.bias.data[0] = 30.0
    o = learn.generate("the", 50, seed=1)
    assert "\0" not in o.text
    assert o.log_probs.max() < -15
    assert "\0" not in learn.generate("the", 9, beam=3)[0].text


def test_the_penalty_counts_characters_of_the_whole_text(trained):
    # with a huge penalty no character occurs twice before all have occurred
    text = trained.generate("the valu", 40, temperature=0, repetition_penalty=1e300).text
    assert len(text) == 48
    assert len(set(text)) == 48


def test_a_penalty_of_1_changes_nothing(trained):
    assert trained.generate("the", 99, seed=1, repetition_penalty=1).text == trained.generate("the", 99, seed=1).text
