"""Generation leaves modes and random states unchanged, also after errors, and in several threads at once."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from small_models import Whole, build, lively

from fastai_charrnn.generation.modes import eval_mode


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


def test_the_last_thread_to_leave_restores_the_mode():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5)).train()
    entered, leave = threading.Event(), threading.Event()
    seen = []

    def first():
        with eval_mode(model):
            entered.set()
            leave.wait()
        seen.append(model.training)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with eval_mode(model):
        leave.set()
        thread.join()
        assert seen == [False]
        assert not model[0].training
    assert model.training
    assert model[0].training
    assert torch.is_grad_enabled()


def test_a_model_is_not_kept_alive():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5)).train()
    with eval_mode(model):
        pass
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None
