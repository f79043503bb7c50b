"""Drawn text: what the plain sliding window writes, and the same whatever is generated beside it, whenever and by which thread."""

import warnings

import numpy as np
import plain_sampling as plain
import pytest
import torch
from small_models import Whole, build, lively, random_prompts, stateful

from fastai_charrnn.all import CharRnnWarning


@pytest.mark.parametrize("arch", ["char3", "loop", "concat", "rnn", "gru", "lstm"])
def test_a_thousand_prompts_are_continued_as_the_plain_sliding_window_does(small, arch):
    learn = lively(build(small, arch), 3)
    prompts = random_prompts(learn.dls.vocab, 1000)
    encoded = [learn.dls.vocab.encode(p).tolist() for p in prompts]
    for temperature in (0, 0.8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CharRnnWarning)
            got = learn.generate(prompts, 12, temperature=temperature, seed=3)
        texts, logs = plain.write(learn.model, arch, encoded, 12, temperature, 3)
        assert [o.text for o in got] == [p + learn.dls.vocab.decode(t) for p, t in zip(prompts, texts)]
        np.testing.assert_allclose(np.stack([o.log_probs for o in got]), logs, atol=1e-4, rtol=1e-5)
        assert len({o.new for o in got}) > 100
        for i in (0, 1, 77):
            assert (
                learn.generate(prompts[i], 12, temperature=0.8, seed=3).text
                == learn.generate(prompts, 12, seed=3)[i].text
            )


@pytest.mark.parametrize("arch", ["rnn", "lstm", "carried"])
def test_a_text_depends_on_its_prompt_its_number_and_the_seed_alone(small, arch):
    learn = stateful(small) if arch == "carried" else lively(build(small, arch))
    kw = dict(n=300, temperature=0.9, top_k=20, repetition_penalty=1.1, seed=2**63)
    alone = learn.generate("the valu", **kw)
    crowd = learn.generate(["x", "the valu", "", "class of" * 5, "the valu"], num=3, **kw)
    assert len(crowd) == 15 and [o.prompt for o in crowd[:4]] == ["x"] * 3 + ["the valu"]
    for o in (crowd[3], crowd[12], learn.generate("the valu", num=2, **kw)[0]):
        assert o.text == alone.text and np.array_equal(o.log_probs, alone.log_probs)
    assert len({o.text for o in crowd[3:6]}) == 3
    assert (
        "".join(learn.generate("the valu", stream=True, **kw))
        == alone.text
        == learn.generate("the valu", **(kw | dict(n=200))).text + alone.text[208:]
    )
    assert learn.generate("the valu", **(kw | dict(seed=4))).text != alone.text


def test_texts_of_different_prompts_do_not_come_together(trained):
    "As those would that draw the same numbers: they have two or three endings. (Runs of spaces and stars may be equal.)"
    assert len({o.new[-50:] for o in trained.generate(random_prompts(trained.dls.vocab, 100), 400, seed=1)}) > 90
    assert len({o.text for o in trained.generate(["the valu"] * 3, 40, seed=1)}) == 1


def test_a_module_without_steps_is_drawn_from_in_evaluation_mode(small):
    learn = lively(build(small, "rnn"))
    model = learn.model
    want = learn.generate(["the valu", "x"], 50, seed=1)
    learn.model = Whole(model).double().train()
    got = learn.generate(["the valu", "x"], 50, seed=1)
    assert [o.text for o in got] == [o.text for o in want] and learn.model.training and learn.model.drop.training


def test_without_a_seed_every_text_is_new_and_says_how_to_have_it_again(trained):
    a, b = trained.generate("the", 60), trained.generate("the", 60)
    assert a.text != b.text and trained.generate("the", 60, seed=a.seed).text == a.text
    s = trained.generate("the", 60, stream=True)
    assert trained.generate("the", 60, seed=s.seed).text == "".join(s)


def test_temperature_0_is_predict_next(trained):
    with pytest.warns(CharRnnWarning, match="repeats itself every"):
        got = trained.generate(["the valu", ""], 500, temperature=0)
    assert [o.text for o in got] == trained.predict_next(["the valu", ""], n=500) and got[0].seed is None
    assert [*trained.generate("the", 5, temperature=0, stream=True)] == [*trained.predict_next("the", n=5)]


@pytest.mark.parametrize("kw", [dict(), dict(repetition_penalty=1.001)])
def test_greedy_text_in_a_loop_says_so_once_and_drawn_text_never(trained, kw):
    for call in (
        lambda: trained.generate(["the valu", "a"], 900, temperature=0, **kw),
        lambda: "".join(trained.generate("the valu", 900, temperature=0, stream=True, **kw)),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert [o.category for o in caught] == [CharRnnWarning] and caught[0].filename == __file__
    trained.generate("the valu", 900, temperature=1e-9, seed=1)
    trained.predict_next("the valu", n=900)


# where a text ends


def test_stop_ends_a_text_after_its_string_whatever_the_others_do(trained):
    free = trained.generate(["the", "a"], 400, seed=1, num=3)
    for stop in (".", "e ", ["on", "\n"]):
        for o, f in zip(trained.generate(["the", "a"], 400, seed=1, num=3, stop=stop), free):
            ends = [f.new.find(s) + len(s) for s in ([stop] if isinstance(stop, str) else stop) if s in f.new]
            assert o.new == f.new[: min(ends, default=400)] and np.array_equal(o.log_probs, f.log_probs[: len(o.new)])
    assert (
        "".join(trained.generate("the", 400, seed=1, stop="e ", stream=True))
        == trained.generate("the", 400, seed=1, stop="e ").text
    )


def test_a_function_stops_and_sees_every_continuation_grow_by_one(trained):
    seen = []
    o = trained.generate("the", 99, seed=1, stop=lambda text: seen.append(text) or text.count("e") == 3)
    assert o.new.count("e") == 3 and o.new[-1] == "e" and seen == [o.new[: i + 1] for i in range(len(o.new))]
    assert "".join(trained.generate("the", 99, seed=1, stream=True, stop=lambda text: text.count("e") == 3)) == o.text


def test_return_prompt(trained):
    o = trained.generate("the valu", 9, seed=1, return_prompt=False)
    assert (
        o.text == o.new == "".join(trained.generate("the valu", 9, seed=1, return_prompt=False, stream=True))
        and o.prompt == "the valu"
        and len(o.new) == 9
    )


def test_padding_is_never_written(small):
    learn = build(small, "rnn")
    learn.model.out.bias.data[0] = 30.0  # the model all but insists on it
    o = learn.generate("the", 50, seed=1)
    assert "\0" not in o.text and "\0" not in learn.generate("the", 9, beam=3)[0].text and o.log_probs.max() < -15


def test_the_penalty_counts_what_stands_in_the_whole_text(trained):
    "At a penalty beyond measure no character comes twice before all have come."
    text = trained.generate("the valu", 40, temperature=0, repetition_penalty=1e300).text
    assert len(set(text)) == len(text) == 48
    assert trained.generate("the", 99, seed=1, repetition_penalty=1).text == trained.generate("the", 99, seed=1).text


# streaming


def test_a_stream_without_end_is_read_as_far_as_one_likes_and_leaves_the_model_alone(small):
    learn = lively(build(small, "rnn"))
    learn.model.train()
    s = learn.generate("the", None, seed=1, stream=True)
    first = [next(s) for _ in range(50)]
    assert learn.model.training and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    learn.model(torch.ones(2, 8, dtype=torch.int64)).sum().backward()  # training between two characters is possible,
    for p in learn.model.parameters():
        p.data.zero_()
    rest = [next(s) for _ in range(50)]  # and changes nothing of the text that was begun
    assert "".join(first + rest) == lively(build(small, "rnn")).generate("the", 97, seed=1).text


def test_a_long_stream_runs_in_constant_memory(trained):
    import tracemalloc

    s = trained.generate("the", None, seed=1, stream=True, top_k=3)
    for _ in range(500):
        next(s)
    tracemalloc.start()
    for _ in range(300):
        next(s)
    a = tracemalloc.get_traced_memory()[0]
    for _ in range(6000):
        next(s)
    b = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert b - a < 20_000
