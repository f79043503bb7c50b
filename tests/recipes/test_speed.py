"""The speed of a device, by which the best recipe chooses a network."""

import math

import pytest
import torch

from fastai_charrnn.all import DataError
from fastai_charrnn.recipes.best import best_recipe
from fastai_charrnn.recipes.speed import measured_speed, step_seconds


def test_training_steps_are_timed_on_a_device_and_random_numbers_stay():
    before = torch.get_rng_state()
    seconds = step_seconds(torch.device("cpu"), n_hid=8, seconds=0)
    assert 0 < seconds < 10
    assert torch.equal(before, torch.get_rng_state())


def test_a_cpu_has_the_speed_of_its_products():
    assert math.isfinite(measured_speed("cpu"))
    assert measured_speed("cpu") > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(DataError, match="device='cuda' cannot be used here"):
        best_recipe(1, device="cuda")
    assert best_recipe(1, speed=1, device="cuda").minutes == 1


@pytest.mark.gpu
def test_a_gpu_has_the_speed_of_its_training_steps_and_random_numbers_stay():
    before = torch.cuda.get_rng_state()
    assert 0.2 < measured_speed("cuda") < 1000
    assert torch.equal(before, torch.cuda.get_rng_state())
