"""`connectivity` is the gradient of a log-probability by the embedding of each character, for every kind of model."""

import copy

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from small_models import CarriedGru, Whole, build, lively
from torch import nn

from fastai_charrnn.all import CharDataLoaders, CharRnn, char_learner, list_archs
from fastai_charrnn.analysis.connectivity import connectivity
from fastai_charrnn.errors import ArchError, DataError, UnknownCharError

ARCHS = [arch for arch in list_archs() if arch != "hawk"]
TEXT = "the string is"


def _differences(model, ids, index, eps=1e-5):
    "Norms of central differences of log P(index | ids): hooks change one number of one embedding in each row."
    embeddings = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    n, k = len(ids), embeddings[0].embedding_dim
    n_rows = len(embeddings) * n * k
    changes = eps * torch.eye(n_rows, dtype=torch.float64).view(n_rows, len(embeddings), n, k).transpose(0, 2)
    log_probs = []
    for sign in (1, -1):
        hooks = [
            # the modules are called with the characters time first
            emb.register_forward_hook(lambda m, args, out, change=sign * changes[:, j]: out + change)
            for j, emb in enumerate(embeddings)
        ]
        model.reset()
        with torch.no_grad():
            out = model(torch.from_numpy(ids)[None].expand(n_rows, -1))
        log_probs.append((out if out.dim() == 2 else out[:, -1])[:, index])
        for hook in hooks:
            hook.remove()
    slopes = (log_probs[0] - log_probs[1]) / (2 * eps)
    return slopes.view(len(embeddings), n, k).permute(1, 0, 2).flatten(1).norm(dim=1).numpy()


@pytest.fixture(scope="module")
def stream_dls(small):
    return CharDataLoaders.from_text(small, seq_len=8, bs=16, target="every", stateful=True, device="cpu")


def _ids(learn, text):
    return learn.dls.vocab.encode(text).astype(np.int64)


@pytest.mark.parametrize("arch", ARCHS)
def test_windows_have_the_slopes_of_finite_differences_and_zeros_before_the_window(small, arch):
    learn = lively(build(small, arch), 2)
    learn.model.double().eval()
    n = learn.dls.seq_len
    for char in (None, "e"):
        found = connectivity(learn, TEXT, 10, char)
        assert found.shape == (11,) and found.dtype == np.float64
        assert (found[:-n] == 0).all()
        index = int(_ids(learn, char or learn.predict_next(TEXT[:11]))[0])
        expected = _differences(learn.model, _ids(learn, TEXT[11 - n : 11]), index)
        np.testing.assert_allclose(found[-n:], expected, rtol=1e-6, atol=1e-9)
        assert (expected > 0).all()


@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch != "char3"])
def test_models_with_a_carried_state_depend_on_all_characters(stream_dls, arch):
    learn = lively(char_learner(stream_dls, arch, n_hid=24, emb_sz=16, seed=1), 2)
    learn.model.double().eval()
    found = connectivity(learn, TEXT)
    expected = _differences(learn.model, _ids(learn, TEXT), int(_ids(learn, learn.predict_next(TEXT))[0]))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert (expected > 0).all()


def test_a_text_shorter_than_the_window_has_the_gradients_of_its_own_characters(small):
    learn = build(small, "rnn")
    learn.model.double().eval()
    padded = np.concatenate([np.zeros(5, np.int64), _ids(learn, "the")])
    expected = _differences(learn.model, padded, int(_ids(learn, "e")[0]))
    np.testing.assert_allclose(connectivity(learn, "the", char="e"), expected[-3:], rtol=1e-6)


def test_a_vocabulary_without_padding_has_the_gradients_of_its_own_indices():
    chars = sorted(set(TEXT))
    ids = torch.tensor([chars.index(c) for c in TEXT])
    pairs = [(ids[i : i + 4], ids[i + 4]) for i in range(8)]
    dls = DataLoaders.from_dsets(pairs, pairs, bs=4, device="cpu")
    dls.vocab = chars
    learn = char_learner(dls, "gru", n_hid=8, emb_sz=4, seed=1)
    learn.model.double().eval()
    expected = _differences(learn.model, ids[-4:].numpy(), chars.index("r"))
    np.testing.assert_allclose(connectivity(learn, TEXT, char="r")[-4:], expected, rtol=1e-6)


def test_training_is_the_same_with_and_without(small):
    learn = build(small, "lstm")
    learn.model.train()
    learn.loss_func(learn.model(learn.dls.one_batch()[0]), learn.dls.one_batch()[1]).backward()
    before = copy.deepcopy(learn.model.state_dict())
    grads = [p.grad.clone() for p in learn.model.parameters()]
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        inside = connectivity(learn, TEXT)
    assert np.array_equal(inside, connectivity(learn, TEXT))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(m.training for m in learn.model.modules())
    assert all(torch.equal(p.grad, grad) for p, grad in zip(learn.model.parameters(), grads))
    assert all(torch.equal(a, b) for a, b in zip(learn.model.state_dict().values(), before.values()))
    assert all(not m._forward_hooks for m in learn.model.modules())


def test_a_carried_state_is_kept(stream_dls):
    learn = char_learner(stream_dls, CarriedGru, n_hid=24, seed=1)
    learn.model(learn.dls.one_batch()[0])
    (state,) = learn.model.state
    connectivity(learn, TEXT)
    assert learn.model.state[0] is state


class Pairs(nn.Module):
    "A model of another class: logits from the last two characters."

    def __init__(self, vocab_sz, emb_sz=8, n_hid=8):
        super().__init__()
        self.emb = nn.Embedding(vocab_sz, emb_sz, padding_idx=0)
        self.out = nn.Linear(2 * emb_sz, vocab_sz)

    def forward(self, x):
        return self.out(self.emb(x[:, -2:]).flatten(1).tanh())


class Marked(Pairs):
    "Uses a character in another way than by its embedding."

    def forward(self, x):
        return super().forward(x) + nn.functional.one_hot(x[:, -1], self.out.out_features)


def test_models_of_other_classes_that_look_up_embeddings_have_gradients(small):
    learn = build(small, Pairs)
    found = connectivity(learn, TEXT)
    assert (found[:-2] == 0).all() and (found[-2:] > 0).all()
    assert (connectivity(build(small, "rnn"), TEXT)[-8:] == connectivity(build(small, _whole_rnn), TEXT)[-8:]).all()


def _whole_rnn(vocab_sz, **kwargs):
    return Whole(CharRnn(vocab_sz, **kwargs))


def test_a_language_model_of_fastai_depends_on_all_characters_of_its_window(small):
    from fastai.text.models import AWD_LSTM, get_language_model

    config = dict(
        emb_sz=8, n_hid=8, n_layers=1, pad_token=1, bidir=False, output_p=0.1, hidden_p=0.1, input_p=0.1,
        embed_p=0.1, weight_p=0.1, tie_weights=True, out_bias=True,
    )  # fmt: skip
    learn = build(small, lambda vocab_sz, **kw: get_language_model(AWD_LSTM, vocab_sz, config=config))
    assert (connectivity(learn, TEXT)[-8:] > 0).all()


def test_what_has_no_gradient_is_an_error(small):
    learn = build(small, Marked)
    with pytest.raises(ArchError, match="Marked uses characters in other ways than to look up their embedding"):
        connectivity(learn, TEXT)
    learn.model.emb = nn.Embedding(200, 8)
    with pytest.raises(ArchError, match="Marked has no nn.Embedding with a row for each of the"):
        connectivity(learn, TEXT)


def test_impossible_arguments_are_errors(trained):
    for kwargs, message in (
        (dict(at=13), "at=13 is more than 12"),
        (dict(at=-1), "at=-1 is not a whole number, at least 0; or None for the last of the 13 characters"),
        (dict(char="ab"), "char='ab' is not a character"),
    ):
        with pytest.raises(DataError, match=message):
            connectivity(trained, TEXT, **kwargs)
    with pytest.raises(DataError, match="text is empty"):
        connectivity(trained, "")
    for args in (("漢字",), (TEXT, 3, "漢")):
        with pytest.raises(UnknownCharError):
            connectivity(trained, *args)
