"""The command line, as processes: what it prints, its exit codes, and one line for every error."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHARRNN = str(Path(sys.executable).with_name("charrnn"))


# lesson 6's network, which trains fast
WINDOWS = ["--arch", "rnn", "--target", "next"]


def run(*args, cwd=None, ok=True, env=None, **kw):
    p = subprocess.run(
        [CHARRNN, *map(str, args)], cwd=cwd, capture_output=True, text=True, env=os.environ | (env or {}), **kw
    )
    if ok:
        assert p.returncode == 0, p.stderr
    return p


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    "A folder with a text and a model trained on it."
    (folder := tmp_path_factory.mktemp("cli"))
    (folder / "my.txt").write_text(small, encoding="utf-8")
    folder.joinpath("said").write_text(
        run(
            "train", "my.txt", *WINDOWS, "--epochs", 2, "--n-hid", 64, "--prompt", "the valu", "--out", "my", cwd=folder
        ).stdout
    )
    return folder


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["train", "--help"],
        ["generate", "--help"],
        ["evaluate", "--help"],
        ["info", "--help"],
        ["reproduce", "--help"],
    ],
)
def test_help_has_examples(args):
    out = run(*args).stdout
    assert out.startswith("usage: charrnn") and "examples:" in out


def test_help_imports_no_torch():
    code = (
        "import sys\n"
        "from fastai_charrnn import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'fastai', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_version():
    import fastai_charrnn

    assert run("--version").stdout == f"charrnn {fastai_charrnn.__version__}\n"


def test_train_says_data_every_epoch_the_result_beside_ngrams_texts_and_what_to_type_next(folder):
    said = folder.joinpath("said").read_text()
    assert (
        "30,000 characters" in said
        and re.search(r"epoch +train_loss +valid_loss", said)
        and re.search(r"^ +1  +\d\.\d{4}", said, re.M)
    )
    model, ngrams = (re.search(rf"^{name}.*?(\d\.\d+) +(\d\.\d+)", said, re.M) for name in ("rnn, 2 epochs", "n-grams"))
    for m in (model, ngrams):
        assert float(m[2]) == pytest.approx(float(m[1]) / 0.693147, abs=2e-3)
    assert "validated on the last 10% of the text" in said
    assert re.search(r"^(Counting|The network) .*nats per character\); .*\.$", said, re.M)


def test_the_commands_it_proposes_work(folder):
    proposed = folder.joinpath("said").read_text().split("next, type\n")[1].splitlines()
    assert len(proposed) == 2
    for line in proposed:
        assert (
            len(subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout) > 100
        )


def test_generate_continues_every_prompt_and_is_the_same_each_time_with_a_seed(folder):
    def said(*more):
        return run("generate", "my", "--prompt", "the valu", "--prompt", "a ", "-n", 30, *more, cwd=folder).stdout

    a = said("--seed", 5)
    assert a.startswith("the valu") and "\na " in a and a == said("--seed", 5) != said("--seed", 6) and said() != said()


def test_generate_says_what_python_says(folder):
    from fastai_charrnn.all import load_model

    learn = load_model(folder / "my")
    kw = dict(temperature=0.9, top_k=20, top_p=0.95, min_p=0.01, repetition_penalty=1.1, seed=7)
    flags = [str(o) for k, v in kw.items() for o in (f"--{k.replace('_', '-')}", v)]
    assert (
        run("generate", "my", "--prompt", "the valu", "-n", 80, *flags, cwd=folder).stdout
        == f"{learn.generate('the valu', 80, **kw)}\n"
    )
    assert (
        run("generate", "my", "--prompt", "the valu", "-n", 80, "--stream", *flags, cwd=folder).stdout
        == f"{learn.generate('the valu', 80, **kw)}\n"
    )
    several = ["--prompt", "the", "--prompt", "a", "-n", 90, "--num", 2, "--stop", ".", "--stop", "\n"]
    lines = run("generate", "my", *several, "--json", *flags, cwd=folder).stdout.splitlines()
    rows = [json.loads(o) for o in lines]
    want = learn.generate(["the", "a"], 90, num=2, stop=[".", "\n"], **kw)
    assert [(r["prompt"], r["text"], r["new"], r["seed"]) for r in rows] == [(o.prompt, o.text, o.new, 7) for o in want]
    for r, o in zip(rows, want):
        assert r["log_probs"] == pytest.approx(o.log_probs.tolist(), abs=1e-6) and r["bits_per_char"] == pytest.approx(
            o.bits_per_char, abs=1e-6
        )
    beams = run("generate", "my", "--prompt", "the valu", "-n", 9, "--beam", 3, "--no-prompt", cwd=folder).stdout
    assert beams == "---\n".join(f"{o.new}\n" for o in learn.generate("the valu", 9, beam=3))


def test_prompts_come_from_a_file_or_standard_input_one_a_line(folder):
    (folder / "lines.txt").write_bytes("the\r\n\nclass".encode("utf-8-sig"))
    args = ["generate", "my", "-n", 5, "--seed", 1, "--json", "--prompts"]
    from_file = run(*args, "lines.txt", cwd=folder).stdout
    assert [json.loads(o)["prompt"] for o in from_file.splitlines()] == ["the", "", "class"]
    assert (
        run(*args, "-", "--prompt", "a", cwd=folder, input="the\n\nclass\n").stdout.splitlines()[1:]
        == from_file.splitlines()
    )
    assert run("generate", "my", "-n", 5, "--prompts", "-", cwd=folder, input="").stdout == ""


def test_streamed_text_comes_while_more_is_asked_for(folder):
    p = subprocess.Popen(
        [CHARRNN, "generate", "my", "--prompts", "-", "-n", "20", "--stream", "--seed", "3"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # each is answered before the next is sent
    for between, prompt in (("", "the valu"), ("---\n", "class ")):
        p.stdin.write(prompt + "\n")
        p.stdin.flush()
        if between:
            assert p.stdout.readline() == between
        assert p.stdout.readline().startswith(prompt[:3])
    p.stdin.close()
    assert p.wait(60) == 0


def test_greedy_text_in_a_loop_says_so_once_on_stderr(folder):
    p = run("generate", "my", "--prompt", "the", "--prompt", "a", "-n", 400, "--temperature", 0, cwd=folder)
    assert p.stderr.startswith("charrnn: the greedy text repeats itself every ") and p.stderr.count("\n") == 1


def _nats(out):
    return float(re.search(r"([\d.]+) nats", out)[1])


def test_evaluate_scores_the_part_held_out_of_the_text_it_was_trained_on(folder, small):
    out = run("evaluate", "my", "my.txt", cwd=folder).stdout
    assert "the model was trained on this text; of its 30,000 characters, the 3,000 held out" in out
    from fastai_charrnn.all import load_model

    learn = load_model(folder / "my")
    assert _nats(out) == pytest.approx(learn.training_log.rows[-1]["valid_loss"], abs=1e-3)
    bits = float(re.search(r"([\d.]+) bits per char", out)[1])
    assert bits == pytest.approx(_nats(out) / 0.693147, abs=2e-3)


def test_evaluate_all_scores_the_whole_text_and_warns(folder, small):
    p = run("evaluate", "my", "my.txt", "--all", cwd=folder)
    from fastai_charrnn.all import load_model

    assert _nats(p.stdout) == pytest.approx(load_model(folder / "my").evaluate(small)["loss"], abs=1e-3)
    assert "the model was trained on this text, so the loss below is too low" in p.stderr


def test_evaluate_scores_all_of_another_text_without_a_warning(folder, small):
    (folder / "other.txt").write_text(small[:5000], encoding="utf-8")
    p = run("evaluate", "my", "other.txt", cwd=folder)
    assert p.stdout.startswith("other.txt: 5,000 characters: ")
    assert p.stderr == ""


def test_info_for_people_and_as_json(folder):
    out = run("info", "my", cwd=folder).stdout
    assert "rnn, emb_sz=42, n_hid=64" in out and "2 epochs, last: train" in out and "window      8 characters" in out
    assert json.loads(run("info", "my", "--json", cwd=folder).stdout)["arch"] == "rnn"


def test_human_numbers_are_split_at_8000(tmp_path):
    out = run("train", "--corpus", "human_numbers", "--epochs", 1, "--n-hid", 8, "--stride", 4, cwd=tmp_path).stdout
    assert (
        f"train    {len(range(0, 280_599 - 8, 4)):,} windows" in out and (tmp_path / "model.safetensors").exists()
    )  # 280,599 characters to 7,999


def test_without_a_corpus_it_takes_the_embedded_text_and_says_why(tmp_path):
    env = dict(CHARRNN_DATA=str(tmp_path), FASTAI_HOME=str(tmp_path / "home"), CHARRNN_OFFLINE="1")
    out = run("train", "--epochs", 1, "--n-hid", 8, "--stride", 9, cwd=tmp_path, env=env).stdout.splitlines()
    assert out[0].startswith(
        "corpus: python_reference, the embedded text, because nietzsche.txt is not at hand and CHARRNN_OFFLINE=1"
    )


def test_a_corpus_named_is_never_replaced(tmp_path):
    env = dict(CHARRNN_DATA=str(tmp_path), FASTAI_HOME=str(tmp_path / "home"), CHARRNN_OFFLINE="1")
    p = run("train", "--corpus", "nietzsche", cwd=tmp_path, env=env, ok=False)
    assert p.returncode == 1 and p.stdout == "" and "nietzsche.txt is not at hand" in p.stderr


@pytest.mark.corpus
def test_without_a_corpus_it_takes_nietzsche_where_it_is(text, tmp_path):
    out = run("train", "--epochs", 1, "--n-hid", 8, "--stride", 9, cwd=tmp_path).stdout
    assert out.startswith("corpus: nietzsche, found at ") and "600,893 characters" in out and out.count("--- ") == 3


def test_ctrl_c_keeps_the_last_finished_epoch(folder):
    out = folder / "stopped.safetensors"
    p = subprocess.Popen(
        [CHARRNN, "train", "my.txt", "--epochs", "500", "--n-hid", "32", "--out", out],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if out.exists() or p.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=60)
    done = int(
        re.fullmatch(r"charrnn: interrupted; .*stopped.safetensors holds the model after (\d+) epochs?\n", err)[1]
    )
    assert p.returncode == 1 and json.loads(run("info", out, "--json").stdout)["training"]["epochs"] == done >= 1
    assert not [o for o in os.listdir(folder) if o.startswith(".")]


@pytest.mark.parametrize("more", ["-n 500", "-n inf --stream", "-n 20 --num 500"])
def test_a_reader_that_leaves_is_no_error(folder, more):
    p = subprocess.run(
        f"set -o pipefail; {CHARRNN} generate my --prompt the {more} | head -c 5",
        shell=True,
        executable="/bin/bash",
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert p.stdout.startswith("the") and len(p.stdout) == 5 and p.returncode == 0
    assert re.fullmatch(r"(charrnn: seed \d+\n)?", p.stderr)


@pytest.mark.slow
@pytest.mark.corpus
def test_reproduce_prints_printed_beside_ours_and_writes_the_report(text, tmp_path):
    p = run("reproduce", "--arch", "char3", "--seeds", 1, "--out", tmp_path / "R.md")
    assert (tmp_path / "R.md").read_text() == p.stdout.removesuffix("\n")
    row = re.search(r"\| `char3` \| 2 \| train \| 1.8638 \| ([\d.]+) \| ([\d.]+) \| (-[\d.]+) \|", p.stdout)
    assert float(row[1]) <= 1.8638 + 0.02 and float(row[2]) < 1.8638
    assert "`'y. T'`" in p.stdout and "fastai 2" in p.stdout
