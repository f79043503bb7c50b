"""Model cards: figures are those of the model, code works as written, hostile texts stay texts."""

import math
import re
import subprocess
import sys

import pytest
import yaml
from model_files import changed_copy
from small_models import build

from fastai_charrnn.all import (
    CharDataLoaders,
    ModelFileError,
    NgramScore,
    ShareError,
    UnknownCharError,
    char_learner,
    describe_model,
    load_model,
    model_card,
    ngram_baseline,
    save_model,
)
from fastai_charrnn.share.markdown import code, code_block, plain, table

HOSTILE = 'a"b\n---\nlicense: evil | <script>alert(1)</script> [x](javascript:y) ``` \x1b[31m \u202e # {{ $x$ & !'


def header(card):
    "The fields of a card's header, as another program reads them."
    _, fields, _ = re.split(r"^---\n", card, maxsplit=2, flags=re.M)
    return yaml.safe_load(fields)


def cells(card, first):
    "The cells of the row of a table that begins with a text."
    return [cell.strip() for cell in re.search(rf"^\| {re.escape(first)} \|(.*)\|$", card, re.M)[1].split("|")]


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("card") / "model")


def test_a_learner_with_its_text_is_measured_and_compared_with_ngrams(trained):
    card = model_card(trained, name="Manual", data="a manual", minutes=1.5)
    loss, accuracy, bits = trained.validate()
    best = ngram_baseline(trained.dls).best
    assert cells(card, "this model") == [f"{loss:.4f}", f"{bits:.4f}", f"{accuracy:.1%}"]
    assert cells(card, f"counting n-grams, contexts up to {best.context} characters")[0] == f"{best.nats:.4f}"
    assert cells(card, "seed") == ["0"]
    assert cells(card, "time") == ["1.5 minutes"]
    assert cells(card, "validation part") == ["the last 10% of the text"]
    assert str(trained.generate("The ", 300, seed=1)) in card


def test_a_model_file_gives_the_numbers_of_the_last_epoch(trained, file):
    card = model_card(file)
    assert cells(card, "this model")[0] == f"{trained.training_log.rows[-1]['valid_loss']:.4f}"
    assert "Measured after the last epoch" in card
    assert "n-grams" not in card
    assert "minutes" not in card
    assert model_card(load_model(file)) == card


def test_known_ngrams_and_seed_are_used(file):
    card = model_card(file, ngrams=NgramScore(3, 0.5, 0.5 / math.log(2)), seed=7)
    assert cells(card, "counting n-grams, contexts up to 3 characters")[0] == "0.5000"
    assert "Counting n-grams predicts this text better" in card
    assert cells(card, "seed") == ["7"]


def test_the_header_has_what_the_hub_reads(file):
    fields = header(model_card(file, name="Manual", license="cc-by-4.0", data="a manual"))
    assert (fields["library_name"], fields["pipeline_tag"]) == ("fastai", "text-generation")
    assert fields["license"] == "cc-by-4.0"
    assert {"fastai", "rnn"} <= set(fields["tags"])
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(model_card(file, name="Manual", license="cc-by-4.0", data="a manual"))
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert set(results) == {"loss", "bits_per_char", "accuracy"}
    assert results["bits_per_char"] == pytest.approx(results["loss"] / math.log(2), abs=1e-3)


def test_without_a_license_the_card_says_that_no_rights_are_granted(file):
    card = model_card(file)
    assert "license" not in header(card)
    assert "No license is given" in card


def test_figures_of_a_split_that_shares_characters_are_no_results(small):
    dls = CharDataLoaders.from_text(small[:5000], valid="random", bs=256, device="cpu")
    card = model_card(char_learner(dls, n_hid=8, seed=0), data="a manual")
    assert "model-index" not in header(card)
    assert "shares characters with the training part" in card


def test_a_model_without_a_log_has_no_figures(small, tmp_path):
    card = model_card(save_model(build(small, "gru"), tmp_path / "new"), data="a manual")
    assert "There are no figures" in card
    assert "model-index" not in header(card)


@pytest.mark.parametrize("arch", ["lstm", "ensemble"])
def test_a_stateful_model_has_a_card_too(arch, small):
    dls = CharDataLoaders.from_text(small[:5000], target="every", stateful=True, bs=16, seq_len=16, device="cpu")
    card = model_card(char_learner(dls, arch, n_hid=8, emb_sz=8, seed=0))
    assert "carries its state" in cells(card, "reads")[0]
    assert "at a time" not in card


def test_texts_of_users_and_files_cannot_change_the_card(file, tmp_path):
    def change(description):
        description["data"]["split"] = HOSTILE
        description["training"]["opt"] = HOSTILE
        description["versions"][HOSTILE] = HOSTILE
        description["config"]["tie_weights"] = False

    hostile = changed_copy(file, tmp_path / "hostile.safetensors", change)
    card = model_card(hostile, name=HOSTILE, data=HOSTILE, license=HOSTILE)
    fields = header(card)
    assert "evil" in fields["license"]
    assert set(fields) == {"library_name", "pipeline_tag", "tags", "license", "model-index"}
    body = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", card.split("---\n", 2)[2], flags=re.S)
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(", body)
    assert not {"\x1b", "\u202e"} & set(card)
    assert [line for line in card.splitlines() if line == "license: evil"] == []


def test_the_code_of_a_card_works_as_written(file, tmp_path):
    "In a new process, in the folder of the file."
    card = model_card(file, prompt="\"' ")
    (block,) = re.findall(r"^(`{3,})python\n(.*?)\n\1$", card, re.M | re.S)
    run = subprocess.run([sys.executable, "-c", block[1]], cwd=file.parent, capture_output=True, text=True, check=True)
    assert len(run.stdout) == len("\"' ") + 200 + 1


@pytest.mark.parametrize(
    "options,error,message",
    [
        (dict(name=3), ShareError, "name=3 is not a str"),
        (dict(minutes=0), ShareError, "minutes=0 is not a number above 0"),
        (dict(seed=-1), ShareError, "seed=-1 is not a whole number"),
        (dict(ngrams=1.9), ShareError, r"pass ngram_baseline\(dls\).best"),
        (dict(prompt="漢"), UnknownCharError, "漢"),
    ],
    ids=str,
)
def test_wrong_arguments_raise_typed_errors(file, options, error, message):
    with pytest.raises(error, match=message):
        model_card(file, **options)


def test_other_files_raise_the_errors_of_loading(tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        model_card(tmp_path / "other.safetensors")


def test_a_file_records_the_seed_and_a_loaded_learner_keeps_the_record(trained, file, tmp_path):
    training = describe_model(file)["training"]
    assert training["seed"] == 0
    assert describe_model(save_model(load_model(file), tmp_path / "again"))["training"] == training
    changed_copy(file, tmp_path / "wrong.safetensors", lambda d: d["training"].update(seed=-1))
    with pytest.raises(ModelFileError, match="seed=-1, which is no seed"):
        load_model(tmp_path / "wrong.safetensors")


def test_markdown_helpers_escape_what_is_markup():
    assert plain("a*b_c\n[d](e) <f>") == r"a\*b\_c \[d\](e) \<f\>"
    assert code("a`b|c") == "``a`b\\|c``"
    assert code("`") == "`` ` ``"
    assert code_block("```\nx") == "````text\n```\nx\n````"
    assert table([("a", "b"), ("c", "d")]) == "| a | b |\n| --- | --- |\n| c | d |"
    assert plain("\x1b") == r"\\x1b"
