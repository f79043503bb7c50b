"""Decoders: which one a model needs, rows that come and go, and models, modes and threads as they were afterwards."""

import copy
import threading
import warnings

import numpy as np
import plain_sampling as plain
import pytest
import torch
from small_models import Whole, build, lively, stateful

from fastai_charrnn.all import CharRnn, CharRnnWarning
from fastai_charrnn.generation.decoders import (
    SlidingWindowDecoder,
    StaggeredWindowDecoder,
    StatefulDecoder,
    decoder,
    eval_mode,
)


def test_a_carried_state_reads_prompts_whole_and_one_character_a_step(small):
    learn = stateful(small)
    learn.model.out.bias.data[0] = -99.0  # or `predict_next` would write padding, as the reference may
    m = copy.deepcopy(learn.model).double()
    for prompt in ("", "x", "class definitions are longer than any window, the valu"):
        ids = learn.dls.vocab.encode(prompt).tolist()
        got = learn.generate(prompt, 60, seed=4)
        (h,) = m.init_hidden(1)
        want = []
        us = plain.uniforms(4, ids)
        with torch.no_grad():

            def read(h, i):
                return m.rnn(m.emb(torch.tensor([[i]])), h[None])[1][0]  # the library's own layer

            for i in ids:
                h = read(h, i)
            for _ in range(60):
                want.append(
                    1 + plain.draw(plain.divide_by_temperature(m.log_probs((h,))[0, 1:].tolist(), 0.8), next(us))
                )
                h = read(h, want[-1])
        assert got.new == learn.dls.vocab.decode(want)
        assert learn.score(got.text).log_probs[len(prompt) :] == pytest.approx(got.log_probs, abs=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CharRnnWarning)
        assert learn.predict_next(["", "x", "class def"], n=30) == [
            o.text for o in learn.generate(["", "x", "class def"], 30, temperature=0)
        ]
    assert learn.next_probs("class def", top=1) == pytest.approx(
        {learn.predict_next("class def"): max(learn.next_probs("class def").values())}
    )


def test_the_model_says_which_decoder_it_needs(small):
    ids = torch.ones(2, 8, dtype=torch.int64)
    rnn = build(small, "rnn").model
    assert (
        type(decoder(rnn, ids)) is StaggeredWindowDecoder
        and type(decoder(Whole(rnn), ids)) is SlidingWindowDecoder
        and type(decoder(stateful(small).model, ids)) is StatefulDecoder
    )


@pytest.mark.parametrize("arch", ["lstm", "carried", "whole"])
def test_rows_can_be_left_out_reordered_and_doubled(small, arch):
    learn = stateful(small) if arch == "carried" else build(small, "lstm")
    model = Whole(learn.model).eval() if arch == "whole" else learn.model
    torch.manual_seed(0)
    ids = torch.randint(1, 30, (4, 8))
    rows = torch.tensor([2, 0, 2])
    more = torch.randint(1, 30, (11, 4))
    with torch.inference_mode():
        a = decoder(model, ids)
        b = decoder(model, ids[rows])
        for c in more[:5]:
            a.feed(c)
            b.feed(c[rows])
        a.select(rows)
        for c in more[5:]:
            a.feed(c[rows])
            b.feed(c[rows])
            torch.testing.assert_close(a.log_probs(), b.log_probs())


def test_steps_that_insist_on_float32_are_taken_in_float32(small):
    class Single(CharRnn):
        "Its first state is of one type."

        def init_hidden(self, bs):
            return (torch.zeros(bs, self.n_hid, dtype=torch.float32),)

    assert len(build(small, Single).generate("the", 30, seed=1).new) == 30


# as it was afterwards


class Boom(Exception):
    pass


def raising(error):
    def stop(text):
        if len(text) == 3:
            raise error

    return stop


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
@pytest.mark.parametrize("whole", [False, True])
def test_modes_and_random_states_are_as_before_also_after_an_error_or_ctrl_c(small, error, whole):
    learn = build(small, "rnn")
    if whole:
        learn.model = Whole(learn.model)
    learn.model.train()
    next(learn.model.children()).eval()  # a part in another mode stays in it
    modes = [m.training for m in learn.model.modules()]
    state = (torch.random.get_rng_state(), np.random.get_state()[1].copy())

    def after():
        return (
            [m.training for m in learn.model.modules()] == modes
            and torch.is_grad_enabled()
            and not torch.is_inference_mode_enabled()
            and torch.equal(state[0], torch.random.get_rng_state())
            and (state[1] == np.random.get_state()[1]).all()
        )

    for kw in (dict(), dict(stream=True), dict(num=3), dict(temperature=0)):
        with pytest.raises(error):
            list(learn.generate("the", 20, stop=raising(error), **kw))
        assert after()
    with pytest.raises(error):
        learn.generate("the", 20, stop=raising(error), beam=2)
    hook = learn.model.register_forward_hook(lambda *_: (_ for _ in ()).throw(error()))
    with pytest.raises(error):
        learn.score("class")
    hook.remove()
    learn.generate("the", 5), learn.score("the"), learn.next_probs("the")
    assert after()


def test_threads_get_their_own_seeded_texts(small):
    learn = build(small, "rnn")
    learn.model = (
        Whole(lively(learn).model).double().train()
    )  # a switch of modes in one thread would show in another's text
    want = {s: learn.generate("the valu", 80, seed=s).text for s in range(6)}
    got = {}
    errors = []
    start = threading.Barrier(6)

    def work(s):
        start.wait()
        try:
            got[s] = [
                learn.generate("the valu", 80, seed=s).text,
                "".join(learn.generate("the valu", 80, seed=s, stream=True)),
            ]
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(s,)) for s in want]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (
        not errors
        and got == {s: [t, t] for s, t in want.items()}
        and learn.model.training
        and learn.model.drop.training
    )


def test_the_last_out_of_evaluation_mode_restores_it():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5)).train()
    out = threading.Event()
    seen = []

    def first():
        with eval_mode(model):
            inside.set()
            out.wait()
        seen.append(model.training)

    inside = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with eval_mode(model):
        out.set()
        thread.join()
        assert seen == [False] and not model[0].training
    assert model.training and model[0].training and torch.is_grad_enabled()
