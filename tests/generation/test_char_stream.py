"""Streams: the text that `generate` returns, character by character, in constant memory."""

import tracemalloc

import torch
from small_models import build, lively


def test_a_stream_stops_where_the_text_does(trained):
    text = trained.generate("the", 400, seed=1, stop="e ").text
    assert "".join(trained.generate("the", 400, seed=1, stop="e ", stream=True)) == text


def test_a_function_stops_a_stream_where_it_stops_the_text(trained):
    def has_three_e(text):
        return text.count("e") == 3

    text = trained.generate("the", 99, seed=1, stop=has_three_e).text
    assert "".join(trained.generate("the", 99, seed=1, stream=True, stop=has_three_e)) == text


def test_the_model_can_be_trained_between_two_characters_without_changing_the_text(small):
    learn = lively(build(small, "rnn"))
    learn.model.train()
    stream = learn.generate("the", None, seed=1, stream=True)
    first_half = [next(stream) for _ in range(50)]
    assert learn.model.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    learn.model(torch.ones(2, 8, dtype=torch.int64)).sum().backward()
    for p in learn.model.parameters():
        p.data.zero_()
    second_half = [next(stream) for _ in range(50)]
    expected = lively(build(small, "rnn")).generate("the", 97, seed=1).text
    assert "".join(first_half + second_half) == expected


def memory_after(stream, n):
    "Bytes in use after `n` more characters."
    for _ in range(n):
        next(stream)
    return tracemalloc.get_traced_memory()[0]


def test_a_long_stream_runs_in_constant_memory(trained):
    stream = trained.generate("the", None, seed=1, stream=True, top_k=3)
    memory_after(stream, 500)
    tracemalloc.start()
    at_first = memory_after(stream, 300)
    at_last = memory_after(stream, 6000)
    tracemalloc.stop()
    assert at_last - at_first < 20_000
