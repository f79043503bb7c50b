"""Values that are written as JSON and tensors come back as they were, and long lists take few tensors."""

import json

import pytest
import torch

from fastai_charrnn.state.values import decode, encode

LOSSES = [torch.tensor(i / 7) for i in range(40)]


@pytest.mark.parametrize(
    "values",
    [[*LOSSES, *(i / 3 for i in range(30))], [*(i / 3 for i in range(30)), *LOSSES, 1.5, 2.5], [*LOSSES, None, 3, 0.5]],
    ids=["past epochs and this one", "floats first", "single values"],
)
def test_a_long_list_of_several_types_takes_a_few_tensors(values):
    tensors = {}
    saved = json.loads(json.dumps(encode(values, tensors, "losses")))
    assert len(tensors) <= 3
    found = decode(saved, tensors)
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_a_list_whose_type_changes_often_is_kept_too():
    values = [0.5, torch.tensor(2.0)] * 20
    tensors = {}
    found = decode(encode(values, tensors, "mixed"), tensors)
    assert found == values
