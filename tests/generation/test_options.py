"""`GenerationConfig` raises for invalid options and converts numbers."""

import math

import numpy as np
import pytest

from fastai_charrnn.errors import GenerationError
from fastai_charrnn.generation.options import GenerationConfig


@pytest.mark.parametrize(
    "kw",
    [
        dict(temperature=-1),
        dict(temperature=math.nan),
        dict(temperature=math.inf),
        dict(temperature=None),
        dict(temperature="hot"),
        dict(temperature=True),
        dict(top_k=0),
        dict(top_k=2.5),
        dict(top_p=1.1),
        dict(top_p=-0.1),
        dict(top_p=math.nan),
        dict(min_p=2),
        dict(repetition_penalty=0),
        dict(repetition_penalty=10**400),
        dict(seed=-1),
        dict(seed=2**64),
        dict(seed=1.5),
        dict(seed=True),
        dict(num=0),
        dict(num=1.5),
        dict(n=-1),
        dict(n=2.5),
        dict(beam=0),
        dict(beam=10**6),
        dict(stop=""),
        dict(stop=[""]),
        dict(stop=[1]),
        dict(stop=3),
        dict(beam=2, seed=1),
        dict(beam=2, num=3),
        dict(beam=2, temperature=1),
        dict(beam=2, top_p=0.9),
    ],
    ids=str,
)
def test_invalid_options_are_named_in_the_error(kw):
    with pytest.raises(GenerationError, match=next(iter(kw))):
        GenerationConfig(**kw)


def test_numbers_of_other_types_become_python_numbers():
    seed = np.uint64(2**64 - 1)
    options = GenerationConfig(np.float32(0.5), top_k=np.int64(3), top_p=1, repetition_penalty=2**70, seed=seed)
    assert options == GenerationConfig(0.5, top_k=3, top_p=1.0, repetition_penalty=2.0**70, seed=2**64 - 1)
    assert type(options.temperature) is type(options.top_p) is float
    assert type(options.top_k) is type(options.seed) is int
