"""`charrnn generate`, run as a process."""

import json
import re
import subprocess

import pytest
from charrnn_process import CHARRNN, run

from fastai_charrnn.all import load_model

SAMPLING = dict(temperature=0.9, top_k=20, top_p=0.95, min_p=0.01, repetition_penalty=1.1, seed=7)
OPTIONS = [str(o) for name, value in SAMPLING.items() for o in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture
def generate(model_folder):
    "What `charrnn generate my` prints."

    def printed(*args, **kwargs):
        return run("generate", "my", *args, cwd=model_folder, **kwargs).stdout

    return printed


@pytest.fixture
def learn(model_folder):
    return load_model(model_folder / "my")


def test_every_prompt_is_continued(generate):
    printed = generate("--prompt", "the valu", "--prompt", "a ", "-n", 30)
    assert printed.startswith("the valu")
    assert "\na " in printed


def test_a_seed_gives_the_same_text_each_time(generate):
    options = ["--prompt", "the valu", "-n", 30]
    with_seed = generate(*options, "--seed", 5)
    assert with_seed == generate(*options, "--seed", 5)
    assert with_seed != generate(*options, "--seed", 6)
    assert generate(*options) != generate(*options)


@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=str)
def test_generate_prints_what_the_learner_generates(generate, learn, stream):
    printed = generate("--prompt", "the valu", "-n", 80, *stream, *OPTIONS)
    assert printed == f"{learn.generate('the valu', 80, **SAMPLING)}\n"


def test_json_has_what_the_learner_generates(generate, learn):
    options = ["--prompt", "the", "--prompt", "a", "-n", 90, "--num", 2, "--stop", ".", "--stop", "\n"]
    rows = [json.loads(line) for line in generate(*options, "--json", *OPTIONS).splitlines()]
    texts = learn.generate(["the", "a"], 90, num=2, stop=[".", "\n"], **SAMPLING)
    assert len(rows) == len(texts) == 4
    for row, text in zip(rows, texts):
        assert row["prompt"] == text.prompt
        assert row["text"] == text.text
        assert row["new"] == text.new
        assert row["seed"] == 7
        assert row["log_probs"] == pytest.approx(text.log_probs.tolist(), abs=1e-6)
        assert row["bits_per_char"] == pytest.approx(text.bits_per_char, abs=1e-6)


def test_beam_search_prints_its_texts_in_order(generate, learn):
    printed = generate("--prompt", "the valu", "-n", 9, "--beam", 3, "--no-prompt")
    assert printed == "---\n".join(f"{text.new}\n" for text in learn.generate("the valu", 9, beam=3))


def test_prompts_come_from_the_lines_of_a_file(generate, model_folder):
    (model_folder / "lines.txt").write_bytes("the\r\n\nclass".encode("utf-8-sig"))
    printed = generate("-n", 5, "--seed", 1, "--json", "--prompts", "lines.txt")
    assert [json.loads(line)["prompt"] for line in printed.splitlines()] == ["the", "", "class"]


def test_prompts_come_from_standard_input(generate):
    printed = generate("-n", 5, "--seed", 1, "--json", "--prompts", "-", "--prompt", "a", input="the\n\nclass\n")
    assert [json.loads(line)["prompt"] for line in printed.splitlines()] == ["a", "the", "", "class"]
    assert generate("-n", 5, "--prompts", "-", input="") == ""


def test_a_prompt_gives_the_same_text_from_a_file_and_from_standard_input(generate, model_folder):
    (model_folder / "two.txt").write_text("the\nclass\n")
    options = ["-n", 5, "--seed", 1, "--json"]
    from_stdin = generate(*options, "--prompts", "-", "--prompt", "a", input="the\nclass\n")
    assert from_stdin.splitlines()[1:] == generate(*options, "--prompts", "two.txt").splitlines()


def test_stream_answers_each_line_before_the_next_is_sent(model_folder):
    process = subprocess.Popen(
        [CHARRNN, "generate", "my", "--prompts", "-", "-n", "20", "--stream", "--seed", "3"],
        cwd=model_folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _send(process, "the valu")
    assert process.stdout.readline().startswith("the")
    _send(process, "class ")
    assert process.stdout.readline() == "---\n"
    assert process.stdout.readline().startswith("cla")
    process.stdin.close()
    assert process.wait(60) == 0


def _send(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_a_loop_in_greedy_text_is_reported_once(model_folder):
    done = run("generate", "my", "--prompt", "the", "--prompt", "a", "-n", 400, "--temperature", 0, cwd=model_folder)
    assert done.stderr.startswith("charrnn: the greedy text repeats itself every ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("options", ["-n 500", "-n inf --stream", "-n 20 --num 500"])
def test_a_reader_that_closes_the_pipe_is_not_an_error(model_folder, options):
    command = f"set -o pipefail; {CHARRNN} generate my --prompt the {options} | head -c 3"
    done = subprocess.run(command, shell=True, executable="/bin/bash", cwd=model_folder, capture_output=True, text=True)
    assert done.stdout == "the"
    assert done.returncode == 0
    assert re.fullmatch(r"(charrnn: seed \d+\n)?", done.stderr)
