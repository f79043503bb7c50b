"""Processes that share a folder of texts: a few of the tries of `make soak`."""

import random

import pytest
import soak_mapped
import soak_sharing


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_a_training_whose_encoded_text_changes_is_right_or_raises_an_error(tmp_path, number):
    assert soak_mapped.try_one(random.Random(number), tmp_path)


@pytest.mark.parametrize("try_one", [soak_sharing.try_encode, soak_sharing.try_download])
@pytest.mark.parametrize("number", range(2))
def test_two_processes_share_a_folder(tmp_path, try_one, number):
    assert try_one(random.Random(number), tmp_path) == "one right file"
