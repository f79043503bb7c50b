"""The trained models of the package load from its folder, and are as good as their cards say."""

import hashlib
import json
import math
import re

import pytest
import torch
from safetensors.torch import load_file

from fastai_charrnn.all import (
    CharDataLoaders,
    ModelFileError,
    describe_model,
    list_pretrained,
    load_pretrained,
    ngram_baseline,
    pretrained_path,
    python_reference,
)
from fastai_charrnn.analysis.held_out import held_out
from fastai_charrnn.io.generator import load_generator
from fastai_charrnn.page.to_page import pack_page

NAMES = ["nietzsche", "python"]
each = pytest.mark.parametrize("name", NAMES)


def card_of(name):
    "The model card of a model."
    return pretrained_path(name).with_suffix(".md").read_text(encoding="utf-8")


def loss_in(card, row):
    "The loss in nats in a row of a card."
    return re.search(rf"^\| {row}[^|]*\| ([\d.]+) \|", card, re.M)[1]


def test_two_models_with_their_cards_take_three_megabytes():
    assert list_pretrained() == NAMES
    files = sorted(pretrained_path("python").parent.iterdir())
    assert [path.name for path in files] == [f"{name}.{suffix}" for name in NAMES for suffix in ("md", "safetensors")]
    assert sum(path.stat().st_size for path in files) <= 3_000_000


@pytest.mark.parametrize("name", ["bible", "nietzsche.safetensors", "../pretrained/python", "", None, 3], ids=repr)
def test_an_unknown_name_raises_an_error_that_lists_the_known_ones(name):
    with pytest.raises(ModelFileError, match="is not a pretrained model; they are nietzsche, python"):
        load_pretrained(name)


@each
def test_loaded_weights_are_those_of_the_file_in_float32(name):
    stored = load_file(pretrained_path(name))
    loaded = load_pretrained(name, device="cpu").model.state_dict()
    assert loaded.keys() == stored.keys()
    for key, tensor in loaded.items():
        assert stored[key].dtype == torch.float16
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, stored[key].float())


@each
def test_a_seed_gives_the_sample_of_the_card(name):
    "Greater lengths may differ by rounding on other processors."
    sample = re.search(r"## A sample.*?```text\n(The .*?)\n```\n", card_of(name), re.S)[1]
    for writer in (load_pretrained(name, device="cpu"), load_generator(pretrained_path(name), "cpu")):
        assert writer.generate("The ", 60, seed=1).text == sample[:64]


@each
def test_a_card_has_the_facts_of_its_model(name):
    description = describe_model(pretrained_path(name))
    card = card_of(name)
    assert loss_in(card, "counting n-grams") == f"{description['data']['ngram_loss']:.4f}"
    assert float(loss_in(card, "this model")) < description["data"]["ngram_loss"]
    training = description["training"]
    n_weights = sum(math.prod(shape) for shape in description["tensors"].values())
    assert f"| epochs | {training['epochs']} |" in card
    assert f"| seed | {training['seed']} |" in card
    assert f"{training['seconds']:,} seconds of one thread" in card
    assert f"| weights | {n_weights:,} |" in card
    assert "license: apache-2.0\n" in card


@pytest.mark.slow
def test_the_loss_on_the_last_tenth_of_nietzsche_is_that_of_the_card(text):
    check_losses("nietzsche", text)


@pytest.mark.slow
def test_the_loss_on_the_last_tenth_of_pythons_reference_is_that_of_the_card():
    check_losses("python", python_reference())


def check_losses(name, text):
    "Compare the losses of the model and of n-grams on the last tenth with those of the card."
    card = card_of(name)
    if f"sha256 is {hashlib.sha256(text.encode()).hexdigest()}." not in card:
        pytest.skip("this Python has another text than the one of the training")
    reading = dict(target="every", stateful=True, seq_len=32, val_bs=8)
    dls = CharDataLoaders.from_text(text, bs=32, valid="tail", device="cpu", **reading)
    learn = load_pretrained(name, dls)
    assert held_out(load_pretrained(name), text) == [(int(len(text) * 0.9), len(text))]
    with learn.no_bar(), learn.no_logging():
        loss = learn.validate()[0]
    assert loss == pytest.approx(float(loss_in(card, "this model")), abs=1e-4)
    assert f"{ngram_baseline(dls).best.nats:.4f}" == loss_in(card, "counting n-grams")


@each
def test_a_model_file_does_not_contain_its_text(name):
    "Besides the prompts, its longest text is the checksum. A vocabulary has single characters."
    data = pretrained_path(name).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["__metadata__"].keys() == {"charrnn"}
    description = json.loads(header["__metadata__"]["charrnn"])
    del description["training"]["prompts"]
    strings = list(_strings(description))
    assert max(map(len, strings)) == 64
    assert not [text for text in strings if len(text.split()) > 6]


def test_the_prompts_for_nietzsche_are_not_from_the_text(text):
    check_prompts("nietzsche", text)


def test_the_prompts_for_pythons_reference_are_not_from_the_text():
    check_prompts("python", python_reference())


def check_prompts(name, text):
    "No 40 characters of a prompt are in the text, and the model knows all characters."
    description = describe_model(pretrained_path(name))
    for prompt in description["training"]["prompts"]:
        assert set(prompt) <= set(description["vocab"])
        assert not [at for at in range(len(prompt) - 40) if prompt[at : at + 40] in text]


@each
def test_a_page_begins_with_the_prompts_and_the_named_units_of_the_file(name):
    training = describe_model(pretrained_path(name))["training"]
    packed = pack_page(load_pretrained(name, device="cpu"), name)
    assert len(packed["prompts"]) == 3 and packed["prompts"] == training["prompts"]
    assert packed["units"] and packed["units"] == training["units"]
    assert packed["facts"]["ngram_loss"] > packed["facts"]["valid_loss"]


def _strings(value):
    "All texts in a JSON value."
    if isinstance(value, str):
        yield value
    if isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
