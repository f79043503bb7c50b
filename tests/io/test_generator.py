"""`load_generator` generates the text that the learner of a file does, without fastai."""

import subprocess
import sys

import pytest

from fastai_charrnn.all import ModelFileError, load_model, save_model
from fastai_charrnn.io.generator import load_generator


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("generator") / "model")


@pytest.fixture(scope="module")
def learn(path):
    return load_model(path, device="cpu")


@pytest.fixture(scope="module")
def generator(path):
    return load_generator(path.with_suffix(""), device="cpu")


def test_it_generates_what_the_learner_does(learn, generator):
    prompts = ["the valu", ""]
    assert generator.predict_next(prompts, n=30) == learn.predict_next(prompts, n=30)
    a, b = (o.generate("the valu", 50, top_p=0.9, seed=3, num=2) for o in (learn, generator))
    assert [o.text for o in a] == [o.text for o in b]
    assert a[0].text != a[1].text


def test_it_scores_as_the_learner_does(learn, generator):
    assert generator.score("the value").bits == learn.score("the value").bits
    assert generator.next_probs("the", top=3) == learn.next_probs("the", top=3)


def test_its_model_is_in_evaluation_mode(generator):
    assert not generator.model.training


# exits with 1 if fastai is imported
CODE = """import sys
from fastai_charrnn import cli
assert cli.main(sys.argv[1:]) == 0
sys.exit(any(m in sys.modules for m in ("fastai", "pandas", "matplotlib")))"""


@pytest.mark.parametrize(
    "args", [["generate", "--prompt", "the", "--seed", "1", "-n", "20"], ["info"]], ids=["generate", "info"]
)
def test_the_command_line_generates_and_describes_without_fastai(path, args):
    command = [sys.executable, "-c", CODE, args[0], str(path), *args[1:]]
    assert len(subprocess.run(command, capture_output=True, text=True, check=True).stdout) > 20


@pytest.mark.parametrize("name", ["damaged", "missing"])
def test_it_refuses_other_files_as_load_model_does(path, tmp_path, name):
    (tmp_path / "damaged.safetensors").write_bytes(path.read_bytes()[:-4])
    messages = []
    for load in (load_generator, load_model):
        with pytest.raises(ModelFileError) as e:
            load(tmp_path / name)
        messages.append(str(e.value))
    assert messages[0] == messages[1]
