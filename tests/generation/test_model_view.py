"""Generation reads a view of the model: modes, state and random numbers stay, also after errors and in threads."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from small_models import Whole, build, lively

from fastai_charrnn.generation.model_view import eval_view, fast_view


class Boom(Exception):
    pass


def _stop_with(error):
    "A stop function that raises at the third character."

    def stop(text):
        if len(text) == 3:
            raise error

    return stop


class Snapshot:
    "The modes of a model's modules and the random states."

    def __init__(self, model):
        self.model = model
        self.modes = self._modes()
        self.torch_state = torch.random.get_rng_state()
        self.numpy_state = np.random.get_state()[1].copy()

    def _modes(self):
        return [m.training for m in self.model.modules()]

    def assert_unchanged(self):
        assert self._modes() == self.modes
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert torch.equal(self.torch_state, torch.random.get_rng_state())
        assert (self.numpy_state == np.random.get_state()[1]).all()


@pytest.fixture(params=[False, True], ids=["steps", "windows"])
def learn(small, request):
    "A learner in training mode, with one module in evaluation mode."
    learn = build(small, "rnn")
    if request.param:
        learn.model = Whole(learn.model)
    learn.model.train()
    next(learn.model.children()).eval()
    return learn


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
@pytest.mark.parametrize("options", [{}, dict(stream=True), dict(num=3), dict(temperature=0), dict(beam=2)], ids=str)
def test_an_error_or_ctrl_c_in_generate_leaves_modes_and_random_states(learn, error, options):
    before = Snapshot(learn.model)
    with pytest.raises(error):
        list(learn.generate("the", 20, stop=_stop_with(error), **options))
    before.assert_unchanged()


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_an_error_or_ctrl_c_in_the_model_leaves_modes_and_random_states(learn, error):
    def fail(*args):
        raise error

    before = Snapshot(learn.model)
    hook = learn.model.register_forward_hook(fail)
    with pytest.raises(error):
        learn.score("class")
    hook.remove()
    before.assert_unchanged()


def test_generating_and_scoring_leave_modes_and_random_states(learn):
    before = Snapshot(learn.model)
    learn.generate("the", 5)
    learn.score("the")
    learn.next_probs("the")
    before.assert_unchanged()


def test_threads_get_the_texts_of_their_seeds(small):
    learn = build(small, "rnn")
    # If a thread saw training mode, its text would differ.
    learn.model = Whole(lively(learn).model).double().train()
    expected = {seed: learn.generate("the valu", 80, seed=seed).text for seed in range(6)}
    got = {}
    start = threading.Barrier(6)

    def work(seed):
        start.wait()
        text = learn.generate("the valu", 80, seed=seed).text
        streamed = "".join(learn.generate("the valu", 80, seed=seed, stream=True))
        got[seed] = text, streamed

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {seed: (text, text) for seed, text in expected.items()}
    assert learn.model.training
    assert learn.model.drop.training


def test_a_view_shares_weights_and_hooks_and_has_its_own_mode():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5)).train()
    calls = []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    x = torch.ones(2, 3)
    for make in (eval_view, fast_view):
        view = make(model)
        assert not any(m.training for m in view.modules())
        torch.testing.assert_close(view(x), model[0](x))
        with torch.no_grad():
            model[0].weight += 1
        torch.testing.assert_close(view(x), model[0](x))
    assert all(m.training for m in model.modules())
    assert len(calls) == 8
    model[0]._forward_hooks.clear()


def test_parts_that_are_shared_or_parametrized_stay_so():
    shared = torch.nn.Linear(2, 2)
    torch.nn.utils.parametrizations.weight_norm(shared)
    view = eval_view(torch.nn.Sequential(shared, shared, None))
    assert view[0] is view[1]
    assert view[0] is not shared
    x = torch.ones(1, 2)
    assert torch.equal(view[0](x), shared(x))


def test_a_scripted_part_and_a_replaced_forward_read_the_view():
    class Doubled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)
            self.forward = self.double

        def double(self, x):
            return 2 * self.drop(x)

    scripted = torch.jit.script(torch.nn.Sequential(torch.nn.Dropout(0.5)))
    model = torch.nn.Sequential(Doubled(), scripted).train()
    x = torch.ones(50)
    assert torch.equal(eval_view(model)(x), 2 * x)
    assert all(m.training for m in model.modules())


# importing the compiler takes seconds
@pytest.mark.slow
def test_a_compiled_part_reads_the_view():
    model = torch.nn.Sequential(torch.compile(torch.nn.Dropout(0.5))).train()
    x = torch.ones(50)
    assert torch.equal(eval_view(model)(x), x)
    assert all(m.training for m in model.modules())


def test_a_view_does_not_write_into_what_the_model_keeps():
    class Noting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.notes = []
            self.by_name = {}
            self.state = None

        def forward(self, x):
            self.notes.append(1)
            self.by_name["x"] = x
            self.state = x
            return x

    model = Noting()
    eval_view(model)(torch.ones(1))
    assert (model.notes, model.by_name, model.state) == ([], {}, None)


def test_a_view_does_not_keep_a_model_alive():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5)).train()
    view = eval_view(model)
    reference = weakref.ref(model)
    del model, view
    gc.collect()
    assert reference() is None
