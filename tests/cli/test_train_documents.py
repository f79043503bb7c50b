"""`charrnn train` and `evaluate` with several files, and `charrnn train --from MODEL`, in this process."""

import json
import re

import numpy as np
import pytest

from fastai_charrnn.all import describe_model, load_model
from fastai_charrnn.cli import main
from fastai_charrnn.cli.documents import inside, joined
from fastai_charrnn.cli.report import held_out_prompts

TINY = ["--epochs", "1", "--n-hid", "16"]


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    "Texts, and two models: `streams` of 3 texts that validates on `v.txt`, `windows` of 3 texts."
    folder = tmp_path_factory.mktemp("documents")
    for i, name in enumerate(["a.txt", "b.txt", "c.txt", "v.txt"]):
        # without a line break at the end
        (folder / name).write_text(small[i * 6000 : (i + 1) * 6000].rstrip(), encoding="utf-8")
    (folder / "new.txt").write_text("für €uch " * 500, encoding="utf-8")
    texts = [str(folder / name) for name in ("a.txt", "b.txt", "c.txt")]
    valid = ["--valid", str(folder / "v.txt")]
    assert main(["train", *texts, *valid, *TINY, "--out", str(folder / "streams")]) == 0
    windows = ["--target", "every", "--arch", "rnn", "--valid-pct", ".3"]
    assert main(["train", *texts, *windows, *TINY, "--out", str(folder / "windows")]) == 0
    return folder


@pytest.fixture
def cli(folder, monkeypatch, capsys):
    "Run a command in the folder. Returns the exit code and what was printed."
    monkeypatch.chdir(folder)
    capsys.readouterr()

    def run(line):
        try:
            code = main(line.split())
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def _nats(printed):
    return float(re.search(r"([\d.]+) nats", printed)[1])


def test_the_validation_file_validates(folder, cli):
    description = describe_model(folder / "streams")
    assert description["data"]["documents"] == dict(train=3, valid=1)
    assert description["data"]["split"] == f"1 of 4 documents, given by --valid {folder / 'v.txt'}"[:100]
    code, out, err = cli("evaluate streams v.txt")
    assert (code, err) == (0, "")
    valid_loss = description["training"]["log"][-1]["valid_loss"]
    # the first character of a text is read, and not predicted
    assert _nats(out) == pytest.approx(valid_loss, abs=5e-3)


@pytest.mark.parametrize("model,valid", [("streams", " v.txt"), ("windows", "")])
def test_all_files_of_a_training_are_scored_on_its_validation_part(folder, cli, model, valid):
    code, out, err = cli(f"evaluate {model} a.txt b.txt c.txt{valid}")
    assert (code, err) == (0, "")
    assert re.match(r"\d files: the model was trained on this text; of its [\d,]+ characters, only the [56],", out)
    assert _nats(out) == pytest.approx(load_model(folder / model).training_log.rows[-1]["valid_loss"], abs=5e-3)


@pytest.mark.parametrize("model", ["streams", "windows"])
def test_one_file_of_a_training_is_scored_with_a_warning(cli, model):
    code, out, err = cli(f"evaluate {model} b.txt")
    assert code == 0
    assert err.startswith("charrnn: the model was trained on b.txt, so the loss below is too low")


def test_a_drawn_validation_file_is_known_afterwards(folder, cli):
    options = "--valid random --target next --arch rnn --n-hid 8 --epochs 1 --stride 5 --out drawn --overwrite"
    assert cli(f"train a.txt b.txt c.txt {options}")[0] == 0
    assert "drawn at random, seed 42" in describe_model(folder / "drawn")["data"]["split"]
    # lesson 6's draw
    chosen = np.random.RandomState(42).permutation(3)[0]
    for i, name in enumerate(["a.txt", "b.txt", "c.txt"]):
        _, _, err = cli(f"evaluate drawn {name}")
        assert ("was trained on" in err) == (i != chosen)


def test_prompts_are_inside_one_document(folder, dls):
    from fastai_charrnn.all import CharDataLoaders, char_learner

    texts = [f"word{i % 7} other{i % 5} third" for i in range(400)]
    learn = char_learner(CharDataLoaders.from_text(texts, bs=16, device="cpu"), n_hid=8, seed=0)
    prompts = held_out_prompts(learn)
    assert [len(prompt) for prompt in prompts] == [8, 8, 8]
    assert not any("\n" in prompt for prompt in prompts)


def test_joined_texts_are_those_of_training():
    assert joined(["one"]) == ("one", [(0, 3)])
    assert joined(["one", "", "two\n"]) == ("one\ntwo\n", [(0, 4), (4, 4), (4, 8)])
    assert inside([(0, 4), (4, 4), (4, 8)], [(2, 6)]) == [(2, 4), (4, 6)]


# --from


def test_training_goes_on_and_its_log_too(folder, cli):
    before = describe_model(folder / "streams")
    code, out, err = cli("train --from streams a.txt b.txt c.txt --valid v.txt --epochs 2 --out more --overwrite")
    assert (code, err) == (0, "")
    assert "streams.safetensors, trained for 1 epoch: mullstm, 16 hidden units, 2 epochs more" in out
    after = describe_model(folder / "more")
    assert after["training"]["epochs"] == 3
    assert after["training"]["log"][0] == before["training"]["log"][0]
    losses = [row["valid_loss"] for row in after["training"]["log"]]
    assert losses[1] < losses[0] - 0.05
    same = ("arch", "config", "seq_len", "target", "stateful", "vocab")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert after["data"]["earlier"] == []
    assert "3 epochs" in cli("info more")[1]


def test_new_characters_extend_the_vocabulary_and_one_line_names_them(folder, cli):
    code, out, err = cli("train --from windows new.txt --bs 64 --epochs 1 --out wider --overwrite")
    assert code == 0
    assert err == "charrnn: 2 characters are new to the model and were added to its vocabulary: 'ü€'\n"
    learn = load_model(folder / "wider")
    assert learn.dls.vocab.itos == [*load_model(folder / "windows").dls.vocab.itos, "ü", "€"]
    assert len(learn.training_log.rows) == 2
    # the texts of the first training are still known
    assert "the model was trained on b.txt" in cli("evaluate wider b.txt")[2]
    n_chars = describe_model(folder / "windows")["data"]["n_chars"]
    assert f"before      {n_chars:,} characters" in cli("info wider")[1]


@pytest.mark.parametrize("texts", ["b.txt", "a.txt v.txt --valid b.txt"])
def test_a_warning_says_that_the_validation_part_was_trained_on(cli, texts):
    code, _, err = cli(f"train --from streams {texts} --epochs 1 --out again --overwrite")
    assert code == 0
    assert "the model was trained on characters that now validate" in err


def test_an_ensemble_trains_further(folder, small):
    from fastai_charrnn.all import save_model
    from fastai_charrnn.recipes.best import BestRecipe

    recipe = BestRecipe(1.0, 16, n_models=2)
    learn = recipe.learner(recipe.dls(small[:6000].rstrip(), device="cpu"))
    save_model(learn, folder / "ensemble")
    command = ["train", "--from", str(folder / "ensemble"), str(folder / "a.txt"), "--minutes", ".02"]
    assert main([*command, "--out", str(folder / "ensemble2")]) == 0
    description = describe_model(folder / "ensemble2")
    assert (description["arch"], description["config"]["n_models"]) == ("ensemble", 2)
    assert len(description["training"]["log"]) >= 1
    assert json.dumps(description["config"]) == json.dumps(describe_model(folder / "ensemble")["config"])


def test_the_source_is_not_overwritten_silently(cli):
    code, _, err = cli("train --from streams new.txt --out streams")
    assert (code, err) == (1, "charrnn: streams.safetensors exists; pass --overwrite to replace it, or another --out\n")


@pytest.mark.parametrize(
    "line,message",
    {
        "train --from streams": "a model file contains no text; give --from MODEL with FILE",
        "train --from streams a.txt --arch gru --seq-len 9": "which sets --arch, --seq-len; leave out one or the other",
        "train --from streams a.txt --stateful": "which sets --stateful; leave out",
        "train --from streams a.txt --recipe best": "--from continues the network of MODEL; leave out --recipe",
        "train --valid v.txt": "--valid v.txt is a file; give FILE too, or choose one of tail, random, blocks, last",
        "train a.txt --valid v.txt --valid random": "write ./random for a file of this name",
        "train a.txt --valid v.txt --valid-pct .2": "--valid FILE is the validation text; leave out --valid-pct",
    }.items(),
    ids=str,
)
def test_conflicts(cli, line, message):
    code, _, err = cli(line)
    assert code == 2
    assert message in err
