"""`charrnn write`: what its lines do, in this process, and as a process with a pipe and on a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from charrnn_process import CHARRNN, charrnn, run

from fastai_charrnn.cli.draft import Draft
from fastai_charrnn.errors import GenerationError, UnknownCharError


def test_a_draft_adds_undoes_and_redoes(trained):
    draft = Draft(trained, "The ")
    draft.add(draft.options()[0].text)
    first = draft.text
    draft.add("new")
    draft.undo()
    assert draft.text == first
    draft.redo()
    assert draft.text == first + "new"
    draft.undo()
    draft.undo()
    assert draft.text == "The "
    with pytest.raises(GenerationError, match="nothing to undo"):
        draft.undo()
    draft.add("other ")
    # what was undone is gone once something else was added
    with pytest.raises(GenerationError, match="nothing to redo"):
        draft.redo()


def test_a_line_with_unknown_characters_leaves_a_draft_as_it_was(trained):
    draft = Draft(trained, "The ")
    draft.add("new ")
    draft.undo()
    with pytest.raises(UnknownCharError):
        draft.add("漢")
    assert draft.text == "The "
    draft.redo()
    assert draft.text == "The new "


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_other_continuations_are_not_those_before(trained, temperature):
    draft = Draft(trained, "The ", temperature=temperature)
    first = {option.text for option in draft.options()}
    draft.page += 1
    other = {option.text for option in draft.options()}
    assert other and first != other
    if not temperature:
        assert first.isdisjoint(other)


LINES = ["2", "", "/more", "1", "/undo", "wor", "+1 ", "99", "漢", "/nothing", "/line", "/temp .8", "3", "/save t.txt"]


def test_a_pipe_writes_a_text_with_a_model(model_folder):
    options = ["write", "my", "--prompt", "The ", "--seed", 3]
    lines = "".join(f"{line}\n" for line in LINES)
    done = run(*options, input=lines, cwd=model_folder)
    text = (model_folder / "t.txt").read_text(encoding="utf-8")
    # the end of the input ends the session, which prints the text
    assert done.stdout.endswith(f"\n\n{text}\n")
    shown = [re.findall(r"^  (\d)  .*?%  (['\"].*)$", part, re.M) for part in done.stdout.split("\n> ")]
    # the second continuation, the first (Enter), what was typed, the third of those that were drawn
    second, first = (eval(shown[i][j][1]) for i, j in ((0, 1), (1, 0)))
    drawn = eval(shown[LINES.index("3")][2][1])
    assert text == f"The {second}{first}wor1 \n{drawn}"
    assert "charrnn: there is no continuation 99; type 1 to 5, or +99" in done.stdout
    assert "is not in the vocabulary" in done.stdout
    assert "there is no command /nothing" in done.stdout
    assert done.stderr == "charrnn: seed 3\n"
    # the same seed and lines give the same text, and a file is not replaced
    again = run(*options, "--out", "u.txt", input=lines, cwd=model_folder)
    assert "t.txt exists; save to another file, or start with --overwrite" in again.stdout
    assert (model_folder / "u.txt").read_text(encoding="utf-8") == text


def test_ctrl_c_on_a_terminal_ends_with_the_text(model_folder):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [CHARRNN, "write", "my", "--prompt", "The "], cwd=model_folder, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    printed = _read_until(master, "> ")
    os.write(master, b"hello \n")
    printed += _read_until(master, "hello ▁.*> ")
    # a signal before `input` waits for a key would be handled only after the key
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    printed += _read_until(master)
    os.close(master)
    assert process.wait(20) == 0, printed
    assert printed.rstrip().endswith("The hello")
    assert "Traceback" not in printed


def _read_until(master, pattern="(?!)"):
    "What is printed until a pattern is found at its end, or to the end, or for 30 seconds at most."
    printed = b""
    while not re.search(rf"(?:{pattern})\Z", printed.decode(errors="replace"), re.S):
        assert select.select([master], [], [], 30)[0], printed
        try:
            piece = os.read(master, 2**16)
        except OSError:
            break
        printed += piece
        if not piece:
            break
    return printed.decode()


@pytest.mark.parametrize(
    "options,message",
    [
        (["--out", "my.txt"], "my.txt exists; pass --overwrite to replace it, or another --out"),
        (["--out", "no/where.txt"], "there is no folder no; create it, or pass another --out"),
        (["--num", "0"], "--num 0 must be a whole number, from 1 to 99"),
        (["--temperature", "-1"], "--temperature -1.0 must be 0 or more"),
        (["--prompt", "漢"], "is not in the vocabulary"),
    ],
    ids=str,
)
def test_errors_come_before_the_first_line_is_read(model_folder, options, message, monkeypatch, capsys):
    from fastai_charrnn.cli import main

    monkeypatch.chdir(model_folder)
    assert main(["write", "my", *options]) == 1
    assert message in capsys.readouterr().err


def test_it_does_not_import_fastai(model_folder):
    code = "import sys; from fastai_charrnn.cli.write import write; sys.exit('fastai' in sys.modules)"
    assert subprocess.run([CHARRNN.replace("charrnn", "python"), "-c", code]).returncode == 0
    assert charrnn("write", "none").stderr.startswith("charrnn: there is no model file none.safetensors")
