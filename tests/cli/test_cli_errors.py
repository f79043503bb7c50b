"""Each error of a command is one line on stderr, worded for the command line, printed before any training."""

import gzip
import os
import re
import shutil
import warnings

import pytest

from fastai_charrnn.all import CharDataLoaders, char_learner, save_model
from fastai_charrnn.cli import main


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    "A folder with files of many kinds, and the model `m`."
    folder = tmp_path_factory.mktemp("errors")
    (folder / "my.txt").write_text(small, encoding="utf-8")
    (folder / "tiny.txt").write_text("x = 1\n")
    (folder / "empty.txt").touch()
    (folder / "latin.txt").write_bytes("café ".encode("latin-1") * 99)
    (folder / "wide.txt").write_text("hello " * 99, encoding="utf-16")
    (folder / "nulls").write_bytes(b"abc\0" * 99)
    (folder / "cut.gz").write_bytes(gzip.compress(small.encode())[:-9])
    (folder / "folder").mkdir()
    learn = char_learner(CharDataLoaders.from_text(small, device="cpu"), n_hid=16, seed=0)
    save_model(learn, folder / "m")
    return folder


@pytest.fixture
def cli(folder, monkeypatch, capsys):
    "Run a command in the folder. Returns the exit code and what was printed on stderr."
    monkeypatch.chdir(folder)

    def run(line):
        try:
            code = main(line if isinstance(line, list) else line.split())
        except SystemExit as error:
            code = error.code
        return code, capsys.readouterr().err

    return run


# command lines that fail with exit code 1, and what the error says
ERRORS = {
    "train none.txt": "cannot read none.txt: No such file or directory; give the path of a text file",
    "train folder": "folder has no files that end in .txt, ",
    "train empty.txt": "empty.txt is empty; give a file with text",
    "train tiny.txt": "the text has 6 characters",
    "train latin.txt": "byte 0xe9 at position 3 (line 1): invalid continuation byte; pass the file's --encoding",
    "train nulls": "nulls is a binary file, not a text",
    "train wide.txt": "wide.txt is UTF-16 text; pass --encoding utf-16",
    "train cut.gz": "cut.gz is a damaged gzip file",
    "train my.txt --encoding klingon": "unknown encoding 'klingon'",
    "train my.txt --arch gpt": "no architecture is called 'gpt'; known: char3, ",
    "train my.txt --arch LSTM --n-hid 60000": "parameters needs about",
    "train my.txt --n-hid 100000000": "parameters needs about",
    "train my.txt --n-hid 100000000000": "there is not enough memory for",
    "train my.txt --n-hid 0": "--n-hid 0 must be a whole number, at least 1",
    "train my.txt --emb-sz 0": "--emb-sz 0 must be",
    "train my.txt --n-layers 0": "--n-layers 0 must be",
    "train my.txt --epochs 0": "--epochs 0 must be a whole number, at least 1",
    "train my.txt --lr -1": "--lr -1.0 must be a finite number above 0",
    "train my.txt --lr inf": "--lr inf must be a finite number above 0",
    "train my.txt --lr nan": "--lr nan must be a finite number above 0",
    "train my.txt --seq-len 0": "--seq-len 0 must be",
    "train my.txt --seq-len 40000": "pass --seq-len 29998 or less or a longer text",
    "train my.txt --bs 0": "--bs 0 must be",
    "train my.txt --target next --bs 90000": "pass --bs 26992 or less or a longer text",
    "train my.txt --stride 0": "--stride 0 must be",
    "train my.txt --output-p 1": "--output-p 1.0 must be from 0 to below 1",
    "train my.txt --arch char3 --output-p .2": "Char3Model has no --output-p; leave it out, or choose another --arch",
    "train my.txt --arch char3 --seq-len 5": "char3 reads windows of 3 characters",
    "train my.txt --valid-pct 2": "--valid-pct 2.0 must be between 0 and 1",
    "train my.txt --seed -1": "--seed -1 must be from 0",
    "train my.txt --minutes 0": "--minutes 0.0 must be a finite number above 0",
    "train my.txt --minutes 1e-9": "--minutes 1e-09 is less than .001",
    "train my.txt --epochs 99999999999": "--epochs 99999999999 must be below 2**31",
    "train my.txt --minutes inf": "--minutes inf must be",
    "train my.txt --temperature -1": "--temperature -1.0 must be 0 or more",
    "train my.txt --prompt 漢": "--prompt '漢': '漢' is not in the text",
    "train my.txt --device warp": "--device warp cannot be used here (no such device); pass --device cpu",
    "train my.txt --out m.safetensors": "m.safetensors exists; pass --overwrite to replace it, or another --out",
    "train my.txt --out m": "m.safetensors exists; pass --overwrite",
    "train my.txt --out x.pt": "a model file ends in .safetensors, and x.pt does not; pass --out x.safetensors",
    "train my.txt --out my.txt/m": "cannot write my.txt/m.safetensors: my.txt is not a folder; pass another --out",
    "train my.txt --out folder": "cannot write folder: it is a folder",
    "train my.txt --out .": "cannot write .: it is a folder",
    "generate . --prompt x": "'.' is a folder, not a model file; give a file name, such as my.safetensors",
    "generate none --prompt a": "there is no model file none.safetensors; charrnn train makes one",
    "generate my.txt --prompt a": "my.txt is damaged or not a model file",
    "generate m --prompt 漢": "is not in the vocabulary (nearest: 'z'). Pass --unk skip to leave such characters out",
    "generate m --prompt a --unk ?!": "--unk '?!' is neither 'error', 'skip' nor a character of this vocabulary",
    "generate m --prompt a -n -1": "--n -1 is not a whole number, at least 0",
    "generate m --prompt a -n 99999999999": "pass --stream, or ask for less",
    "generate m --prompt a --temperature nan": "--temperature nan is not a number of at least 0",
    "generate m --prompt a --top-p 2": "--top-p 2.0 is not a number from 0 to 1",
    "generate m --prompt a --top-k 0": "--top-k 0 is not a whole number, at least 1",
    "generate m --prompt a --min-p 2": "--min-p 2.0 is not",
    "generate m --prompt a --repetition-penalty 0": "--repetition-penalty 0.0 is not a number above 0; 1 ",
    "generate m --prompt a --num 0": "--num 0 is not",
    "generate m --prompt a --seed -1": "--seed -1 is not a whole number from 0 to 2**64-1; without --seed one is drawn",
    "generate m --prompt a --beam 0": "--beam 0 is not",
    "generate m --prompt a --stop 漢": "--stop '漢' never occurs in generated text",
    "generate m --prompts none.txt": "cannot read none.txt",
    "generate m --prompts latin.txt": "line 1 of latin.txt is not valid UTF-8",
    "evaluate m none.txt": "cannot read none.txt",
    "evaluate m nulls": "is a binary file",
    "evaluate m tiny.txt": "the text has 6 characters",
    "evaluate m latin.txt --encoding latin-1": "Pass --unk skip to leave such characters out",
    "info my.txt": "damaged or not a model file",
    "info .": "'.' is a folder, not a model file",
    "reproduce --seeds 0": "--seeds 0 must be",
    "reproduce --out no/where.md": "there is no folder no to write where.md to",
}

# command lines that fail with exit code 2: options that do not exist or cannot be combined
CONFLICTS = {
    "": "COMMAND",
    "fly": "invalid choice: 'fly'",
    "train --epochs many": "invalid int value: 'many'",
    "train --corpus bible": "invalid choice: 'bible'",
    "train my.txt --corpus nietzsche": "give FILE or --corpus, not both",
    "train --encoding latin-1": "--encoding is for FILE",
    "train my.txt --valid tail --valid my.txt": "--valid tail chooses a part of the text; leave out the other --valid",
    "train my.txt --one-network": "--one-network is for --recipe best; give it too",
    "train my.txt --minutes .05 --epochs 4": "--minutes and --epochs both set the length of training",
    "train my.txt --recipe worst": "invalid choice: 'worst'",
    "train my.txt --recipe best --arch lstm --epochs 1": "--recipe best sets --arch, --epochs itself",
    "train my.txt --stateful --stride 3": "--stateful reads the text without gaps; leave out --stride",
    "train my.txt --stateful --valid random": "--stateful can only validate on the end of the text",
    "train my.txt --stateful --target next": "--stateful predicts after every character; leave out --target next",
    "generate m": "generate needs --prompt TEXT or --prompts FILE",
    "generate m --prompt a -n x": "invalid INT value: 'x'",
    "generate m --prompt a -n inf": "-n inf never ends; it needs --stream",
    "generate m --prompt a --stream --json": "leave out --json, --num and --beam",
    "generate m --prompt a --stream --num 2": "leave out --json, --num and --beam",
    "generate m --prompt a --beam 2 --top-k 3": "--beam does not sample; leave out --top-k",
    "generate m --prompt a --beam 2 --seed 3": "--beam does not sample; leave out --seed",
    "generate m --prompt a --beam 2 --num 3": "leave out --num",
    "evaluate m my.txt --by fast": "invalid choice: 'fast'",
    "evaluate m my.txt --by streams --dynamic": "--dynamic reads the text as one stream; leave out --by",
}


@pytest.mark.parametrize("line,message", ERRORS.items(), ids=list(ERRORS))
def test_an_error_is_one_line_and_exits_with_1(cli, line, message):
    code, err = cli(line)
    assert code == 1
    assert message in err
    assert err.startswith("charrnn: ") and err.count("\n") == 1
    # options instead of Python: no `n_hid=`, no function call, no `None`
    assert not re.search(r"\b[a-z_]+=|\b[a-z_]+\(|None|register_arch", err)


@pytest.mark.parametrize("line,message", CONFLICTS.items(), ids=list(CONFLICTS))
def test_options_that_cannot_be_combined_exit_with_2(cli, line, message):
    code, err = cli(line)
    assert code == 2
    assert err.startswith("usage: charrnn")
    assert message in err


def test_no_error_leaves_a_file_behind(folder):
    "Runs after all tests above."
    texts = {"my.txt", "tiny.txt", "empty.txt", "latin.txt", "wide.txt", "nulls", "cut.gz"}
    assert {p.name for p in folder.iterdir()} == texts | {"folder", "m.safetensors"}


def test_training_that_diverges_saves_nothing_and_names_the_step_and_the_rate(cli, folder):
    code, err = cli("train my.txt --target next --lr 1e6 --n-hid 16 --out diverged.safetensors")
    assert code == 1
    assert re.search(r"the loss is (nan|inf) at step \d+ \(epoch 0, learning rate [\d.e+]+\), so training stopped", err)
    assert err.endswith("; no model was saved\n")
    assert not (folder / "diverged.safetensors").exists()


def test_training_that_diverges_keeps_a_model_that_was_there(cli, folder):
    shutil.copy(folder / "m.safetensors", folder / "old.safetensors")
    before = (folder / "old.safetensors").read_bytes()
    code, _ = cli("train my.txt --target next --lr 1e6 --n-hid 16 --out old.safetensors --overwrite")
    assert code == 1
    assert (folder / "old.safetensors").read_bytes() == before


def test_a_full_disk_is_an_error_before_training(cli, folder, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    code, err = cli("train my.txt --target next --n-hid 256 --out full.safetensors")
    assert code == 1
    assert "its disk has 0.1 MiB free; free disk space, or pass another --out" in err
    assert not (folder / "full.safetensors").exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_an_error_before_training(cli):
    code, err = cli("train my.txt --out /proc/m")
    assert code == 1
    assert err.startswith("charrnn: cannot write /proc/m.safetensors: ")


def test_warnings_of_other_packages_are_not_shown(cli, monkeypatch):
    from fastai_charrnn.cli import generate

    def warn(args):
        warnings.warn("`torch.jit.script` is deprecated", FutureWarning, stacklevel=1)

    monkeypatch.setattr(generate, "info", warn)
    assert cli("info m") == (0, "")
