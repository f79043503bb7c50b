"""Drawn text: what the plain sliding window writes, and the same whatever is generated beside it, whenever and by which thread."""
import copy
import threading
import warnings

import numpy as np
import plain_sampling as plain
import pytest
import torch
from fastai_charrnn.all import CharDataLoaders,CharRnn,CharRnnWarning,ScoredText,char_learner,get_arch
from fastai_charrnn.decoders import Carried,SlidingWindow,WindowsInFlight,decoder,eval_mode
from fastai_charrnn.errors import CharRnnError,DataError,GenerationError,UnknownCharError,VocabError
from hypothesis import HealthCheck,given,settings
from hypothesis import strategies as st


class Whole(torch.nn.Module):
    "A model without the step protocol, and with a layer that behaves otherwise in training."
    def __init__(self, model):
        super().__init__()
        self.model,self.drop = model,torch.nn.Dropout(.5)
    def forward(self, x): return self.drop(self.model(x))


class CarriedGru(get_arch("gru").cls):
    "A GRU that carries its state."
    def __init__(self, vocab_sz, emb_sz=42, n_hid=256): super().__init__(vocab_sz, emb_sz, n_hid, window=None)


def lively(learn, scale=4):
    "Weights so large that texts are lively."
    for p in learn.model.parameters(): p.data *= scale
    return learn


def build(small, arch, n=8, **kw):
    dls = CharDataLoaders.from_text(small, n=3 if arch == "char3" else n, bs=256, valid="tail", device="cpu")
    return char_learner(dls, arch, n_hid=24, emb_sz=16, seed=1, **kw)


def random_prompts(vocab, k, longest=40):
    rng = np.random.default_rng(5)
    return ["".join(rng.choice(vocab.itos[1:], rng.integers(0, longest+1))) for _ in range(k)]


@pytest.mark.parametrize("arch", ["char3", "loop", "concat", "rnn", "gru", "lstm"])
def test_a_thousand_prompts_are_continued_as_the_plain_sliding_window_does(small, arch):
    learn = lively(build(small, arch), 3)
    prompts = random_prompts(learn.dls.vocab, 1000)
    encoded = [learn.dls.vocab.encode(p).tolist() for p in prompts]
    for temperature in (0, .8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CharRnnWarning)
            got = learn.generate(prompts, 12, temperature=temperature, seed=3)
        texts,logs = plain.write(learn.model, arch, encoded, 12, temperature, 3)
        assert [o.text for o in got] == [p+learn.dls.vocab.decode(t) for p,t in zip(prompts, texts)]
        np.testing.assert_allclose(np.stack([o.log_probs for o in got]), logs, atol=1e-4, rtol=1e-5)
        assert len({o.new for o in got}) > 100
        for i in (0, 1, 77): assert learn.generate(prompts[i], 12, temperature=.8, seed=3).text == learn.generate(prompts, 12, seed=3)[i].text


def carried(small): return lively(build(small, CarriedGru), 2)


@pytest.mark.parametrize("arch", ["rnn", "lstm", "carried"])
def test_a_text_depends_on_its_prompt_its_number_and_the_seed_alone(small, arch):
    learn = carried(small) if arch == "carried" else lively(build(small, arch))
    kw = dict(n=300, temperature=.9, top_k=20, repetition_penalty=1.1, seed=2**63)
    alone = learn.generate("the valu", **kw)
    crowd = learn.generate(["x", "the valu", "", "class of"*5, "the valu"], num=3, **kw)
    assert len(crowd) == 15 and [o.prompt for o in crowd[:4]] == ["x"]*3+["the valu"]
    for o in (crowd[3], crowd[12], learn.generate("the valu", num=2, **kw)[0]): assert o.text == alone.text and np.array_equal(o.log_probs, alone.log_probs)
    assert len({o.text for o in crowd[3:6]}) == 3
    assert "".join(learn.generate("the valu", stream=True, **kw)) == alone.text == learn.generate("the valu", **(kw | dict(n=200))).text+alone.text[208:]
    assert learn.generate("the valu", **(kw | dict(seed=4))).text != alone.text


def test_texts_of_different_prompts_do_not_come_together(trained):
    "As those would that draw the same numbers: they have two or three endings. (Runs of spaces and stars may be equal.)"
    assert len({o.new[-50:] for o in trained.generate(random_prompts(trained.dls.vocab, 100), 400, seed=1)}) > 90
    assert len({o.text for o in trained.generate(["the valu"]*3, 40, seed=1)}) == 1


def test_a_module_without_steps_is_drawn_from_in_evaluation_mode(small):
    learn = lively(build(small, "rnn"))
    model,want = learn.model,learn.generate(["the valu", "x"], 50, seed=1)
    learn.model = Whole(model).double().train()
    got = learn.generate(["the valu", "x"], 50, seed=1)
    assert [o.text for o in got] == [o.text for o in want] and learn.model.training and learn.model.drop.training


def test_without_a_seed_every_text_is_new_and_says_how_to_have_it_again(trained):
    a,b = trained.generate("the", 60),trained.generate("the", 60)
    assert a.text != b.text and trained.generate("the", 60, seed=a.seed).text == a.text
    s = trained.generate("the", 60, stream=True)
    assert trained.generate("the", 60, seed=s.seed).text == "".join(s)


def test_temperature_0_is_predict_next(trained):
    with pytest.warns(CharRnnWarning, match="repeats itself every"): got = trained.generate(["the valu", ""], 500, temperature=0)
    assert [o.text for o in got] == trained.predict_next(["the valu", ""], n=500) and got[0].seed is None
    assert [*trained.generate("the", 5, temperature=0, stream=True)] == [*trained.predict_next("the", n=5)]


@pytest.mark.parametrize("kw", [dict(), dict(repetition_penalty=1.001)])
def test_greedy_text_in_a_loop_says_so_once_and_drawn_text_never(trained, kw):
    for call in (lambda: trained.generate(["the valu", "a"], 900, temperature=0, **kw), lambda: "".join(trained.generate("the valu", 900, temperature=0, stream=True, **kw))):
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
        for o,f in zip(trained.generate(["the", "a"], 400, seed=1, num=3, stop=stop), free):
            ends = [f.new.find(s)+len(s) for s in ([stop] if isinstance(stop, str) else stop) if s in f.new]
            assert o.new == f.new[:min(ends, default=400)] and np.array_equal(o.log_probs, f.log_probs[:len(o.new)])
    assert "".join(trained.generate("the", 400, seed=1, stop="e ", stream=True)) == trained.generate("the", 400, seed=1, stop="e ").text


def test_a_function_stops_and_sees_every_continuation_grow_by_one(trained):
    seen = []
    o = trained.generate("the", 99, seed=1, stop=lambda text: seen.append(text) or text.count("e") == 3)
    assert o.new.count("e") == 3 and o.new[-1] == "e" and seen == [o.new[:i+1] for i in range(len(o.new))]
    assert "".join(trained.generate("the", 99, seed=1, stream=True, stop=lambda text: text.count("e") == 3)) == o.text


def test_return_prompt(trained):
    o = trained.generate("the valu", 9, seed=1, return_prompt=False)
    assert o.text == o.new == "".join(trained.generate("the valu", 9, seed=1, return_prompt=False, stream=True)) and o.prompt == "the valu" and len(o.new) == 9


def test_padding_is_never_written(small):
    learn = build(small, "rnn")
    learn.model.out.bias.data[0] = 30. # the model all but insists on it
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
    learn.model(torch.ones(2, 8, dtype=torch.int64)).sum().backward() # training between two characters is possible,
    for p in learn.model.parameters(): p.data.zero_()
    rest = [next(s) for _ in range(50)] # and changes nothing of the text that was begun
    assert "".join(first+rest) == lively(build(small, "rnn")).generate("the", 97, seed=1).text


def test_a_long_stream_runs_in_constant_memory(trained):
    import tracemalloc
    s = trained.generate("the", None, seed=1, stream=True, top_k=3)
    for _ in range(500): next(s)
    tracemalloc.start()
    for _ in range(300): next(s)
    a = tracemalloc.get_traced_memory()[0]
    for _ in range(6000): next(s)
    b = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert b-a < 20_000


# carried state

def test_a_carried_state_reads_prompts_whole_and_one_character_a_step(small):
    learn = carried(small)
    learn.model.out.bias.data[0] = -99. # or `predict_next` would write padding, as the reference may
    m = copy.deepcopy(learn.model).double()
    for prompt in ("", "x", "class definitions are longer than any window, the valu"):
        ids = learn.dls.vocab.encode(prompt).tolist()
        got = learn.generate(prompt, 60, seed=4)
        h,want,us = m.init_hidden(1),[],plain.uniforms(4, ids)
        with torch.no_grad():
            def read(h, i): return m.rnn(m.emb(torch.tensor([[i]])), h[None])[1][0] # the library's own layer
            for i in ids: h = read(h, i)
            for _ in range(60):
                want.append(1+plain.pick(plain.warm(m.readout(h)[0, 1:].tolist(), .8), next(us)))
                h = read(h, want[-1])
        assert got.new == learn.dls.vocab.decode(want)
        assert learn.score(got.text).log_probs[len(prompt):] == pytest.approx(got.log_probs, abs=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CharRnnWarning)
        assert learn.predict_next(["", "x", "class def"], n=30) == [o.text for o in learn.generate(["", "x", "class def"], 30, temperature=0)]
    assert learn.next_probs("class def", top=1) == pytest.approx({learn.predict_next("class def"): max(learn.next_probs("class def").values())})


def test_the_model_says_which_decoder_it_needs(small):
    ids = torch.ones(2, 8, dtype=torch.int64)
    rnn = build(small, "rnn").model
    assert type(decoder(rnn, ids)) is WindowsInFlight and type(decoder(Whole(rnn), ids)) is SlidingWindow and type(decoder(carried(small).model, ids)) is Carried


@pytest.mark.parametrize("arch", ["lstm", "carried", "whole"])
def test_rows_can_be_left_out_reordered_and_doubled(small, arch):
    learn = carried(small) if arch == "carried" else build(small, "lstm")
    model = Whole(learn.model).eval() if arch == "whole" else learn.model
    torch.manual_seed(0)
    ids,rows,more = torch.randint(1, 30, (4, 8)),torch.tensor([2, 0, 2]),torch.randint(1, 30, (11, 4))
    with torch.inference_mode():
        a,b = decoder(model, ids),decoder(model, ids[rows])
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
        def init_hidden(self, bs): return torch.zeros(bs, self.n_hid, dtype=torch.float32)
    assert len(build(small, Single).generate("the", 30, seed=1).new) == 30


# as it was afterwards

class Boom(Exception): pass


def raising(error):
    def stop(text):
        if len(text) == 3: raise error
    return stop


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
@pytest.mark.parametrize("whole", [False, True])
def test_modes_and_random_states_are_as_before_also_after_an_error_or_ctrl_c(small, error, whole):
    learn = build(small, "rnn")
    if whole: learn.model = Whole(learn.model)
    learn.model.train()
    next(learn.model.children()).eval() # a part in another mode stays in it
    modes,state = [m.training for m in learn.model.modules()],(torch.random.get_rng_state(), np.random.get_state()[1].copy())
    def after(): return ([m.training for m in learn.model.modules()] == modes and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
                         and torch.equal(state[0], torch.random.get_rng_state()) and (state[1] == np.random.get_state()[1]).all())
    for kw in (dict(), dict(stream=True), dict(num=3), dict(temperature=0)):
        with pytest.raises(error): list(learn.generate("the", 20, stop=raising(error), **kw))
        assert after()
    with pytest.raises(error): learn.generate("the", 20, stop=raising(error), beam=2)
    hook = learn.model.register_forward_hook(lambda *_: (_ for _ in ()).throw(error()))
    with pytest.raises(error): learn.score("class")
    hook.remove()
    learn.generate("the", 5), learn.score("the"), learn.next_probs("the")
    assert after()


def test_threads_get_their_own_seeded_texts(small):
    learn = build(small, "rnn")
    learn.model = Whole(lively(learn).model).double().train() # a switch of modes in one thread would show in another's text
    want,got,errors = {s: learn.generate("the valu", 80, seed=s).text for s in range(6)},{},[]
    start = threading.Barrier(6)
    def work(s):
        start.wait()
        try: got[s] = [learn.generate("the valu", 80, seed=s).text, "".join(learn.generate("the valu", 80, seed=s, stream=True))]
        except Exception as e: errors.append(e)
    threads = [threading.Thread(target=work, args=(s,)) for s in want]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not errors and got == {s:[t, t] for s,t in want.items()} and learn.model.training and learn.model.drop.training


def test_the_last_out_of_evaluation_mode_restores_it():
    model,out,seen = torch.nn.Sequential(torch.nn.Dropout(.5)).train(),threading.Event(),[]
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


# wrong input

@pytest.mark.parametrize("kw,says", [
    (dict(n=-1), "n=-1"), (dict(n=2.5), "n=2.5"), (dict(n=None), "stream=True"), (dict(n="5"), "n='5'"), (dict(n=True), "n=True"), (dict(n=10**12), "pass stream=True"), (dict(num=10**9), "kept in memory"), (dict(num=2, stream=True), "one text"),
    (dict(prompt=["a"], stream=True), "one prompt"), (dict(beam=2, stream=True), "leave out num and beam"), (dict(prompt=3), "a prompt is a str"), (dict(prompt=None), "a prompt is a str"), (dict(stop="漢"), "never written")])
def test_impossible_requests_say_what_is_possible(trained, kw, says):
    with pytest.raises(GenerationError, match=says): trained.generate(**(dict(prompt="a", n=3) | kw))


def test_unknown_characters_are_named_left_out_or_replaced(trained):
    with pytest.raises(UnknownCharError, match="U\\+00E9"): trained.generate("valé", 3)
    for unk,read in (("skip", "val"), ("e", "vale")):
        o = trained.generate("valé", 30, seed=1, unk=unk)
        assert (o.prompt, o.text) == (read, trained.generate(read, 30, seed=1).text)
    for unk in ("?!", [], None): pytest.raises(VocabError, trained.generate, "a", 3, unk=unk)
    for bad in (b"bytes", [b"bytes"], [1]): pytest.raises(VocabError, trained.generate, bad, 3)
    with pytest.raises(GenerationError, match="top=0"): trained.next_probs("a", top=0)
    for n in (float("nan"), float("inf"), "x", 10**15): pytest.raises(DataError, trained.predict_next, "a", n=n)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_an_error_that_names_them(small, bad, whole):
    learn = build(small, "rnn")
    learn.model.out.weight.data[3, 2] = bad
    if whole: learn.model = Whole(learn.model)
    for call in (lambda: learn.generate("the", 5), lambda: learn.generate("the", 5, temperature=0), lambda: list(learn.generate("the", 5, stream=True)), lambda: learn.generate("the", 5, beam=2), lambda: learn.score("the")):
        with pytest.raises(GenerationError, match=r"out\.weight holds NaN or infinity"): call()


def test_nothing_asked_for_is_nothing(trained):
    assert trained.generate([], 5) == [] and trained.generate("the", 0).new == "" and trained.generate(["the", ""], 0)[1].text == "" and [*trained.generate("the", 0, stream=True)] == ["t", "h", "e"]


numbers = st.none()|st.integers(-2, 5)|st.floats()|st.sampled_from([0, 1, .5, 1e-320, 1e308, 10**400, -1, True, "1", 2**64])
anything = st.fixed_dictionaries(dict(prompt=st.text(max_size=12)|st.lists(st.text("the valu\0é", max_size=4), max_size=3)|st.text("the valu", max_size=50)|st.sampled_from([None, 3, b"x", "\ud800"]), n=st.integers(-1, 6)|st.sampled_from([None, 1.5, 10**18, "x"])),
                                 optional=dict(temperature=numbers, top_k=numbers, top_p=numbers, min_p=numbers, repetition_penalty=numbers, seed=numbers, num=numbers, beam=numbers, unk=st.sampled_from(["skip", "e", "error", "\0", "ee", None, 3]),
                                               stop=st.none()|st.text("te \0", max_size=2)|st.lists(st.text("the", max_size=2), max_size=2)|st.sampled_from([3, lambda text: len(text) > 2]), stream=st.booleans(), return_prompt=st.booleans()))

sensible = st.fixed_dictionaries(dict(prompt=st.text("the valu.", max_size=50)|st.lists(st.text("the valu", max_size=12), max_size=3), n=st.integers(0, 6)), optional=dict(
    temperature=st.floats(0, 1e308)|st.sampled_from([0, 5e-324, 1e308, 1]), top_k=st.integers(1, 2**70), top_p=st.floats(0, 1), min_p=st.floats(0, 1), repetition_penalty=st.floats(0, 1e308, exclude_min=True)|st.just(5e-324),
    seed=st.integers(0, 2**64-1), num=st.integers(1, 3), unk=st.sampled_from(["skip", "e"]), stop=st.sampled_from(["e", ["t", "he"], lambda text: len(text) > 2]), return_prompt=st.booleans()))
calls = sensible|anything


def ask(learn, kw):
    "Valid text, or a typed error."
    try:
        out = learn.generate(**kw)
        out = ["".join(c for c,_ in zip(out, range(60)))] if kw.get("stream") else [out] if isinstance(out, ScoredText) else out
    except CharRnnError: return "error"
    for o in out:
        assert all(c in learn.dls.vocab and c != "\0" for c in str(o))
        if isinstance(o, ScoredText): assert len(o.new) == len(o.log_probs) <= kw["n"] and np.isfinite(o.log_probs).all() and o.log_probs.max(initial=-1) <= 0
    return "text"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::fastai_charrnn.errors.CharRnnWarning")
def test_ten_thousand_random_calls_give_valid_text_or_a_typed_error(small):
    learn,said = lively(build(small, "rnn")),{"text": 0, "error": 0}
    @settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(calls)
    def call(kw): said[ask(learn, kw)] += 1
    call()
    print(said)
    assert said["text"] > 3000 and said["error"] > 3000


@pytest.mark.filterwarnings("ignore::fastai_charrnn.errors.CharRnnWarning")
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls)
def test_any_call_gives_valid_text_or_a_typed_error(trained, kw): ask(trained, kw)


def test_long_prompts_and_many_rows_go_in_parts(small, monkeypatch):
    learn = lively(build(small, "rnn"))
    want = [o.text for o in learn.generate(["the valu", "x"], 20, seed=1, num=40)]
    monkeypatch.setattr("fastai_charrnn.generate._most_states", 24*8*7) # seven rows at a time
    assert [o.text for o in learn.generate(["the valu", "x"], 20, seed=1, num=40)] == want
    long = "the valu"*20_000
    assert learn.generate(long, 9, seed=1).new == learn.generate(long[-8:], 9, seed=1).new
