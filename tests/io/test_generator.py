"""A model file opened to write with: the text that its learner writes, without fastai."""

import subprocess
import sys

import pytest

from fastai_charrnn.all import ModelFileError, load_model, save_model
from fastai_charrnn.io.generator import load_generator


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    return save_model(trained, tmp_path_factory.mktemp("writer") / "model")


def test_writes_what_the_learner_writes(path):
    learn = load_model(path, device="cpu")
    write = load_generator(path.with_suffix(""), device="cpu")
    assert write.predict_next(["the valu", ""], n=30) == learn.predict_next(["the valu", ""], n=30)
    a, b = (o.generate("the valu", 50, top_p=0.9, seed=3, num=2) for o in (learn, write))
    assert [o.text for o in a] == [o.text for o in b] and a[0].text != a[1].text
    assert write.score("the value").bits == learn.score("the value").bits and write.next_probs(
        "the", top=3
    ) == learn.next_probs("the", top=3)
    assert not write.model.training


def test_no_fastai_is_imported_to_write_or_to_tell_of_a_file(path):
    code = "import sys\nfrom fastai_charrnn import cli\nassert cli.main(sys.argv[1:]) == 0\nsys.exit(any(m in sys.modules for m in ('fastai', 'pandas', 'matplotlib')))"
    for args in (["generate", path, "--prompt", "the", "--seed", "1", "-n", "20"], ["info", path]):
        assert (
            len(
                subprocess.run(
                    [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=True
                ).stdout
            )
            > 20
        )


def test_files_that_are_none_are_refused_as_by_load_model(path, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(path.read_bytes()[:-4])
    for bad in (tmp_path / "bad", tmp_path / "none"):
        said = []
        for load in (load_generator, load_model):
            with pytest.raises(ModelFileError) as e:
                load(bad)
            said.append(str(e.value))
        assert said[0] == said[1]
