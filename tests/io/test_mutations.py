"""Changed model files are refused with a short `ModelFileError`, or load and work. `make soak` tries many more."""

import random

import pytest
from mutations import good_files, try_one


@pytest.mark.parametrize("start", range(0, 150, 50))
def test_changed_files_are_refused_or_work(tmp_path, start):
    kinds = [try_one(random.Random(f"files {i}"), tmp_path) for i in range(start, start + 50)]
    # some of each are among any fifty
    assert any(kind.endswith("refused") for kind in kinds)
    assert any(kind.endswith("works") for kind in kinds)


def test_the_files_are_of_every_architecture_and_format():
    descriptions = [file.description for file in good_files()]
    assert {d["format"] for d in descriptions} == {1, 2, 3}
    assert len({d["arch"] for d in descriptions}) == 8
