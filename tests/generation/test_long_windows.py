"""Windows of more than 256 characters: equal to reading each window, in memory for 256 states."""

import pytest
import torch
from small_models import build, lively

from fastai_charrnn.generation.decoders import MAX_STATES, LongWindowDecoder, SlidingWindowDecoder, decoder


@pytest.mark.parametrize("arch", ["gru", "lstm"])
def test_a_long_window_equals_windows_that_are_read_one_by_one(small, arch):
    learn = lively(build(small, arch, n=300), 2)
    model = learn.model.double().eval()
    ids = torch.from_numpy(learn.dls.vocab.encode(small[:1200])).long().view(2, 600)
    found = decoder(model, ids[:, :300])
    plain = SlidingWindowDecoder(model, ids[:, :300])
    assert isinstance(found, LongWindowDecoder)
    for i, c in enumerate(ids[:, 300 : 310 + MAX_STATES].t()):
        # the first ones, and those around the second reading
        if i < 3 or i > MAX_STATES - 3:
            with torch.inference_mode():
                assert torch.allclose(found.log_probs(), plain.log_probs(), atol=1e-12)
        if i == 2 or i == MAX_STATES + 2:
            found.select(torch.tensor([1, 0, 1]))
            plain.select(torch.tensor([1, 0, 1]))
            found.select(torch.tensor([1, 2]))
            plain.select(torch.tensor([1, 2]))
        with torch.inference_mode():
            found.feed(c)
            plain.feed(c)
        assert len(found.state[0]) <= 2 * MAX_STATES


def test_texts_of_a_long_window_do_not_depend_on_the_batch(small):
    learn = lively(build(small, "rnn", n=280), 2)
    alone = [learn.generate(prompt, 300, seed=2).text for prompt in ("the ", "a")]
    assert [o.text for o in learn.generate(["the ", "a"], 300, seed=2)] == alone
