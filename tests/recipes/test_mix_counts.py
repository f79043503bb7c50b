"""`mix_counts`: a trained learner with counts of its text, which generates, evaluates, is saved and looked into."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from fastai_charrnn.all import (
    ArchError,
    CharDataLoaders,
    DataError,
    ModelFileError,
    PageError,
    ShareError,
    char_learner,
    connectivity,
    dynamic_evaluation,
    extend_vocab,
    gates,
    hidden_states,
    human_numbers,
    load_model,
    mix_counts,
    save_model,
)
from fastai_charrnn.cli import main
from fastai_charrnn.io.generator import load_generator

TEXT = human_numbers()[:12_000]
KINDS = dict(windows={}, streams=dict(target="every", stateful=True, bs=8))


def _learner(mode="streams", text=TEXT, **kw):
    dls = CharDataLoaders.from_text(text, seq_len=8, valid="tail", device="cpu", **KINDS[mode])
    return char_learner(dls, "gru", n_hid=12, emb_sz=8, seed=1, **kw)


@pytest.fixture(scope="module", params=KINDS)
def mixed(request):
    return mix_counts(_learner(request.param), n_orders=4)


def test_it_predicts_better_than_its_network(mixed):
    result = mixed.model.gate_result
    assert result["mixture"] < result["network"] - 0.5
    assert mixed.model.counts.n_chars == 0.9 * len(TEXT)


def test_a_saved_one_predicts_the_same(mixed, tmp_path):
    path = save_model(mixed, tmp_path / "m.safetensors")
    text = TEXT[-500:]
    expected = mixed.evaluate(text)
    assert load_model(path, device="cpu").evaluate(text) == expected
    generated = mixed.generate("one hundred", 30, seed=3)
    assert load_generator(path).generate("one hundred", 30, seed=3).text == generated.text
    mixed.model.count(torch.from_numpy(mixed.dls.vocab.encode(TEXT[:3000])))
    assert load_model(save_model(mixed, path), device="cpu").model.counts.n_chars == 3000


def test_generation_leaves_the_random_state(mixed):
    state = torch.random.get_rng_state()
    assert len(mixed.generate("two ", 20, seed=1).text) == 24
    assert len(mixed.generate("two ", 5, beam=2)[0].text) == 9
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_learns_while_it_reads(mixed):
    weights = [p.clone() for p in mixed.model.parameters()]
    still = dynamic_evaluation(mixed, TEXT[-800:], lr=0)["dynamic_loss"]
    assert dynamic_evaluation(mixed, TEXT[-800:], lr=1e-3)["dynamic_loss"] < still
    assert all(map(torch.equal, weights, mixed.model.parameters()))


def test_its_network_is_looked_into(mixed):
    assert hidden_states(mixed, "one two").shape == (7, 12)
    assert gates(mixed, "one two")["reset"].shape == (7, 12)
    assert connectivity(mixed, "one two").shape == (7,)
    assert "CharMixture" in mixed.summary()


def test_held_back_characters_are_counted_afterwards():
    learn = _learner()
    mixed = mix_counts(learn, held_back=(9000, 10_000), n_orders=3)
    assert mixed.model.counts.n_chars == 0.9 * len(TEXT)
    for wrong in [(9000, 11_000), 3, ("a", "b"), (5, 5)]:
        with pytest.raises(DataError, match="held_back="):
            mix_counts(learn, held_back=wrong)


def test_what_needs_another_model_says_so(mixed, tmp_path):
    with pytest.raises(PageError, match="charrnn serve"):
        mixed.to_page(tmp_path / "page.html")
    with pytest.raises(ShareError, match="learn.model.network"):
        mixed.to_onnx(tmp_path / "m.onnx")
    with pytest.raises(ArchError, match="extend its network"):
        extend_vocab(mixed, mixed.dls)
    with pytest.raises(ArchError, match="mix_counts"):
        char_learner(mixed.dls, "mixture")


def _damaged(path, name, change):
    "A file with one tensor changed."
    tensors = load_file(path)
    with open(path, "rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
    tensors[name] = change(tensors[name])
    save_file(tensors, path, json.loads(header)["__metadata__"])
    return path


@pytest.mark.parametrize(
    "name,change",
    [
        ("counts.lengths", lambda o: o + 1),
        ("counts.chars", lambda o: o + 200),
        ("counts.counts", lambda o: o * 0),
        ("counts.keys", lambda o: o[:-1]),
    ],
    ids=["lengths", "chars", "counts", "keys"],
)
def test_damaged_tables_are_refused(name, change, tmp_path):
    path = save_model(mix_counts(_learner(), n_orders=2), tmp_path / "m")
    with pytest.raises(ModelFileError, match=f"damaged|{re.escape(name)}"):
        load_model(_damaged(path, name, change))


def test_info_tells_the_counts(tmp_path, capsys):
    path = save_model(mix_counts(_learner(), n_orders=2), tmp_path / "m")
    main(["info", str(path)])
    assert re.search(r"counts +[\d,]+ contexts, [\d,]+ characters after them", capsys.readouterr().out)
