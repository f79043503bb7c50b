"""`charrnn --print-completion`: the script completes in a real shell."""

import shutil
import subprocess

import pytest
from charrnn_process import run

from fastai_charrnn.all import get_arch, list_archs


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "charrnn.bash"
    path.write_text(run("--print-completion", "bash").stdout)
    return path


@pytest.fixture
def folder(tmp_path):
    for name in ("my.safetensors", "my.txt", "more.txt.gz"):
        (tmp_path / name).touch()
    (tmp_path / "mydir").mkdir()
    return tmp_path


def _completed(script, folder, *words):
    "What bash offers for the last word."
    quoted = " ".join(f"'{word}'" for word in ("charrnn", *words))
    function = "$(complete -p charrnn | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    code = (
        f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; "
        f"{function} charrnn; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", code], cwd=folder, capture_output=True, text=True)
    # outside an interactive shell, bash has no compopt
    assert "syntax error" not in done.stderr
    return set(done.stdout.split())


COMMANDS = {"train", "generate", "write", "evaluate", "info", "page", "push", "serve", "reproduce"}


def test_commands_and_options_complete(script, folder):
    assert COMMANDS <= _completed(script, folder, "")
    assert _completed(script, folder, "ev") == {"evaluate"}
    assert _completed(script, folder, "train", "--minu") == {"--minutes"}
    assert _completed(script, folder, "train", "--target", "") == {"next", "every"}


@pytest.mark.parametrize("words", [["write", "my"], ["evaluate", "my"], ["train", "--from", "my"]], ids=str)
def test_a_model_completes_to_model_files_and_folders(script, folder, words):
    assert _completed(script, folder, *words) == {"my.safetensors", "mydir"}


@pytest.mark.parametrize("words", [["generate"], ["info"], ["train", "--from"]], ids=str)
def test_a_model_to_read_completes_to_pretrained_models(script, folder, words):
    assert _completed(script, folder, *words, "") == {"my.safetensors", "mydir", "nietzsche", "python"}
    assert _completed(script, folder, *words, "ni") == {"nietzsche"}
    assert "nietzsche" not in _completed(script, folder, "train", "--out", "")


@pytest.mark.parametrize("words", [["train", "m"], ["train", "my.txt", "m"], ["train", "--valid", "m"]], ids=str)
def test_a_text_completes_to_files(script, folder, words):
    assert {"my.txt", "more.txt.gz"} <= _completed(script, folder, *words)


def test_architectures_complete_to_all_of_the_package(script, folder):
    own = {name for name in list_archs() if get_arch(name).cls.__module__.startswith("fastai_charrnn.")}
    assert _completed(script, folder, "train", "--arch", "") == own


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_scripts_of_all_shells_are_made(shell, capsys):
    from fastai_charrnn.cli import main

    with pytest.raises(SystemExit) as exit:
        main(["--print-completion", shell])
    assert exit.value.code == 0
    printed = capsys.readouterr().out
    assert "charrnn" in printed and "--print-completion" in printed
    if shutil.which(shell) and shell != "tcsh":
        checked = subprocess.run([shell, "-n"], input=printed, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
